"""``QuantizedLinear``: a linear layer whose weight takes a few bits a value."""

from typing import Any, TypeVar

import mlx.core as mx

from lucid import _checks, _deferred, tape
from lucid._dtypes import get_default_dtype
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.kernels.quantized_matmul import Scheme, dequantized, dtype_of, has_dtype, scheme
from lucid.nn._common import empty_parameter, parameter_dtype
from lucid.nn.linear import Linear
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter
from lucid.ops._quantized import quantized_linear
from lucid.ops._types import TensorLike

_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks")


class QuantizedLinear(Module):
    """``Linear`` with a weight of ``bits`` bits a value, which is not trained.

    ``lucid.quantize`` makes these layers from those of a model. A new one has a weight of zeros, to be loaded.

    Shapes: input (..., in_features), out (..., out_features). The weight is a buffer, packed into uint32
    (out_features, in_features * bits / 32). ``group_size`` neighbors of a row share a value of the buffers ``scales``
    and ``biases`` (out_features, in_features / group_size): the weight is ``q * scales + biases`` for q of 0 to
    2 ** bits - 1. Other modes than "affine" have no biases, and scales of 8 bits. ``bias`` (out_features,) is an
    ordinary parameter. Names and values are those of MLX's layer.

    Gradients flow to the input and to ``bias``. ``half()`` and ``to(dtype)`` convert scales, biases and bias. In
    float64, which MLX's functions for quantized weights lack, the weight is dequantized.

    Args:
        in_features: Size of the last dimension of the input, a multiple of ``group_size``.
        out_features: Size of the last dimension of the output.
        bias: Whether to add a learned bias.
        bits: 1, 2, 3, 4, 5, 6 or 8 (the default) with mode "affine"; the other modes have their own.
        group_size: 32, 64 (the default) or 128 with mode "affine"; the other modes have their own.
        mode: "affine", "mxfp4", "mxfp8" or "nvfp4", see ``mx.quantize``.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of scales, biases and bias, float32 by default.

    Raises:
        ValueError: There is no such mode, number of bits or size of groups, or ``in_features`` is no multiple of it.

    Example:
        >>> layer = lucid.quantize(nn.Linear(128, 30), bits=4)
        >>> layer
        QuantizedLinear(in_features=128, out_features=30, bias=True, bits=4, group_size=64)  # 3,870 parameters
        >>> layer(lucid.randn(4, 128)).shape
        (4, 30)
        >>> layer.weight.shape, layer.weight.dtype, layer.scales.shape
        ((30, 16), mlx.core.uint32, (30, 2))
    """

    biases: Tensor | None
    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, bits: int | None = None,
        group_size: int | None = None, mode: str = "affine", device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        where = "QuantizedLinear"
        kept = parameter_dtype(where, device, dtype)
        self.bits, self.group_size, self.mode = by = scheme(where, bits, group_size, mode)
        self.in_features = _checks.integer(where, "in_features", in_features, 1)
        self.out_features = _checks.integer(where, "out_features", out_features, 1)
        _checks.divisible(where, "in_features", in_features, "group_size", by.group_size)
        for name, shape in by.shapes(out_features, in_features).items():
            dtype = mx.uint32 if name == "weight" else kept if mode == "affine" else mx.uint8
            self.register_buffer(name, tape.wrap(mx.zeros(shape, dtype)))
        if mode != "affine":
            self.register_buffer("biases", None)
        self.register_parameter("bias", empty_parameter(out_features, dtype=kept) if bias else None)

    @property
    def scheme(self) -> Scheme:
        """The number of bits, the size of groups and the mode, a named tuple."""
        return Scheme(self.bits, self.group_size, self.mode)

    @classmethod
    def from_linear(
        cls, layer: Linear, bits: int | None = None, group_size: int | None = None, mode: str = "affine"
    ) -> "QuantizedLinear":
        """The quantized form of a ``Linear``, with the same ``bias`` and the same hooks. Waits for the values."""
        new = cls.like(layer, bits, group_size, mode)
        parts = mx.quantize(layer.weight._array, new.group_size, new.bits, mode)
        for name, part in zip(("weight", "scales", "biases"), _deferred.wait(list(parts)), strict=False):
            new._buffers[name] = tape.wrap(part)
        return new

    @classmethod
    def like(
        cls, layer: Linear, bits: int | None = None, group_size: int | None = None, mode: str = "affine"
    ) -> "QuantizedLinear":
        """The same without values, to be loaded; those of ``layer`` are not read."""
        new = cls(layer.in_features, layer.out_features, False, bits, group_size, mode, dtype=layer.weight.dtype)
        return _with_rest_of(layer, new)

    def to_linear(self) -> Linear:
        """A ``Linear`` with the dequantized weight, and with the same ``bias`` and the same hooks."""
        dtype = self.scales.dtype if self.mode == "affine" else self._dtype_of_bias()
        new = Linear(self.in_features, self.out_features, False, dtype=dtype)
        new.weight._rebind(dequantized(*self._parts(), self.scheme, dtype))
        return _with_rest_of(self, new)

    def _dtype_of_bias(self) -> mx.Dtype:
        return get_default_dtype() if self.bias is None else self.bias.dtype

    def _parts(self) -> tuple[mx.array, mx.array, mx.array | None]:
        return self.weight._array, self.scales._array, None if self.biases is None else self.biases._array

    def forward(self, input: TensorLike) -> Tensor:
        own = self._buffers
        return quantized_linear(
            input, own["weight"], own["scales"], own["biases"], self.bias, self.bits, self.group_size, self.mode
        )

    def _quantized_size(self) -> int:
        return self.in_features * self.out_features

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], strict: bool,
        missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """Load it like any module, but convert no other values to packed ones."""
        rest = (prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        for name, buffer in self._buffers.items():
            if buffer is None or prefix + name not in state_dict:
                continue
            try:
                found = as_array(state_dict[prefix + name]).dtype
            except (TypeError, ValueError):
                continue  # what is no array is refused below
            if not has_dtype(name, found, self.scheme):
                is_whole = name == "weight" and mx.issubdtype(found, mx.floating)
                error_msgs.append(
                    f"wrong dtype: {prefix}{name} is {_checks.dtype_name(found)}, the module expects "
                    f"{dtype_of(name, self.scheme)}"
                    + ("; load full weights before lucid.quantize, or after lucid.dequantize" if is_whole else "")
                )
        super()._load_from_state_dict(state_dict, *rest)

    def extra_repr(self) -> str:
        text = f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}, "
        text += f"bits={self.bits}, group_size={self.group_size}"
        return text if self.mode == "affine" else f"{text}, mode={self.mode!r}"


_Layer = TypeVar("_Layer", bound=Module)


def _with_rest_of(old: Any, new: _Layer) -> _Layer:
    """``new`` with the bias, the hooks and the training mode of ``old``."""
    new.register_parameter("bias", old.bias)
    for kind in _HOOKS:  # the same dictionaries, so that the handles remove hooks of both
        object.__setattr__(new, kind, getattr(old, kind))
    new.training = old.training
    return new

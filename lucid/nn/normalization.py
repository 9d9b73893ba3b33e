"""Normalization layers."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import mlx.core as mx

from lucid import _checks
from lucid._tensor import Tensor
from lucid.nn import init
from lucid.nn._common import empty_parameter, layout, parameter_dtype
from lucid.nn.module import Module
from lucid.ops import normalization
from lucid.ops._types import TensorLike
from lucid.ops.normalization import DATA_FORMATS


class Affine(Module):
    """Base class of layers with a scale and a shift, initially 1 and 0."""

    def _register(self, shape: tuple[int, ...], weight: bool, bias: bool, dtype: mx.Dtype = mx.float32) -> None:
        for name, wanted in (("weight", weight), ("bias", bias)):
            self.register_parameter(name, empty_parameter(*shape, dtype=dtype) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reset the scale to 1 and the shift to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class LayerNorm(Affine):
    """``(input - mean) / sqrt(var + eps) * weight + bias`` over the last dimensions.

    Source: Ba et al. 2016, arXiv:1607.06450.

    Args:
        normalized_shape: The sizes of the dimensions to normalize.
        eps: Added to the variance for numerical stability.
        elementwise_affine: Learn a scale per element, and a shift.
        bias: Learn a shift, too.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.
        data_format: "channels_first" to normalize the channels of (N, C, H, W) instead; ``normalized_shape`` is then C.

    Raises:
        ValueError: an option is out of range, or "channels_first" is used with several sizes.

    Example:
        >>> nn.LayerNorm(64)(lucid.randn(2, 49, 64)).shape
        (2, 49, 64)
        >>> nn.LayerNorm(64, data_format="channels_first")(lucid.randn(2, 64, 7, 7)).shape
        (2, 64, 7, 7)
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, device: object = None, dtype: object = None, *, data_format: str = "channels_last",
    ) -> None:  # fmt: skip
        super().__init__()
        self.normalized_shape = normalization.normalized_sizes("LayerNorm", normalized_shape)
        self.eps = _checks.number("LayerNorm", "eps", eps, 0)
        self.elementwise_affine = elementwise_affine
        self.data_format = _checks.one_of("LayerNorm", "data_format", data_format, DATA_FORMATS)
        if data_format == "channels_first" and len(self.normalized_shape) != 1:
            raise ValueError(
                "LayerNorm: data_format 'channels_first' normalizes only the channels, "
                f"got normalized_shape {self.normalized_shape}"
            )
        kept = parameter_dtype("LayerNorm", device, dtype)
        self._register(self.normalized_shape, elementwise_affine, elementwise_affine and bias, kept)

    def forward(self, input: TensorLike) -> Tensor:
        return normalization.layer_norm(
            input, self.normalized_shape, self.weight, self.bias, self.eps, data_format=self.data_format
        )

    def extra_repr(self) -> str:
        shown = f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return shown + layout(self.data_format, "channels_last")


class GroupNorm(Affine):
    """Normalizes each of ``num_groups`` groups of channels of (N, C, ...) separately, for each sample.

    Source: Wu and He 2018, arXiv:1803.08494.

    Args:
        num_groups: Number of groups, a divisor of ``num_channels``.
        num_channels: Number of channels.
        eps: Added to the variance for numerical stability.
        affine: Learn a scale and a shift per channel.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.
        bias: Learn a shift, too.
        data_format: "channels_last" for inputs and outputs (N, ..., C).

    Example:
        >>> nn.GroupNorm(num_groups=8, num_channels=64)(lucid.randn(2, 64, 7, 7)).shape
        (2, 64, 7, 7)
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: object = None,
        dtype: object = None, *, bias: bool = True, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_groups = _checks.integer("GroupNorm", "num_groups", num_groups, 1)
        num_channels = _checks.integer("GroupNorm", "num_channels", num_channels, 1)
        self.num_channels = _checks.divisible("GroupNorm", "num_channels", num_channels, "num_groups", num_groups)
        self.eps = _checks.number("GroupNorm", "eps", eps, 0)
        self.affine = affine
        self.data_format = _checks.one_of("GroupNorm", "data_format", data_format, DATA_FORMATS)
        self._register((num_channels,), affine, affine and bias, parameter_dtype("GroupNorm", device, dtype))

    def forward(self, input: TensorLike) -> Tensor:
        return normalization.group_norm(
            input, self.num_groups, self.weight, self.bias, self.eps, data_format=self.data_format
        )

    def extra_repr(self) -> str:
        shown = f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
        return shown + layout(self.data_format)


class RMSNorm(Module):
    """``x / sqrt(mean(x²) + eps) * weight`` over the last dimensions.

    Source: Zhang and Sennrich 2019, arXiv:1910.07467.

    Args:
        normalized_shape: The sizes of the dimensions to normalize.
        eps: Added to the mean square; ``None`` means the machine epsilon of the input's dtype.
        elementwise_affine: Learn a scale per element.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> nn.RMSNorm(4)(lucid.tensor([2.0, 2.0, -2.0, -2.0])).round(decimals=2)
        tensor([ 1.,  1., -1., -1.], grad_fn=<round>)
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True,
        device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.normalized_shape = normalization.normalized_sizes("RMSNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        kept = parameter_dtype("RMSNorm", device, dtype)
        weight = empty_parameter(*self.normalized_shape, dtype=kept) if elementwise_affine else None
        self.register_parameter("weight", weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reset the scale to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: TensorLike) -> Tensor:
        return normalization.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GlobalResponseNorm(Affine):
    """``weight * (input * n) + bias + input``, where n is the 2-norm of each channel divided by the mean over channels.

    Shapes: input (N, H, W, C), or (N, C, H, W) with ``data_format="channels_first"``; weight and bias (C,), initially
    0, so that the layer starts as the identity. Source: Woo et al. 2023 (ConvNeXt V2), arXiv:2301.00808.

    Args:
        num_channels: Number of channels.
        eps: Added to the divisor for numerical stability.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.
        data_format: "channels_last", or "channels_first" for inputs and outputs (N, C, H, W).

    Example:
        >>> layer = nn.GlobalResponseNorm(64)
        >>> x = lucid.randn(2, 7, 7, 64)
        >>> lucid.equal(layer(x), x)  # weight and bias are still 0
        True
    """

    def __init__(
        self, num_channels: int, eps: float = 1e-6, device: object = None, dtype: object = None,
        *, data_format: str = "channels_last",
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_channels = _checks.integer("GlobalResponseNorm", "num_channels", num_channels, 1)
        self.eps = _checks.number("GlobalResponseNorm", "eps", eps, 0)
        self.data_format = _checks.one_of("GlobalResponseNorm", "data_format", data_format, DATA_FORMATS)
        self._register((num_channels,), True, True, parameter_dtype("GlobalResponseNorm", device, dtype))

    def reset_parameters(self) -> None:
        """Reset scale and shift to 0."""
        init.zeros_(self.weight)
        init.zeros_(self.bias)

    def forward(self, input: TensorLike) -> Tensor:
        return normalization.global_response_norm(input, self.weight, self.bias, self.eps, data_format=self.data_format)

    def extra_repr(self) -> str:
        return f"{self.num_channels}, eps={self.eps}, data_format={self.data_format!r}"


class LocalResponseNorm(Module):
    """Divides each value by a power of the mean square of ``size`` neighboring channels.

    ``input / (k + alpha * mean(input²)) ** beta``; see ``lucid.nn.functional.local_response_norm``. Source: Krizhevsky
    et al. 2012.

    Args:
        size: Number of channels in the mean.
        alpha: The factor on the mean.
        beta: The exponent.
        k: Added to the mean.

    Example:
        >>> nn.LocalResponseNorm(2)(lucid.randn(2, 8, 7, 7)).shape
        (2, 8, 7, 7)
    """

    function: ClassVar[Callable[..., Tensor]] = staticmethod(normalization.local_response_norm)

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: TensorLike) -> Tensor:
        return type(self).function(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """``LocalResponseNorm`` of images (N, C, H, W) as Caffe computes it, with the same channels on both sides.

    For an odd ``size`` it is the same. PyTorch's layer keeps the first channel in sums that it should have left, and
    its gradient is not that of its values; here both are those of the formula.

    Args:
        size: Number of channels in the mean.
        alpha: The factor on the mean.
        beta: The exponent.
        k: Added to the mean.

    Example:
        >>> nn.CrossMapLRN2d(3)(lucid.randn(2, 8, 7, 7)).shape
        (2, 8, 7, 7)
    """

    function = staticmethod(normalization.cross_map_lrn2d)

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)

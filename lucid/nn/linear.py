"""``Linear``, ``Bilinear``, ``Embedding`` and ``Identity``."""

import math
from typing import Any

from lucid import _checks, _grad_mode
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.nn import functional, init
from lucid.nn._common import empty_parameter, parameter_dtype, uniform_by_fan_in
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter
from lucid.ops import affine
from lucid.ops._types import TensorLike


class Identity(Module):
    """Returns its input. The constructor ignores all arguments, so that it can replace any layer.

    Example:
        >>> nn.Identity()(lucid.tensor([1.0, 2.0])).tolist()
        [1.0, 2.0]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(Module):
    """``input @ weight.T + bias`` along the last dimension.

    Shapes: input (..., in_features), out (..., out_features); weight (out_features, in_features), bias (out_features,).
    Both are initialized uniformly in ±1 / sqrt(in_features).

    Args:
        in_features: Size of the last dimension of the input.
        out_features: Size of the last dimension of the output.
        bias: Whether to add a learned bias.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> layer = nn.Linear(20, 30)
        >>> layer(lucid.randn(4, 20)).shape
        (4, 30)
        >>> layer.weight.shape
        (30, 20)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: object = None, dtype: object = None
    ) -> None:
        super().__init__()
        kept = parameter_dtype("Linear", device, dtype)
        self.in_features = _checks.integer("Linear", "in_features", in_features, 0)
        self.out_features = _checks.integer("Linear", "out_features", out_features, 0)
        self.weight = empty_parameter(out_features, in_features, dtype=kept)
        self.register_parameter("bias", empty_parameter(out_features, dtype=kept) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reset the parameters to new random values."""
        uniform_by_fan_in(self.weight, self.bias)

    def forward(self, input: TensorLike) -> Tensor:
        own = self._parameters  # looking up each attribute through Module.__getattr__ costs 1.4 microseconds
        try:
            weight, bias = own["weight"], own["bias"]
        except KeyError:  # one was deleted and replaced by a tensor
            weight, bias = self.weight, self.bias
        return affine.linear(input, weight, bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """``input1 @ weight[k] @ input2 + bias[k]`` for each output feature k.

    Shapes: input1 (..., in1_features), input2 (..., in2_features), out (..., out_features); weight (out_features,
    in1_features, in2_features), bias (out_features,). Both are initialized uniformly in ±1 / sqrt(in1_features).

    Args:
        in1_features: Size of the last dimension of the first input.
        in2_features: Size of the last dimension of the second input.
        out_features: Size of the last dimension of the output.
        bias: Whether to add a learned bias.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> nn.Bilinear(20, 30, 40)(lucid.randn(4, 20), lucid.randn(4, 30)).shape
        (4, 40)
    """

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device: object = None,
        dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        kept = parameter_dtype("Bilinear", device, dtype)
        if _checks.integer("Bilinear", "in1_features", in1_features) < 1:
            raise ValueError(f"Bilinear: in1_features must be at least 1, got {in1_features}")
        self.in1_features = in1_features
        self.in2_features = _checks.integer("Bilinear", "in2_features", in2_features, 0)
        self.out_features = _checks.integer("Bilinear", "out_features", out_features, 0)
        self.weight = empty_parameter(out_features, in1_features, in2_features, dtype=kept)
        self.register_parameter("bias", empty_parameter(out_features, dtype=kept) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reset the parameters to new random values."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: TensorLike, input2: TensorLike) -> Tensor:
        return affine.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Embedding(Module):
    """A lookup table whose rows are selected by integers.

    Shapes: input (...), out (..., embedding_dim); weight (num_embeddings, embedding_dim). Rows are initialized from the
    standard normal distribution; the row ``padding_idx`` is zero and gets no gradient.

    Args:
        num_embeddings: Number of rows.
        embedding_dim: Size of a row.
        padding_idx: A row that stays zero, for padding.
        max_norm: Rows that are looked up and have a larger norm are scaled to this norm, in place.
        norm_type: The order of that norm.
        scale_grad_by_freq: Whether to divide the gradient of a row by its number of occurrences in the input.
        sparse: Sparse gradients, which are not supported.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> table = nn.Embedding(1000, 64, padding_idx=0)
        >>> table(lucid.tensor([[4, 8, 0], [15, 16, 0]])).shape
        (2, 3, 64)
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, max_norm: float | None = None,
        norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
        _weight: TensorLike = None, _freeze: bool = False, device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        kept = parameter_dtype("Embedding", device, dtype)
        self.num_embeddings = _checks.integer("Embedding", "num_embeddings", num_embeddings, 1)
        self.embedding_dim = _checks.integer("Embedding", "embedding_dim", embedding_dim, 0)
        self.padding_idx = (
            None if padding_idx is None else _checks.dim("Embedding", padding_idx, num_embeddings, "padding_idx")
        )
        self.max_norm = None if max_norm is None else _checks.number("Embedding", "max_norm", max_norm, 0)
        self.norm_type = _checks.number("Embedding", "norm_type", norm_type)
        self.scale_grad_by_freq = scale_grad_by_freq
        affine.refuse_sparse("Embedding", sparse)
        self.sparse = False
        if _weight is None:
            self.weight = empty_parameter(num_embeddings, embedding_dim, dtype=kept)
            self.weight.requires_grad_(not _freeze)
            self.reset_parameters()
        else:
            self.weight = Parameter(_weight, requires_grad=not _freeze)
            if self.weight.shape != (num_embeddings, embedding_dim):
                raise ValueError(
                    f"Embedding: the weight must have shape {(num_embeddings, embedding_dim)}, got {self.weight.shape}"
                )

    @classmethod
    def from_pretrained(
        cls, embeddings: TensorLike, freeze: bool = True, padding_idx: int | None = None,
        max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
    ) -> "Embedding":  # fmt: skip
        """A layer with the table ``embeddings`` (num_embeddings, embedding_dim), which is frozen by default."""
        shape = as_array(embeddings).shape
        _checks.rank("Embedding.from_pretrained", "embeddings", shape, 2)
        return cls(
            shape[0], shape[1], padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
            _weight=embeddings, _freeze=freeze,
        )  # fmt: skip

    def reset_parameters(self) -> None:
        """Reset the parameters to new random values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with _grad_mode.set_recording(False):
                self.weight[self.padding_idx] = 0

    def forward(self, input: TensorLike) -> Tensor:
        return functional.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        for name, usual in (("padding_idx", None), ("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False)):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text

"""Linear maps and embedding lookup."""

import math

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import array, index_within
from lucid.ops._types import TensorLike
from lucid.ops.matrix import product
from lucid.tape import op

__all__ = ["embedding", "linear"]


@op(autocast="half")
def linear(input: TensorLike, weight: TensorLike, bias: TensorLike = None) -> mx.array:
    """``input @ weight.T + bias``.

    Shapes: input (..., in_features), weight (out_features, in_features), bias (out_features,); out (..., out_features).

    Raises:
        ValueError: the shapes do not match.

    Example:
        >>> F.linear(lucid.ones(2, 3), lucid.ones(4, 3)).shape
        (2, 4)
    """
    x, weight = array("linear", input), array("linear", weight, "weight")
    shape, sizes = x.shape, weight.shape
    if len(sizes) != 2:
        _checks.rank("linear", "weight", sizes, 2, "(out_features, in_features)")
    features, width = sizes
    if not shape or shape[-1] != width:
        raise _checks.ArgumentError(
            f"linear: weight {sizes} needs {width} features in the last dimension of the input, got {shape}"
        )
    # One matrix product for any number of dimensions: batches of small products are slow, and so are their gradients.
    is_flat = len(shape) == 2
    rows = x if is_flat else x.reshape(math.prod(shape[:-1]), width)
    if bias is not None:
        bias = array("linear", bias, "bias")
        if bias.shape != (features,):
            raise _checks.ArgumentError(f"linear: bias must have shape ({features},), got {bias.shape}")
    try:
        y = rows @ weight.T if bias is None else mx.addmm(bias, rows, weight.T)
    except ValueError:  # MLX multiplies no integers
        y = product("linear", rows, weight.T)
        y = y if bias is None else y + bias
    return y if is_flat else y.reshape(*shape[:-1], features)


@op
def embedding(input: TensorLike, weight: TensorLike, padding_idx: int | None = None) -> mx.array:
    """The rows of ``weight`` that the integers ``input`` select.

    Shapes: input (...), weight (num_embeddings, embedding_dim); out (..., embedding_dim). The row ``padding_idx`` gets
    no gradient. As in PyTorch, indices are not negative.

    Raises:
        IndexError: an index is out of range.
        ValueError: ``weight`` is not a matrix.

    Example:
        >>> F.embedding(lucid.tensor([1, 0]), lucid.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
        [[3.0, 4.0], [1.0, 2.0]]
    """
    weight = array("embedding", weight, "weight")
    _checks.rank("embedding", "weight", weight.shape, 2, "(num_embeddings, embedding_dim)")
    index = index_within("embedding", input, 0, weight.shape, "input", lowest=0)
    if padding_idx is not None:
        row = _checks.dim("embedding", padding_idx, weight.shape[0], "padding_idx")
        is_row = (mx.arange(weight.shape[0]) == row)[:, None]
        weight = mx.where(is_row, mx.stop_gradient(weight), weight)
    if index.size == 0 or weight.shape[1] == 0:
        return mx.zeros((*index.shape, weight.shape[1]), weight.dtype)
    return mx.take(weight, index, 0)

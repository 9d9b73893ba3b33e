"""Linear maps and embedding lookup."""

import math
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.kernels.matmul import matmul
from lucid.ops._common import array, index_within, total
from lucid.ops._norms import power_norm
from lucid.ops._types import TensorLike
from lucid.ops.matrix import product
from lucid.tape import op

__all__ = ["bilinear", "linear"]  # and ``embedding``, which ``lucid.nn.functional`` completes


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
        if len(sizes) == 1 and shape and bias is None:  # the weight of a single feature, without its dimension
            return product("linear", x, weight)
        _checks.rank("linear", "weight", sizes, 2, "(out_features, in_features)")
    features, width = sizes
    if not shape or shape[-1] != width:
        raise _checks.ArgumentError(
            f"linear: weight {sizes} needs {width} features in the last dimension of the input, got {shape}"
        )
    # One matrix product for any number of dimensions: batches of small products are slow, and so are their gradients.
    is_flat = len(shape) == 2
    rows = x if is_flat else x.reshape(math.prod(shape[:-1]), width)
    extra = None
    if bias is not None:
        bias = array("linear", bias, "bias")
        if bias.shape != (features,):
            out = math.prod(shape[:-1]), features
            if len(bias.shape) > 2 or any(
                n not in (1, m) for n, m in zip(reversed(bias.shape), reversed(out), strict=False)
            ):
                raise _checks.ArgumentError(f"linear: bias must have shape ({features},), got {bias.shape}")
            extra, bias = bias, None
    try:
        y = matmul(rows, weight.T, bias)
    except ValueError:  # MLX multiplies no integers
        y = product("linear", rows, weight.T)
        y = y if bias is None else y + bias
    if extra is not None:
        y = y + extra
    return y if is_flat else y.reshape(*shape[:-1], features)


@op(autocast="half")
def bilinear(input1: TensorLike, input2: TensorLike, weight: TensorLike, bias: TensorLike = None) -> mx.array:
    """``input1 @ weight[k] @ input2 + bias[k]`` for each output feature k.

    Shapes: input1 (..., I), input2 (..., J), weight (O, I, J), bias (O,); out (..., O).

    Raises:
        ValueError: the shapes do not match.
    """
    where = "bilinear"
    x1, x2, weight = array(where, input1, "input1"), array(where, input2, "input2"), array(where, weight, "weight")
    _checks.rank(where, "weight", weight.shape, 3, "(out_features, in1_features, in2_features)")
    features, first, second = weight.shape
    if not x1.ndim or x1.shape[:-1] != x2.shape[:-1] or (x1.shape[-1], x2.shape[-1]) != (first, second):
        raise _checks.ArgumentError(
            f"{where}: weight {weight.shape} needs inputs (..., {first}) and (..., {second}) that are alike in the "
            f"other dimensions, got {x1.shape} and {x2.shape}"
        )
    if bias is not None and (bias := array(where, bias, "bias")).shape != (features,):
        raise _checks.ArgumentError(f"{where}: bias must have shape ({features},), got {bias.shape}")
    left, right = x1.reshape(math.prod(x1.shape[:-1]), first), x2.reshape(math.prod(x2.shape[:-1]), 1, second)
    y = product(where, left, weight.transpose(1, 0, 2).reshape(first, features * second))
    if y.size:
        y = total(y.reshape(-1, features, second) * right, -1).astype(y.dtype)
    else:
        y = mx.zeros((left.shape[0], features), y.dtype)
    y = y.reshape(*x1.shape[:-1], features)
    return y if bias is None else y + bias


def refuse_sparse(caller: str, sparse: bool) -> None:
    """Raise if sparse gradients are wanted."""
    if sparse:
        raise ValueError(f"{caller}: sparse gradients are not supported; pass sparse=False")


@op
def embedding(
    input: TensorLike, weight: TensorLike, padding_idx: int | None = None, scale_grad_by_freq: bool = False
) -> mx.array:
    """The rows of ``weight`` that the integers ``input`` select; see ``lucid.nn.functional.embedding``."""
    weight = array("embedding", weight, "weight")
    _checks.rank("embedding", "weight", weight.shape, 2, "(num_embeddings, embedding_dim)")
    index = index_within("embedding", input, 0, weight.shape, "input", lowest=0)
    if padding_idx is not None:
        row = _checks.dim("embedding", padding_idx, weight.shape[0], "padding_idx")
        is_row = (mx.arange(weight.shape[0]) == row)[:, None]
        weight = mx.where(is_row, mx.stop_gradient(weight), weight)
    if index.size == 0 or weight.shape[1] == 0:
        return mx.zeros((*index.shape, weight.shape[1]), weight.dtype)
    if scale_grad_by_freq:
        count = mx.zeros(weight.shape[0], mx.float32).at[index.reshape(-1)].add(1)
        fixed = mx.stop_gradient(weight)  # the values stay exactly the same
        weight = fixed + (weight - fixed) * (1 / mx.maximum(count, 1)).astype(weight.dtype)[:, None]
    return mx.take(weight, index, 0)


def with_limited_rows(index: Any, weight: mx.array, max_norm: float, order: float) -> mx.array:
    """``weight`` with the rows at ``index`` scaled to the norm ``max_norm`` if theirs is larger."""
    _checks.rank("embedding", "weight", weight.shape, 2, "(num_embeddings, embedding_dim)")
    rows = index_within("embedding", index, 0, weight.shape, "input", lowest=0).reshape(-1)
    if rows.size == 0 or weight.size == 0:
        return weight
    is_used = mx.zeros(weight.shape[0], mx.int32).at[rows].add(1) > 0
    norm = power_norm("embedding", weight, order, (1,), False)
    factor = mx.where(is_used & (norm > max_norm), max_norm / (norm + 1e-7), 1)
    return (weight * factor[:, None]).astype(weight.dtype)

"""Convolutions and matrix products.

A Linear on maps (N, H, W, C) becomes a 1x1 convolution, the form that Apple recommends for the Neural Engine.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lucid.export._coreml.builder import Builder, Lowered, Order, kind_of
from lucid.export._graph import Constant, Value


def channels_first(rank: int, data_format: str) -> Order:
    """The order of a tensor whose variable has its channels in front."""
    if data_format == "channels_first":
        return tuple(range(rank))
    return (0, *range(2, rank), 1)


def spread(value: Any, dims: int) -> list[int]:
    """One number for each dimension."""
    found = list(value) if isinstance(value, list | tuple) else [value]
    return [int(one) for one in (found * dims if len(found) == 1 else found)]


def _padding(padding: Any, kernel: tuple[int, ...], dilation: list[int]) -> list[int]:
    """The padding before and after each dimension; "same" puts the larger half after."""
    if padding == "valid":
        return [0] * (2 * len(kernel))
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return [side for total in totals for side in (total // 2, total - total // 2)]
    return [one for one in spread(padding, len(kernel)) for _ in range(2)]


def check_batch(b: Builder, input: Value, dims: int) -> None:
    if input.ndim != dims + 2:
        b.refuse(f"its input has no batch dimension; give it {dims + 2} dimensions, as with x[None]")


def _conv(dims: int) -> Callable[..., Lowered]:
    def lower(
        b: Builder, input: Value, weight: Value, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int,
        data_format: str,
    ) -> Lowered:  # fmt: skip
        check_batch(b, input, dims)
        order = channels_first(input.ndim, data_format)
        kernel, dilations = b.array(weight, "weight"), spread(dilation, dims)
        pad = _padding(padding, kernel.shape[2:], dilations)
        found = b.emit(
            "conv", x=b.arranged(input, order), weight=kernel, bias=None if bias is None else b.array(bias, "bias"),
            strides=spread(stride, dims), pad_type="custom" if any(pad) else "valid", pad=pad if any(pad) else None,
            dilations=dilations, groups=int(groups),
        )  # fmt: skip
        return Lowered(found, order)

    return lower


def _conv_transpose(dims: int) -> Callable[..., Lowered]:
    def lower(
        b: Builder, input: Value, weight: Value, bias: Any, stride: Any, padding: Any, output_padding: Any,
        groups: int, dilation: Any, data_format: str,
    ) -> Lowered:  # fmt: skip
        check_batch(b, input, dims)
        order = channels_first(input.ndim, data_format)
        kernel = b.array(weight, "weight")
        cut = [(p, p - more) for p, more in zip(spread(padding, dims), spread(output_padding, dims), strict=True)]
        missing = [max(0, -after) for _, after in cut]
        pad = [side for before, after in cut for side in (before, max(0, after))]
        shift = None if bias is None else b.array(bias, "bias")
        found = b.emit(
            "conv_transpose", x=b.arranged(input, order), weight=kernel, bias=None if any(missing) else shift,
            strides=spread(stride, dims), pad_type="custom" if any(pad) else "valid", pad=pad if any(pad) else None,
            dilations=spread(dilation, dims), groups=int(groups),
        )  # fmt: skip
        if any(missing):  # rows beyond the last input hold the bias alone
            found = b.emit("pad", x=found, pad=[side for more in missing for side in (0, more)], mode="constant")
            if shift is not None:
                found = b.emit("add", x=found, y=shift.reshape((1, -1) + (1,) * dims))
        return Lowered(found, order)

    return lower


def linear(b: Builder, input: Value, weight: Value, bias: Any = None) -> Lowered:
    if not isinstance(weight, Constant):
        return _linear_of_computed(b, input, weight, bias)
    matrix, order = b.array(weight), b.lowered(input).order
    shift = None if bias is None else b.array(bias, "bias")
    if input.ndim == 4:
        if order[3] != 1 or order[0] != 0:
            order = channels_first(4, "channels_last")
        found = b.emit(
            "conv", x=b.arranged(input, order), weight=matrix[:, :, None, None], bias=shift, pad_type="valid"
        )
        return Lowered(found, order)
    if input.ndim in (2, 3):
        found = b.emit("linear", x=b.straight(input), weight=matrix, bias=shift)
    elif input.ndim == 1:
        row = b.emit("expand_dims", x=b.straight(input), axes=[0])
        found = b.emit("squeeze", x=b.emit("linear", x=row, weight=matrix, bias=shift), axes=[0])
    else:
        found = b.emit("matmul", x=b.straight(input), y=matrix, transpose_y=True)
        found = found if shift is None else b.emit("add", x=found, y=shift)
    return Lowered(found, tuple(range(input.ndim)))


def _linear_of_computed(b: Builder, input: Value, weight: Value, bias: Any) -> Lowered:
    found = b.emit("matmul", x=b.straight(input), y=b.straight(weight), transpose_y=True)
    if bias is not None:
        found = b.emit("add", x=found, y=b.straight(bias))
    return Lowered(found, tuple(range(input.ndim)))


def matmul(b: Builder, input: Value, other: Value) -> Lowered:
    if input.ndim < 2 or other.ndim < 2:
        b.refuse("a product with a vector; make it a matrix, as with x[:, None]")
    found = b.emit("matmul", x=b.straight(input), y=b.straight(other))
    return Lowered(found, tuple(range(max(input.ndim, other.ndim))))


def mm(b: Builder, input: Value, mat2: Value) -> Lowered:
    return matmul(b, input, mat2)


def addmm(b: Builder, input: Value, mat1: Value, mat2: Value, beta: float = 1, alpha: float = 1) -> Lowered:
    product = b.emit("matmul", x=b.straight(mat1), y=b.straight(mat2))
    if alpha != 1:
        product = b.emit("mul", x=product, y=np.float32(alpha))
    shift = b.straight(input)
    if beta != 1:
        shift = b.emit("mul", x=shift, y=np.float32(beta))
    return Lowered(b.emit("add", x=product, y=shift), tuple(range(mat1.ndim)))


def baddbmm(b: Builder, input: Value, batch1: Value, batch2: Value, beta: float = 1, alpha: float = 1) -> Lowered:
    return addmm(b, input, batch1, batch2, beta, alpha)


def attention(
    b: Builder, query: Value, key: Value, value: Value, attn_mask: Any, dropout_p: float, is_causal: bool,
    scale: float | None, enable_gqa: bool,
) -> Lowered:  # fmt: skip
    if dropout_p:
        b.refuse("it has dropout, which draws random numbers")
    if enable_gqa:
        b.refuse("enable_gqa; repeat the keys and values instead")
    (width,) = b.fixed_shape(query, [query.ndim - 1])
    scaled = b.emit("mul", x=b.straight(query), y=np.float32(width**-0.5 if scale is None else scale))
    scores = b.emit("matmul", x=scaled, y=b.straight(key), transpose_y=True)
    if is_causal:
        rows, columns = b.fixed_shape(query, [query.ndim - 2])[0], b.fixed_shape(key, [key.ndim - 2])[0]
        hidden = np.where(np.tri(rows, columns, dtype=bool), 0, -1e4).astype(np.float32)
        scores = b.emit("add", x=scores, y=hidden)
    if attn_mask is not None:
        mask = b.straight(attn_mask)
        if kind_of(attn_mask.dtype) == "bool":
            scores = b.emit("select", cond=mask, a=scores, b=np.float32(-1e4))
        else:
            scores = b.emit("add", x=scores, y=mask)
    found = b.emit("matmul", x=b.emit("softmax", x=scores, axis=-1), y=b.straight(value))
    return Lowered(found, tuple(range(query.ndim)))


def embedding(b: Builder, input: Value, weight: Value) -> Lowered:
    found = b.emit("gather", x=b.straight(weight), indices=b.straight(input), axis=0)
    return Lowered(found, tuple(range(input.ndim + 1)))


LOWERINGS: dict[str, Any] = {
    "conv1d": _conv(1), "conv2d": _conv(2), "conv3d": _conv(3),
    "conv_transpose1d": _conv_transpose(1), "conv_transpose2d": _conv_transpose(2),
    "conv_transpose3d": _conv_transpose(3),
    "linear": linear, "matmul": matmul, "mm": mm, "bmm": mm, "addmm": addmm, "baddbmm": baddbmm,
    "attention": attention, "embedding": embedding,
}  # fmt: skip

"""Scaled dot-product attention. Source: Vaswani et al. 2017, arXiv:1706.03762."""

import math
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import LOW_PRECISION, array, real_numbers
from lucid.ops._types import TensorLike
from lucid.ops.activation import softmax_of_arrays
from lucid.tape import op


@op(autocast="half")
def attention(
    query: TensorLike, key: TensorLike, value: TensorLike, attn_mask: TensorLike, dropout_p: float, is_causal: bool,
    scale: float | None, enable_gqa: bool, fused: bool, seed: mx.array | None,
) -> mx.array:  # fmt: skip
    """See ``lucid.nn.functional.scaled_dot_product_attention``; ``seed`` is the random key for the dropout."""
    where = "scaled_dot_product_attention"
    q, k, v = (real_numbers(where, one, name) for one, name in ((query, "query"), (key, "key"), (value, "value")))
    q, k, v = _checked(where, q, k, v, enable_gqa)
    factor = 1 / math.sqrt(max(q.shape[-1], 1)) if scale is None else scale
    length, source = q.shape[-2], k.shape[-2]
    shape = (*q.shape[:-1], v.shape[-1])
    if 0 in shape or source == 0 or q.shape[-1] == 0:
        return mx.zeros(shape, q.dtype)
    mask: Any = None if attn_mask is None else _mask(where, attn_mask, q, (*q.shape[:-1], source))
    if is_causal:
        mask = "causal" if length == source else mx.tril(mx.ones((length, source), mx.bool_))
    fuses = fused and not dropout_p and q.dtype != mx.float64 and q.ndim <= 4
    dtype = q.dtype
    if dtype in LOW_PRECISION and not (fuses and mx.default_device().type == mx.gpu):
        # MLX's kernel for GPUs sums in float32; elsewhere the scores would be rounded to half precision.
        q, k, v = (one.astype(mx.float32) for one in (q, k, v))
        mask = mask.astype(mx.float32) if isinstance(mask, mx.array) and mask.dtype != mx.bool_ else mask
    if fuses:
        lead = (1,) * (4 - q.ndim)
        q4, k4, v4 = (one.reshape(*lead, *one.shape) for one in (q, k, v))
        if not isinstance(mask, mx.array):
            found = mx.fast.scaled_dot_product_attention(q4, k4, v4, scale=factor, mask=mask)
        else:
            mask, alive = _without_empty_rows(mask)
            found = mx.fast.scaled_dot_product_attention(q4, k4, v4, scale=factor, mask=mask)
            found = mx.where(alive, found, 0)
        return found.reshape(shape).astype(dtype)
    if isinstance(mask, str):
        mask = mx.tril(mx.ones((length, source), mx.bool_))
    if k.ndim > 2 and k.shape[-3] != q.shape[-3]:
        k, v = (mx.repeat(one, q.shape[-3] // one.shape[-3], -3) for one in (k, v))
    scores = (q * factor) @ mx.swapaxes(k, -1, -2)
    if mask is None:
        weights = softmax_of_arrays(scores, -1)
    else:
        mask, alive = _without_empty_rows(mask)
        scores = mx.where(mask, scores, -math.inf) if mask.dtype == mx.bool_ else scores + mask
        weights = mx.where(alive, softmax_of_arrays(scores, -1), 0)
    if dropout_p:
        kept = mx.random.bernoulli(1 - dropout_p, weights.shape, key=seed)
        weights = weights * (kept * (1 / (1 - dropout_p) if dropout_p < 1 else 0.0)).astype(weights.dtype)
    return (weights @ v).astype(dtype)


def _checked(caller: str, q: mx.array, k: mx.array, v: mx.array, grouped: bool) -> tuple[mx.array, mx.array, mx.array]:
    """Query, key and value with equal batch dimensions, apart from the heads of grouped queries."""
    if not q.dtype == k.dtype == v.dtype:
        names = ", ".join(_checks.dtype_name(one.dtype) for one in (q, k, v))
        raise _checks.DtypeError(f"{caller}: query, key and value must have the same dtype, got {names}")
    shapes = f"got {q.shape}, {k.shape} and {v.shape}"
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise _checks.ArgumentError(f"{caller}: query, key and value must have at least 2 dimensions, {shapes}")
    if q.shape[-1] != k.shape[-1]:
        raise _checks.ArgumentError(f"{caller}: query and key must have the same last size, {shapes}")
    if k.shape[-2] != v.shape[-2]:
        raise _checks.ArgumentError(f"{caller}: key and value must have the same length in dim -2, {shapes}")
    if grouped and q.ndim > 2:
        heads = q.shape[-3]
        if k.ndim != q.ndim or v.ndim != q.ndim or any(not one.shape[-3] or heads % one.shape[-3] for one in (k, v)):
            raise _checks.ArgumentError(
                f"{caller}: with enable_gqa, the heads of query must be a multiple of those of key and value, {shapes}"
            )
        if k.shape[-3] != v.shape[-3]:
            k, v = (mx.repeat(one, heads // one.shape[-3], -3) for one in (k, v))
        batch = _checks.broadcast_shapes(caller, q.shape[:-3], k.shape[:-3], v.shape[:-3])
        return tuple(  # type: ignore[return-value]
            [mx.broadcast_to(one, (*batch, *one.shape[-3:])) for one in (q, k, v)]
        )
    batch = _checks.broadcast_shapes(caller, q.shape[:-2], k.shape[:-2], v.shape[:-2])
    return tuple(  # type: ignore[return-value]
        [one if one.shape[:-2] == batch else mx.broadcast_to(one, (*batch, *one.shape[-2:])) for one in (q, k, v)]
    )


def _mask(caller: str, mask: Any, q: mx.array, scores: tuple[int, ...]) -> mx.array:
    mask = array(caller, mask, "attn_mask")
    is_half = q.dtype in LOW_PRECISION and mask.dtype == mx.float32
    if mask.dtype not in (mx.bool_, q.dtype) and not is_half:
        raise _checks.DtypeError(
            f"{caller}: attn_mask must hold bools or have the dtype of query, {_checks.dtype_name(q.dtype)}, "
            f"got {_checks.dtype_name(mask.dtype)}"
        )
    if _checks.broadcast_shapes(caller, mask.shape, scores) != scores:
        raise _checks.ArgumentError(f"{caller}: attn_mask must broadcast to {scores}, got shape {mask.shape}")
    return mask if mask.dtype == mx.bool_ else mask.astype(q.dtype)


def _without_empty_rows(mask: mx.array) -> tuple[mx.array, mx.array]:
    """The mask without rows that allow nothing, whose softmax is undefined, and which rows allow something.

    As in PyTorch, the result of the others is 0.
    """
    is_bool = mask.dtype == mx.bool_
    alive = mx.any(mask if is_bool else mask > -math.inf, -1, keepdims=True)
    return mx.where(alive, mask, True if is_bool else mx.array(0, mask.dtype)), alive

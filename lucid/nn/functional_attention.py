"""The attention functions of ``lucid.nn.functional``."""

import math
from typing import Any

from lucid import _checks, random
from lucid._tensor import Tensor
from lucid.nn.attention import may_fuse
from lucid.ops import activation, joining, matrix, stochastic
from lucid.ops._types import TensorLike
from lucid.ops.affine import linear
from lucid.ops.attention import attention
from lucid.ops.indexing import where as choose


def scaled_dot_product_attention(
    query: TensorLike, key: TensorLike, value: TensorLike, attn_mask: TensorLike = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """``softmax(query @ key.T * scale + attn_mask) @ value``, with MLX's fused kernel where there is no dropout.

    Shapes: query (..., H, L, E), key (..., H, S, E), value (..., H, S, V); out (..., H, L, V). Rows that the mask
    excludes altogether give 0. Source: Vaswani et al. 2017, arXiv:1706.03762.

    Args:
        attn_mask: Broadcast to (..., H, L, S): True where a position takes part, or numbers added to the scores.
        dropout_p: The probability of zeroing a weight. As in PyTorch it applies outside of training too.
        is_causal: Whether position i only sees positions up to i, instead of ``attn_mask``.
        scale: ``1 / sqrt(E)`` by default.
        enable_gqa: Whether key and value may have fewer heads than query, each used by as many heads of query.

    Raises:
        ValueError: the shapes do not match, or ``attn_mask`` and ``is_causal`` are both given.
        TypeError: the dtypes differ.

    Example:
        >>> x = lucid.randn(2, 4, 10, 8)  # (N, heads, length, features)
        >>> F.scaled_dot_product_attention(x, x, x, is_causal=True).shape
        (2, 4, 10, 8)
    """
    caller = "scaled_dot_product_attention"
    if attn_mask is not None and is_causal:
        raise _checks.ArgumentError(f"{caller}: pass attn_mask or is_causal=True, not both")
    rate = _checks.probability(caller, "dropout_p", dropout_p)
    is_causal = _checks.flag(caller, "is_causal", is_causal)
    scale = None if scale is None else _checks.number(caller, "scale", scale)
    grouped = _checks.flag(caller, "enable_gqa", enable_gqa)
    seed = random.key() if rate else None
    return attention(query, key, value, attn_mask, rate, is_causal, scale, grouped, may_fuse(), seed)


def _merged_mask(
    caller: str, attn_mask: Any, padding: Any, batch: int, heads: int, length: int, source: int
) -> Tensor | None:
    """Both masks as one that broadcasts to (N, H, L, S): added to the scores, or True where attention is allowed."""
    masks = []
    if attn_mask is not None:
        expected = (length, source) if attn_mask.ndim == 2 else (batch * heads, length, source)
        if attn_mask.shape != expected:
            raise _checks.ArgumentError(f"{caller}: attn_mask must have shape {expected}, got {attn_mask.shape}")
        masks.append(attn_mask if attn_mask.ndim == 2 else attn_mask.reshape(batch, heads, length, source))
    if padding is not None:
        if padding.shape != (batch, source):
            raise _checks.ArgumentError(
                f"{caller}: key_padding_mask must have shape {(batch, source)}, got {padding.shape}"
            )
        masks.append(padding.reshape(batch, 1, 1, source))
    floating = [one for one in masks if one.is_floating_point()]
    if floating:  # forbidden places of the other become -inf
        zero = floating[0].new_zeros(())
        masks = [one if one.is_floating_point() else choose(one, zero - math.inf, zero) for one in masks]
        return masks[0] if len(masks) == 1 else masks[0] + masks[1]
    allowed = [~one for one in masks]
    return None if not allowed else allowed[0] if len(allowed) == 1 else allowed[0] & allowed[1]


def multi_head_attention_forward(
    query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int, num_heads: int,
    in_proj_weight: Tensor | None, in_proj_bias: Tensor | None, bias_k: Tensor | None, bias_v: Tensor | None,
    add_zero_attn: bool, dropout_p: float, out_proj_weight: Tensor, out_proj_bias: Tensor | None,
    training: bool = True, key_padding_mask: Tensor | None = None, need_weights: bool = True,
    attn_mask: Tensor | None = None, use_separate_proj_weight: bool = False, q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None, v_proj_weight: Tensor | None = None, static_k: Tensor | None = None,
    static_v: Tensor | None = None, average_attn_weights: bool = True, is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """The function of ``nn.MultiheadAttention``, with its parameters as arguments.

    Shapes: query (L, N, E), key (S, N, K), value (S, N, V), or each without N; out (L, N, E), and the weights (N, L, S)
    if they are needed, or (N, H, L, S) with ``average_attn_weights=False``. The batch is the second dimension.

    Args:
        key_padding_mask: (N, S): True for keys to ignore, or numbers added to their scores.
        attn_mask: (L, S) or (N * H, L, S): True where attention is forbidden, or numbers added to the scores.
        is_causal: A hint that ``attn_mask`` is causal, which makes the fused kernel faster.
    """
    caller = "multi_head_attention_forward"
    given = {"query": query, "key": key, "value": value}
    optional = {
        "in_proj_weight": in_proj_weight, "in_proj_bias": in_proj_bias, "bias_k": bias_k, "bias_v": bias_v,
        "out_proj_weight": out_proj_weight, "out_proj_bias": out_proj_bias, "key_padding_mask": key_padding_mask,
        "attn_mask": attn_mask, "q_proj_weight": q_proj_weight, "k_proj_weight": k_proj_weight,
        "v_proj_weight": v_proj_weight, "static_k": static_k, "static_v": static_v,
    }  # fmt: skip
    for name, one in (given | {key: one for key, one in optional.items() if one is not None}).items():
        if not isinstance(one, Tensor):
            raise TypeError(f"{caller}: {name} must be a Tensor, got {type(one).__name__}")
    num_heads = _checks.integer(caller, "num_heads", num_heads, 1)
    add_zero_attn = _checks.flag(caller, "add_zero_attn", add_zero_attn)
    training = _checks.flag(caller, "training", training)
    need_weights = _checks.flag(caller, "need_weights", need_weights)
    average_attn_weights = _checks.flag(caller, "average_attn_weights", average_attn_weights)
    use_separate_proj_weight = _checks.flag(caller, "use_separate_proj_weight", use_separate_proj_weight)
    is_causal = _checks.flag(caller, "is_causal", is_causal)
    _check_ranks(caller, query, key, value, key_padding_mask, attn_mask)
    if is_causal and attn_mask is None:
        raise _checks.ArgumentError(f"{caller}: is_causal=True is a hint about attn_mask, which is required")
    is_single = query.ndim == 2
    if is_single:
        query, key, value = _with_batch(query, key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, batch, width = query.shape
    if width != embed_dim_to_check:
        raise _checks.ArgumentError(f"{caller}: query must have {embed_dim_to_check} features, got {width}")
    head_dim = width // num_heads
    if head_dim * num_heads != width:
        raise _checks.ArgumentError(f"{caller}: embed_dim {width} must be divisible by num_heads {num_heads}")
    if key.shape[:2] != value.shape[:2] or (not use_separate_proj_weight and key.shape != value.shape):
        raise _checks.ArgumentError(f"{caller}: key and value do not fit, got shapes {key.shape} and {value.shape}")
    if use_separate_proj_weight:
        weights: list[Any] = [q_proj_weight, k_proj_weight, v_proj_weight]
        if any(one is None for one in weights):
            raise _checks.ArgumentError(f"{caller}: use_separate_proj_weight needs q_, k_ and v_proj_weight")
        biases = [None] * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
        q, k, v = (linear(*one) for one in zip((query, key, value), weights, biases, strict=True))
    else:
        if in_proj_weight is None:
            raise _checks.ArgumentError(f"{caller}: in_proj_weight is required")
        q, k, v = _in_projection(query, key, value, in_proj_weight, in_proj_bias)
    if (bias_k is None) != (bias_v is None):
        raise _checks.ArgumentError(f"{caller}: pass both bias_k and bias_v, or neither")
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise _checks.ArgumentError(f"{caller}: bias_k and bias_v cannot be added to static keys and values")
        k = joining.cat([k, bias_k.expand(1, batch, width)])
        v = joining.cat([v, bias_v.expand(1, batch, width)])
    q = q.reshape(length, batch, num_heads, head_dim).permute(1, 2, 0, 3)
    k, v = (
        one.reshape(one.shape[0], batch, num_heads, head_dim).permute(1, 2, 0, 3) if static is None
        else _static(caller, name, static, batch, num_heads, head_dim)
        for name, one, static in (("static_k", k, static_k), ("static_v", v, static_v))
    )  # fmt: skip
    if add_zero_attn:
        k, v = (joining.cat([one, one.new_zeros((batch, num_heads, 1, head_dim))], 2) for one in (k, v))
    source = k.shape[2]
    extra = source - key.shape[0] if static_k is None else int(add_zero_attn)
    attn_mask, key_padding_mask = (
        None if mask is None else _padded(mask, extra) for mask in (attn_mask, key_padding_mask)
    )
    rate = _checks.probability(caller, "dropout_p", dropout_p) if training else 0.0
    weights_found = None
    if is_causal and key_padding_mask is None and not need_weights and not extra:
        found = scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=True)
    else:
        mask = _merged_mask(caller, attn_mask, key_padding_mask, batch, num_heads, length, source)
        if mask is not None and mask.is_floating_point() and mask.dtype != q.dtype:
            mask = mask.to(q.dtype)
        if not need_weights:
            found = scaled_dot_product_attention(q, k, v, mask, rate)
        else:
            scores = matrix.matmul(q * (1 / math.sqrt(head_dim)), k.transpose(-1, -2))
            if mask is not None:
                is_added = mask.is_floating_point()
                scores = scores + mask if is_added else choose(mask, scores, scores.new_full((), -math.inf))
            weights_found = activation.softmax(scores, -1)
            if rate:
                weights_found = stochastic.dropout(weights_found, rate, random.key())
            found = matrix.matmul(weights_found, v)
    out = linear(found.permute(2, 0, 1, 3).reshape(length, batch, width), out_proj_weight, out_proj_bias)
    if weights_found is not None:
        weights_found = weights_found.mean(1) if average_attn_weights else weights_found
        weights_found = weights_found.squeeze(0) if is_single else weights_found
    return (out.squeeze(1) if is_single else out), weights_found


def _check_ranks(caller: str, query: Tensor, key: Tensor, value: Tensor, padding: Any, mask: Any) -> None:
    _checks.rank(caller, "query", query.shape, (2, 3), "(L, N, E) or (L, E)")
    for name, one in (("key", key), ("value", value)):
        _checks.rank(caller, name, one.shape, query.ndim, "as query has")
    if padding is not None:
        _checks.rank(caller, "key_padding_mask", padding.shape, query.ndim - 1)
    if mask is not None:
        _checks.rank(caller, "attn_mask", mask.shape, (2, 3), "(L, S) or (N * H, L, S)")
    for name, one in (("key_padding_mask", padding), ("attn_mask", mask)):
        if one is not None and not (one.is_floating_point() or _checks.dtype_name(one.dtype) == "bool"):
            raise _checks.DtypeError(
                f"{caller}: {name} must hold bools or floating-point numbers, got {_checks.dtype_name(one.dtype)}"
            )


def _with_batch(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All three with a batch of one in dim 1; equal tensors stay equal."""
    new_query = query.unsqueeze(1)
    new_key = new_query if key is query else key.unsqueeze(1)
    return new_query, new_key, new_query if value is query else new_key if value is key else value.unsqueeze(1)


def _in_projection(
    query: Tensor, key: Tensor, value: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value, multiplied by their third of ``weight``; in one product where they are equal."""
    if query is key and key is value:
        q, k, v = linear(query, weight, bias).chunk(3, -1)
        return q, k, v
    width = query.shape[-1]
    first, rest = weight.split([width, 2 * width])
    first_bias, rest_bias = (None, None) if bias is None else bias.split([width, 2 * width])
    q = linear(query, first, first_bias)
    if key is value:
        k, v = linear(key, rest, rest_bias).chunk(2, -1)
        return q, k, v
    parts, part_biases = rest.chunk(2), (None, None) if rest_bias is None else rest_bias.chunk(2)
    k, v = (linear(one, *pair) for one, pair in zip((key, value), zip(parts, part_biases, strict=True), strict=True))
    return q, k, v


def _static(caller: str, name: str, static: Tensor, batch: int, heads: int, head_dim: int) -> Tensor:
    if static.ndim != 3 or static.shape[0] != batch * heads or static.shape[2] != head_dim:
        raise _checks.ArgumentError(f"{caller}: {name} must be ({batch * heads}, S, {head_dim}), got {static.shape}")
    return static.reshape(batch, heads, static.shape[1], head_dim)


def _padded(mask: Tensor, extra: int) -> Tensor:
    """``mask`` for keys that have ``extra`` ones more, which are always allowed."""
    return joining.cat([mask, mask.new_zeros((*mask.shape[:-1], extra))], -1) if extra else mask

"""Autocast: which operations run in half precision, which in float32, and the casts. The public API is ``lucid.amp``.

An operation in neither list runs in the dtype of its inputs, the widest one if they differ. The casts happen inside
the recorded operation, so a float32 operand is recorded as float32 and gets a float32 gradient, and the backward pass
does the same inside and outside of the context. float64 and integers are left alone, as in PyTorch.
"""

import functools
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import mlx.core as mx
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])


class _Autocast(threading.local):
    dtype: mx.Dtype | None = None  # float16 or bfloat16 while autocast is on


autocast_state = _Autocast()


def autocast_dtype() -> mx.Dtype | None:
    """The dtype that autocast casts to in this thread, or ``None`` if it is off."""
    return autocast_state.dtype


class autocasting:
    """Context manager and decorator that turns autocast to ``dtype`` on, or off with ``None``."""

    def __init__(self, dtype: mx.Dtype | None) -> None:
        self._dtype = dtype
        self._before: list[mx.Dtype | None] = []

    def __enter__(self) -> None:
        self._before.append(autocast_state.dtype)
        autocast_state.dtype = self._dtype

    def __exit__(self, *exc: object) -> None:
        autocast_state.dtype = self._before.pop()

    def __call__(self, function: F) -> F:
        dtype = self._dtype

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with autocasting(dtype):  # a new one for each call: several threads may call at once
                return function(*args, **kwargs)

        return cast(F, call)


def _names(*lines: str) -> frozenset[str]:
    return frozenset(name for line in lines for name in line.split())


# Matrix products and convolutions, where nearly all of the time goes. Hardware accumulates them in float32.
LOW = _names(
    "linear matmul mm bmm mv dot inner addmm addmv baddbmm tensordot einsum",
    "conv1d conv2d conv_transpose1d conv_transpose2d",
)

# Operations that overflow in float16 or lose precision in both half types: exponentials, logarithms, powers, sums over
# many values. Their result is float32 too.
HIGH = _names(
    # normalization
    "layer_norm rms_norm group_norm batch_norm_with_statistics batch_norm_of_batch global_response_norm normalize",
    # probabilities and losses
    "softmax log_softmax softmin logsigmoid softplus cross_entropy nll_loss kl_div mse_loss l1_loss smooth_l1_loss",
    "huber_loss binary_cross_entropy binary_cross_entropy_with_logits cosine_similarity",
    # reductions
    "sum mean prod var std var_mean std_mean norm vector_norm matrix_norm logsumexp cumsum cumprod trace",
    # exponentials, logarithms, powers, and other functions with steep slopes
    "exp exp2 expm1 log log1p log2 log10 logaddexp pow square rsqrt reciprocal tan sinh cosh asin acos erfinv",
)

_HALF = frozenset((mx.float16, mx.bfloat16))
_CAST_DOWN = _HALF | {mx.float32}


def autocast_body(body: Callable[..., Any], name: str, dtype: mx.Dtype) -> Callable[..., Any]:
    """The body of operation ``name`` with the casts of autocast to ``dtype``."""
    if name in LOW:
        return _with_casts(body, _CAST_DOWN, dtype)
    if name in HIGH:
        return _with_casts(body, _HALF, mx.float32)
    return body


def _with_casts(body: Callable[..., Any], sources: frozenset[mx.Dtype], target: mx.Dtype) -> Callable[..., Any]:
    found = partial(_cast_and_call, body, sources, target)
    own = getattr(body, "pullback", None)  # a kernel's gradient, see tape.pullback
    if own is not None:
        found.pullback = partial(_cast_and_pull, own, sources, target)  # type: ignore[attr-defined]
    return found


def _cast_and_call(
    body: Callable[..., Any], sources: frozenset[mx.Dtype], target: mx.Dtype, /, *args: Any, **kw: Any
) -> Any:
    return body(*_cast(args, sources, target), **_cast_named(kw, sources, target))


def _cast_and_pull(
    own: Callable[..., Any],
    sources: frozenset[mx.Dtype],
    target: mx.Dtype,
    cotangent: mx.array,
    /,
    *args: Any,
    **kw: Any,
) -> dict[int | str, mx.array] | None:
    """The declared gradients, cast back to the dtypes that the operands had before."""
    found = own(cotangent, *_cast(args, sources, target), **_cast_named(kw, sources, target))
    if found is None:
        return None
    given: dict[int | str, Any] = dict(enumerate(args))
    given.update(kw)
    return {at: found[at].astype(one.dtype) for at, one in given.items() if at in found and isinstance(one, mx.array)}


def _cast_named(named: dict[str, Any], sources: frozenset[mx.Dtype], target: mx.Dtype) -> dict[str, Any]:
    return dict(zip(named, _cast(tuple(named.values()), sources, target), strict=True))


def _cast(values: Any, sources: frozenset[mx.Dtype], target: mx.Dtype) -> Any:
    """``values``, a tuple or list, with arrays of the dtypes ``sources`` cast to ``target``."""
    found = []
    for value in values:
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            value = mx.array(value.astype(np.float32))  # as the operation itself would convert it
        if isinstance(value, mx.array):
            found.append(value.astype(target) if value.dtype in sources else value)
        elif type(value) in (list, tuple) and any(isinstance(one, mx.array | np.ndarray) for one in value):
            found.append(_cast(value, sources, target))
        else:
            found.append(value)
    return type(values)(found)

"""Which operations autocast computes in half precision, which in float32, and how it makes them.

An operation in neither list follows its inputs; where they differ, the wider dtype wins. The casts happen inside the
recorded operation. A float32 operand is therefore recorded as it is, its gradient comes back in float32, and a backward
pass does the same whether it is asked for inside or outside of the context. ``lucid.amp`` is what users call,
``lucid.tape`` asks here.

float64 and whole numbers are left alone, as in PyTorch.
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
    dtype: mx.Dtype | None = None  # the half precision of autocast, where it is on


autocast_state = _Autocast()


def autocast_dtype() -> mx.Dtype | None:
    """The half precision in which autocast computes in this thread; ``None`` where it is off."""
    return autocast_state.dtype


class autocasting:
    """Compute what is listed below in ``dtype``, or turn autocast off with ``None``: in a block or a function."""

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
            with autocasting(dtype):  # a new one: threads may be inside at the same time
                return function(*args, **kwargs)

        return cast(F, call)


def _names(*lines: str) -> frozenset[str]:
    return frozenset(name for line in lines for name in line.split())


# Products summed over many terms: nearly all of the time goes here, and hardware sums them in float32.
LOW = _names(
    "linear matmul mm bmm mv dot inner addmm addmv baddbmm tensordot einsum",
    "conv1d conv2d conv_transpose1d conv_transpose2d",
)

# What overflows in float16 or loses its digits in both: exponentials, logarithms, powers, sums over many values. The
# result is float32 too.
HIGH = _names(
    # normalization
    "layer_norm rms_norm group_norm batch_norm_with_statistics batch_norm_of_batch global_response_norm normalize",
    # probabilities and losses
    "softmax log_softmax softmin logsigmoid softplus cross_entropy nll_loss kl_div mse_loss l1_loss smooth_l1_loss",
    "huber_loss binary_cross_entropy binary_cross_entropy_with_logits cosine_similarity",
    # reductions
    "sum mean prod var std var_mean std_mean norm vector_norm matrix_norm logsumexp cumsum cumprod trace",
    # exponentials, logarithms, powers, and functions that are steep somewhere
    "exp exp2 expm1 log log1p log2 log10 logaddexp pow square rsqrt reciprocal tan sinh cosh asin acos erfinv",
)

_HALF = frozenset((mx.float16, mx.bfloat16))
_CAST_DOWN = _HALF | {mx.float32}


def autocast_body(body: Callable[..., Any], name: str, dtype: mx.Dtype) -> Callable[..., Any]:
    """The body of operation ``name`` as autocast to ``dtype`` computes it."""
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
    """The gradients in the dtypes of the operands as they were before the cast."""
    found = own(cotangent, *_cast(args, sources, target), **_cast_named(kw, sources, target))
    if found is None:
        return None
    given: dict[int | str, Any] = dict(enumerate(args))
    given.update(kw)
    return {at: found[at].astype(one.dtype) for at, one in given.items() if at in found and isinstance(one, mx.array)}


def _cast_named(named: dict[str, Any], sources: frozenset[mx.Dtype], target: mx.Dtype) -> dict[str, Any]:
    return dict(zip(named, _cast(tuple(named.values()), sources, target), strict=True))


def _cast(values: Any, sources: frozenset[mx.Dtype], target: mx.Dtype) -> Any:
    """``values``, a tuple or a list, with the arrays of the dtypes ``sources`` in the dtype ``target``."""
    found = []
    for value in values:
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            value = mx.array(value.astype(np.float32))  # what the operation would make of it
        if isinstance(value, mx.array):
            found.append(value.astype(target) if value.dtype in sources else value)
        elif type(value) in (list, tuple) and any(isinstance(one, mx.array | np.ndarray) for one in value):
            found.append(_cast(value, sources, target))
        else:
            found.append(value)
    return type(values)(found)

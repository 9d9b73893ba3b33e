"""What loss functions share: reductions, deprecated arguments, and the dtype to compute in."""

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import FLOATING, array, average, compact_if_empty, real_numbers, total
from lucid.tape import op

if TYPE_CHECKING:
    from lucid._tensor import Tensor

P = ParamSpec("P")
REDUCTIONS = ("mean", "sum", "none")


def reduction_of(caller: str, reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """``reduction``, or what the deprecated ``size_average`` and ``reduce`` mean, with a warning.

    Raises:
        TypeError: one of them is neither a bool nor ``None``.
    """
    if size_average is None and reduce is None:
        return reduction
    for name, value in (("size_average", size_average), ("reduce", reduce)):
        if not (value is None or isinstance(value, bool)):
            hint = f"; for a reduction, pass reduction={value!r}" if isinstance(value, str) else ""
            raise TypeError(f"{caller}: {name} (deprecated) must be a bool or None, got {value!r}{hint}")
    meant = "none" if reduce is False else "sum" if size_average is False else "mean"
    warnings.warn(
        f"{caller}: size_average and reduce are deprecated; pass reduction={meant!r}",
        stacklevel=_checks.level_of_user(),
    )
    return meant


def loss_op(body: Callable[P, mx.array]) -> Callable[P, "Tensor"]:
    """An operation that warns of deprecated arguments outside of its body, which the backward pass runs again."""
    lifted = op(autocast="float32")(body)
    signature = inspect.signature(body)
    place = list(signature.parameters).index("size_average")

    @functools.wraps(lifted)
    def call(*args: P.args, **kwargs: P.kwargs) -> "Tensor":
        if len(args) <= place and "size_average" not in kwargs and "reduce" not in kwargs:
            return lifted(*args, **kwargs)
        given = signature.bind(*args, **kwargs)
        old = given.arguments.pop("size_average", None), given.arguments.pop("reduce", None)
        reduction = given.arguments.get("reduction", "mean")
        given.arguments["reduction"] = reduction_of(body.__name__, reduction, *old)
        return lifted(*given.args, **given.kwargs)

    return call


def warn_of_broadcasting(loss: Callable[P, "Tensor"]) -> Callable[P, "Tensor"]:
    """``loss``, with a warning if input and target have different shapes."""

    @functools.wraps(loss)
    def call(*args: P.args, **kwargs: P.kwargs) -> "Tensor":
        given: list[Any] = [*args[:2], *(kwargs.get(name) for name in ("input", "target")[len(args) :])]
        shapes = [one.shape if hasattr(one, "shape") else array(loss.__name__, one).shape for one in given]
        if shapes[0] != shapes[1]:
            caller = loss.__name__
            shape = _checks.broadcast_shapes(caller, *shapes)
            warnings.warn(
                f"{caller}: input has shape {shapes[0]} but target has shape {shapes[1]}; both are broadcast to "
                f"{shape}, which is rarely intended",
                stacklevel=_checks.level_of_user(),
            )
        return loss(*args, **kwargs)

    return call


def compute_array(caller: str, x: Any, name: str = "input") -> mx.array:
    x = real_numbers(caller, x, name)
    return x if x.dtype == mx.float64 else x.astype(mx.float32)


def broadcast_pair(caller: str, x: Any, target: Any) -> tuple[mx.array, mx.array, mx.Dtype]:
    """Both operands in the dtype to compute in, and the dtype of the result."""
    x, target = compact_if_empty(array(caller, x)), compact_if_empty(array(caller, target, "target"))
    _checks.broadcast_shapes(caller, x.shape, target.shape)
    return compute_pair(caller, x, target)


def compute_pair(caller: str, x: mx.array, target: mx.array) -> tuple[mx.array, mx.array, mx.Dtype]:
    dtype = mx.result_type(x, target)
    if dtype == mx.complex64:
        raise _checks.DtypeError(f"{caller}: input and target must hold real numbers, got complex64")
    dtype = dtype if dtype in FLOATING else mx.float32
    wide = dtype if dtype == mx.float64 else mx.float32
    return x.astype(wide), target.astype(wide), dtype


def reduced(caller: str, loss: mx.array, reduction: str, dtype: mx.Dtype) -> mx.array:
    _checks.one_of(caller, "reduction", reduction, REDUCTIONS)
    if reduction == "mean":
        loss = average(loss)
    elif reduction == "sum":
        loss = total(loss)
    return loss.astype(dtype)

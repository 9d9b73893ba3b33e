"""Gradient clipping, and the norm of gradients."""

import math
import warnings
from collections.abc import Iterable

import mlx.core as mx

from lucid import _checks, _threads, tape
from lucid._tensor import Tensor
from lucid.ops._norms import power_norm


def _gradients(caller: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """The tensors that have a gradient."""
    return [one for one in tensor_list(caller, parameters) if one.grad is not None]


def tensor_list(caller: str, parameters: Tensor | Iterable[Tensor], name: str = "parameters") -> list[Tensor]:
    if not isinstance(parameters, Iterable):
        raise TypeError(f"{caller}: {name} must be a tensor or an iterable of tensors, got {type(parameters).__name__}")
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for one in listed:
        if not isinstance(one, Tensor):
            raise TypeError(f"{caller}: {name} must be tensors, got {type(one).__name__}")
    return listed


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all values of all ``tensors``, in float32 and lazy.

    Args:
        error_if_nonfinite: Whether to raise if the norm is infinite or NaN, which waits for its value.
        foreach: Accepted for compatibility with PyTorch and ignored.

    Raises:
        RuntimeError: with ``error_if_nonfinite``, the norm is infinite or NaN.
    """
    total = _total_norm("get_total_norm", tensor_list("get_total_norm", tensors, "tensors"), norm_type)
    if _checks.flag("get_total_norm", "error_if_nonfinite", error_if_nonfinite) and not math.isfinite(total.item()):
        raise RuntimeError(f"get_total_norm: the norm of order {norm_type} is {total.item()}")
    return total


@_threads.between_traces
def _total_norm(caller: str, tensors: Iterable[Tensor], norm_type: float) -> Tensor:
    order = _checks.number(caller, "norm_type", norm_type)
    norms = []
    for one in tensors:
        array = one._array.astype(mx.float32) if one.dtype != mx.float64 else one._array
        norms.append(power_norm(caller, array, order, tuple(range(array.ndim)), False))
    if not norms:
        return tape.wrap(mx.array(0.0))
    stacked = mx.stack(norms)
    if order == 0:
        return tape.wrap(mx.sum((stacked != 0).astype(mx.float32)))
    return tape.wrap(power_norm(caller, stacked, order, (0,), False))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of ``parameters`` so that their total norm is at most ``max_norm``.

    Args:
        error_if_nonfinite: Whether to raise if the norm is infinite or NaN, which waits for its value.
        foreach: Accepted for compatibility with PyTorch and ignored.

    Returns:
        The total norm before clipping, lazy.

    Raises:
        ValueError: ``max_norm`` is negative.
        RuntimeError: with ``error_if_nonfinite``, the norm is infinite or NaN.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> model(lucid.ones(2, 4)).sum().backward()
        >>> norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)  # the norm before, still lazy
    """
    max_norm = _checks.number("clip_grad_norm_", "max_norm", max_norm, 0)
    found = _gradients("clip_grad_norm_", parameters)
    total = _total_norm("clip_grad_norm_", [one.grad for one in found if one.grad is not None], norm_type)
    if _checks.flag("clip_grad_norm_", "error_if_nonfinite", error_if_nonfinite) and not math.isfinite(total.item()):
        raise RuntimeError(f"clip_grad_norm_: the norm of order {norm_type} is {total.item()}; no gradient was changed")
    _scale(found, max_norm, total)
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients of ``parameters`` by ``max_norm / total_norm`` if that is less than 1.

    ``total_norm`` is what ``get_total_norm`` returned, for example of other gradients too.
    """
    max_norm = _checks.number("clip_grads_with_norm_", "max_norm", max_norm, 0)
    if not isinstance(total_norm, Tensor):
        raise TypeError(f"clip_grads_with_norm_: total_norm must be a Tensor, got {type(total_norm).__name__}")
    _scale(_gradients("clip_grads_with_norm_", parameters), max_norm, total_norm)


@_threads.between_traces
def _scale(parameters: list[Tensor], max_norm: float, total: Tensor) -> None:
    scale = mx.minimum(max_norm / (total._array + 1e-6), 1.0)
    for one in parameters:
        if one.grad is not None:
            one.grad._rebind(one.grad._array * scale.astype(one.grad.dtype))


@_threads.between_traces
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clip each value of the gradients to ±``clip_value``."""
    bound = _checks.number("clip_grad_value_", "clip_value", clip_value, 0)
    for one in _gradients("clip_grad_value_", parameters):
        if one.grad is not None:
            one.grad._rebind(mx.clip(one.grad._array, -bound, bound))


def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:  # fmt: skip
    """Deprecated name of ``clip_grad_norm_``."""
    warnings.warn(
        "clip_grad_norm is deprecated; use clip_grad_norm_", FutureWarning, stacklevel=_checks.level_of_user()
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)

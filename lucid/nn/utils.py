"""Gradient clipping and parameters as one vector."""

import math
from collections.abc import Iterable

import mlx.core as mx

from lucid import _checks, tape
from lucid._tensor import Tensor
from lucid.ops.reduction import power_norm


def _gradients(where: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """The tensors that have a gradient."""
    return [one for one in _listed(where, parameters) if one.grad is not None]


def _listed(where: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    if not isinstance(parameters, Iterable):
        raise TypeError(f"{where}: parameters must be a tensor or several, got {type(parameters).__name__}")
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for one in listed:
        if not isinstance(one, Tensor):
            raise TypeError(f"{where}: parameters must be tensors, got {type(one).__name__}")
    return listed


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The norm of all values of ``tensors`` together, in float32, not evaluated."""
    order = _checks.number("get_total_norm", "norm_type", norm_type)
    norms = []
    for one in tensors:
        array = one._array.astype(mx.float32) if one.dtype != mx.float64 else one._array
        norms.append(power_norm("get_total_norm", array, order, tuple(range(array.ndim)), False))
    if not norms:
        return tape.wrap(mx.array(0.0))
    stacked = mx.stack(norms)
    if order == 0:
        return tape.wrap(mx.sum((stacked != 0).astype(mx.float32)))
    return tape.wrap(power_norm("get_total_norm", stacked, order, (0,), False))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients so that their norm together is at most ``max_norm``; the norm before, not evaluated.

    ``error_if_nonfinite`` looks at the norm, and so waits for it. ``foreach`` is accepted for PyTorch's sake.

    Raises:
        ValueError: ``max_norm`` is negative.
        RuntimeError: with ``error_if_nonfinite``, the norm is infinite or NaN.
    """
    max_norm = _checks.number("clip_grad_norm_", "max_norm", max_norm, 0)
    found = _gradients("clip_grad_norm_", parameters)
    total = get_total_norm([one.grad for one in found if one.grad is not None], norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(f"clip_grad_norm_: the norm of order {norm_type} is {total.item()}; nothing was changed")
    scale = mx.minimum(max_norm / (total._array + 1e-6), 1.0)
    for one in found:
        if one.grad is not None:
            one.grad = tape.wrap(one.grad._array * scale.astype(one.grad.dtype))
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Keep every value of the gradients within ±``clip_value``."""
    bound = _checks.number("clip_grad_value_", "clip_value", clip_value, 0)
    for one in _gradients("clip_grad_value_", parameters):
        if one.grad is not None:
            one.grad = tape.wrap(mx.clip(one.grad._array, -bound, bound))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All values one after the other, (numel,), differentiable."""
    flat = [one.reshape(-1) for one in _listed("parameters_to_vector", parameters)]
    if not flat:
        raise ValueError("parameters_to_vector: there are no parameters")
    return _joined(flat)


@tape.op
def _joined(parts: list[mx.array]) -> mx.array:
    return mx.concatenate(parts)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Give the parameters the values of ``vec`` (numel,), cut up in their order.

    Raises:
        ValueError: ``vec`` is of another length.
    """
    listed = _listed("vector_to_parameters", parameters)
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: vec must be a Tensor, got {type(vec).__name__}")
    count = sum(one.numel() for one in listed)
    if vec.shape != (count,):
        raise ValueError(f"vector_to_parameters: vec must have shape ({count},), got {vec.shape}")
    start = 0
    for one in listed:
        one._rebind(vec._array[start : start + one.numel()].reshape(one.shape).astype(one.dtype))
        start += one.numel()

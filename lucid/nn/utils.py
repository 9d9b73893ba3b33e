"""Gradient clipping, and conversion between parameters and a vector."""

import math
from collections.abc import Iterable
from typing import Any

import mlx.core as mx

from lucid import _checks, tape
from lucid._tensor import Tensor
from lucid.ops._norms import power_norm


def _gradients(caller: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """The tensors that have a gradient."""
    return [one for one in _tensor_list(caller, parameters) if one.grad is not None]


def _tensor_list(caller: str, parameters: Tensor | Iterable[Tensor], name: str = "parameters") -> list[Tensor]:
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
    total = _total_norm("get_total_norm", _tensor_list("get_total_norm", tensors, "tensors"), norm_type)
    if _checks.flag("get_total_norm", "error_if_nonfinite", error_if_nonfinite) and not math.isfinite(total.item()):
        raise RuntimeError(f"get_total_norm: the norm of order {norm_type} is {total.item()}")
    return total


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
    scale = mx.minimum(max_norm / (total._array + 1e-6), 1.0)
    for one in found:
        if one.grad is not None:
            one.grad._rebind(one.grad._array * scale.astype(one.grad.dtype))
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clip each value of the gradients to ±``clip_value``."""
    bound = _checks.number("clip_grad_value_", "clip_value", clip_value, 0)
    for one in _gradients("clip_grad_value_", parameters):
        if one.grad is not None:
            one.grad._rebind(mx.clip(one.grad._array, -bound, bound))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The parameters flattened and concatenated into one vector (numel,), differentiably.

    Example:
        >>> nn.utils.parameters_to_vector(nn.Linear(4, 2).parameters()).shape
        (10,)
    """
    flat = [one.reshape(-1) for one in _tensor_list("parameters_to_vector", parameters)]
    if not flat:
        raise ValueError("parameters_to_vector: expected at least one parameter")
    return _concatenate(flat)


@tape.op
def _concatenate(parts: list[Any]) -> mx.array:
    return mx.concatenate(parts)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Set the parameters to the values of ``vec`` (numel,), in order.

    Raises:
        ValueError: the length of ``vec`` is not the number of values of the parameters.
    """
    listed = _tensor_list("vector_to_parameters", parameters)
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: vec must be a Tensor, got {type(vec).__name__}")
    count = sum(one.numel() for one in listed)
    if vec.shape != (count,):
        raise ValueError(f"vector_to_parameters: vec must have shape ({count},), got {vec.shape}")
    start = 0
    for one in listed:
        one._rebind(vec._array[start : start + one.numel()].reshape(one.shape).astype(one.dtype))
        start += one.numel()

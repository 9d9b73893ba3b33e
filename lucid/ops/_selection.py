"""Gradients of operations that select values: what is not selected gets 0, whatever the cotangent is.

``mx.vjp`` multiplies the cotangent by 0 there, which leaves NaN where it is NaN or infinite, as in front of the
square root of ``relu(x)``. Each function has the arguments of its operation behind the cotangent, see
``op(vjp=...)``. The tape calls it in recorded backward passes too, because of its attribute ``selects``.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import mlx.core as mx

from lucid import _threads
from lucid.kernels import float64
from lucid.ops._common import FLOATING, extremes
from lucid.ops._windows import Windows

F = TypeVar("F", bound=Callable[..., Any])
Gradients = tuple[Any, ...]  # None for what has no gradient


def _summed_to(gradient: mx.array, like: Any) -> mx.array:
    """``gradient`` summed over the dimensions in which ``like`` was broadcast."""
    if not isinstance(like, mx.array) or gradient.shape == like.shape:
        return gradient
    extra = gradient.ndim - like.ndim
    dims = [i for i in range(gradient.ndim) if i < extra or like.shape[i - extra] != gradient.shape[i]]
    return gradient.sum(dims).reshape(like.shape)


def _taken(cotangent: mx.array, is_taken: Any, operand: Any) -> mx.array:
    """The gradient of ``operand``, which was taken where ``is_taken``."""
    return _summed_to(mx.where(is_taken, cotangent, mx.array(0, cotangent.dtype)), operand)


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(one, mx.array) or (isinstance(one, int | float) and one == one) for one in values)


def _selects(function: F) -> F:
    function.selects = True  # type: ignore[attr-defined]
    return function


@_selects
def where_vjp(
    cotangent: mx.array, condition: mx.array, input: Any = None, other: Any = None, *, out: None = None
) -> Gradients:
    condition = condition.astype(mx.bool_)
    return None, _taken(cotangent, condition, input), _taken(cotangent, ~condition, other)


@_selects
def masked_fill_vjp(cotangent: mx.array, input: mx.array, mask: mx.array, value: Any) -> Gradients:
    return _taken(cotangent, ~mask, input), None, _taken(cotangent, mask, value)


@_selects
def relu_vjp(cotangent: mx.array, input: mx.array) -> Gradients:
    return (_taken(cotangent, ~(input <= 0), input),)


@_selects
def threshold_vjp(cotangent: mx.array, input: mx.array, threshold: Any, value: Any) -> Gradients | None:
    return (_taken(cotangent, ~(input <= threshold), input),) if _are_numbers(threshold) else None


@_selects
def hardtanh_vjp(cotangent: mx.array, input: mx.array, min_val: Any = -1.0, max_val: Any = 1.0) -> Gradients | None:
    if not _are_numbers(min_val, max_val):
        return None
    return (_taken(cotangent, ~((input <= min_val) | (input >= max_val)), input),)


@_selects
def relu6_vjp(cotangent: mx.array, input: mx.array) -> Gradients | None:
    return hardtanh_vjp(cotangent, input, 0.0, 6.0)


@_selects
def shrink_vjp(cotangent: mx.array, input: mx.array, lambd: Any = 0.5, *, out: None = None) -> Gradients | None:
    return (_taken(cotangent, ~((input >= -lambd) & (input <= lambd)), input),) if _are_numbers(lambd) else None


@_selects
def hardsigmoid_vjp(cotangent: mx.array, input: mx.array) -> Gradients:
    return (_taken(cotangent / 6, ~((input <= -3) | (input >= 3)), input),)


@_selects
def leaky_relu_vjp(cotangent: mx.array, input: mx.array, negative_slope: Any = 0.01) -> Gradients | None:
    return (mx.where(input > 0, cotangent, cotangent * negative_slope),) if _are_numbers(negative_slope) else None


def _elu_gradient(cotangent: mx.array, x: mx.array, alpha: float, scale: float, divisor: float) -> Gradients:
    """Of ``scale * (x if x > 0 else alpha * expm1(x / divisor))``. NaN gets the gradient of positive numbers."""
    is_low = x <= 0
    slope = float64.exp(mx.where(is_low, x, mx.array(0, x.dtype)) / divisor) * (alpha * scale / divisor)
    return (mx.where(is_low, cotangent * slope, cotangent * scale),)


@_selects
def elu_vjp(cotangent: mx.array, input: mx.array, alpha: Any = 1.0) -> Gradients | None:
    return _elu_gradient(cotangent, input, alpha, 1.0, 1.0) if isinstance(alpha, int | float) else None


@_selects
def celu_vjp(cotangent: mx.array, input: mx.array, alpha: Any = 1.0) -> Gradients | None:
    return _elu_gradient(cotangent, input, alpha, 1.0, alpha) if isinstance(alpha, int | float) else None


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@_selects
def selu_vjp(cotangent: mx.array, input: mx.array) -> Gradients:
    return _elu_gradient(cotangent, input, SELU_ALPHA, SELU_SCALE, 1.0)


@_selects
def clamp_vjp(
    cotangent: mx.array, input: mx.array, min: Any = None, max: Any = None, *, out: None = None
) -> Gradients | None:
    bounds = [one for one in (min, max) if one is not None]
    if not _are_numbers(input, *bounds):
        return None
    is_low = mx.array(False) if min is None else input < min
    raised = input if min is None else mx.where(is_low, min, input)
    is_high = mx.array(False) if max is None else raised > max
    for one in bounds:  # a bound of NaN makes the result NaN, whatever the values are
        if isinstance(one, mx.array) and one.dtype in FLOATING:
            cotangent = mx.where(one != one, mx.array(0, cotangent.dtype), cotangent)
    return (
        _taken(cotangent, ~(is_low | is_high), input),
        _taken(cotangent, is_low & ~is_high, min),
        _taken(cotangent, is_high, max),
    )


@_selects
def clamp_min_vjp(cotangent: mx.array, input: mx.array, min: Any, *, out: None = None) -> Gradients | None:
    found = clamp_vjp(cotangent, input, min)
    return None if found is None else found[:2]


@_selects
def clamp_max_vjp(cotangent: mx.array, input: mx.array, max: Any, *, out: None = None) -> Gradients | None:
    found = clamp_vjp(cotangent, input, None, max)
    return None if found is None else (found[0], found[2])


@_selects
def maximum_vjp(cotangent: mx.array, input: Any, other: Any, *, out: None = None) -> Gradients | None:
    if not _are_numbers(input, other):
        return None
    shared = mx.where(input == other, cotangent * 0.5, cotangent)
    return _taken(shared, ~(input < other), input), _taken(shared, ~(other < input), other)


@_selects
def minimum_vjp(cotangent: mx.array, input: Any, other: Any, *, out: None = None) -> Gradients | None:
    if not _are_numbers(input, other):
        return None
    shared = mx.where(input == other, cotangent * 0.5, cotangent)
    return _taken(shared, ~(input > other), input), _taken(shared, ~(other > input), other)


@_selects
def fmax_vjp(cotangent: mx.array, input: Any, other: Any, *, out: None = None) -> Gradients | None:
    return _first_or_second(cotangent, input, other, lambda: input >= other)


@_selects
def fmin_vjp(cotangent: mx.array, input: Any, other: Any, *, out: None = None) -> Gradients | None:
    return _first_or_second(cotangent, input, other, lambda: input <= other)


def _first_or_second(cotangent: mx.array, input: Any, other: Any, is_first: Any) -> Gradients | None:
    if not _are_numbers(input, other):
        return None
    takes_first = is_first() | (other != other)
    return _taken(cotangent, takes_first, input), _taken(cotangent, ~takes_first, other)


def max_pool_vjp(dims: int) -> Callable[..., Gradients]:
    """The gradient of max pooling over ``dims`` dimensions: the cotangent of a window goes to its maximum."""

    @_selects
    def vjp(
        cotangent: mx.array, input: mx.array, kernel_size: Any, stride: Any = None, padding: Any = 0,
        dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False, *,
        data_format: str = "channels_first",
    ) -> Gradients:  # fmt: skip
        windows = Windows("max_pool", input, dims, kernel_size, stride, padding, dilation, ceil_mode, data_format)
        lowest = extremes(input.dtype)[0]

        def places(x: mx.array) -> list[mx.array]:
            return list(windows.places(windows.padded(x, lowest)))

        largest, *others = places(input)
        are_larger = []  # than all before
        for one in others:
            are_larger.append((one > largest) | (one != one))
            largest = mx.where(are_larger[-1], one, largest)
        rest, parts, zero = cotangent, [], mx.array(0, cotangent.dtype)
        for is_larger in reversed(are_larger):  # the last of them is the maximum
            parts.append(mx.where(is_larger, rest, zero))
            rest = mx.where(is_larger, zero, rest)
        with _threads.lock:  # mx.vjp reads the graph of its arguments, which an evaluation frees
            return tuple(mx.vjp(places, [input], [rest, *reversed(parts)])[1])

    return vjp

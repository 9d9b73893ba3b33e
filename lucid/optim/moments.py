"""What the adaptive optimizers' rules share: running means, bias corrections and both kinds of weight decay."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TypeVar

import mlx.core as mx

from lucid.optim.param_group import ParamGroup

T = TypeVar("T")


def one_minus_power(beta: float | mx.array, step: mx.array) -> mx.array:
    """``1 - beta**step``, to full precision where it is small."""
    if isinstance(beta, mx.array):
        return -mx.expm1(step * mx.log(beta))
    return -mx.expm1(step * (math.log(beta) if beta else -math.inf))


def running_mean(mean: mx.array, value: mx.array, beta: float | mx.array) -> mx.array:
    return beta * mean + (1 - beta) * value


def updated_moments(
    state: dict[str, mx.array], gradient: mx.array, beta1: float | mx.array, beta2: float
) -> tuple[mx.array, mx.array]:
    """The running means of the gradient and of its square, which are stored in ``state``."""
    zeros = mx.zeros_like(gradient)
    state["exp_avg"] = running_mean(state.get("exp_avg", zeros), gradient, beta1)
    state["exp_avg_sq"] = running_mean(state.get("exp_avg_sq", zeros), mx.square(gradient), beta2)
    return state["exp_avg"], state["exp_avg_sq"]


def of_step(function: Callable[[mx.array], T]) -> Callable[[mx.array], T]:
    """``function`` of a step count, computed once for all parameters that share the count."""
    found: dict[int, T] = {}

    @functools.wraps(function)
    def once(step: mx.array) -> T:
        if id(step) not in found:
            found[id(step)] = function(step)
        return found[id(step)]

    return once


class WeightDecay:
    """A group's weight decay, applied to a gradient and a parameter before the update."""

    def __init__(self, group: ParamGroup) -> None:
        self.factor = group["weight_decay"]
        self.keep = 1 - group.learning_rate * self.factor if group["decoupled_weight_decay"] else None

    def __call__(self, gradient: mx.array, parameter: mx.array) -> tuple[mx.array, mx.array]:
        if not self.factor:
            return gradient, parameter
        if self.keep is None:
            return gradient + self.factor * parameter, parameter
        return gradient, parameter * self.keep

"""RAdam."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import mlx.core as mx

from lucid._tensor import Tensor
from lucid.optim.moments import WeightDecay, of_step, one_minus_power, updated_moments
from lucid.optim.options import check_adaptive, flag, reject_differentiable
from lucid.optim.param_group import ParamGroup
from lucid.optim.rule_optimizer import Rule, RuleOptimizer


class RAdam(RuleOptimizer):
    """Adam that takes plain momentum steps until the variance of its mean square is bounded.

    ``rho(t)`` is the length of the simple average that the running mean square of step ``t`` amounts to. Adam's update
    is multiplied by ``sqrt((rho(t) - 4) (rho(t) - 2) rho(inf) / ((rho(inf) - 4) (rho(inf) - 2) rho(t)))`` where
    ``rho(t) > 5``; before, the step is ``lr * m / (1 - b1**t)``.

    Source: Liu et al. 2020, arXiv:1908.03265.

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these
            parameters.
        lr: Learning rate, a number or a tensor with one element.
        betas: Decay of the running means of the gradient and of its square, in [0, 1).
        eps: Added to the denominator for numerical stability.
        weight_decay: Factor of the parameter that is added to the gradient (L2 penalty), or see
            ``decoupled_weight_decay``.
        decoupled_weight_decay: Shrink the parameter by ``lr * weight_decay`` instead, as ``AdamW`` does.
        foreach: Accepted for compatibility with PyTorch; without effect.
        maximize: Maximize the objective instead of minimizing it.
        capturable: Accepted for compatibility with PyTorch; without effect.
        differentiable: Must be False: steps are not recorded for gradients.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> optimizer = optim.RAdam(model.parameters(), lr=1e-3)
        >>> model(lucid.ones(2, 4)).sum().backward()
        >>> optimizer.step()
    """

    state_names = ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        reject_differentiable(self._name, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check(self, group: ParamGroup) -> None:
        check_adaptive(self._name, group)
        flag(self._name, "decoupled_weight_decay", group["decoupled_weight_decay"])

    def _rule(self, group: ParamGroup) -> Rule:
        lr, beta1, beta2, eps = group.learning_rate, group.momentum, group["betas"][1], group["eps"]
        decay = WeightDecay(group)

        @of_step
        def schedule(step: mx.array) -> tuple[mx.array, mx.array | None, mx.array]:
            """The rate, whether the step is adaptive, and the factor of the inverse root of the mean square."""
            count = step.astype(lr.dtype)
            rate = lr / one_minus_power(beta1, count)
            if (longest := _longest_average(beta2)) <= 5:
                return rate, None, rate
            length = _average_length(beta2, count)
            rectified = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            is_adaptive = length > 5
            factor = mx.sqrt(mx.where(is_adaptive, rectified, 1.0) * one_minus_power(beta2, count))
            return rate, is_adaptive, factor

        def rule(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            gradient, parameter = decay(gradient, parameter)
            rate, is_adaptive, factor = schedule(state["step"])
            mean, square = updated_moments(state, gradient, beta1, beta2)
            if is_adaptive is None:
                return parameter - rate * mean
            scale = mx.where(is_adaptive, factor / (mx.sqrt(square) + eps), 1.0)
            return parameter - rate * mean * scale

        return rule


def _longest_average(beta2: float) -> float:
    return 2 / (1 - beta2) - 1


def _average_length(beta2: float, step: mx.array) -> mx.array:
    """``rho(inf) - 2 t b2**t / (1 - b2**t)``, without subtracting nearly equal numbers.

    With ``c = -log(b2)`` and ``x = c t`` this is ``rho(inf) - 2 / c + (2 / c) (1 - x / expm1(x))``; the last factor is
    computed from its series where ``x`` is small (Abramowitz and Stegun 23.1.1).
    """
    c = -math.log(beta2)
    x = step * c
    square = x * x
    series = x * (0.5 - x * (1 / 12 - square * (1 / 720 - square * (1 / 30240 - square / 1209600))))
    exact = 1 - x / mx.expm1(mx.maximum(x, 0.5))
    # rho(inf) - 2 / c is c / 6 - c**3 / 360 + ...
    offset = c / 6 - c**3 / 360 + c**5 / 15120 if c < 0.1 else _longest_average(beta2) - 2 / c
    return offset + (2 / c) * mx.where(x < 0.5, series, exact)

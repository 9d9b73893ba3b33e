"""Adamax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mlx.core as mx

from lucid._tensor import Tensor
from lucid.optim.moments import of_step, one_minus_power, running_mean
from lucid.optim.options import check_adaptive, reject_differentiable
from lucid.optim.param_group import ParamGroup
from lucid.optim.rule_optimizer import Rule, RuleOptimizer


class Adamax(RuleOptimizer):
    """Divides the running mean of the gradient by its running maximum norm.

    ``m = b1 * m + (1 - b1) * g``, ``u = max(b2 * u, abs(g) + eps)``, ``p = p - lr / (1 - b1**t) * m / u`` at the
    parameter's step ``t``.

    Source: Kingma and Ba 2015, arXiv:1412.6980, section 7.1.

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these
            parameters.
        lr: Learning rate, a number or a tensor with one element.
        betas: Decay of the running mean of the gradient and of its maximum, in [0, 1).
        eps: Added to the gradient's absolute value for numerical stability.
        weight_decay: Factor of the parameter that is added to the gradient (L2 penalty).
        foreach: Accepted for compatibility with PyTorch; without effect.
        maximize: Maximize the objective instead of minimizing it.
        differentiable: Must be False: steps are not recorded for gradients.
        capturable: Accepted for compatibility with PyTorch; without effect.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> optimizer = optim.Adamax(model.parameters(), lr=2e-3)
        >>> model(lucid.ones(2, 4)).sum().backward()
        >>> optimizer.step()
    """

    state_names = ("step", "exp_avg", "exp_inf")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        reject_differentiable(self._name, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _check(self, group: ParamGroup) -> None:
        check_adaptive(self._name, group)

    def _rule(self, group: ParamGroup) -> Rule:
        lr, beta1, beta2 = group.learning_rate, group.momentum, group["betas"][1]
        eps, weight_decay = group["eps"], group["weight_decay"]

        @of_step
        def rate(step: mx.array) -> mx.array:
            return lr / one_minus_power(beta1, step.astype(lr.dtype))

        def rule(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            if weight_decay:
                gradient = gradient + weight_decay * parameter
            zeros = mx.zeros_like(parameter)
            state["exp_avg"] = mean = running_mean(state.get("exp_avg", zeros), gradient, beta1)
            state["exp_inf"] = norm = mx.maximum(beta2 * state.get("exp_inf", zeros), mx.abs(gradient) + eps)
            return parameter - rate(state["step"]) * mean / norm

        return rule

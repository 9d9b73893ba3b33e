"""NAdam."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._tensor import Tensor
from lucid.optim.moments import WeightDecay, of_step, one_minus_power, updated_moments
from lucid.optim.options import check_adaptive, flag, reject_differentiable
from lucid.optim.param_group import ParamGroup
from lucid.optim.rule_optimizer import Rule, RuleOptimizer


class NAdam(RuleOptimizer):
    """Adam with Nesterov momentum.

    With ``mu(t) = b1 * (1 - 0.96**(t * momentum_decay) / 2)`` and ``M(t)`` the product of ``mu(1)`` to ``mu(t)``,
    ``p = p - lr * (g * (1 - mu(t)) / (1 - M(t)) + m * mu(t + 1) / (1 - M(t + 1))) / (sqrt(v / (1 - b2**t)) + eps)``
    at the parameter's step ``t``; ``m`` and ``v`` are Adam's.

    Source: Dozat 2016, ICLR workshop.

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these
            parameters.
        lr: Learning rate, a number or a tensor with one element.
        betas: Decay of the running means of the gradient and of its square, in [0, 1).
        eps: Added to the denominator for numerical stability.
        weight_decay: Factor of the parameter that is added to the gradient (L2 penalty), or see
            ``decoupled_weight_decay``.
        momentum_decay: How fast the momentum rises to ``b1``.
        decoupled_weight_decay: Shrink the parameter by ``lr * weight_decay`` instead, as ``AdamW`` does.
        foreach: Accepted for compatibility with PyTorch; without effect.
        maximize: Maximize the objective instead of minimizing it.
        capturable: Accepted for compatibility with PyTorch; without effect.
        differentiable: Must be False: steps are not recorded for gradients.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> optimizer = optim.NAdam(model.parameters(), lr=2e-3)
        >>> model(lucid.ones(2, 4)).sum().backward()
        >>> optimizer.step()
    """

    state_names = ("step", "mu_product", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
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
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check(self, group: ParamGroup) -> None:
        check_adaptive(self._name, group)
        group["momentum_decay"] = _checks.number(self._name, "momentum_decay", group["momentum_decay"], 0.0)
        flag(self._name, "decoupled_weight_decay", group["decoupled_weight_decay"])

    def _state_shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        return () if name == "mu_product" else super()._state_shape(name, shape)

    def _initial_state(self, group: ParamGroup, name: str, parameter: Tensor) -> mx.array | None:
        return mx.array(1.0) if name == "mu_product" else super()._initial_state(group, name, parameter)

    def _rule(self, group: ParamGroup) -> Rule:
        lr, beta1, beta2, eps = group.learning_rate, group.momentum, group["betas"][1], group["eps"]
        momentum_decay = group["momentum_decay"]
        decay = WeightDecay(group)

        @of_step
        def schedule(step: mx.array) -> tuple[mx.array, mx.array, mx.array]:
            """The momenta of this step and the next, and the bias correction of the mean square."""
            count = step.astype(lr.dtype)
            now, following = (
                beta1 * (1 - 0.5 * mx.exp((one * momentum_decay) * math.log(0.96))) for one in (count, count + 1)
            )
            return now, following, one_minus_power(beta2, count)

        def rule(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            gradient, parameter = decay(gradient, parameter)
            now, following, correction = schedule(state["step"])
            product = state.get("mu_product", mx.array(1.0)).astype(lr.dtype) * now
            state["mu_product"] = product.astype(mx.float32)
            mean, square = updated_moments(state, gradient, beta1, beta2)
            ahead = (1 - now) / (1 - product) * gradient + following / (1 - product * following) * mean
            return parameter - lr * ahead / (mx.sqrt(square / correction) + eps)

        return rule

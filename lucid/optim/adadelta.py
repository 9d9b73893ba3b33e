"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mlx.core as mx
import mlx.optimizers

from lucid import _checks
from lucid._tensor import Tensor
from lucid.optim.options import flag, reject_differentiable
from lucid.optim.param_group import ParamGroup
from lucid.optim.rule_optimizer import Rule, RuleOptimizer


class Adadelta(RuleOptimizer):
    """Scales the gradient by the ratio of two running means: of the updates' squares and of the gradient's.

    ``v = rho * v + (1 - rho) * g**2``, ``d = sqrt(u + eps) / sqrt(v + eps) * g``, ``u = rho * u + (1 - rho) * d**2``,
    ``p = p - lr * d``.

    Source: Zeiler 2012, arXiv:1212.5701.

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these
            parameters.
        lr: Learning rate, a number or a tensor with one element.
        rho: Decay of both running means, in [0, 1].
        eps: Added to the denominator for numerical stability.
        weight_decay: Factor of the parameter that is added to the gradient (L2 penalty).
        foreach: Accepted for compatibility with PyTorch; without effect.
        capturable: Accepted for compatibility with PyTorch; without effect.
        maximize: Maximize the objective instead of minimizing it.
        differentiable: Must be False: steps are not recorded for gradients.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> optimizer = optim.Adadelta(model.parameters(), lr=1.0)
        >>> model(lucid.ones(2, 4)).sum().backward()
        >>> optimizer.step()
    """

    state_names = ("step", "square_avg", "acc_delta")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        reject_differentiable(self._name, differentiable)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "capturable": capturable,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check(self, group: ParamGroup) -> None:
        group["rho"] = _checks.probability(self._name, "rho", group["rho"])
        for name in ("eps", "weight_decay"):
            group[name] = _checks.number(self._name, name, group[name], 0.0)
        flag(self._name, "maximize", group["maximize"])

    def _rule(self, group: ParamGroup) -> Rule:
        weight_decay = group["weight_decay"]
        mlx_rule: Any = mlx.optimizers.AdaDelta(0.0, group["rho"])
        mlx_rule.state["learning_rate"] = group.learning_rate
        mlx_rule.eps = group["eps"]  # set here because the constructor rejects 0

        def rule(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            if weight_decay:
                gradient = gradient + weight_decay * parameter
            zeros = mx.zeros_like(parameter)
            own = {"v": state.get("square_avg", zeros), "u": state.get("acc_delta", zeros)}
            updated = mlx_rule.apply_single(gradient, parameter, own)
            state.update(square_avg=own["v"], acc_delta=own["u"])
            return updated

        return rule

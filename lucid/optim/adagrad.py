"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mlx.core as mx
import mlx.optimizers

from lucid import _checks
from lucid._tensor import Tensor
from lucid.optim.moments import of_step
from lucid.optim.options import flag, reject_differentiable
from lucid.optim.param_group import ParamGroup
from lucid.optim.rule_optimizer import Rule, RuleOptimizer


class Adagrad(RuleOptimizer):
    """Divides the gradient by the root of the sum of its squares so far.

    ``s = s + g**2``, ``p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)`` at the parameter's step ``t``.

    Source: Duchi et al. 2011, JMLR 12.

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these parameters.
        lr: Learning rate, a number or a tensor with one element.
        lr_decay: Decay of the learning rate with the number of steps.
        weight_decay: Factor of the parameter that is added to the gradient (L2 penalty).
        initial_accumulator_value: Where the sum of squares starts.
        eps: Added to the denominator for numerical stability.
        foreach: Accepted for compatibility with PyTorch; without effect.
        maximize: Maximize the objective instead of minimizing it.
        differentiable: Must be False: steps are not recorded for gradients.
        fused: Accepted for compatibility with PyTorch; without effect.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> optimizer = optim.Adagrad(model.parameters(), lr=1e-2)
        >>> model(lucid.ones(2, 4)).sum().backward()
        >>> optimizer.step()
    """

    state_names = ("step", "sum")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        reject_differentiable(self._name, differentiable)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _check(self, group: ParamGroup) -> None:
        for name in ("lr_decay", "eps", "weight_decay", "initial_accumulator_value"):
            group[name] = _checks.number(self._name, name, group[name], 0.0)
        flag(self._name, "maximize", group["maximize"])

    def _initial_state(self, group: ParamGroup, name: str, parameter: Tensor) -> mx.array | None:
        start = super()._initial_state(group, name, parameter)
        if name != "sum" or start is None:
            return start
        return mx.full(start.shape, group["initial_accumulator_value"], start.dtype)

    def _rule(self, group: ParamGroup) -> Rule:
        lr, lr_decay, weight_decay = group.learning_rate, group["lr_decay"], group["weight_decay"]
        start = group["initial_accumulator_value"]
        mlx_rule: Any = mlx.optimizers.Adagrad(0.0)
        mlx_rule.eps = group["eps"]  # set here because the constructor rejects 0

        @of_step
        def rate(step: mx.array) -> mx.array:
            return lr / (1 + (step - 1) * lr_decay) if lr_decay else lr

        def rule(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            if weight_decay:
                gradient = gradient + weight_decay * parameter
            mlx_rule.state["learning_rate"] = rate(state["step"])
            own = {"v": state["sum"] if "sum" in state else mx.full(parameter.shape, start, parameter.dtype)}
            updated = mlx_rule.apply_single(gradient, parameter, own)
            state["sum"] = own["v"]
            return updated

        return rule

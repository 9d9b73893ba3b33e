"""Lion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mlx.core as mx
import mlx.optimizers

from lucid import _checks
from lucid._tensor import Tensor
from lucid.optim.options import betas
from lucid.optim.param_group import ParamGroup
from lucid.optim.rule_optimizer import Rule, RuleOptimizer


class Lion(RuleOptimizer):
    """Steps of size ``lr`` in every element, in the direction of the sign of an interpolated momentum.

    ``c = b1 * m + (1 - b1) * g``, ``p = p * (1 - lr * weight_decay) - lr * sign(c)``, ``m = b2 * m + (1 - b2) * g``.
    Needs a learning rate 3 to 10 times smaller than AdamW's and a weight decay larger by the same factor.

    PyTorch has no Lion; argument names, defaults and state are those of the authors' implementation.
    Source: Chen et al. 2023, arXiv:2302.06675.

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these parameters.
        lr: Learning rate, a number or a tensor with one element.
        betas: Interpolation of the update, and decay of the momentum, in [0, 1).
        weight_decay: Factor on ``lr`` by which the parameter shrinks in each step.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> optimizer = optim.Lion(model.parameters(), lr=1e-4, weight_decay=0.5)
        >>> model(lucid.ones(2, 4)).sum().backward()
        >>> optimizer.step()
    """

    state_names = ("exp_avg",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    def _check(self, group: ParamGroup) -> None:
        group["betas"] = betas(self._name, group["betas"])
        group["weight_decay"] = _checks.number(self._name, "weight_decay", group["weight_decay"], 0.0)

    def _rule(self, group: ParamGroup) -> Rule:
        mlx_rule: Any = mlx.optimizers.Lion(0.0, list(group["betas"]), group["weight_decay"])
        mlx_rule.betas = group.momentum, group["betas"][1]
        mlx_rule.state["learning_rate"] = group.learning_rate

        def rule(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            own = {"m": state["exp_avg"] if "exp_avg" in state else mx.zeros_like(parameter)}
            updated = mlx_rule.apply_single(gradient, parameter, own)
            state["exp_avg"] = own["m"]
            return updated

        return rule

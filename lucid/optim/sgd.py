"""Stochastic gradient descent."""

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


class SGD(RuleOptimizer):
    """Gradient descent with optional momentum.

    ``g' = g + weight_decay * p``, ``v = momentum * v + (1 - dampening) * g'`` (the first time ``v = g'``),
    ``p = p - lr * v``, and with ``nesterov`` ``p = p - lr * (g' + momentum * v)``.

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these parameters.
        lr: Learning rate, a number or a tensor with one element.
        momentum: Decay of the accumulated gradient; 0 for none.
        dampening: The fraction of the gradient that does not enter the momentum.
        weight_decay: Factor of the parameter that is added to the gradient (L2 penalty).
        nesterov: Use Nesterov momentum, which requires momentum and no dampening.
        maximize: Maximize the objective instead of minimizing it.
        foreach: Accepted for compatibility with PyTorch; without effect.
        differentiable: Must be False: steps are not recorded for gradients.
        fused: Accepted for compatibility with PyTorch; without effect.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
        >>> model(lucid.ones(2, 4)).sum().backward()
        >>> optimizer.step()
    """

    state_names = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        reject_differentiable(self._name, differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _check(self, group: ParamGroup) -> None:
        for name in ("momentum", "dampening", "weight_decay"):
            group[name] = _checks.number(self._name, name, group[name], 0.0)
        for name in ("nesterov", "maximize"):
            flag(self._name, name, group[name])
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError(
                f"{self._name}: nesterov needs momentum above 0 and dampening 0, "
                f"got momentum {group['momentum']:g} and dampening {group['dampening']:g}"
            )

    def _initial_state(self, group: ParamGroup, name: str, parameter: Tensor) -> mx.array | None:
        # With dampening, no initial buffer reproduces the undampened first step.
        return None if group["dampening"] else super()._initial_state(group, name, parameter)

    def _rule(self, group: ParamGroup) -> Rule:
        momentum, dampening, weight_decay = group["momentum"], group["dampening"], group["weight_decay"]
        nesterov, lr = group["nesterov"], group.learning_rate
        mlx_rule = mlx.optimizers.SGD(0.0, momentum, weight_decay)
        mlx_rule.state["learning_rate"] = lr
        mlx_rule.nesterov = nesterov

        def scheduled(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            # MLX's rule branches on the momentum, but here it is an array.
            gradient = gradient + weight_decay * parameter if weight_decay else gradient
            before = state.get("momentum_buffer")
            buffer = gradient if before is None else group.momentum * before + (1 - dampening) * gradient
            state["momentum_buffer"] = buffer
            return parameter - lr * (gradient + group.momentum * buffer if nesterov else buffer)

        def rule(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            if momentum == 0:
                return mlx_rule.apply_single(gradient, parameter, {})
            before = state.get("momentum_buffer")
            # PyTorch initializes the buffer with the undampened first gradient.
            mlx_rule.dampening = 0.0 if before is None else dampening
            own = {"v": mx.zeros_like(parameter) if before is None else before}
            updated = mlx_rule.apply_single(gradient, parameter, own)
            state["momentum_buffer"] = own["v"]
            return updated

        return rule if group.momentum_tensor is None else scheduled

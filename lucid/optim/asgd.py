"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._tensor import Tensor
from lucid.optim.moments import of_step
from lucid.optim.options import flag, reject_differentiable
from lucid.optim.param_group import ParamGroup
from lucid.optim.rule_optimizer import Rule, RuleOptimizer


class ASGD(RuleOptimizer):
    """Gradient descent with a falling rate that also averages the parameters.

    ``p = p * (1 - lambd * eta) - eta * g``; then ``eta = lr / (1 + lambd * lr * t)**alpha`` at the parameter's step
    ``t``. ``state[p]["ax"]`` is the average of ``p`` over the steps after ``t0``, and ``p`` itself before.

    Source: Polyak and Juditsky 1992, SIAM J. Control Optim. 30(4).

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these
            parameters.
        lr: Learning rate, a number or a tensor with one element.
        lambd: Decay of the parameter and of the rate.
        alpha: Exponent of the rate's decay.
        t0: The step after which averaging starts.
        weight_decay: Factor of the parameter that is added to the gradient (L2 penalty).
        foreach: Accepted for compatibility with PyTorch; without effect.
        maximize: Maximize the objective instead of minimizing it.
        differentiable: Must be False: steps are not recorded for gradients.
        capturable: Accepted for compatibility with PyTorch; without effect.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> optimizer = optim.ASGD(model.parameters(), lr=1e-2)
        >>> model(lucid.ones(2, 4)).sum().backward()
        >>> optimizer.step()
    """

    state_names = ("step", "eta", "mu", "ax")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        reject_differentiable(self._name, differentiable)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _check(self, group: ParamGroup) -> None:
        for name in ("lambd", "alpha", "t0"):
            group[name] = _checks.number(self._name, name, group[name])
        group["weight_decay"] = _checks.number(self._name, "weight_decay", group["weight_decay"], 0.0)
        flag(self._name, "maximize", group["maximize"])

    def _state_shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape if name == "ax" else ()

    def _initial_state(self, group: ParamGroup, name: str, parameter: Tensor) -> mx.array | None:
        if name in ("eta", "mu"):
            return (group.learning_rate if name == "eta" else mx.array(1.0)).astype(mx.float32)
        return super()._initial_state(group, name, parameter)

    def _rule(self, group: ParamGroup) -> Rule:
        lr, lambd, alpha, t0 = group.learning_rate, group["lambd"], group["alpha"], group["t0"]
        weight_decay = group["weight_decay"]
        first = (lr.astype(mx.float32), mx.array(1.0))

        @of_step
        def following(step: mx.array) -> tuple[mx.array, mx.array]:
            """The rate and the weight of the parameter in the average at the next step."""
            count = step.astype(lr.dtype)
            eta = lr / (1 + lambd * lr * count) ** alpha
            return eta.astype(mx.float32), 1 / mx.maximum(1, step - t0)

        def rule(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            if weight_decay:
                gradient = gradient + weight_decay * parameter
            eta, mu = (state.get(name, one).astype(lr.dtype) for name, one in zip(("eta", "mu"), first, strict=True))
            updated = parameter * (1 - lambd * eta) - eta * gradient
            average = state.get("ax", mx.zeros_like(parameter))
            state["ax"] = mx.where(mu == 1, updated, average + (updated - average) * mu)
            state["eta"], state["mu"] = following(state["step"])
            return updated

        return rule

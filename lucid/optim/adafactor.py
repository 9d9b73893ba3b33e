"""Adafactor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._tensor import Tensor
from lucid.optim.options import flag
from lucid.optim.param_group import ParamGroup
from lucid.optim.rule_optimizer import Rule, RuleOptimizer


class Adafactor(RuleOptimizer):
    """Adam with a factored second moment (one row and one column per matrix) and relative step sizes.

    With ``k = t**beta2_decay`` at the parameter's step ``t``, over the last two dimensions of the gradient ``g``::

        row = (1 - k) * row + k * mean(g**2, -1),  column = (1 - k) * column + k * mean(g**2, -2)
        u = g / sqrt(max(row * column / max(mean(row), eps1), eps1**2))
        p = p * (1 - lr * weight_decay) - min(lr, 1 / sqrt(t)) * max(eps2, rms(p)) * u / max(1, rms(u) / d)

    One-dimensional parameters keep the full ``variance``.

    Source: Shazeer and Stern 2018, arXiv:1804.04235, as implemented in PyTorch.

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these parameters.
        lr: Learning rate, a number or a tensor with one element.
        beta2_decay: The exponent of ``k``, negative: the decay of the second moment at step ``t`` is ``1 -
            t**beta2_decay``.
        eps: ``(eps1, eps2)``; ``None`` for eps1 is the machine epsilon of the parameter's dtype.
        d: Largest root mean square of the update.
        weight_decay: Factor on ``lr`` by which the parameter shrinks in each step.
        foreach: Accepted for compatibility with PyTorch; without effect.
        maximize: Maximize the objective instead of minimizing it.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> optimizer = optim.Adafactor(model.parameters(), lr=1e-2)
        >>> model(lucid.ones(2, 4)).sum().backward()
        >>> optimizer.step()
    """

    state_names = ("step", "row_var", "col_var", "variance")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: ParamGroup) -> None:
        where = self._name
        group["beta2_decay"] = _checks.number(where, "beta2_decay", group["beta2_decay"], None, 0.0)
        eps = group["eps"]
        if not isinstance(eps, tuple | list) or len(eps) != 2:
            raise ValueError(f"{where}: eps must be two numbers, of which the first may be None, got {eps!r}")
        first = None if eps[0] is None else _checks.number(where, "eps[0]", eps[0], 0.0)
        group["eps"] = first, _checks.number(where, "eps[1]", eps[1], 0.0)
        group["d"] = _checks.number(where, "d", group["d"], 1.0)
        group["weight_decay"] = _checks.number(where, "weight_decay", group["weight_decay"], 0.0)
        flag(where, "maximize", group["maximize"])

    def _state_shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        if name == "row_var":
            return shape[:-1] + (1,)
        if name == "col_var":
            return shape[:-2] + (1,) + shape[-1:]
        return super()._state_shape(name, shape)

    def _rule(self, group: ParamGroup) -> Rule:
        # Not based on MLX's rule, which adds eps1 to the squared gradient, does not clamp as PyTorch does (a zero
        # gradient gives NaN), scales the weight decay by rms(p), and uses 1/sqrt(t) without the upper bound ``lr``.
        lr, weight_decay, d = group.learning_rate, group["weight_decay"], group["d"]
        eps1, eps2 = group["eps"]
        keep = 1 - lr * weight_decay
        by_step: dict[int, tuple[mx.array, mx.array]] = {}

        def rates(step: mx.array) -> tuple[mx.array, mx.array]:
            if id(step) not in by_step:
                count = step.astype(lr.dtype)
                by_step[id(step)] = count ** group["beta2_decay"], mx.minimum(lr, mx.rsqrt(count))
            return by_step[id(step)]

        def rule(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            tiny = mx.finfo(parameter.dtype).eps if eps1 is None else eps1
            fresh, rate = rates(state["step"])
            rate = rate * mx.maximum(_rms(parameter), eps2)
            if weight_decay:
                parameter = parameter * keep
            square = mx.square(gradient)

            def average(name: str, value: mx.array) -> mx.array:
                before = state.get(name)
                state[name] = fresh * value if before is None else before + fresh * (value - before)
                return state[name]

            if gradient.ndim > 1:
                row = average("row_var", square.mean(-1, keepdims=True))
                column = average("col_var", square.mean(-2, keepdims=True))
                variance = row * column / mx.maximum(row.mean(-2, keepdims=True), tiny)
            else:
                variance = average("variance", square)
            update = gradient * mx.rsqrt(mx.maximum(variance, tiny * tiny))
            return parameter - rate / mx.maximum(_rms(update) / d, 1) * update

        return rule


def _rms(array: mx.array) -> mx.array:
    return mx.sqrt(mx.mean(mx.square(array)))

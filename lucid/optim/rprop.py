"""Resilient backpropagation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mlx.core as mx

from lucid._tensor import Tensor
from lucid.optim.options import flag, pair, reject_differentiable
from lucid.optim.param_group import ParamGroup
from lucid.optim.rule_optimizer import Rule, RuleOptimizer


class Rprop(RuleOptimizer):
    """Takes steps whose size depends on the gradient's signs alone, for training on the whole dataset.

    Where the sign is that of the step before, the size grows by ``etas[1]``; where it changed, the size shrinks by
    ``etas[0]`` and the element stays.

    Source: Riedmiller and Braun 1993, IEEE International Conference on Neural Networks.

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these
            parameters.
        lr: The first step size, a number or a tensor with one element.
        etas: Factors by which a step size shrinks and grows, ``0 < etas[0] < 1 < etas[1]``.
        step_sizes: The smallest and the largest step size.
        capturable: Accepted for compatibility with PyTorch; without effect.
        foreach: Accepted for compatibility with PyTorch; without effect.
        maximize: Maximize the objective instead of minimizing it.
        differentiable: Must be False: steps are not recorded for gradients.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> optimizer = optim.Rprop(model.parameters(), lr=1e-2)
        >>> model(lucid.ones(2, 4)).sum().backward()
        >>> optimizer.step()
    """

    state_names = ("step", "prev", "step_size")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        reject_differentiable(self._name, differentiable)
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check(self, group: ParamGroup) -> None:
        down, up = pair(self._name, "etas", group["etas"])
        pair(self._name, "step_sizes", group["step_sizes"])
        if not 0 < down < 1 < up:
            raise ValueError(f"{self._name}: etas must be 0 < etas[0] < 1 < etas[1], got {group['etas']!r}")
        flag(self._name, "maximize", group["maximize"])

    def _initial_state(self, group: ParamGroup, name: str, parameter: Tensor) -> mx.array | None:
        start = super()._initial_state(group, name, parameter)
        if name != "step_size" or start is None:
            return start
        return mx.broadcast_to(group.learning_rate.astype(start.dtype), start.shape)

    def _rule(self, group: ParamGroup) -> Rule:
        lr, (down, up) = group.learning_rate, group["etas"]
        smallest, largest = map(float, group["step_sizes"])

        def rule(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            if "prev" in state:
                before, size = state["prev"], state["step_size"]
            else:
                before = mx.zeros_like(parameter)
                size = mx.broadcast_to(lr.astype(parameter.dtype), parameter.shape)
            agreement = mx.sign(gradient) * mx.sign(before)
            # Numbers as arrays: MLX would round those of Python to float32.
            faster, slower, same, low, high = (
                mx.array(one, parameter.dtype) for one in (up, down, 1.0, smallest, largest)
            )
            factor = mx.where(agreement > 0, faster, mx.where(agreement < 0, slower, same))
            state["step_size"] = size = mx.clip(size * factor, low, high)
            state["prev"] = kept = mx.where(agreement < 0, 0, gradient)
            return parameter - mx.sign(kept) * size

        return rule

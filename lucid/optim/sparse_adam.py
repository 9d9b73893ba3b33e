"""Adam for gradients that are zero in most rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._tensor import Tensor
from lucid.optim.moments import of_step, one_minus_power, updated_moments
from lucid.optim.options import betas as check_betas
from lucid.optim.options import flag
from lucid.optim.param_group import ParamGroup
from lucid.optim.rule_optimizer import Rule, RuleOptimizer


class SparseAdam(RuleOptimizer):
    """Adam that leaves rows alone whose gradient is zero, such as words that a batch does not contain.

    Adam itself would move them by their running mean. Gradients are dense, as Lucid has no sparse tensors: a row,
    ``p[i]``, is updated if any element of its gradient is not zero, together with its running means. (PyTorch updates
    all rows that its sparse gradient lists, also those with a gradient of zero.) The update is
    ``p = p - lr * sqrt(1 - b2**t) / (1 - b1**t) * m / (sqrt(v) + eps)``, so that ``eps``, unlike Adam's, is not
    corrected for the bias; ``t`` counts the steps of the whole parameter.

    Source: Kingma and Ba 2015, arXiv:1412.6980.

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these parameters.
        lr: Learning rate, a positive number or a tensor with one element.
        betas: Decay of the running means of the gradient and of its square, in [0, 1).
        eps: Added to the denominator for numerical stability, positive.
        maximize: Maximize the objective instead of minimizing it.

    Raises:
        ValueError: an option is out of range.

    Example:
        >>> words = nn.Embedding(100, 4)
        >>> optimizer = optim.SparseAdam(words.parameters(), lr=1e-3)
        >>> words(lucid.tensor([3, 7])).sum().backward()
        >>> optimizer.step()
    """

    state_names = ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    def _check(self, group: ParamGroup) -> None:
        assert group.lr_tensor is not None
        _checks.number(self._name, "lr", group.lr_tensor.item(), 0.0, above=True)
        group["betas"] = check_betas(self._name, group["betas"])
        group["eps"] = _checks.number(self._name, "eps", group["eps"], 0.0, above=True)
        flag(self._name, "maximize", group["maximize"])

    def _rule(self, group: ParamGroup) -> Rule:
        lr, beta1, beta2, eps = group.learning_rate, group.momentum, group["betas"][1], group["eps"]

        @of_step
        def rate(step: mx.array) -> mx.array:
            count = step.astype(lr.dtype)
            return lr * mx.sqrt(one_minus_power(beta2, count)) / one_minus_power(beta1, count)

        def rule(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            rows = mx.any(gradient != 0, axis=tuple(range(1, gradient.ndim)), keepdims=True)
            before = [state.get(name, mx.zeros_like(parameter)) for name in ("exp_avg", "exp_avg_sq")]
            mean, square = updated_moments(state, gradient, beta1, beta2)
            state["exp_avg"], state["exp_avg_sq"] = (
                mx.where(rows, new, old) for new, old in zip((mean, square), before, strict=True)
            )
            return mx.where(rows, parameter - rate(state["step"]) * mean / (mx.sqrt(square) + eps), parameter)

        return rule

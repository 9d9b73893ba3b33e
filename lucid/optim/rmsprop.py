"""RMSprop."""

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


class RMSprop(RuleOptimizer):
    """Divides the gradient by the root of the running mean of its square.

    ``v = alpha * v + (1 - alpha) * g**2``, ``p = p - lr * g / (sqrt(v) + eps)``.

    With ``momentum`` the quotient is accumulated, ``buffer = momentum * buffer + g / (sqrt(v) + eps)``, and
    ``p = p - lr * buffer``.

    Source: Tieleman and Hinton 2012, lecture 6.5; centered: Graves 2013, arXiv:1308.0850.

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these parameters.
        lr: Learning rate, a number or a tensor with one element.
        alpha: Decay of the running mean of the square.
        eps: Added to the denominator for numerical stability.
        weight_decay: Factor of the parameter that is added to the gradient (L2 penalty).
        momentum: Decay of the accumulated update; 0 for none.
        centered: Subtract the square of the gradient's running mean from ``v``.
        capturable: Accepted for compatibility with PyTorch; without effect.
        foreach: Accepted for compatibility with PyTorch; without effect.
        maximize: Maximize the objective instead of minimizing it.
        differentiable: Must be False: steps are not recorded for gradients.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> optimizer = optim.RMSprop(model.parameters(), lr=1e-2, momentum=0.9)
        >>> model(lucid.ones(2, 4)).sum().backward()
        >>> optimizer.step()
    """

    state_names = ("step", "square_avg", "momentum_buffer", "grad_avg")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        reject_differentiable(self._name, differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check(self, group: ParamGroup) -> None:
        for name in ("alpha", "eps", "weight_decay", "momentum"):
            group[name] = _checks.number(self._name, name, group[name], 0.0)
        for name in ("centered", "maximize"):
            flag(self._name, name, group[name])

    def _rule(self, group: ParamGroup) -> Rule:
        lr, alpha, eps = group.learning_rate, group["alpha"], group["eps"]
        weight_decay, momentum, centered = group["weight_decay"], group.momentum, group["centered"]
        has_momentum = group.momentum_tensor is not None or bool(momentum)
        mlx_rule: Any = mlx.optimizers.RMSprop(0.0, alpha)
        mlx_rule.state["learning_rate"] = lr
        mlx_rule.eps = eps  # set here because the constructor rejects 0

        def rule(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            if weight_decay:
                gradient = gradient + weight_decay * parameter
            zeros = mx.zeros_like(parameter)
            own = {"v": state.get("square_avg", zeros)}
            updated = mlx_rule.apply_single(gradient, parameter, own)
            state["square_avg"] = square = own["v"]
            if not (centered or has_momentum):
                return updated
            # MLX supports neither; the unused result of its rule is never computed.
            if centered:
                state["grad_avg"] = mean = alpha * state.get("grad_avg", zeros) + (1 - alpha) * gradient
                square = mx.maximum(square - mx.square(mean), 0)  # rounding can make a variance of 0 negative
            direction = gradient / (mx.sqrt(square) + eps)
            if has_momentum:
                state["momentum_buffer"] = direction = momentum * state.get("momentum_buffer", zeros) + direction
            return parameter - lr * direction

        return rule

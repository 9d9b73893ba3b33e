"""Adam and AdamW."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import mlx.core as mx
import mlx.optimizers

from lucid._tensor import Tensor
from lucid.kernels import native
from lucid.kernels.fusion import fused
from lucid.optim.moments import of_step, one_minus_power
from lucid.optim.options import check_adaptive, flag, reject_differentiable
from lucid.optim.param_group import ParamGroup
from lucid.optim.rule_optimizer import Rule, RuleOptimizer


class Adam(RuleOptimizer):
    """Divides the running mean of the gradient by the root of the running mean of its square.

    ``m = b1 * m + (1 - b1) * g``, ``v = b2 * v + (1 - b2) * g**2``,
    ``p = p - lr * m / (1 - b1**t) / (sqrt(v / (1 - b2**t)) + eps)`` at the parameter's step ``t``.

    Source: Kingma and Ba 2015, arXiv:1412.6980; AMSGrad: Reddi et al. 2018, arXiv:1904.09237.

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these parameters.
        lr: Learning rate, a number or a tensor with one element.
        betas: Decay of the running means of the gradient and of its square, in [0, 1).
        eps: Added to the denominator for numerical stability.
        weight_decay: Factor of the parameter that is added to the gradient (L2 penalty), or see
            ``decoupled_weight_decay``.
        amsgrad: Use the largest ``v`` so far.
        foreach: Accepted for compatibility with PyTorch; without effect.
        maximize: Maximize the objective instead of minimizing it.
        capturable: Accepted for compatibility with PyTorch; without effect.
        differentiable: Must be False: steps are not recorded for gradients.
        fused: Accepted for compatibility with PyTorch; without effect.
        decoupled_weight_decay: Shrink the parameter by ``lr * weight_decay`` instead, as ``AdamW`` does.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> optimizer = optim.Adam(model.parameters(), lr=1e-3)
        >>> model(lucid.ones(2, 4)).sum().backward()
        >>> optimizer.step()
        >>> optimizer.zero_grad()
    """

    state_names = ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        reject_differentiable(self._name, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check(self, group: ParamGroup) -> None:
        check_adaptive(self._name, group)
        for name in ("amsgrad", "decoupled_weight_decay"):
            flag(self._name, name, group[name])

    def _rule(self, group: ParamGroup) -> Rule:
        lr, beta1, beta2, eps = group.learning_rate, group.momentum, group["betas"][1], group["eps"]
        weight_decay, decoupled, amsgrad = group["weight_decay"], group["decoupled_weight_decay"], group["amsgrad"]
        keep = 1 - lr * weight_decay if decoupled else None
        scheduled = group.momentum_tensor is not None  # then beta1 is an array, not a constant of the update
        l2_penalty = 0.0 if decoupled else weight_decay
        update = _update(None if scheduled else beta1, beta2, l2_penalty, amsgrad)
        names = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if amsgrad else [])]

        @of_step
        def correct(step: mx.array) -> tuple[mx.array, mx.array]:
            """The learning rate and eps that turn the uncorrected rule into the bias-corrected one.

            MLX's correction computes 1 - b2**t in float32, which loses four digits in the first steps; expm1 does not.
            """
            count = step.astype(lr.dtype)
            root = mx.sqrt(one_minus_power(beta2, count))
            return lr * root / one_minus_power(beta1, count), eps * root

        def rule(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            former = [state[name] if name in state else mx.zeros_like(parameter) for name in names]
            is_plain = not (amsgrad or scheduled) and parameter.dtype == lr.dtype == mx.float32
            fused = native.for_arrays(parameter) if is_plain else None
            if fused is not None:
                rates = correct(state["step"])
                updated, *after = fused.adam(gradient, parameter, *former, *rates, keep, beta1, beta2, l2_penalty)
                state.update(zip(names, after, strict=True))
                return updated
            updated, *after = update(
                gradient, parameter, former, *correct(state["step"]), keep, beta1 if scheduled else None
            )
            state.update(zip(names, after, strict=True))
            return updated

        return rule


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter, ``p = p * (1 - lr * weight_decay)``, before the step.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101.

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these parameters.
        lr: Learning rate, a number or a tensor with one element.
        betas: Decay of the running means of the gradient and of its square, in [0, 1).
        eps: Added to the denominator for numerical stability.
        weight_decay: Factor on ``lr`` by which the parameter shrinks in each step.
        amsgrad: Use the largest ``v`` so far.
        maximize: Maximize the objective instead of minimizing it.
        foreach: Accepted for compatibility with PyTorch; without effect.
        capturable: Accepted for compatibility with PyTorch; without effect.
        differentiable: Must be False: steps are not recorded for gradients.
        fused: Accepted for compatibility with PyTorch; without effect.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> optimizer = optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.05)
        >>> model(lucid.ones(2, 4)).sum().backward()
        >>> optimizer.step()
        >>> optimizer.zero_grad()
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )


@functools.lru_cache(maxsize=32)
def _update(beta1: float | None, beta2: float, weight_decay: float, amsgrad: bool) -> Callable[..., Sequence[mx.array]]:
    """A fused update for arrays of any shape that returns the new parameter and state.

    ``rate`` and ``eps`` include the bias correction; ``keep`` is the factor left by decoupled weight decay. If
    ``beta1`` is None, the update takes it as its last argument.
    """

    @partial(fused, shapeless=True)
    def update(
        gradient: mx.array, parameter: mx.array, state: list[mx.array], rate: mx.array, eps: mx.array,
        keep: mx.array | None, scheduled_beta1: mx.array | None,
    ) -> Sequence[mx.array]:  # fmt: skip
        if keep is not None:
            parameter = parameter * keep
        if weight_decay:
            gradient = gradient + weight_decay * parameter
        rule: Any = mlx.optimizers.Adam(0.0)
        rule.betas = scheduled_beta1 if beta1 is None else beta1, beta2
        rule.state["learning_rate"], rule.eps = rate, eps
        own = {"m": state[0], "v": state[1]}
        updated = rule.apply_single(gradient, parameter, own)
        if not amsgrad:
            return updated, own["m"], own["v"]
        largest = mx.maximum(state[2], own["v"])  # not in MLX; the unused result of its rule is never computed
        return parameter - rate * own["m"] / (mx.sqrt(largest) + eps), own["m"], own["v"], largest

    return update

"""Muon."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import mlx.core as mx
import mlx.optimizers

from lucid import _checks
from lucid._tensor import Tensor
from lucid.optim.options import flag
from lucid.optim.param_group import ParamGroup
from lucid.optim.rule_optimizer import Rule, RuleOptimizer

_ADJUSTMENTS = ("original", "match_rms_adamw")


class Muon(RuleOptimizer):
    """Momentum with orthogonalized updates, for the weight matrices of hidden layers.

    ``m = momentum * m + (1 - momentum) * g``, ``u = momentum * m + (1 - momentum) * g`` (``u = m`` without
    ``nesterov``), ``p = p * (1 - lr * weight_decay) - lr * adjustment * newton_schulz(u)``. Use AdamW for
    biases, norms, embeddings and the last layer.

    The adjustment is ``sqrt(max(1, rows / columns))`` for ``adjust_lr_fn="original"`` (the default) and
    ``0.2 * sqrt(max(rows, columns))`` for ``"match_rms_adamw"``. The ``ns_steps`` Newton-Schulz iterations run in
    float32, whereas PyTorch uses bfloat16.

    Source: Jordan 2024, https://kellerjordan.github.io/posts/muon/; Liu et al. 2025, arXiv:2502.16982.

    Args:
        params: Tensors, (name, tensor) pairs, or groups: dictionaries with "params" and options for these parameters.
        lr: Learning rate, a number or a tensor with one element.
        weight_decay: Factor on ``lr`` by which the parameter shrinks in each step.
        momentum: Decay of the running mean of the gradient.
        nesterov: Use Nesterov momentum.
        ns_coefficients: Coefficients of the polynomial of an iteration.
        eps: Added to the norm of the momentum, by which it is divided.
        ns_steps: Number of Newton-Schulz iterations.
        adjust_lr_fn: "original" (the default) or "match_rms_adamw", which allows AdamW's learning rates.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 2))
        >>> muon = optim.Muon([model[0].weight], lr=1e-3)
        >>> adamw = optim.AdamW([model[0].bias, *model[2].parameters()], lr=1e-3)
        >>> model(lucid.ones(2, 8)).sum().backward()
        >>> for optimizer in (muon, adamw):
        ...     optimizer.step()
        ...
    """

    state_names = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def _check(self, group: ParamGroup) -> None:
        where = self._name
        for name in ("weight_decay", "momentum", "eps"):
            group[name] = _checks.number(where, name, group[name], 0.0)
        flag(where, "nesterov", group["nesterov"])
        coefficients = group["ns_coefficients"]
        if not isinstance(coefficients, tuple | list) or len(coefficients) != 3:
            raise ValueError(f"{where}: ns_coefficients must be three numbers, got {coefficients!r}")
        group["ns_coefficients"] = tuple(_checks.number(where, "ns_coefficients", one) for one in coefficients)
        group["ns_steps"] = _checks.integer(where, "ns_steps", group["ns_steps"], 0)
        if group["adjust_lr_fn"] is not None:
            _checks.one_of(where, "adjust_lr_fn", group["adjust_lr_fn"], _ADJUSTMENTS)

    def _check_parameter(self, name: str, parameter: Tensor) -> None:
        if parameter.ndim != 2:
            raise ValueError(f"{name} must have 2 dimensions, got {parameter.shape}; use AdamW for other parameters")

    def _rule(self, group: ParamGroup) -> Rule:
        lr, weight_decay, match = group.learning_rate, group["weight_decay"], group["adjust_lr_fn"] == "match_rms_adamw"
        keep = 1 - lr * weight_decay
        # MLX's rule adds weight decay to the gradient; PyTorch's shrinks the parameter, as below.
        mlx_rule = _Rule(0.0, group.momentum, 0.0, group["nesterov"], group["ns_steps"])
        mlx_rule.coefficients, mlx_rule.eps = group["ns_coefficients"], group["eps"]

        def rule(gradient: mx.array, parameter: mx.array, state: dict[str, mx.array]) -> mx.array:
            shape = parameter.shape
            rows, columns = shape[0], parameter.size // max(shape[0], 1)  # as MLX's rule flattens kernels
            # MLX's rule already applies the original adjustment, of the last two dimensions.
            own_adjustment = math.sqrt(max(1.0, shape[-2] / max(shape[-1], 1)))
            mlx_rule.state["learning_rate"] = (
                lr * (0.2 * math.sqrt(max(rows, columns)) / own_adjustment) if match else lr
            )
            own = {"v": state["momentum_buffer"] if "momentum_buffer" in state else mx.zeros_like(parameter)}
            updated = mlx_rule.apply_single(gradient, parameter * keep if weight_decay else parameter, own)
            state["momentum_buffer"] = own["v"]
            return updated

        return rule


class _Rule(mlx.optimizers.Muon):
    """MLX's rule with PyTorch's polynomial and lower bound on the norm."""

    coefficients: tuple[float, float, float]
    eps: float

    def _zeropower_via_newtonschulz5(self, X: mx.array, steps: int) -> mx.array:
        a, b, c = self.coefficients
        tall = X.shape[0] > X.shape[1]
        x = X.T if tall else X
        x = x / mx.maximum(mx.linalg.norm(x), self.eps)
        for _ in range(steps):
            gram = x @ x.T
            x = mx.addmm(a * x, mx.addmm(b * gram, gram, gram, alpha=c), x)
        return x.T if tall else x

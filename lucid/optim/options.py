"""Validation of the options that optimizers share, and the options that a saved state may lack."""

from __future__ import annotations

from typing import Any

from lucid import _checks

# Options that older versions of PyTorch and Lucid do not save.
OPTIONAL = frozenset(
    ("foreach", "fused", "capturable", "differentiable", "maximize", "amsgrad", "centered", "nesterov",
     "decoupled_weight_decay")
)  # fmt: skip


def reject_differentiable(caller: str, differentiable: Any) -> None:
    if differentiable:
        raise ValueError(f"{caller}: differentiable=True is not supported, as steps are not recorded")


def fraction(caller: str, name: str, value: Any) -> float:
    """``value`` as a float in [0, 1), such as a decay rate."""
    number = _checks.number(caller, name, value, 0.0)
    if number >= 1:
        raise ValueError(f"{caller}: {name} must be at least 0 and below 1, got {value!r}")
    return number


def betas(caller: str, value: Any) -> tuple[float, float]:
    """Two decay rates."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{caller}: betas must be two numbers, got {value!r}")
    return fraction(caller, "betas[0]", value[0]), fraction(caller, "betas[1]", value[1])


flag = _checks.strict_flag

"""Validation of the options that optimizers share, and the options that a saved state may lack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lucid import _checks
from lucid.optim.param_group import ParamGroup

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


flag = _checks.strict_flag


def pair(
    caller: str, name: str, value: Any, check: Callable[[str, str, Any], float] = _checks.number
) -> tuple[float, float]:
    """Two numbers, each as ``check`` returns it."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{caller}: {name} must be two numbers, got {value!r}")
    return check(caller, f"{name}[0]", value[0]), check(caller, f"{name}[1]", value[1])


def betas(caller: str, value: Any) -> tuple[float, float]:
    """Two decay rates."""
    return pair(caller, "betas", value, fraction)


def check_adaptive(caller: str, group: ParamGroup) -> None:
    """Validate the options that Adam and its relatives have in common."""
    group["betas"] = betas(caller, group["betas"])
    for name in ("eps", "weight_decay"):
        group[name] = _checks.number(caller, name, group[name], 0.0)
    flag(caller, "maximize", group["maximize"])

"""Automatic differentiation: ``grad``, ``no_grad`` and its relatives, custom functions, and ``gradcheck``."""

import importlib
from typing import TYPE_CHECKING, Any

from lucid.autograd import graph
from lucid.autograd.anomaly import (
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from lucid.autograd.checking import gradcheck, gradgradcheck
from lucid.autograd.function import Context, Function, once_differentiable
from lucid.autograd.gradients import backward, grad
from lucid.autograd.modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled

if TYPE_CHECKING:
    from lucid.autograd import functional
else:  # type checkers would believe that every name exists

    def __getattr__(name: str) -> Any:
        if name == "functional":
            return importlib.import_module("lucid.autograd.functional")
        if name in ("profiler", "profiler_legacy"):
            raise AttributeError(
                f"module 'lucid.autograd' has no attribute {name!r}: lucid.profile counts what a function reads and "
                "writes on a GPU"
            )
        if name == "forward_ad":
            raise AttributeError(
                "module 'lucid.autograd' has no attribute 'forward_ad': lucid.func.jvp multiplies with a Jacobian"
            )
        raise AttributeError(f"module 'lucid.autograd' has no attribute {name!r}")


__all__ = [
    "Context", "Function", "backward", "detect_anomaly", "enable_grad", "functional", "grad", "gradcheck",
    "gradgradcheck", "graph", "inference_mode", "is_anomaly_check_nan_enabled", "is_anomaly_enabled", "is_grad_enabled",
    "no_grad", "once_differentiable", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip

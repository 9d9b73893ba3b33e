"""The names of ``torch._C`` that torchvision and timm use."""

from __future__ import annotations

import contextlib
import enum
from typing import Any

from lucid._device import device as device

DisableTorchFunctionSubclass = DisableTorchFunction = contextlib.nullcontext
"""A context in which nothing changes: operations on subclasses of Tensor always give plain tensors."""


class DispatchKey(enum.Flag):
    """Keys of PyTorch's dispatcher, which Lucid does not have."""

    AutocastCPU = enum.auto()
    AutocastCUDA = enum.auto()
    AutocastXPU = enum.auto()
    AutocastMPS = enum.auto()


def DispatchKeySet(key: DispatchKey) -> DispatchKey:
    """``key`` itself."""
    return key


@contextlib.contextmanager
def _ExcludeDispatchKeyGuard(keys: Any) -> Any:
    """A context in which nothing changes."""
    yield


def _get_tracing_state() -> None:
    """None: nothing is traced."""


def _log_api_usage_once(name: str) -> None:
    """Has no effect."""


def _get_privateuse1_backend_name() -> str:
    """The name of a backend that does not exist."""
    return "privateuseone"

"""``torch.utils.checkpoint``: activation checkpointing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lucid import _checks, utils
from lucid.nn.module import Module

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, context_fn: Any = None,
    determinism_check: str = "default", debug: bool = False, early_stop: bool = True, preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:  # fmt: skip
    """``lucid.utils.checkpoint``; options other than the arguments of ``function`` have no effect."""
    return utils.checkpoint(function, *args, **kwargs)


def checkpoint_sequential(
    functions: Module | Sequence[Callable[..., Any]], segments: int, input: Any, use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:  # fmt: skip
    """Apply ``functions`` one after the other in ``segments`` parts; all but the last part are checkpointed."""
    listed: list[Any] = list(functions.children()) if isinstance(functions, Module) else list(functions)
    size = max(len(listed) // _checks.integer("checkpoint_sequential", "segments", segments, 1), 1)
    for start in range(0, size * (segments - 1), size):
        input = checkpoint(_Chain(listed[start : start + size]), input)
    return _Chain(listed[size * (segments - 1) :])(input)


class _Chain:
    def __init__(self, functions: list[Callable[..., Any]]) -> None:
        self._functions = functions

    def __call__(self, value: Any) -> Any:
        for function in self._functions:
            value = function(value)
        return value

"""``torch.jit`` as far as it can be true without a compiler of Python: decorators that leave things as they are.

A scripted function computes what the function computes, so ``script`` returns the function itself; nothing is faster
for it. Programs in TorchScript's file format can be neither written nor read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

from lucid.nn.module import Module

__all__ = [
    "Final", "Future", "ScriptFunction", "ScriptModule", "annotate", "export", "fork", "freeze", "ignore", "interface",
    "is_scripting", "is_tracing", "isinstance", "load", "optimize_for_inference", "save", "script", "script_method",
    "trace", "trace_module", "unused", "wait",
]  # fmt: skip
_NO_FILES = (
    "Lucid has no TorchScript programs; save model.state_dict() with torch.save, and build the model from Python"
)
_isinstance = isinstance


class ScriptModule(Module):
    """The class of scripted modules, of which there are none; a base class for some."""


class ScriptFunction:
    """The class of scripted functions, of which there are none."""


RecursiveScriptModule = TopLevelTracedModule = ScriptModule


def is_scripting() -> bool:
    """False."""
    return False


is_tracing = is_scripting


def script(
    obj: Any = None, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None
) -> Any:
    """``obj`` itself."""
    return script if obj is None else obj


def trace(func: Any = None, example_inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
    """``func`` itself."""
    return func


trace_module = trace


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """A decorator that does nothing."""
    return drop if callable(drop) else lambda function: function


def _same(fn: Any) -> Any:
    """The argument itself."""
    return fn


export = unused = interface = script_method = script_if_tracing = _script_if_tracing = _same
_overload = _overload_method = _same


def freeze(mod: Any, preserved_attrs: Any = None, optimize_numerics: bool = True) -> Any:
    """``mod`` itself."""
    return mod


def optimize_for_inference(mod: Any, other_methods: Any = None) -> Any:
    """``mod`` itself."""
    return mod


def annotate(the_type: Any, the_value: Any) -> Any:
    """``the_value``."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """``isinstance`` for plain types."""
    return _isinstance(obj, target_type)


class Future:
    """The result of ``fork``."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def wait(self) -> Any:
        return self._value

    value = wait


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Future:
    """Call ``func`` now."""
    return Future(func(*args, **kwargs))


def wait(future: Future) -> Any:
    """The result of ``fork``."""
    return future.wait()


@contextlib.contextmanager
def optimized_execution(should_optimize: bool) -> Any:
    """A context in which nothing changes."""
    yield


def save(m: Any, f: Any, _extra_files: Any = None) -> None:
    """Raises a RuntimeError."""
    raise RuntimeError(f"torch.jit.save: {_NO_FILES}")


def load(f: Any, map_location: Any = None, _extra_files: Any = None, _restore_shapes: bool = False) -> Any:
    """Raises a RuntimeError."""
    raise RuntimeError(f"torch.jit.load: {_NO_FILES}")


_state = SimpleNamespace(disable=lambda: None, enable=lambda: None)

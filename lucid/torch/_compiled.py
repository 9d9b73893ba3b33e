"""``torch.compile`` on ``lucid.compile``, as far as that is safe."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Callable
from typing import Any

from lucid import _checks, _grad_mode
from lucid._compile import compile as lucid_compile
from lucid.nn.module import Module


class _Attempt:
    """Calls a function compiled, and from the first failure on as it is.

    While gradients are recorded it is called as it is: a compiled function that is differentiated from outside runs
    forward twice, which costs more than compiling saves. ``lucid.compile`` takes a whole training step.
    """

    def __init__(self, function: Callable[..., Any], eager: Callable[..., Any], name: str) -> None:
        self._eager, self._name = eager, name
        self._compiled: Any = None
        try:
            self._compiled = lucid_compile(function)
        except TypeError as error:
            self._give_up(error)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._compiled is None or _grad_mode.is_recording():
            return self._eager(*args, **kwargs)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", "compile", UserWarning)  # it has an effect that a graph has not
                return self._compiled(*args, **kwargs)
        except Exception as error:  # after which everything is as before the call
            result = self._eager(*args, **kwargs)  # an error of the function itself is raised here
            self._give_up(error)
            return result

    def _give_up(self, error: Exception) -> None:
        self._compiled = None
        warnings.warn(
            f"torch.compile: {self._name} runs without being compiled ({str(error).splitlines()[0]})",
            UserWarning,
            stacklevel=_checks.level_of_user(),
        )


class OptimizedModule(Module):
    """A module whose calls are compiled where no gradient is recorded. The module itself is ``_orig_mod``."""

    _orig_mod: Module

    def __init__(self, mod: Module) -> None:
        super().__init__()
        self._orig_mod = mod
        object.__setattr__(self, "_attempt", _Attempt(mod, mod, type(mod).__name__))
        self.training = mod.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._attempt(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("__") or "_orig_mod" not in self.__dict__.get("_modules", {}):
                raise
            return getattr(self._modules["_orig_mod"], name)

    def __deepcopy__(self, memo: dict[int, Any]) -> OptimizedModule:
        return OptimizedModule(copy.deepcopy(self._orig_mod, memo))


def compile(
    model: Any = None, *, fullgraph: bool = False, dynamic: bool | None = None, backend: Any = "inductor",
    mode: str | None = None, options: Any = None, disable: bool = False,
) -> Any:  # fmt: skip
    """A module or function that is compiled where that is safe and of use, and otherwise runs as it is.

    Calls for which no gradient is recorded (evaluation under ``no_grad``) are compiled with ``lucid.compile``; if it
    cannot follow the function (it prints, reads a value or changes a variable), one warning says so, and the function
    runs as it is. Calls that record gradients are never compiled: the backward pass would repeat the forward pass.
    ``lucid.compile(step, state=[model, optimizer])`` compiles a whole training step.

    A module becomes an ``OptimizedModule``, whose state dict has names that start with ``_orig_mod.``, as in PyTorch.

    Args:
        model: The module or function. Without it, a decorator.
        fullgraph, dynamic, backend, mode, options: Have no effect.
        disable: Return ``model`` itself.
    """
    if model is None:
        return functools.partial(compile, disable=disable)
    if disable or isinstance(model, OptimizedModule | _Attempt):
        return model
    if isinstance(model, Module):
        return OptimizedModule(model)
    if not callable(model):
        raise TypeError(f"compile: expected a function or a module, got {type(model).__name__}")
    attempt = _Attempt(model, model, getattr(model, "__name__", "the function"))

    @functools.wraps(model)
    def call(*args: Any, **kwargs: Any) -> Any:
        return attempt(*args, **kwargs)

    return call

"""Switches for recording operations: ``no_grad`` and its relatives."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

from lucid import _grad_mode

_T = TypeVar("_T")
is_grad_enabled = _grad_mode.is_recording


class _Toggle(_grad_mode.set_recording):
    """A grad mode that is also a decorator, with or without parentheses: ``@no_grad`` and ``@no_grad()``."""

    _value: bool

    @overload
    def __new__(cls: type[_T], function: None = None) -> _T: ...
    @overload
    def __new__(cls, function: _grad_mode.F) -> _grad_mode.F: ...  # type: ignore[misc]
    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return super().__new__(cls) if function is None else _grad_mode.set_recording(cls._value)(function)

    def __init__(self, function: None = None) -> None:
        super().__init__(self._value)


class no_grad(_Toggle):
    """Context manager and decorator that disables gradients: results computed inside do not require them.

    Example:
        >>> weight = nn.Parameter([1.0, 2.0])
        >>> with lucid.no_grad():
        ...     print((weight * 2).requires_grad)
        ...
        False
    """

    _value = False


class enable_grad(_Toggle):
    """Context manager and decorator that enables gradients again inside ``no_grad``.

    Example:
        >>> x = lucid.tensor(3.0, requires_grad=True)
        >>> with lucid.no_grad(), lucid.enable_grad():
        ...     print((x * 2).requires_grad)
        ...
        True
    """

    _value = True


class inference_mode(_grad_mode.set_recording):
    """``no_grad``; with ``mode=False``, without effect. Results are ordinary tensors.

    Example:
        >>> weight = nn.Parameter([1.0, 2.0])
        >>> with lucid.inference_mode():
        ...     print((weight * 2).requires_grad)
        ...
        False
    """

    @overload
    def __new__(cls: type[_T], mode: bool = True) -> _T: ...
    @overload
    def __new__(cls, mode: _grad_mode.F) -> _grad_mode.F: ...  # type: ignore[misc]
    def __new__(cls, mode: Any = True) -> Any:
        return super().__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: Any = True) -> None:
        self._disables = bool(mode)
        self._outside: list[bool] = []
        super().__init__(False)

    def __enter__(self) -> None:
        if not self._disables:
            self._recording = _grad_mode.mode.recording
        self._outside.append(_grad_mode.mode.inference)
        _grad_mode.mode.inference = self._disables
        super().__enter__()

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        _grad_mode.mode.inference = self._outside.pop()

    def __call__(self, function: _grad_mode.F) -> _grad_mode.F:
        disables = self._disables

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with inference_mode(disables):
                return function(*args, **kwargs)

        return cast("_grad_mode.F", call)


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside ``inference_mode()``."""
    return _grad_mode.mode.inference


class set_grad_enabled(_grad_mode.set_recording):
    """Enable or disable gradients: immediately as a function, or as a context manager or decorator."""

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        self._outside = _grad_mode.is_recording()
        _grad_mode.mode.recording = self._recording

    def __enter__(self) -> None:
        self._before.append(self._outside)
        _grad_mode.mode.recording = self._recording

    def __call__(self, function: _grad_mode.F) -> _grad_mode.F:
        _grad_mode.mode.recording = self._outside
        return super().__call__(function)

"""Anomaly mode: find the operation that made a NaN."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred, tape
from lucid.autograd import graph

_state: dict[str, bool] = {"enabled": False, "check_nan": True}


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return _state["enabled"]


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode checks for NaN."""
    return _state["check_nan"]


class set_detect_anomaly:
    """Turn anomaly mode on or off: immediately as a function, or as a context manager.

    In anomaly mode, every operation notes the line that called it. A backward pass that makes a NaN raises a
    RuntimeError, which names the operation and that line; with ``check_nan``, an operation whose result has a NaN, but
    none of its arguments, warns likewise. Both wait for all values, so it is slow. Compiled functions are not checked.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = dict(_state)
        _set(_checks.flag("set_detect_anomaly", "mode", mode), bool(check_nan))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        _set(self._before["enabled"], self._before["check_nan"])


class detect_anomaly(set_detect_anomaly):
    """Context manager that turns anomaly mode on, see ``set_detect_anomaly``.

    Example:
        >>> x = lucid.tensor(0.0, requires_grad=True)
        >>> with lucid.autograd.detect_anomaly():
        ...     y = (x * 0).sqrt() * 0
        ...     try:
        ...         y.backward()
        ...     except RuntimeError as error:
        ...         print(str(error).partition(",")[0])
        ...
        sqrt: the gradient of input 0 has NaN
    """

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)


def _set(enabled: bool, check_nan: bool) -> None:
    _state["enabled"], _state["check_nan"] = enabled, check_nan
    graph.watch(_Watch(check_nan) if enabled else None)


def _has_nan(array: Any) -> bool:
    if not isinstance(array, mx.array) or not array.size or not mx.issubdtype(array.dtype, mx.inexact):
        return False
    if not _deferred.evaluating():
        return False
    try:
        return bool(_deferred.item(mx.any(mx.isnan(array))))
    except (RuntimeError, ValueError):  # traced
        return False


def _arrays(value: Any) -> list[mx.array]:
    if isinstance(value, mx.array):
        return [value]
    return [one for part in value for one in _arrays(part)] if isinstance(value, list | tuple) else []


def _line() -> str:
    """The file and line outside of Lucid that called."""
    frame = sys._getframe(_checks.level_of_user() - 1)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_name}"


class _Watch:
    """What the tape calls in anomaly mode."""

    def __init__(self, check_nan: bool) -> None:
        self._check_nan = check_nan

    def forward(self, name: str, args: Any, kwargs: dict[str, Any], out: Any, node: tape.Node | None) -> None:
        line = _line()
        if node is not None:
            node.line = line
        if not self._check_nan or not any(map(_has_nan, _arrays(out))):
            return
        if not any(map(_has_nan, [*_arrays(args), *_arrays(list(kwargs.values()))])):
            warnings.warn(
                f"{name}: the result has NaN, but no argument has, called at {line}",
                stacklevel=_checks.level_of_user(),
            )

    def backward(self, node: tape.Node, cotangents: Any, gradients: Any) -> None:
        if not self._check_nan:
            return
        for i, gradient in enumerate(gradients):
            if gradient is not None and _has_nan(gradient._array):
                line = getattr(node, "line", None) or "a line before anomaly mode was on"
                raise RuntimeError(
                    f"{node.name}: the gradient of input {i} has NaN, in the backward pass of the operation called at "
                    f"{line}"
                )

"""Keep every access inside its array: MLX checks no index, and reads or writes foreign memory beyond the end.

Operations pass each index array through ``within``, which checks or clamps it:

* On the CPU outside of compiled functions it reads the values, and raises an ``IndexError`` that names the first one
  out of range.
* On a GPU, where reading would wait, and while a function is traced, when there are no values, it clamps the index.

Reading an index that is data, such as a batch of a loader, takes 3 microseconds for 64 values and 10 for 65,536 (AMD
EPYC, November 2026). An index that an operation computes has to be evaluated first, without the tensor that it indexes.
In a training loop that waits for the step before, because MLX runs both on one stream, and Python cannot build the next
graph meanwhile; ``examples/benchmarks/index_checks.py`` measures it. ``lucid.debug(False)`` does not wait.

Nothing is remembered between calls, because an ``mx.array`` can be modified in place.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import mlx.core as mx
import numpy as np

from lucid import _checks, _deferred

F = TypeVar("F", bound=Callable[..., Any])

_MAX_NUMPY_DIMS = 32 if np.__version__.startswith("1.") else 64


class _Mode(threading.local):
    checks: bool | None = None  # None: on the CPU outside of compiled functions
    labels_known: bool = False  # the caller has checked the class labels, see ``trusting_labels``


mode = _Mode()


class debug:
    """Context manager and decorator that checks all indices, class labels and integer divisors, in this thread. ::

        with lucid.debug():
            loss = step(images, labels)  # an IndexError if a label or an index is out of range

    By default they are checked on the CPU only, outside of compiled functions. Elsewhere an index is clamped to the
    dimension that it indexes, the loss of a label out of range is NaN, an integer divided by 0 is 0, and what
    ``multinomial``, ``bernoulli`` and ``normal`` draw from is not checked. Inside ``debug()`` they are checked on GPUs
    too, which waits for their values, and compiled functions run eagerly, so that the traceback leads to the line.
    ``mx.compile``, ``mx.vmap`` and ``lucid.export`` have no values to check; an index
    inside of them raises an error.

    ``debug(False)`` clamps everywhere and never waits for the values of an index.
    """

    def __init__(self, enabled: bool = True) -> None:
        self._checks = bool(enabled)
        self._before: list[bool | None] = []

    def __enter__(self) -> None:
        self._before.append(mode.checks)
        mode.checks = self._checks

    def __exit__(self, *exc: object) -> None:
        mode.checks = self._before.pop()

    def __call__(self, function: F) -> F:
        enabled = self._checks

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with debug(enabled):
                return function(*args, **kwargs)

        return cast(F, call)


@contextmanager
def trusting_labels() -> Iterator[None]:
    """Inside, class labels are not read: the caller has checked them all. ``debug()`` takes precedence."""
    before = mode.labels_known
    mode.labels_known = True
    try:
        yield
    finally:
        mode.labels_known = before


def as_numpy(caller: str, array: mx.array) -> np.ndarray:
    """The values of ``array`` as a view, or as float32 for bfloat16. Waits for them.

    Raises:
        ValueError: NumPy does not support so many dimensions; MLX would end the process.
    """
    if array.ndim > _MAX_NUMPY_DIMS:
        raise _checks.ArgumentError(f"{caller}: NumPy supports at most {_MAX_NUMPY_DIMS} dimensions, got {array.ndim}")
    return _deferred.to_numpy(array)


def within(
    caller: str, index: mx.array, dim: int, shape: tuple[int, ...], *, is_host: bool = False, lowest: int | None = None
) -> mx.array:
    """``index`` if it is in range for dimension ``dim`` of ``shape``, or clamped where its values are not read.

    Negative values count from the end, unless ``lowest`` is 0. ``is_host`` says that the index comes from Python or
    NumPy and can be read without waiting.

    Raises:
        IndexError: a value is out of range, or the dimension is empty.
        RuntimeError: there are no values to check, inside ``debug()``.
    """
    if index.size == 0:
        return index
    size = shape[dim]
    if size == 0:
        raise _checks.BoundsError(f"{caller}: cannot index dim {dim} of shape {shape}, which is empty")
    values = _values(caller, index, "index") if is_host or is_checking() else None
    if values is None:
        index = _clamped(index, -size if lowest is None else lowest, size - 1)
    else:
        check_values(caller, values, dim, shape, lowest)
    # MLX promotes uint64 and int32, as in an index of two arrays, to float32.
    return index.astype(mx.int64) if index.dtype == mx.uint64 else index


def between(caller: str, name: str, array: mx.array, low: int, high: int, *, is_host: bool = False) -> mx.array:
    """``array`` if all its integers are in [low, high], or clamped where its values are not read.

    Raises:
        ValueError: a value is out of range.
        RuntimeError: there are no values to check, inside ``debug()``.
    """
    values = _values(caller, array, name) if is_host or is_checking() else None
    if values is None:
        return _clamped(array, low, high)
    wrong = values[(values < low) | (values > high)]
    if wrong.size:
        raise _checks.ArgumentError(f"{caller}: {name} must be at least {low} and at most {high}, got {wrong.flat[0]}")
    return array


def check_values(caller: str, values: np.ndarray, dim: int, shape: tuple[int, ...], lowest: int | None = None) -> None:
    """Raise an ``IndexError`` for the first value that is out of range for dimension ``dim`` of ``shape``."""
    size = shape[dim]
    low = -size if lowest is None else lowest
    if values.size == 0 or (int(values.min()) >= low and int(values.max()) < size):
        return
    first = values[(values < low) | (values >= size)].flat[0]
    raise _checks.BoundsError(f"{caller}: index {first} is out of range for dim {dim} with size {size}, shape {shape}")


def check_classes(
    caller: str, target: mx.array, num_classes: int, ignore_index: int | None = None, name: str = "target", *,
    is_host: bool = False,
) -> None:  # fmt: skip
    """``check_labels`` where values are read; elsewhere the caller masks labels that are out of range."""
    if target.size and (is_host or (is_checking() and (mode.checks or not mode.labels_known))):
        values = _values(caller, target, name)
        if values is not None:
            check_labels(caller, values, num_classes, ignore_index, name)


def check_labels(
    caller: str, labels: np.ndarray, num_classes: int, ignore_index: int | None = None, name: str = "target"
) -> None:
    """Raise an ``IndexError`` for the first label outside [0, ``num_classes``) that is not ``ignore_index``."""
    if labels.size == 0 or (int(labels.min()) >= 0 and int(labels.max()) < num_classes):
        return
    wrong = (labels < 0) | (labels >= num_classes)
    if ignore_index is not None:
        wrong &= labels != ignore_index
    if not wrong.any():
        return
    first = labels[wrong].flat[0]
    kept = labels if ignore_index is None else labels[labels != ignore_index]
    hint = ""
    if int(kept.min()) >= 1 and int(kept.max()) == num_classes:
        hint = "; if the labels start at 1, subtract 1"
    elif ignore_index is not None and first < 0:
        hint = f"; to ignore such targets, pass ignore_index={first}"
    raise _checks.BoundsError(
        f"{caller}: {name} {first} is out of range for {num_classes} classes, which are numbered from 0 to "
        f"{num_classes - 1}{hint}"
    )


def check_divisor(caller: str, divisor: mx.array, *, is_host: bool = False) -> None:
    """Raise for a 0 among integers to divide by, where values are read."""
    if divisor.size and (is_host or is_checking()):
        values = _values(caller, divisor, "other")
        if values is not None and not values.all():
            raise _checks.DivisionError(f"{caller}: integers cannot be divided by 0; convert with .float() first")


def first_value(caller: str, array: mx.array, is_wrong: Callable[[np.ndarray], np.ndarray]) -> Any:
    """The first value that is wrong, or ``None``: also where the values are not read."""
    values = _values(caller, array, "input") if array.size and is_checking() else None
    if values is None:
        return None
    wrong = values[np.broadcast_to(is_wrong(values), values.shape)]
    return wrong.flat[0] if wrong.size else None


def is_checking() -> bool:
    """Whether the values of indices are read."""
    if mode.checks is not None:
        return mode.checks
    return _deferred.evaluating() and mx.default_device().type == mx.cpu


def _values(caller: str, array: mx.array, name: str) -> np.ndarray | None:
    """The values, or None if a function is being traced.

    Raises:
        RuntimeError: ``debug()`` is active and a function is being traced.
    """
    try:
        return as_numpy(caller, array if array.ndim <= _MAX_NUMPY_DIMS else array.reshape(-1))
    except (ValueError, RuntimeError) as error:
        # MLX has no way to ask whether an array is traced, other than to evaluate it.
        if not any(text in str(error) for text in ("during function transformations", "without a primitive")):
            raise
    if mode.checks:
        raise RuntimeError(
            f"{caller}: {name} has no value to check while a function is traced; enter lucid.debug() around the call "
            "of the compiled function, not inside of it"
        )
    return None


def _clamped(index: mx.array, low: int, high: int) -> mx.array:
    limits = mx.iinfo(index.dtype)
    if limits.max > high:
        index = mx.minimum(index, high)
    return mx.maximum(index, low) if limits.min < low else index

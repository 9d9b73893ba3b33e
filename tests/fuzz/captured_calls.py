"""Correct calls of every operation, taken from the cases that PyTorch and Lucid are compared with."""

import functools
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np

import lucid
from lucid import tape
from tests import reference

Call = tuple[tuple[Any, ...], dict[str, Any]]
_MOST_ELEMENTS = 2000
_MOST_CALLS = 10


@functools.cache
def captured() -> dict[Callable[..., Any], list[Call]]:
    """Up to ten calls of different structure for every body of an operation."""
    found: dict[Callable[..., Any], dict[str, Call]] = {}
    original = tape.apply

    def recorder(body: Any, args: Any, kwargs: Any, *rest: Any, **more: Any) -> Any:
        calls = found.setdefault(body, {})
        key = _structure(args) + _structure(kwargs)
        if len(calls) < _MOST_CALLS and key not in calls and _size((args, kwargs)) <= _MOST_ELEMENTS:
            calls[key] = _copied(args), _copied(kwargs)
        return original(body, args, kwargs, *rest, **more)

    tape.apply = recorder  # type: ignore[assignment]
    try:
        for module in pkgutil.iter_modules(reference.__path__):
            # What runs inside of mx.vmap has no values.
            if module.name.startswith("cases_") and module.name != "cases_func":
                cases = importlib.import_module(f"{reference.__name__}.{module.name}").CASES
                for case in cases:
                    _run(case)
    finally:
        tape.apply = original
    return {body: list(calls.values()) for body, calls in found.items()}


def _run(case: Any) -> None:
    arrays = [one.values(case.rng()) for one in case.inputs]
    if sum(array.size for array in arrays) <= _MOST_ELEMENTS:
        case.run(lucid, *(lucid.tensor(a, dtype=i.dtype) for a, i in zip(arrays, case.inputs, strict=True)))


def _structure(value: Any) -> str:
    """What a call looks like: shapes do not matter, but for the number of dimensions."""
    if isinstance(value, lucid.Tensor):
        return f"tensor{value.ndim}"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_structure, value))})"
    if isinstance(value, dict):
        return f"({', '.join(f'{key}={_structure(one)}' for key, one in value.items())})"
    return type(value).__name__


def _size(value: Any) -> int:
    if isinstance(value, lucid.Tensor):
        return value.numel()
    if isinstance(value, dict):
        return _size(tuple(value.values()))
    return sum(map(_size, value)) if isinstance(value, tuple | list) else 1


def _copied(value: Any) -> Any:
    """``value`` with arrays of NumPy in place of tensors, so that nothing that a call does changes the seed."""
    if isinstance(value, lucid.Tensor):
        return Given(value)
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    return type(value)(map(_copied, value)) if type(value) in (tuple, list) else value


class Given:
    """A tensor of a seed. Every call gets a new one with the same values."""

    def __init__(self, tensor: lucid.Tensor) -> None:
        self._array = tensor.mlx
        self.shape, self.dtype = tensor.shape, tensor.dtype

    def make(self) -> lucid.Tensor:
        return tape.wrap(self._array)

    def __repr__(self) -> str:
        return f"<{str(self.dtype).removeprefix('mlx.core.')} {self.shape}>"


def tensor(*shape: int, dtype: str = "float32", low: int = 0, high: int = 3) -> Given:
    """Small whole numbers from ``low`` to ``high``, which serve as indices and labels too."""
    count = int(np.prod(shape))
    values = (np.arange(count) % max(high - low, 1) + low).reshape(shape)
    return Given(lucid.tensor(values, dtype=dtype))


def made(value: Any) -> Any:
    """``value`` with new tensors in place of descriptions."""
    if isinstance(value, Given):
        return value.make()
    if isinstance(value, dict):
        return {key: made(one) for key, one in value.items()}
    return type(value)(map(made, value)) if type(value) in (list, tuple) else value

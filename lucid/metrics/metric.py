"""The base class of metrics: named sums, and a value computed from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import mlx.core as mx

from lucid import _deferred, _threads, tape
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array

Sums = dict[str, mx.array]
Self = TypeVar("Self", bound="Metric")


class Metric:
    """``update(...)`` adds a batch, ``compute()`` returns the value over all batches, ``reset()`` starts over.

    Nothing waits: ``compute()`` returns a lazy tensor. Calling the metric updates it and returns the value of that
    batch.

    A subclass passes the shape and dtype of each sum to ``__init__`` and defines two pure functions on arrays:
    ``_batch_sums``, the sums of a batch, and ``_compute``, the value from sums.

    Example:
        >>> accuracy = metrics.Accuracy()
        >>> isinstance(accuracy, metrics.Metric)
        True
        >>> accuracy.reset()
    """

    def __init__(self, state_spec: dict[str, tuple[tuple[int, ...], mx.Dtype]]) -> None:
        self._state_spec = state_spec
        self._sums = {name: tape.wrap(zeros) for name, zeros in self._zeros().items()}

    def _zeros(self) -> Sums:
        _threads.prepare()
        # Created on each call: a trace must not use arrays from outside.
        return {name: mx.zeros(shape, dtype) for name, (shape, dtype) in self._state_spec.items()}

    def _batch_sums(self, *args: Any, **kwargs: Any) -> Sums:
        raise NotImplementedError(f"{type(self).__name__}: define _batch_sums()")

    def _compute(self, sums: Sums) -> mx.array:
        raise NotImplementedError(f"{type(self).__name__}: define _compute()")

    def _batch(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sums:
        return self._batch_sums(*map(tape.unwrap, args), **{key: tape.unwrap(value) for key, value in kwargs.items()})

    def _add(self, sums: Sums, more: Sums) -> Sums:
        return {name: sums[name] + more[name].astype(sums[name].dtype) for name in sums}

    def _set(self, sums: Sums) -> None:
        for name, tensor in self._sums.items():
            tensor._rebind(sums[name])
            _deferred.track(tensor)

    def _arrays(self) -> Sums:
        return {name: _threads.value_of(tensor) for name, tensor in self._sums.items()}

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch."""
        _threads.prepare()
        self._set(self._add(self._arrays(), self._batch(args, kwargs)))

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Add a batch and return its value."""
        batch = self._batch(args, kwargs)
        self._set(self._add(self._arrays(), batch))
        return tape.wrap(self._compute(self._add(self._zeros(), batch)))

    def compute(self) -> Tensor:
        """The value over all batches since creation or the last ``reset()``."""
        return tape.wrap(self._compute(self._arrays()))

    def reset(self) -> None:
        """Set all sums to zero."""
        self._set(self._zeros())

    def merge(self: Self, other: Self) -> None:
        """Add the sums of another metric with the same options, e.g. from another process.

        Raises:
            TypeError: ``other`` is a metric of a different class.
            ValueError: its sums have different shapes.
        """
        if type(other) is not type(self):
            raise TypeError(
                f"{type(self).__name__}.merge: expected a metric of the same class, got {type(other).__name__}"
            )
        self._set(self._add(self._arrays(), self._check_shapes("merge", other._arrays())))

    # State ----------------------------------------------------------------------------------------------------------

    def state_tensors(self) -> list[Tensor]:
        """The tensors of the sums, for compiled steps and for adding up processes."""
        return list(self._sums.values())

    def state_dict(self) -> dict[str, Tensor]:
        """A snapshot of the sums by name."""
        return {name: tape.wrap(_threads.value_of(tensor)) for name, tensor in self._sums.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a ``state_dict()``.

        Raises:
            ValueError: names or shapes do not match. Nothing is changed.
        """
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(self._sums):
            got = ", ".join(map(str, state_dict)) if isinstance(state_dict, Mapping) else type(state_dict).__name__
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: the state must have {', '.join(self._sums)}; got {got}"
            )
        self._set(self._check_shapes("load_state_dict", {name: as_array(value) for name, value in state_dict.items()}))

    def _check_shapes(self, what: str, given: Sums) -> Sums:
        for name, array in given.items():
            shape = self._state_spec[name][0]
            if array.shape != shape:
                raise ValueError(f"{type(self).__name__}.{what}: {name} must have shape {shape}, got {array.shape}")
        return {name: array.astype(self._state_spec[name][1]) for name, array in given.items()}

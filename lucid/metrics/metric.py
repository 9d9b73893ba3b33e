"""The base of all metrics: named sums, and a value that is computed from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import mlx.core as mx

from lucid import _deferred, tape
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array

Sums = dict[str, mx.array]
Self = TypeVar("Self", bound="Metric")


class Metric:
    """``update(...)`` adds a batch, ``compute()`` gives the value over all of them, ``reset()`` starts again.

    Nothing waits: ``compute()`` is a tensor, and reading it (``item()``) is what takes time. Calling the metric updates
    it and gives the value of this batch alone.

    A subclass hands the shape and dtype of each sum to ``__init__`` and defines two pure functions of arrays:
    ``_of_batch``, the sums of a batch, and ``_value``, the metric from sums.
    """

    def __init__(self, forms: dict[str, tuple[tuple[int, ...], mx.Dtype]]) -> None:
        self._forms = forms
        self._sums = {name: tape.wrap(zeros) for name, zeros in self._zeros().items()}

    def _zeros(self) -> Sums:
        # Made anew each time: a trace must not take arrays from outside.
        return {name: mx.zeros(shape, dtype) for name, (shape, dtype) in self._forms.items()}

    def _of_batch(self, *args: Any, **kwargs: Any) -> Sums:
        raise NotImplementedError(f"{type(self).__name__}: define _of_batch()")

    def _value(self, sums: Sums) -> mx.array:
        raise NotImplementedError(f"{type(self).__name__}: define _value()")

    def _batch(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sums:
        return self._of_batch(*map(tape.unwrap, args), **{key: tape.unwrap(value) for key, value in kwargs.items()})

    def _plus(self, sums: Sums, more: Sums) -> Sums:
        return {name: sums[name] + more[name].astype(sums[name].dtype) for name in sums}

    def _set(self, sums: Sums) -> None:
        for name, tensor in self._sums.items():
            tensor._rebind(sums[name])
            _deferred.track(tensor)

    def _arrays(self) -> Sums:
        return {name: tensor._array for name, tensor in self._sums.items()}

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch."""
        self._set(self._plus(self._arrays(), self._batch(args, kwargs)))

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Add a batch, and give the value of this batch alone."""
        batch = self._batch(args, kwargs)
        self._set(self._plus(self._arrays(), batch))
        return tape.wrap(self._value(self._plus(self._zeros(), batch)))

    def compute(self) -> Tensor:
        """The value over everything since the start or the last ``reset()``."""
        return tape.wrap(self._value(self._arrays()))

    def reset(self) -> None:
        """Start again from nothing."""
        self._set(self._zeros())

    def merge(self: Self, other: Self) -> None:
        """Add what another metric with the same options has counted, in another process for instance.

        Raises:
            TypeError: it is a metric of another kind.
            ValueError: its sums have other shapes.
        """
        if type(other) is not type(self):
            raise TypeError(f"{type(self).__name__}.merge: wanted the same kind, got {type(other).__name__}")
        self._set(self._plus(self._arrays(), self._fitting("merge", other._arrays())))

    # State -----------------------------------------------------------------------------------------------------------

    def state_tensors(self) -> list[Tensor]:
        """The sums, always the same tensors: what a compiled step carries, and what processes add up."""
        return list(self._sums.values())

    def state_dict(self) -> dict[str, Tensor]:
        """The sums by name; later updates do not change them."""
        return {name: tape.wrap(tensor._array) for name, tensor in self._sums.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from the sums that ``state_dict()`` gave.

        Raises:
            ValueError: other names or shapes. Nothing has changed then.
        """
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(self._sums):
            got = ", ".join(map(str, state_dict)) if isinstance(state_dict, Mapping) else type(state_dict).__name__
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: the state must have {', '.join(self._sums)}; got {got}"
            )
        self._set(self._fitting("load_state_dict", {name: as_array(value) for name, value in state_dict.items()}))

    def _fitting(self, what: str, given: Sums) -> Sums:
        for name, array in given.items():
            shape = self._forms[name][0]
            if array.shape != shape:
                raise ValueError(f"{type(self).__name__}.{what}: {name} must have shape {shape}, got {array.shape}")
        return {name: array.astype(self._forms[name][1]) for name, array in given.items()}

"""``EMA``: the exponential moving average of a model's weights, which often classifies better than the last weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred, tape
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.optim.optimizer import working_dtype


class EMA:
    """Averages of parameters, moved a little towards them after each step::

        ema = lucid.optim.EMA(model, decay=0.9999)

        @lucid.compile(state=[model, optimizer, ema])
        def step(images, labels):
            ...
            optimizer.step()
            ema.update()

        with ema.applied():  # the model computes with the averages
            evaluate(model)
        lucid.save(ema.averages(), "model.safetensors")  # under the names of the model

    ``update()`` computes ``average = decay * average + (1 - decay) * parameter``. An average over 1 / (1 - decay)
    steps is mostly the first random weights in a run that is not much longer: ``warmup=True`` makes the decay of update
    number n ``min(decay, (1 + n) / (10 + n))``, as in TensorFlow and torch_ema. Buffers (running statistics) are
    copied.

    ``params``: a module (its ``state_dict``), a dictionary of names to tensors, (name, tensor) pairs, or tensors alone,
    which are called "0", "1", ... What does not require gradients when ``update()`` is called is copied. Averages of
    half-precision parameters are float32: in bfloat16 the small steps would round to none.

    Raises:
        TypeError: ``params`` holds something else.
        ValueError: there are none, none requires gradients, a name comes twice, or ``decay`` is outside [0, 1].
    """

    def __init__(self, params: Any, decay: float = 0.9999, *, warmup: bool = False) -> None:
        self.decay = _checks.probability("EMA", "decay", decay)
        self.warmup = bool(warmup)
        self._sources = _named(params)
        # Tied parameters have several names and one average.
        shared: dict[int, Tensor] = {}
        for source in self._sources.values():
            if id(source) not in shared:
                shared[id(source)] = tape.wrap(source._array.astype(working_dtype(source.dtype)))
        self._averages = {name: shared[id(source)] for name, source in self._sources.items()}
        self._pairs = list({id(one): (one, shared[id(one)]) for one in self._sources.values()}.values())
        self._updates = tape.wrap(mx.array(0, mx.int32))
        self._kept: list[mx.array] | None = None  # the model's own values, while the averages are applied

    @property
    def num_updates(self) -> int:
        """How often ``update()`` was called (waits for the value)."""
        return int(self._updates.item())

    def update(self) -> None:
        """Move the averages towards the parameters, after ``optimizer.step()``. Nothing waits.

        Raises:
            RuntimeError: the averages are applied: they would be averaged with themselves.
        """
        self._check_not_applied("update")
        self._updates._rebind(self._updates._array + 1)
        # 1 - decay, and not the decay, of which float32 would leave 3 digits: 1 - (1 + n) / (10 + n) is 9 / (10 + n).
        weight = mx.array(1.0 - self.decay, mx.float32)
        if self.warmup:
            weight = mx.maximum(weight, 9.0 / (10.0 + self._updates._array.astype(mx.float32)))
        for source, average in self._pairs:
            value, old = source._array.astype(average.dtype), average._array
            average._rebind(old + weight.astype(old.dtype) * (value - old) if source.requires_grad else value)
        _deferred.evaluate([self._updates._array, *(average._array for _, average in self._pairs)])

    def _check_not_applied(self, what: str) -> None:
        if self._kept is not None:
            raise RuntimeError(f"EMA.{what}: the averages are applied to the model now; call it after the with block")

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the parameters and buffers have the averages; afterwards, what they had before, bit for bit.

        Raises:
            RuntimeError: they are applied already.
        """
        if self._kept is not None:
            raise RuntimeError("EMA.applied: the averages are applied already")
        self._kept = [source._array for source, _ in self._pairs]
        try:
            self.copy_to()
            yield
        finally:
            for (source, _), array in zip(self._pairs, self._kept, strict=True):
                source._rebind(array)
            self._kept = None

    def copy_to(self) -> None:
        """Give the averages to the parameters and buffers for good."""
        for source, average in self._pairs:
            source._rebind(average._array.astype(source.dtype))

    def averages(self) -> dict[str, Tensor]:
        """The averages and copies by name, in the dtypes of the parameters: what ``model.load_state_dict`` takes.

        Later updates do not change them.
        """
        return {
            name: tape.wrap(self._averages[name]._array.astype(source.dtype)) for name, source in self._sources.items()
        }

    # State -----------------------------------------------------------------------------------------------------------

    def state_tensors(self) -> list[Tensor]:
        """Every tensor that ``update()`` reads or rebinds, always the same: what a compiled step has to know of."""
        return [self._updates, *(tensor for pair in self._pairs for tensor in pair)]

    def state_dict(self) -> dict[str, Any]:
        """``{"decay": ..., "warmup": ..., "num_updates": ..., "averages": {name: tensor}}``, a snapshot.

        Raises:
            RuntimeError: the averages are applied: a model saved beside them would not have its own weights.
        """
        self._check_not_applied("state_dict")
        return {
            "decay": self.decay,
            "warmup": self.warmup,
            "num_updates": tape.wrap(self._updates._array),
            "averages": {name: tape.wrap(one._array) for name, one in self._averages.items()},
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where ``state_dict()`` was taken, with its decay and warm-up.

        Raises:
            ValueError: something is missing, unknown, out of range or of another shape. Nothing has changed then.
            RuntimeError: the averages are applied.
        """
        where = "EMA.load_state_dict"
        self._check_not_applied("load_state_dict")
        wanted = ("decay", "warmup", "num_updates", "averages")
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(wanted):
            got = ", ".join(map(str, state_dict)) if isinstance(state_dict, Mapping) else type(state_dict).__name__
            raise ValueError(f"{where}: the state must have {', '.join(wanted)}; got {got}")
        given = state_dict["averages"]
        faults = [f"missing: {name}" for name in self._averages if name not in given]
        faults += [f"unexpected: {name}" for name in given if name not in self._averages]
        arrays = {name: as_array(value) for name, value in given.items()}
        faults += [
            f"wrong shape: {name} has {arrays[name].shape}, wanted {average.shape}"
            for name, average in self._averages.items()
            if name in arrays and arrays[name].shape != average.shape
        ]
        if faults:
            raise ValueError(f"{where}: the averages do not fit, nothing was loaded:\n  " + "\n  ".join(faults))
        decay = _checks.probability(where, "decay", state_dict["decay"])
        updates = as_array(state_dict["num_updates"])
        count = _checks.integer(where, "num_updates", updates.item() if updates.size == 1 else updates.tolist(), 0)
        self.decay, self.warmup = decay, bool(state_dict["warmup"])
        self._updates._rebind(mx.array(count, mx.int32))
        for name, average in self._averages.items():
            average._rebind(arrays[name].astype(average.dtype))

    def __repr__(self) -> str:
        return f"EMA(decay={self.decay:g}, warmup={self.warmup}, {len(self._pairs)} tensors)"


def _named(params: Any) -> dict[str, Tensor]:
    """The tensors of ``params`` by name."""
    if callable(getattr(params, "named_parameters", None)):
        params = params.state_dict(keep_vars=True)
    if isinstance(params, Tensor | set | frozenset | str) or not isinstance(params, Iterable):
        raise TypeError(
            f"EMA: params must be a module, tensors by name or an iterable of tensors, got {type(params).__name__}"
        )
    found: dict[str, Tensor] = {}
    for number, item in enumerate(params.items() if isinstance(params, Mapping) else params):
        name, tensor = item if isinstance(item, tuple) and len(item) == 2 else (str(number), item)
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise TypeError(f"EMA: wanted tensors or (name, tensor) pairs, got {item!r:.60} at {number}")
        if tensor._node is not None:
            raise ValueError(f"EMA: {name!r} was computed from other tensors; only leaves can be averaged")
        if name in found:
            raise ValueError(f"EMA: the name {name!r} comes twice")
        found[name] = tensor
    if not any(tensor.requires_grad for tensor in found.values()):
        raise ValueError(
            f"EMA: none of {len(found)} tensors requires gradients, there is nothing to average; "
            "hand over the model itself: its state_dict() is a copy"
        )
    return found

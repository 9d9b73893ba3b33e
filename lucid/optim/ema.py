"""``EMA``: an exponential moving average of a model's weights, often more accurate than the final weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred, _threads, tape
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.optim.optimizer import working_dtype


class EMA:
    """Exponential moving averages of parameters, updated after each step::

        ema = lucid.optim.EMA(model, decay=0.9999)

        @lucid.compile(state=[model, optimizer, ema])
        def step(images, labels):
            ...
            optimizer.step()
            ema.update()

        with ema.applied():  # the model uses the averages
            evaluate(model)
        lucid.save(ema.averages(), "model.safetensors")  # under the names of the model

    ``update()`` computes ``average = decay * average + (1 - decay) * parameter``. Buffers and frozen parameters (those
    that do not require gradients at the update) are copied. Averages of half-precision parameters are float32, since in
    bfloat16 the small updates would round to zero.

    Args:
        params: A module, a dictionary of tensors by name, (name, tensor) pairs, or tensors, which are named "0", "1"...
        decay: The weight of the previous average. The average covers about the last 1 / (1 - decay) steps.
        warmup: Use ``min(decay, (1 + n) / (10 + n))`` at update n, as in TensorFlow and torch_ema, so that in short
            runs the initial weights do not dominate.

    Raises:
        TypeError: ``params`` contains anything else.
        ValueError: ``params`` is empty, no tensor requires gradients, a name is not unique, or ``decay`` is outside
            [0, 1].

    Example:
        >>> model = nn.Linear(4, 1)
        >>> ema = optim.EMA(model, decay=0.99)
        >>> ema.update()  # after each step of the optimizer
        >>> with ema.applied():
        ...     prediction = model(lucid.ones(2, 4))
        ...
    """

    def __init__(self, params: Any, decay: float = 0.9999, *, warmup: bool = False) -> None:
        self.decay = _checks.probability("EMA", "decay", decay)
        self.warmup = bool(warmup)
        self._sources = _named_tensors(params)
        # Tied parameters have several names but one average.
        shared: dict[int, Tensor] = {}
        for source in self._sources.values():
            if id(source) not in shared:
                shared[id(source)] = tape.wrap(_threads.value_of(source).astype(working_dtype(source.dtype)))
        self._averages = {name: shared[id(source)] for name, source in self._sources.items()}
        self._pairs = list({id(one): (one, shared[id(one)]) for one in self._sources.values()}.values())
        self._updates = tape.wrap(mx.array(0, mx.int32))
        self._backup: list[mx.array] | None = None  # the model's own values, while the averages are applied

    @property
    def num_updates(self) -> int:
        """The number of ``update()`` calls (waits for the value)."""
        return int(self._updates.item())

    @_threads.between_traces
    def update(self) -> None:
        """Update the averages; call it after ``optimizer.step()``. Does not wait for values.

        Raises:
            RuntimeError: the averages are applied, so they would be averaged with themselves.
        """
        _threads.prepare()
        self._check_not_applied("update")
        self._updates._rebind(self._updates._array + 1)
        # 1 - decay in float64, as float32 would keep only 3 digits of it. 1 - (1 + n) / (10 + n) is 9 / (10 + n).
        weight = mx.array(1.0 - self.decay, mx.float32)
        if self.warmup:
            weight = mx.maximum(weight, 9.0 / (10.0 + self._updates._array.astype(mx.float32)))
        for source, average in self._pairs:
            value, old = source._array.astype(average.dtype), average._array
            average._rebind(old + weight.astype(old.dtype) * (value - old) if source.requires_grad else value)
        _deferred.evaluate([self._updates._array, *(average._array for _, average in self._pairs)])

    def _check_not_applied(self, what: str) -> None:
        if self._backup is not None:
            raise RuntimeError(
                f"EMA.{what}: the averages are currently applied to the model; call it after the with block"
            )

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averages inside the block; its own values are restored afterwards, bit for bit.

        Raises:
            RuntimeError: the averages are already applied.
        """
        if self._backup is not None:
            raise RuntimeError("EMA.applied: the averages are already applied")
        self._backup = [_threads.value_of(source) for source, _ in self._pairs]
        try:
            self.copy_to()
            yield
        finally:
            for (source, _), array in zip(self._pairs, self._backup, strict=True):
                source._rebind(array)
            self._backup = None

    @_threads.between_traces
    def copy_to(self) -> None:
        """Copy the averages to the parameters and buffers permanently."""
        for source, average in self._pairs:
            source._rebind(average._array.astype(source.dtype))

    @_threads.between_traces
    def averages(self) -> dict[str, Tensor]:
        """A snapshot of the averages by name, in the dtypes of the parameters, for ``model.load_state_dict``."""
        return {
            name: tape.wrap(self._averages[name]._array.astype(source.dtype)) for name, source in self._sources.items()
        }

    # State ----------------------------------------------------------------------------------------------------------

    def state_tensors(self) -> list[Tensor]:
        """All tensors that ``update()`` reads or rebinds, for compiled training steps."""
        return [self._updates, *(tensor for pair in self._pairs for tensor in pair)]

    @_threads.between_traces
    def state_dict(self) -> dict[str, Any]:
        """``{"decay": ..., "warmup": ..., "num_updates": ..., "averages": {name: tensor}}``, a snapshot.

        Raises:
            RuntimeError: the averages are applied, so a model saved with them would not have its own weights.
        """
        self._check_not_applied("state_dict")
        return {
            "decay": self.decay,
            "warmup": self.warmup,
            "num_updates": tape.wrap(self._updates._array),
            "averages": {name: tape.wrap(one._array) for name, one in self._averages.items()},
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a ``state_dict()``, including its decay and warm-up.

        Raises:
            ValueError: an entry is missing, unknown, out of range or has the wrong shape. Nothing is changed.
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
            f"wrong shape: {name} has {arrays[name].shape}, expected {average.shape}"
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


def _named_tensors(params: Any) -> dict[str, Tensor]:
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
            raise TypeError(f"EMA: expected tensors or (name, tensor) pairs, got {item!r:.60} at index {number}")
        if tensor._node is not None:
            raise ValueError(f"EMA: {name!r} is not a leaf; only leaf tensors can be averaged")
        if name in found:
            raise ValueError(f"EMA: the name {name!r} is not unique")
        found[name] = tensor
    if not any(tensor.requires_grad for tensor in found.values()):
        raise ValueError(
            f"EMA: none of {len(found)} tensors requires gradients, so there is nothing to average; "
            "pass the model itself, as its state_dict() is a copy"
        )
    return found

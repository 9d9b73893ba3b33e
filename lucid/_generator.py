"""Streams of random keys: the one of each thread, and ``Generator`` for streams of one's own.

The state of a stream is an MLX key that is split at every draw.

Every thread has a stream of its own. The n-th thread besides the main one to use it since ``manual_seed`` was called in
the main thread starts with a seed derived from that seed and n.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from lucid import _checks, _deferred, _device, _threads, tape
from lucid._tensor_convert import as_array
from lucid._threads import ThreadState, per_thread

if TYPE_CHECKING:
    from lucid._tensor import Tensor

_DEFAULT_SEED = 67280421310721  # PyTorch's


class _Seeds:
    """The seeds of the threads that use their random state for the first time."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._numbers = itertools.count(1)

    def next(self) -> int:
        if threading.current_thread() is threading.main_thread():
            return self._seed
        sequence = np.random.SeedSequence(self._seed % 2**64, spawn_key=(next(self._numbers),))
        return int(sequence.generate_state(1, np.uint64)[0])


class _State(ThreadState):
    """The key of the next draw, in ``_array`` so that an optimizer step can evaluate it like a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = _seeds.next()
        self._array: mx.array | None = None  # created at the first draw


class _Stream:
    """What ``_State`` is, of a generator."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._array: mx.array | None = None


_seeds = _Seeds(time.time_ns() & 0xFFFFFFFF)
_state = per_thread(_State)


def _checked_seed(caller: str, seed: Any) -> int:
    if not isinstance(seed, int | float | np.integer | np.floating) or isinstance(seed, bool):
        raise TypeError(f"{caller}: seed must be an integer, got {type(seed).__name__}")
    if isinstance(seed, float) and not np.isfinite(seed):
        raise ValueError(f"{caller}: seed must be finite, got {seed}")
    seed = int(seed)
    if not -(2**63) <= seed < 2**64:
        raise ValueError(f"{caller}: seed must be in [-2**63, 2**64), got {seed}")
    return seed


class Generator:
    """A stream of random numbers, for the ``generator=`` argument of functions that draw them.

    Its numbers depend on nothing but its seed and on how often it was used. Compiled functions cannot draw from it.

    Args:
        device: Has to be available, and has no other effect.

    Example:
        >>> generator = lucid.Generator().manual_seed(0)
        >>> first = lucid.rand(3, generator=generator)
        >>> lucid.equal(first, lucid.rand(3, generator=generator.manual_seed(0)))
        True
    """

    def __init__(self, device: Any = "cpu") -> None:
        self._device = _device.resolve("Generator", device)
        self._stream: Any = _Stream(_DEFAULT_SEED)

    @property
    def device(self) -> Any:
        """The device that it was made for."""
        return self._device

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of ``seed``, and return the generator.

        Raises:
            TypeError: ``seed`` is not an integer.
            ValueError: ``seed`` is outside [-2**63, 2**64).
        """
        self._stream.seed = _checked_seed("Generator.manual_seed", seed)
        self._stream._array = None
        return self

    def seed(self) -> int:
        """Start the stream of a random seed, and return the seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self.initial_seed()

    def initial_seed(self) -> int:
        """The seed that the stream started with, modulo 2**64."""
        return int(self._stream.seed % 2**64)

    def get_state(self) -> Tensor:
        """The state of the stream, a uint32 tensor with 2 elements."""
        return tape.wrap(_current(self._stream))

    def set_state(self, new_state: Any) -> Generator:
        """Continue from a state that ``get_state`` returned."""
        self._stream._array = _checked_state("Generator.set_state", new_state)
        return self

    def clone_state(self) -> Generator:
        """A generator that continues from the same state."""
        new = Generator(self._device)
        new._stream = _Stream(self._stream.seed)
        return new.set_state(self.get_state())

    def __repr__(self) -> str:
        return f"<lucid.Generator seed={self.initial_seed()}>"


class _DefaultGenerator(Generator):
    """The stream of the current thread."""

    def __init__(self) -> None:
        self._stream = _state

    @property
    def device(self) -> Any:
        return _device.get_default_device()

    def manual_seed(self, seed: int) -> Generator:
        return manual_seed(seed)


default_generator = _DefaultGenerator()


def manual_seed(seed: int) -> Generator:
    """Seed the random numbers of this thread, and return ``default_generator``.

    Equal seeds give equal numbers on the same backend. In the main thread, the seed also determines the numbers of the
    threads that draw their first ones afterwards, in the order in which they do. Threads that have drawn before are not
    affected.

    Raises:
        TypeError: ``seed`` is not an integer.
        ValueError: ``seed`` is outside [-2**63, 2**64).

    Example:
        >>> generator = lucid.manual_seed(0)
        >>> first = lucid.rand(3)
        >>> generator = lucid.manual_seed(0)
        >>> lucid.equal(first, lucid.rand(3))
        True
    """
    global _seeds
    seed = _checked_seed("manual_seed", seed)
    if threading.current_thread() is threading.main_thread():
        _seeds = _Seeds(seed)
    _state.seed = seed
    _state._array = mx.random.key(seed % 2**64)
    return default_generator


def key(generator: Any = None, caller: str = "key") -> mx.array:
    """A new key of ``generator``, by default of this thread, which advances the state. No two calls return the same.

    Raises:
        TypeError: ``generator`` is not a ``Generator``.
        RuntimeError: a function that draws from a generator is being traced.
    """
    if generator is None or generator is default_generator:
        stream: Any = _state
    elif not isinstance(generator, Generator):
        raise TypeError(f"{caller}: generator must be a lucid.Generator, got {type(generator).__name__}")
    elif not _deferred.evaluating():
        raise RuntimeError(
            f"{caller}: a compiled function cannot draw from a generator, whose numbers would be constants of its "
            "graph; leave out generator="
        )
    else:
        stream = generator._stream
    pair = mx.random.split(_current(stream))
    stream._array = pair[0]
    _deferred.track(stream)
    return pair[1]


def _current(stream: Any = _state) -> mx.array:
    if stream._array is None:
        _threads.prepare()
        stream._array = mx.random.key(stream.seed % 2**64)
    return stream._array


def _checked_state(caller: str, state: Any) -> mx.array:
    array = as_array(state)
    if array.shape != (2,):
        raise _checks.ArgumentError(f"{caller}: expected the 2 elements of get_state(), got shape {array.shape}")
    return array.astype(mx.uint32)

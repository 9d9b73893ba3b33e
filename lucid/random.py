"""Random tensors, and the random state of the library.

The state is an MLX key that is split at every draw. Layers that need randomness call ``key()`` once and pass the key to
a pure operation, so that the backward pass can run it again with the same result.

Every thread has a state of its own. The n-th thread besides the main one to use its state since ``manual_seed`` was
called in the main thread starts with a seed derived from that seed and n.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks, _deferred, tape
from lucid._checks import dtype_name
from lucid._dtypes import as_dtype
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid._threads import ThreadState, per_thread
from lucid.ops._types import TensorLike

Shape = int | Sequence[int]


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


_seeds = _Seeds(time.time_ns() & 0xFFFFFFFF)
_state = per_thread(_State)


def manual_seed(seed: int) -> None:
    """Seed the random number generator of this thread. Equal seeds give equal numbers on the same backend.

    In the main thread, the seed also determines the numbers of the threads that draw their first ones afterwards,
    in the order in which they do. Threads that have drawn before are not affected.

    Raises:
        TypeError: ``seed`` is not an integer.
        ValueError: ``seed`` is outside [-2**63, 2**64).

    Example:
        >>> lucid.manual_seed(0)
        >>> first = lucid.rand(3)
        >>> lucid.manual_seed(0)
        >>> lucid.equal(first, lucid.rand(3))
        True
    """
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise TypeError(f"manual_seed: seed must be an integer, got {type(seed).__name__}")
    if not -(2**63) <= seed < 2**64:
        raise ValueError(f"manual_seed: seed must be in [-2**63, 2**64), got {seed}")
    global _seeds
    if threading.current_thread() is threading.main_thread():
        _seeds = _Seeds(seed)
    _state.seed = seed
    _state._array = mx.random.key(seed % 2**64)


def initial_seed() -> int:
    """The seed that the generator of this thread was last seeded with."""
    return _state.seed


def key() -> mx.array:
    """A new key, which advances the state. No two calls return the same key."""
    pair = mx.random.split(_current())
    _state._array = pair[0]
    _deferred.track(_state)
    return pair[1]


def get_state() -> Tensor:
    """The state of the generator, a uint32 tensor with 2 elements."""
    return tape.wrap(_current())


def set_state(state: TensorLike) -> None:
    """Restore a state that ``get_state`` returned."""
    array = as_array(state)
    if array.shape != (2,):
        raise _checks.ArgumentError(f"set_state: expected the 2 elements of get_state(), got shape {array.shape}")
    _state._array = array.astype(mx.uint32)


@contextmanager
def fork(state: TensorLike | None = None) -> Iterator[None]:
    """Restore the random state at the end of the block, which starts from ``state`` if it is given."""
    before = _current()
    if state is not None:
        set_state(state)
    try:
        yield
    finally:
        _state._array = before


def _current() -> mx.array:
    if _state._array is None:
        _state._array = mx.random.key(_state.seed)
    return _state._array


def _float(dtype: object, caller: str) -> mx.Dtype:
    found = mx.float32 if dtype is None else as_dtype(dtype)
    if not mx.issubdtype(found, mx.floating):
        raise _checks.DtypeError(f"{caller}: dtype must be floating point, got {dtype_name(found)}")
    return found


def _finish(array: mx.array, requires_grad: bool) -> Tensor:
    tensor = tape.wrap(array)
    return tensor.requires_grad_() if requires_grad else tensor


def randn(*size: Any, dtype: object = None, device: object = None, requires_grad: bool = False) -> Tensor:
    """Samples of the standard normal distribution in the given shape."""
    array = mx.random.normal(_checks.shape("randn", size), _float(dtype, "randn"), key=key())
    return _finish(array, requires_grad)


def rand(*size: Any, dtype: object = None, device: object = None, requires_grad: bool = False) -> Tensor:
    """Uniform samples from [0, 1) in the given shape."""
    array = mx.random.uniform(shape=_checks.shape("rand", size), dtype=_float(dtype, "rand"), key=key())
    return _finish(array, requires_grad)


def randint(low: int, high: Any = None, size: Any = None, *, dtype: object = None, device: object = None) -> Tensor:
    """Uniform random integers from [low, high) in shape ``size``; ``randint(high, size)`` starts at 0.

    Raises:
        ValueError: the interval is empty.
    """
    if size is None:
        low, high, size = 0, low, high
    if size is None:
        raise TypeError("randint: expected randint(high, size) or randint(low, high, size)")
    low, high = _checks.integer("randint", "low", low), _checks.integer("randint", "high", high)
    if low >= high:
        raise _checks.ArgumentError(f"randint: low must be less than high, got [{low}, {high})")
    if low < -(2**63) or high > 2**63:
        raise _checks.ArgumentError(f"randint: the interval must be within int64, got [{low}, {high})")
    found = mx.int64 if dtype is None else as_dtype(dtype)
    return tape.wrap((_below(high - low, _checks.shape("randint", (size,))) + low).astype(found))


def _below(count: int, shape: tuple[int, ...]) -> mx.array:
    """Uniform random integers (int64) from [0, count)."""
    if count <= 2**24:  # beyond, MLX would skip integers, because it rounds float32 numbers
        return mx.random.randint(0, count, shape, key=key()).astype(mx.int64)
    words = mx.random.randint(0, 2**16, (4, *shape), key=key()).astype(mx.uint64)
    bits = words[0] + words[1] * 2**16 + words[2] * 2**32 + words[3] * mx.array(2**48, mx.uint64)
    return (bits % mx.array(np.uint64(count)) if count < 2**64 else bits).astype(mx.int64)


def normal(mean: TensorLike = 0.0, std: TensorLike = 1.0, size: Shape | None = None, *, dtype: object = None) -> Tensor:
    """Samples of normal distributions with the given means and standard deviations, broadcast to ``size`` if given."""
    m, s = as_array(mean), as_array(std)
    if isinstance(std, int | float):
        _checks.number("normal", "std", std, 0.0)
    common = _checks.broadcast_shapes("normal", m.shape, s.shape)
    shape = common if size is None else _checks.shape("normal", (size,))
    if _checks.broadcast_shapes("normal", shape, common) != shape:
        raise _checks.ArgumentError(f"normal: mean and std of shape {common} cannot be broadcast to size {shape}")
    found = _float(dtype, "normal")
    return tape.wrap(mx.random.normal(shape, found, key=key()) * s.astype(found) + m.astype(found))


def uniform(
    low: float = 0.0, high: float = 1.0, size: Shape = (), *, dtype: object = None, requires_grad: bool = False
) -> Tensor:
    """Uniform samples from [low, high) in shape ``size``.

    Raises:
        ValueError: ``low`` exceeds ``high``.
    """
    if low > high:
        raise _checks.ArgumentError(f"uniform: low must not exceed high, got [{low}, {high})")
    shape = _checks.shape("uniform", (size,))
    return _finish(mx.random.uniform(low, high, shape, _float(dtype, "uniform"), key=key()), requires_grad)


def bernoulli(input: TensorLike, p: float | None = None, size: Shape | None = None) -> Tensor:
    """Zeros and ones in the shape of ``input``, which holds the probability of each one; ``p`` overrides it.

    ``bernoulli(0.3, size=(2, 3))`` takes a number and a shape.
    """
    for name, value in (("input", input), ("p", p)):
        if value is not None and isinstance(value, int | float) and (p is None or name == "p"):
            _checks.probability("bernoulli", name, value)
    array = as_array(input)
    dtype = array.dtype if mx.issubdtype(array.dtype, mx.floating) else mx.float32
    shape = array.shape if size is None else _checks.shape("bernoulli", (size,))
    return tape.wrap(mx.random.bernoulli(array.astype(dtype) if p is None else p, shape, key=key()).astype(dtype))


def permutation(n: int | TensorLike) -> Tensor:
    """A random permutation of the integers 0 .. n-1, or of the first dimension of a tensor."""
    if isinstance(n, int):
        return randperm(n)
    array = as_array(n)
    if array.ndim == 0:
        raise _checks.ArgumentError(
            "permutation: a 0-d tensor cannot be shuffled; expected an integer or at least 1 dimension"
        )
    return tape.wrap(mx.random.permutation(array, key=key()))


def randperm(n: int, *, dtype: object = None) -> Tensor:
    """A random permutation of the integers 0 .. n-1.

    Example:
        >>> sorted(lucid.randperm(4).tolist())
        [0, 1, 2, 3]
    """
    count = _checks.integer("randperm", "n", n, 0)
    found = mx.int64 if dtype is None else as_dtype(dtype)
    return tape.wrap(mx.random.permutation(count, key=key()).astype(found))


def randn_like(input: TensorLike, *, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """Samples of the standard normal distribution in the shape and dtype of ``input``."""
    array = as_array(input)
    return randn(array.shape, dtype=dtype or array.dtype, requires_grad=requires_grad)


def rand_like(input: TensorLike, *, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """Uniform samples from [0, 1) in the shape and dtype of ``input``."""
    array = as_array(input)
    return rand(array.shape, dtype=dtype or array.dtype, requires_grad=requires_grad)


def multinomial(input: TensorLike, num_samples: int, replacement: bool = False) -> Tensor:
    """Indices sampled with the (unnormalized) probabilities along the last dimension of ``input``.

    Shapes: input (K,) or (N, K); out (num_samples,) or (N, num_samples).

    Raises:
        ValueError: without replacement, ``num_samples`` exceeds K.
    """
    logits = mx.log(as_array(input).astype(mx.float32))
    _checks.rank("multinomial", "input", logits.shape, (1, 2), "(..., K)")
    _checks.integer("multinomial", "num_samples", num_samples, 1)
    if replacement:
        shape = (*logits.shape[:-1], num_samples)
        return tape.wrap(mx.random.categorical(mx.expand_dims(logits, -2), -1, shape, key=key()).astype(mx.int64))
    if num_samples > logits.shape[-1]:
        raise _checks.ArgumentError(
            f"multinomial: num_samples must be at most {logits.shape[-1]} without replacement, got {num_samples}"
        )
    noisy = logits + mx.random.gumbel(logits.shape, key=key())
    return tape.wrap(mx.argsort(-noisy, -1)[..., :num_samples].astype(mx.int64))

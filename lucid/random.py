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

from lucid import _bounds, _checks, _deferred, tape
from lucid._checks import dtype_name
from lucid._dtypes import as_dtype
from lucid._memory_format import check_memory_format
from lucid._placement import check_placement
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array, leaf
from lucid._threads import ThreadState, per_thread
from lucid.ops._common import sized
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
    if not isinstance(seed, int | float | np.integer | np.floating) or isinstance(seed, bool):
        raise TypeError(f"manual_seed: seed must be an integer, got {type(seed).__name__}")
    if isinstance(seed, float) and not np.isfinite(seed):
        raise ValueError(f"manual_seed: seed must be finite, got {seed}")
    seed = int(seed)
    if not -(2**63) <= seed < 2**64:
        raise ValueError(f"manual_seed: seed must be in [-2**63, 2**64), got {seed}")
    global _seeds
    if threading.current_thread() is threading.main_thread():
        _seeds = _Seeds(seed)
    _state.seed = seed
    _state._array = mx.random.key(seed % 2**64)


def initial_seed() -> int:
    """The seed that the generator of this thread was last seeded with, modulo 2**64."""
    return _state.seed % 2**64


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


def _float(dtype: object, caller: str, *, or_complex: bool = False) -> mx.Dtype:
    found = mx.float32 if dtype is None else as_dtype(dtype)
    if not (mx.issubdtype(found, mx.floating) or (or_complex and found == mx.complex64)):
        raise _checks.DtypeError(f"{caller}: dtype must be floating point, got {dtype_name(found)}")
    return found


@sized
def randn(
    size: Any = (), *, generator: None = None, out: None = None, dtype: object = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Samples of the standard normal distribution in the given shape; in complex64, with the variance 1 in total."""
    check_placement("randn", device, layout, generator, out)
    found = _float(dtype, "randn", or_complex=True)
    return leaf(_normal(_checks.shape("randn", (size,)), found), requires_grad)


@sized
def rand(
    size: Any = (), *, generator: None = None, out: None = None, dtype: object = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uniform samples from [0, 1) in the given shape; in complex64, of both parts."""
    check_placement("rand", device, layout, generator, out)
    found = _float(dtype, "rand", or_complex=True)
    return leaf(_uniform(_checks.shape("rand", (size,)), found), requires_grad)


def _normal(shape: tuple[int, ...], dtype: mx.Dtype) -> mx.array:
    if dtype == mx.complex64:
        parts = mx.random.normal((2, *shape), scale=0.5**0.5, key=key())
        return parts[0] + 1j * parts[1]
    if dtype == mx.float64:  # MLX draws up to float32
        return mx.random.normal(shape, key=key()).astype(dtype, stream=mx.cpu)
    return mx.random.normal(shape, dtype, key=key())


def _uniform(shape: tuple[int, ...], dtype: mx.Dtype, low: float = 0.0, high: float = 1.0) -> mx.array:
    if dtype == mx.complex64:
        parts = mx.random.uniform(low, high, (2, *shape), key=key())
        return parts[0] + 1j * parts[1]
    if dtype == mx.float64:
        return mx.random.uniform(low, high, shape, key=key()).astype(dtype, stream=mx.cpu)
    return mx.random.uniform(low, high, shape, dtype, key=key())


def randint(
    low: Any = None, high: Any = None, size: Any = None, *, generator: None = None, out: None = None,
    dtype: object = None, layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uniform random integers from [low, high) in shape ``size``; ``randint(high, size)`` starts at 0.

    Raises:
        ArgumentError: the interval is empty, or exceeds the dtype.

    Example:
        >>> lucid.randint(5, size=(2, 3)).shape, lucid.randint(5, (2,)).shape, lucid.randint(2, 5, (2,)).shape
        ((2, 3), (2,), (2,))
    """
    check_placement("randint", device, layout, generator, out)
    if size is None and not _is_integer(high):  # randint(high, size)
        low, high, size = 0, low, high
    elif high is None:  # randint(high, size=size)
        low, high = 0, low
    elif low is None:
        low = 0
    if size is None or high is None:
        raise TypeError("randint: expected randint(high, size) or randint(low, high, size)")
    low, high = _checks.integer("randint", "low", low), _checks.integer("randint", "high", high)
    if low >= high:
        raise _checks.ArgumentError(f"randint: low must be less than high, got [{low}, {high})")
    found = mx.int64 if dtype is None else as_dtype(dtype)
    first, last = (0, 1) if found == mx.bool_ else (-(2**63), 2**63 - 1)
    if mx.issubdtype(found, mx.integer):
        limits = mx.iinfo(found)
        first, last = max(first, limits.min), min(last, limits.max)
    if low < first or high - 1 > last:
        raise _checks.ArgumentError(f"randint: the interval must be within {dtype_name(found)}, got [{low}, {high})")
    return leaf((_below(high - low, _checks.shape("randint", (size,))) + low).astype(found), requires_grad)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) or (isinstance(value, Tensor) and value.ndim == 0)


def _below(count: int, shape: tuple[int, ...]) -> mx.array:
    """Uniform random integers (int64) from [0, count)."""
    if count <= 2**24:  # beyond, MLX would skip integers, because it rounds float32 numbers
        return mx.random.randint(0, count, shape, key=key()).astype(mx.int64)
    words = mx.random.randint(0, 2**16, (4, *shape), key=key()).astype(mx.uint64)
    bits = words[0] + words[1] * 2**16 + words[2] * 2**32 + words[3] * mx.array(2**48, mx.uint64)
    return (bits % mx.array(np.uint64(count)) if count < 2**64 else bits).astype(mx.int64)


def normal(
    mean: TensorLike = 0.0, std: TensorLike = 1.0, size: Any = None, *, generator: None = None, out: None = None,
    dtype: object = None, layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Samples of normal distributions with the given means and standard deviations, which broadcast.

    With numbers for both, ``size`` is the shape. The dtype is that of the tensors among them, otherwise float32.

    Raises:
        ArgumentError: a standard deviation is negative, checked where ``lucid.debug`` says, or the shapes do not match.
        TypeError: ``size`` is given along with a tensor.
    """
    check_placement("normal", device, layout, generator, out)
    if size is not None and not (isinstance(mean, int | float) and isinstance(std, int | float)):
        raise TypeError("normal: size is only taken with numbers as mean and std, not with tensors")
    m, s = as_array(mean), as_array(std)
    if isinstance(std, int | float):
        _checks.number("normal", "std", std, 0.0)
    elif (wrong := _bounds.first_value("normal", s, lambda values: ~(values >= 0))) is not None:
        raise _checks.ArgumentError(f"normal: std must be at least 0, got {wrong}")
    common = _checks.broadcast_shapes("normal", m.shape, s.shape)
    shape = common if size is None else _checks.shape("normal", (size,))
    tensors = [a for a, one in ((m, mean), (s, std)) if not isinstance(one, int | float)]
    found = _float(mx.result_type(*tensors) if dtype is None and tensors else dtype, "normal")
    return leaf(_normal(shape, found) * s.astype(found) + m.astype(found), requires_grad)


def uniform(
    low: float = 0.0, high: float = 1.0, size: Shape = (), *, dtype: object = None, requires_grad: bool = False
) -> Tensor:
    """Uniform samples from [low, high) in shape ``size``.

    Raises:
        ArgumentError: ``low`` exceeds ``high``.
    """
    low, high = _checks.number("uniform", "low", low), _checks.number("uniform", "high", high)
    if low > high:
        raise _checks.ArgumentError(f"uniform: low must not exceed high, got [{low}, {high})")
    return leaf(_uniform(_checks.shape("uniform", (size,)), _float(dtype, "uniform"), low, high), requires_grad)


def bernoulli(
    input: TensorLike, p: float | None = None, size: Shape | None = None, *, generator: None = None, out: None = None
) -> Tensor:
    """Zeros and ones in the shape of ``input``, which holds the probability of each one; ``p`` overrides it.

    ``bernoulli(0.3, size=(2, 3))`` takes a number and a shape.

    Raises:
        ArgumentError: a probability is outside [0, 1], checked where ``lucid.debug`` says.
    """
    check_placement("bernoulli", None, None, generator, out)
    array = as_array(input)
    if p is not None:
        p = _checks.probability("bernoulli", "p", p)
    elif isinstance(input, int | float):
        _checks.probability("bernoulli", "input", input)
    elif (wrong := _bounds.first_value("bernoulli", array, _outside_probability)) is not None:
        raise _checks.ArgumentError(f"bernoulli: input must be at least 0 and at most 1, got {wrong}")
    dtype = array.dtype if mx.issubdtype(array.dtype, mx.floating) else mx.float32
    shape = array.shape if size is None else _checks.shape("bernoulli", (size,))
    if _checks.broadcast_shapes("bernoulli", shape, array.shape) != shape:
        raise _checks.ArgumentError(f"bernoulli: input of shape {array.shape} cannot be broadcast to size {shape}")
    return tape.wrap(mx.random.bernoulli(array.astype(dtype) if p is None else p, shape, key=key()).astype(dtype))


def _outside_probability(values: np.ndarray) -> np.ndarray:
    return ~((values >= 0) & (values <= 1))


def permutation(n: int | TensorLike) -> Tensor:
    """A random permutation of the integers 0 .. n-1, or of the first dimension of a tensor."""
    if isinstance(n, int):
        return randperm(n)
    array = as_array(n)
    if array.ndim == 0:
        raise ValueError("permutation: a 0-d tensor cannot be shuffled; expected an integer or at least 1 dimension")
    return tape.wrap(mx.random.permutation(array, key=key()))


def randperm(
    n: int, *, generator: None = None, out: None = None, dtype: object = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A random permutation of the integers 0 .. n-1.

    Example:
        >>> sorted(lucid.randperm(4).tolist())
        [0, 1, 2, 3]
    """
    check_placement("randperm", device, layout, generator, out)
    count = _checks.integer("randperm", "n", n, 0)
    found = mx.int64 if dtype is None else as_dtype(dtype)
    return leaf(mx.random.permutation(count, key=key()).astype(found), requires_grad)


def randn_like(
    input: TensorLike, *, generator: None = None, dtype: object = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Samples of the standard normal distribution in the shape and dtype of ``input``."""
    check_placement("randn_like", device, layout, generator)
    array = as_array(input)
    check_memory_format("randn_like", memory_format, array.ndim)
    found = _float(array.dtype if dtype is None else dtype, "randn_like", or_complex=True)
    return leaf(_normal(array.shape, found), requires_grad)


def rand_like(
    input: TensorLike, *, generator: None = None, dtype: object = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Uniform samples from [0, 1) in the shape and dtype of ``input``."""
    check_placement("rand_like", device, layout, generator)
    array = as_array(input)
    check_memory_format("rand_like", memory_format, array.ndim)
    found = _float(array.dtype if dtype is None else dtype, "rand_like", or_complex=True)
    return leaf(_uniform(array.shape, found), requires_grad)


def _has_no_chance(values: np.ndarray) -> np.ndarray:
    return np.logical_not(np.any(values, -1, keepdims=True))


def multinomial(
    input: TensorLike, num_samples: int, replacement: bool = False, *, generator: None = None, out: None = None
) -> Tensor:
    """Indices sampled with the (unnormalized) probabilities along the last dimension of ``input``.

    Shapes: input (K,) or (N, K); out (num_samples,) or (N, num_samples).

    Raises:
        ArgumentError: without replacement, ``num_samples`` exceeds K; a probability is negative, infinite or NaN, or
            all of a row are 0. The values are checked where ``lucid.debug`` says.
    """
    check_placement("multinomial", None, None, generator, out)
    array = as_array(input)
    _checks.rank("multinomial", "input", array.shape, (1, 2), "(..., K)")
    if not mx.issubdtype(array.dtype, mx.floating):
        raise _checks.DtypeError(f"multinomial: input must be floating point, got {dtype_name(array.dtype)}")
    _checks.integer("multinomial", "num_samples", num_samples, 1)
    if not array.shape[-1]:
        raise _checks.ArgumentError(f"multinomial: input must not be empty, got shape {array.shape}")
    if not replacement and num_samples > array.shape[-1]:
        raise _checks.ArgumentError(
            f"multinomial: num_samples must be at most {array.shape[-1]} without replacement, got {num_samples}"
        )
    wrong = _bounds.first_value("multinomial", array, lambda values: ~((values >= 0) & np.isfinite(values)))
    if wrong is not None:
        raise _checks.ArgumentError(f"multinomial: input must be finite and at least 0, got {wrong}")
    if _bounds.first_value("multinomial", array, _has_no_chance) is not None:
        raise _checks.ArgumentError("multinomial: input must have a probability above 0 in each row")
    logits = mx.log(array.astype(mx.float32))
    if replacement:
        shape = (*logits.shape[:-1], num_samples)
        return tape.wrap(mx.random.categorical(mx.expand_dims(logits, -2), -1, shape, key=key()).astype(mx.int64))
    noisy = logits + mx.random.gumbel(logits.shape, key=key())
    return tape.wrap(mx.argsort(-noisy, -1)[..., :num_samples].astype(mx.int64))

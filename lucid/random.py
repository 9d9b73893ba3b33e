"""Random tensors, and the random state of this thread.

Layers that need randomness call ``key()`` once and pass the key to a pure operation, so that the backward pass can run
it again with the same result. Where the state is, see ``lucid/_generator.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks, tape
from lucid._checks import dtype_name
from lucid._draws import bernoulli as bernoulli
from lucid._draws import multinomial as multinomial
from lucid._dtypes import as_dtype, get_default_dtype
from lucid._generator import Generator, _checked_state, _current, _state, default_generator, key
from lucid._generator import manual_seed as manual_seed
from lucid._memory_format import check_memory_format
from lucid._placement import check_placement
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array, leaf
from lucid.kernels import sampling
from lucid.ops._common import sized
from lucid.ops._types import TensorLike

Shape = int | Sequence[int]


def seed() -> int:
    """Seed the random numbers of this thread with a random seed, and return it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the random numbers of this thread were last seeded with, modulo 2**64."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The random state of this thread, a uint32 tensor with 2 elements."""
    return default_generator.get_state()


def set_rng_state(new_state: TensorLike) -> None:
    """Restore a state that ``get_rng_state`` returned."""
    _state._array = _checked_state("set_rng_state", new_state)


get_state, set_state = get_rng_state, set_rng_state


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


@contextmanager
def fork_rng(
    devices: Any = None, enabled: bool = True, _caller: str = "fork_rng", _devices_kw: str = "devices",
    device_type: str = "cuda",
) -> Iterator[None]:  # fmt: skip
    """Restore the random state of this thread at the end of the block, if ``enabled``. All devices share one state."""
    before = _current()
    try:
        yield
    finally:
        if enabled:
            _state._array = before


def _float(dtype: object, caller: str, *, or_complex: bool = False) -> mx.Dtype:
    found = get_default_dtype() if dtype is None else as_dtype(dtype)
    if not (mx.issubdtype(found, mx.floating) or (or_complex and found == mx.complex64)):
        raise _checks.DtypeError(f"{caller}: dtype must be floating point, got {dtype_name(found)}")
    return found


@sized
def randn(
    size: Any = (), *, generator: Generator | None = None, out: None = None, dtype: object = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Samples of the standard normal distribution in the given shape; in complex64, with the variance 1 in total."""
    check_placement("randn", device, layout, out)
    found = _float(dtype, "randn", or_complex=True)
    return leaf(sampling.normal(_checks.shape("randn", (size,)), found, key(generator, "randn")), requires_grad)


@sized
def rand(
    size: Any = (), *, generator: Generator | None = None, out: None = None, dtype: object = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uniform samples from [0, 1) in the given shape; in complex64, of both parts."""
    check_placement("rand", device, layout, out)
    found = _float(dtype, "rand", or_complex=True)
    return leaf(sampling.uniform(_checks.shape("rand", (size,)), found, key(generator, "rand")), requires_grad)


def randint(
    low: Any = None, high: Any = None, size: Any = None, *, generator: Generator | None = None, out: None = None,
    dtype: object = None, layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uniform random integers from [low, high) in shape ``size``; ``randint(high, size)`` starts at 0.

    Raises:
        ArgumentError: the interval is empty, or exceeds the dtype.

    Example:
        >>> lucid.randint(5, size=(2, 3)).shape, lucid.randint(5, (2,)).shape, lucid.randint(2, 5, (2,)).shape
        ((2, 3), (2,), (2,))
    """
    check_placement("randint", device, layout, out)
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
    drawn = sampling.below(high - low, _checks.shape("randint", (size,)), key(generator, "randint"))
    return leaf((drawn + low).astype(found), requires_grad)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) or (isinstance(value, Tensor) and value.ndim == 0)


def normal(
    mean: TensorLike = 0.0, std: TensorLike = 1.0, size: Any = None, *, generator: Generator | None = None,
    out: None = None, dtype: object = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Samples of normal distributions with the given means and standard deviations, which broadcast.

    With numbers for both, ``size`` is the shape. The dtype is that of the tensors among them, otherwise float32.

    Raises:
        ArgumentError: a standard deviation is negative, checked where ``lucid.debug`` says, or the shapes do not match.
        TypeError: ``size`` is given along with a tensor.
    """
    check_placement("normal", device, layout, out)
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
    drawn = sampling.normal(shape, found, key(generator, "normal"))
    return leaf(drawn * s.astype(found) + m.astype(found), requires_grad)


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
    drawn = sampling.uniform(_checks.shape("uniform", (size,)), _float(dtype, "uniform"), key(), low, high)
    return leaf(drawn, requires_grad)


def permutation(n: int | TensorLike) -> Tensor:
    """A random permutation of the integers 0 .. n-1, or of the first dimension of a tensor."""
    if isinstance(n, int):
        return randperm(n)
    array = as_array(n)
    if array.ndim == 0:
        raise ValueError("permutation: a 0-d tensor cannot be shuffled; expected an integer or at least 1 dimension")
    return tape.wrap(mx.random.permutation(array, key=key()))


def randperm(
    n: int, *, generator: Generator | None = None, out: None = None, dtype: object = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A random permutation of the integers 0 .. n-1.

    Example:
        >>> sorted(lucid.randperm(4).tolist())
        [0, 1, 2, 3]
    """
    check_placement("randperm", device, layout, out)
    count = _checks.integer("randperm", "n", n, 0)
    found = mx.int64 if dtype is None else as_dtype(dtype)
    return leaf(mx.random.permutation(count, key=key(generator, "randperm")).astype(found), requires_grad)


def randn_like(
    input: TensorLike, *, generator: Generator | None = None, dtype: object = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Samples of the standard normal distribution in the shape and dtype of ``input``."""
    check_placement("randn_like", device, layout)
    array = as_array(input)
    check_memory_format("randn_like", memory_format, array.ndim)
    found = _float(array.dtype if dtype is None else dtype, "randn_like", or_complex=True)
    return leaf(sampling.normal(array.shape, found, key(generator, "randn_like")), requires_grad)


def rand_like(
    input: TensorLike, *, generator: Generator | None = None, dtype: object = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Uniform samples from [0, 1) in the shape and dtype of ``input``."""
    check_placement("rand_like", device, layout)
    array = as_array(input)
    check_memory_format("rand_like", memory_format, array.ndim)
    found = _float(array.dtype if dtype is None else dtype, "rand_like", or_complex=True)
    return leaf(sampling.uniform(array.shape, found, key(generator, "rand_like")), requires_grad)


def randint_like(
    input: TensorLike, low: int = 0, high: int | None = None, *, generator: Generator | None = None,
    dtype: object = None, layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Uniform random integers from [low, high) in the shape and dtype of ``input``; ``randint_like(x, high)`` from 0.

    Raises:
        ArgumentError: the interval is empty, or exceeds the dtype.
    """
    array = as_array(input)
    check_memory_format("randint_like", memory_format, array.ndim)
    low, high = (0, low) if high is None else (low, high)
    return randint(
        low, high, array.shape, generator=generator, dtype=array.dtype if dtype is None else dtype, layout=layout,
        device=device, requires_grad=requires_grad,
    )  # fmt: skip

"""Methods of a tensor that draw random numbers, and the functions that take probabilities from a tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks, tape
from lucid._checks import dtype_name
from lucid._generator import Generator, key
from lucid._placement import check_placement
from lucid._tensor_convert import as_array
from lucid.kernels import sampling
from lucid.ops import indexing
from lucid.ops._types import TensorLike

if TYPE_CHECKING:
    from lucid._tensor import Tensor

Shape = int | Sequence[int]


def bernoulli(
    input: TensorLike, p: float | None = None, size: Shape | None = None, *, generator: Generator | None = None,
    out: None = None,
) -> Tensor:  # fmt: skip
    """Zeros and ones in the shape of ``input``, which holds the probability of each one; ``p`` overrides it.

    ``bernoulli(0.3, size=(2, 3))`` takes a number and a shape.

    Raises:
        ArgumentError: a probability is outside [0, 1], checked where ``lucid.debug`` says.
    """
    check_placement("bernoulli", out=out)
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
    return tape.wrap(
        mx.random.bernoulli(array.astype(dtype) if p is None else p, shape, key=key(generator, "bernoulli")).astype(
            dtype
        )
    )


def _outside_probability(values: np.ndarray) -> np.ndarray:
    return ~((values >= 0) & (values <= 1))


def _has_no_chance(values: np.ndarray) -> np.ndarray:
    return np.logical_not(np.any(values, -1, keepdims=True))


def multinomial(
    input: TensorLike, num_samples: int, replacement: bool = False, *, generator: Generator | None = None,
    out: None = None,
) -> Tensor:  # fmt: skip
    """Indices sampled with the (unnormalized) probabilities along the last dimension of ``input``.

    Shapes: input (K,) or (N, K); out (num_samples,) or (N, num_samples).

    Raises:
        ArgumentError: without replacement, ``num_samples`` exceeds K; a probability is negative, infinite or NaN, or
            all of a row are 0. The values are checked where ``lucid.debug`` says.
    """
    check_placement("multinomial", out=out)
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
        return tape.wrap(
            mx.random.categorical(mx.expand_dims(logits, -2), -1, shape, key=key(generator, "multinomial")).astype(
                mx.int64
            )
        )
    noisy = logits + mx.random.gumbel(logits.shape, key=key(generator, "multinomial"))
    return tape.wrap(mx.argsort(-noisy, -1)[..., :num_samples].astype(mx.int64))


# The integers that floating-point dtypes hold without gaps end here.
_EXACT = {mx.float64: 2**53, mx.float32: 2**24, mx.float16: 2**11, mx.bfloat16: 2**8}


class TensorRandom(tape.TensorBase):
    """Base class of ``lucid.Tensor`` with the methods that draw random numbers."""

    __slots__ = ()

    def bernoulli(self, p: Any = None, *, generator: Generator | None = None) -> Tensor:
        """``lucid.bernoulli(self)``; with ``p``, a number or a tensor, drawn with that probability."""
        if isinstance(p, tape.TensorBase):
            return bernoulli(cast("Tensor", p), generator=generator).to(self._array.dtype)
        return bernoulli(cast("Tensor", self), p, generator=generator).to(self._array.dtype)

    def multinomial(self, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Tensor:
        """``lucid.multinomial(self, ...)``."""
        return multinomial(cast("Tensor", self), num_samples, replacement, generator=generator)

    def _draw(self, caller: str, values: mx.array) -> Tensor:
        """Overwrite the tensor. The gradient of its former values is zero."""
        me = cast("Tensor", self)
        return me._become(indexing.setitem(me, ..., tape.wrap(values)), caller)

    def _key_of_floats(self, caller: str, generator: Generator | None) -> mx.array:
        if not mx.issubdtype(self._array.dtype, mx.floating):
            raise _checks.DtypeError(
                f"{caller}: the tensor must be floating point, got {dtype_name(self._array.dtype)}"
            )
        return key(generator, caller)

    def normal_(self, mean: float = 0, std: float = 1, *, generator: Generator | None = None) -> Tensor:
        """Overwrite the tensor with samples of the normal distribution."""
        mean, std = _checks.number("normal_", "mean", mean), _checks.number("normal_", "std", std, 0)
        drawn = sampling.normal(self._array.shape, self._array.dtype, self._key_of_floats("normal_", generator))
        return self._draw("normal_", drawn * std + mean)

    def uniform_(self, from_: float = 0, to: float = 1, *, generator: Generator | None = None) -> Tensor:
        """Overwrite the tensor with uniform samples from [``from_``, ``to``)."""
        low, high = _checks.number("uniform_", "from", from_), _checks.number("uniform_", "to", to)
        if low > high:
            raise _checks.ArgumentError(f"uniform_: from must not exceed to, got [{low}, {high})")
        random_key = self._key_of_floats("uniform_", generator)
        return self._draw("uniform_", sampling.uniform(self._array.shape, self._array.dtype, random_key, low, high))

    def log_normal_(self, mean: float = 1, std: float = 2, *, generator: Generator | None = None) -> Tensor:
        """Overwrite the tensor with samples whose logarithm has the given normal distribution."""
        mean, std = (
            _checks.number("log_normal_", "mean", mean),
            _checks.number("log_normal_", "std", std, 0, above=True),
        )
        random_key = self._key_of_floats("log_normal_", generator)
        return self._draw("log_normal_", mx.exp(mx.random.normal(self._array.shape, key=random_key) * std + mean))

    def exponential_(self, lambd: float = 1, *, generator: Generator | None = None) -> Tensor:
        """Overwrite the tensor with samples of the exponential distribution of rate ``lambd``."""
        rate = _checks.number("exponential_", "lambd", lambd, 0, above=True)
        random_key = self._key_of_floats("exponential_", generator)
        return self._draw("exponential_", sampling.exponential(self._array.shape, rate, random_key))

    def cauchy_(self, median: float = 0, sigma: float = 1, *, generator: Generator | None = None) -> Tensor:
        """Overwrite the tensor with samples of the Cauchy distribution."""
        median = _checks.number("cauchy_", "median", median)
        sigma = _checks.number("cauchy_", "sigma", sigma, 0, above=True)
        random_key = self._key_of_floats("cauchy_", generator)
        return self._draw("cauchy_", sampling.cauchy(self._array.shape, median, sigma, random_key))

    def geometric_(self, p: float, *, generator: Generator | None = None) -> Tensor:
        """Overwrite the tensor with how many trials of probability ``p`` the first success takes, from 1 on."""
        p = _checks.number("geometric_", "p", p, 0, 1, above=True)
        if p == 1 or self._array.dtype == mx.bool_:
            raise _checks.ArgumentError(f"geometric_: p must be below 1 and the dtype not bool, got {p}")
        return self._draw("geometric_", sampling.geometric(self._array.shape, p, key(generator, "geometric_")))

    def bernoulli_(self, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
        """Overwrite the tensor with zeros, and ones with probability ``p``, a number or a tensor that broadcasts."""
        size = self._array.shape
        if not isinstance(p, tape.TensorBase):
            p = _checks.probability("bernoulli_", "p", p)
        return self._draw("bernoulli_", bernoulli(p, size=size, generator=generator)._array)

    def random_(self, from_: int = 0, to: int | None = None, *, generator: Generator | None = None) -> Tensor:
        """Overwrite the tensor with uniform random integers from [``from_``, ``to``); ``random_(to)`` starts at 0.

        Without limits, from 0 to the largest value of an integer dtype, or the largest integer up to which a
        floating-point dtype holds all.

        Raises:
            ArgumentError: the interval is empty, or exceeds the dtype.
        """
        dtype = self._array.dtype
        largest = 1 if dtype == mx.bool_ else _EXACT.get(dtype) or int(mx.iinfo(dtype).max)
        if to is None:
            from_, to = (0, from_) if from_ else (0, min(largest, 2**63 - 1) + 1)
        low, high = _checks.integer("random_", "from", from_), int(to)
        if low >= high:
            raise _checks.ArgumentError(f"random_: from must be less than to, got [{low}, {high})")
        floats = mx.issubdtype(dtype, mx.floating)
        least = -math.inf if floats else 0 if dtype == mx.bool_ else mx.iinfo(dtype).min
        if low < least or high - 1 > (mx.finfo(dtype).max if floats else largest):
            raise _checks.ArgumentError(f"random_: [{low}, {high}) exceeds {dtype_name(dtype)}")
        return self._draw("random_", sampling.below(high - low, self._array.shape, key(generator, "random_")) + low)

"""Methods of a tensor that draw random numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import mlx.core as mx

from lucid import _checks, tape
from lucid._checks import dtype_name
from lucid._draws import bernoulli, multinomial
from lucid._generator import Generator, key
from lucid.kernels import sampling
from lucid.ops import indexing

if TYPE_CHECKING:
    from lucid._tensor import Tensor

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

    def multinomial(
        self, num_samples: int, replacement: bool = False, *, generator: Generator | None = None, out: None = None
    ) -> Tensor:
        """``lucid.multinomial(self, ...)``."""
        return multinomial(cast("Tensor", self), num_samples, replacement, generator=generator, out=out)

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
        if dtype == mx.complex64:
            raise _checks.DtypeError("random_: complex64 is not supported")
        largest = 1 if dtype == mx.bool_ else _EXACT.get(dtype) or int(mx.iinfo(dtype).max)
        if to is None:
            from_, to = (0, from_) if from_ else (0, min(largest, 2**63 - 1) + 1)
        low = _checks.integer("random_", "from", from_)
        high = to if to == 2**63 else _checks.integer("random_", "to", to)
        if low >= high:
            raise _checks.ArgumentError(f"random_: from must be less than to, got [{low}, {high})")
        floats = mx.issubdtype(dtype, mx.floating)
        least = -math.inf if floats else 0 if dtype == mx.bool_ else mx.iinfo(dtype).min
        if low < least or high - 1 > (mx.finfo(dtype).max if floats else largest):
            raise _checks.ArgumentError(f"random_: [{low}, {high}) exceeds {dtype_name(dtype)}")
        return self._draw("random_", sampling.below(high - low, self._array.shape, key(generator, "random_")) + low)

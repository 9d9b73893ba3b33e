"""Continuous distributions whose draws are functions of uniform or normal numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import mlx.core as mx

from lucid import random
from lucid._creation import full_like, zeros_like
from lucid._tensor import Tensor
from lucid.distributions.distribution import FINITE, NON_NEGATIVE, POSITIVE, Check, Distribution, parameters
from lucid.ops.elementwise import atan, expm1, log1p, tan
from lucid.ops.indexing import where

EULER = 0.57721566490153286


def open_uniform(shape: tuple[int, ...], dtype: mx.Dtype) -> Tensor:
    """Uniform numbers in (0, 1): never 0 or 1, whose logarithms are infinite."""
    smallest = mx.finfo(dtype).eps / 2
    return random.rand(shape, dtype=dtype).clamp(smallest, 1 - smallest)


class _LocScale(Distribution):
    """``loc + scale * z`` for ``z`` of a standard distribution."""

    has_rsample = True
    checks: ClassVar[dict[str, Check]] = {"loc": FINITE, "scale": POSITIVE}
    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = parameters(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def _standard(self, shape: tuple[int, ...]) -> Tensor:
        raise NotImplementedError

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.loc + self.scale * self._standard(self._shape(sample_shape))

    def _place(self, caller: str, value: Any) -> Tensor:
        return (self._value(caller, value) - self.loc) / self.scale

    @property
    def mode(self) -> Tensor:
        return self.loc


class Normal(_LocScale):
    """The normal distribution.

    Args:
        loc: Mean.
        scale: Standard deviation.
        validate_args: Check parameters and values.

    Example:
        >>> distributions.Normal(0.0, 2.0).log_prob(1.0)
        tensor(-1.7371)
    """

    def _standard(self, shape: tuple[int, ...]) -> Tensor:
        return random.randn(shape, dtype=self.loc.dtype)

    def log_prob(self, value: Any) -> Tensor:
        place = self._place("log_prob", value)
        return -0.5 * place * place - self.scale.log() - 0.5 * math.log(2 * math.pi)

    def cdf(self, value: Any) -> Tensor:
        return 0.5 * (1 + (self._place("cdf", value) / math.sqrt(2)).erf())

    def icdf(self, value: Any) -> Tensor:
        return self.loc + self.scale * math.sqrt(2) * (2 * self._value("icdf", value) - 1).erfinv()

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        return self.scale.square()


class LogNormal(_LocScale):
    """The distribution of a positive number whose logarithm is normal.

    Args:
        loc: Mean of the logarithm.
        scale: Standard deviation of the logarithm.
        validate_args: Check parameters and values.

    Example:
        >>> distributions.LogNormal(0.0, 1.0).mean
        tensor(1.6487)
    """

    support = POSITIVE

    def _log(self) -> Normal:
        return Normal(self.loc, self.scale)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._log().rsample(sample_shape).exp()

    def log_prob(self, value: Any) -> Tensor:
        logarithm = self._value("log_prob", value).log()
        return self._log().log_prob(logarithm) - logarithm

    def cdf(self, value: Any) -> Tensor:
        return self._log().cdf(self._value("cdf", value).log())

    def icdf(self, value: Any) -> Tensor:
        return self._log().icdf(value).exp()

    def entropy(self) -> Tensor:
        return self._log().entropy() + self.loc

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale.square() / 2).exp()

    @property
    def mode(self) -> Tensor:
        return (self.loc - self.scale.square()).exp()

    @property
    def variance(self) -> Tensor:
        square = self.scale.square()
        return expm1(square) * (2 * self.loc + square).exp()


class Laplace(_LocScale):
    """The Laplace distribution, whose density falls exponentially on both sides.

    Args:
        loc: Mean.
        scale: Mean distance from ``loc``.
        validate_args: Check parameters and values.

    Example:
        >>> distributions.Laplace(0.0, 1.0).log_prob(2.0)
        tensor(-2.6931)
    """

    def _standard(self, shape: tuple[int, ...]) -> Tensor:
        return _laplace_quantile(open_uniform(shape, self.loc.dtype) - 0.5)

    def log_prob(self, value: Any) -> Tensor:
        return -self._place("log_prob", value).abs() - (2 * self.scale).log()

    def cdf(self, value: Any) -> Tensor:
        place = self._place("cdf", value)
        return 0.5 - 0.5 * place.sign() * expm1(-place.abs())

    def icdf(self, value: Any) -> Tensor:
        return self.loc + self.scale * _laplace_quantile(self._value("icdf", value) - 0.5)

    def entropy(self) -> Tensor:
        return 1 + (2 * self.scale).log()

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale.square()


def _laplace_quantile(centered: Tensor) -> Tensor:
    return -centered.sign() * log1p(-2 * centered.abs())


class Cauchy(_LocScale):
    """The Cauchy distribution, which has neither mean nor variance.

    Args:
        loc: Median.
        scale: Half the distance between the quartiles.
        validate_args: Check parameters and values.

    Example:
        >>> distributions.Cauchy(0.0, 1.0).cdf(1.0)
        tensor(0.75)
    """

    def _standard(self, shape: tuple[int, ...]) -> Tensor:
        return tan(math.pi * (open_uniform(shape, self.loc.dtype) - 0.5))

    def log_prob(self, value: Any) -> Tensor:
        return -math.log(math.pi) - self.scale.log() - log1p(self._place("log_prob", value).square())

    def cdf(self, value: Any) -> Tensor:
        return atan(self._place("cdf", value)) / math.pi + 0.5

    def icdf(self, value: Any) -> Tensor:
        return self.loc + self.scale * tan(math.pi * (self._value("icdf", value) - 0.5))

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + self.scale.log()

    @property
    def mean(self) -> Tensor:
        return full_like(self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        return full_like(self.loc, math.inf)


class Gumbel(_LocScale):
    """The Gumbel distribution, that of the largest of many numbers.

    Args:
        loc: Mode.
        scale: Scale.
        validate_args: Check parameters and values.

    Example:
        >>> distributions.Gumbel(0.0, 1.0).mean
        tensor(0.5772)
    """

    def _standard(self, shape: tuple[int, ...]) -> Tensor:
        return -(-open_uniform(shape, self.loc.dtype).log()).log()

    def log_prob(self, value: Any) -> Tensor:
        place = self._place("log_prob", value)
        return -place - (-place).exp() - self.scale.log()

    def cdf(self, value: Any) -> Tensor:
        return (-(-self._place("cdf", value)).exp()).exp()

    def icdf(self, value: Any) -> Tensor:
        return self.loc - self.scale * (-self._value("icdf", value).log()).log()

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + EULER)

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * EULER

    @property
    def variance(self) -> Tensor:
        return (math.pi**2 / 6) * self.scale.square()


class HalfNormal(Distribution):
    """The distribution of the absolute value of a normal number with mean 0.

    Args:
        scale: Standard deviation of the normal number.
        validate_args: Check parameters and values.

    Example:
        >>> distributions.HalfNormal(1.0).mean
        tensor(0.7979)
    """

    has_rsample = True
    checks: ClassVar[dict[str, Check]] = {"scale": POSITIVE}
    support = NON_NEGATIVE
    scale: Tensor

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        [self.scale] = parameters(scale)
        super().__init__(self.scale.shape, validate_args=validate_args)

    def _whole(self) -> Normal:
        return Normal(zeros_like(self.scale), self.scale)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._whole().rsample(sample_shape).abs()

    def log_prob(self, value: Any) -> Tensor:
        place = self._value("log_prob", value)
        return where(place >= 0, self._whole().log_prob(place) + math.log(2), -math.inf)

    def cdf(self, value: Any) -> Tensor:
        return 2 * self._whole().cdf(self._value("cdf", value)) - 1

    def icdf(self, value: Any) -> Tensor:
        return self._whole().icdf((self._value("icdf", value) + 1) / 2)

    def entropy(self) -> Tensor:
        return self._whole().entropy() - math.log(2)

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def mode(self) -> Tensor:
        return zeros_like(self.scale)

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * (1 - 2 / math.pi)


class Exponential(Distribution):
    """The distribution of the time between events that happen at a constant rate.

    Args:
        rate: Number of events per unit of time.
        validate_args: Check parameters and values.

    Example:
        >>> distributions.Exponential(2.0).mean
        tensor(0.5)
    """

    has_rsample = True
    checks: ClassVar[dict[str, Check]] = {"rate": POSITIVE}
    support = NON_NEGATIVE
    rate: Tensor

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        [self.rate] = parameters(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return -open_uniform(self._shape(sample_shape), self.rate.dtype).log() / self.rate

    def log_prob(self, value: Any) -> Tensor:
        return self.rate.log() - self.rate * self._value("log_prob", value)

    def cdf(self, value: Any) -> Tensor:
        return -expm1(-self.rate * self._value("cdf", value))

    def icdf(self, value: Any) -> Tensor:
        return -log1p(-self._value("icdf", value)) / self.rate

    def entropy(self) -> Tensor:
        return 1 - self.rate.log()

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate

    @property
    def mode(self) -> Tensor:
        return zeros_like(self.rate)

    @property
    def stddev(self) -> Tensor:
        return 1 / self.rate

    @property
    def variance(self) -> Tensor:
        return 1 / self.rate.square()


class Uniform(Distribution):
    """The uniform distribution on ``[low, high)``.

    Args:
        low: Lower end.
        high: Upper end.
        validate_args: Check parameters and values.

    Example:
        >>> distributions.Uniform(0.0, 4.0).log_prob(1.0).exp()
        tensor(0.25)
    """

    has_rsample = True
    checks: ClassVar[dict[str, Check]] = {"low": FINITE, "high": FINITE}
    low: Tensor
    high: Tensor

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = parameters(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)
        if self._validate and not (self.low < self.high).all().item():
            raise ValueError(f"Uniform: low must be below high, got {self.low!r:.80} and {self.high!r:.80}")

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.low + (self.high - self.low) * random.rand(self._shape(sample_shape), dtype=self.low.dtype)

    def log_prob(self, value: Any) -> Tensor:
        place = self._value("log_prob", value)
        is_inside = (place >= self.low) & (place < self.high)
        return where(is_inside, -(self.high - self.low).log(), -math.inf)

    def cdf(self, value: Any) -> Tensor:
        return ((self._value("cdf", value) - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Any) -> Tensor:
        return self.low + (self.high - self.low) * self._value("icdf", value)

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def mode(self) -> Tensor:
        return full_like(self.low, math.nan)

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low).square() / 12

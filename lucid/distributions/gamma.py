"""The gamma distribution and those whose draws are made of its draws: Chi2, Beta, Dirichlet and StudentT.

``rsample`` differentiates by the shape parameters implicitly, as PyTorch does: ``lucid.kernels.incomplete_gamma``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import mlx.core as mx

from lucid import random
from lucid._creation import full_like
from lucid._tensor import Tensor
from lucid.distributions.distribution import (
    FINITE,
    NON_NEGATIVE,
    POSITIVE,
    PROBABILITY,
    Check,
    Distribution,
    parameters,
)
from lucid.kernels.incomplete_gamma import log_gamma_draw
from lucid.ops._types import TensorLike
from lucid.ops.elementwise import log1p
from lucid.ops.indexing import one_hot, where
from lucid.ops.joining import stack
from lucid.ops.reduction import logsumexp
from lucid.tape import op

SIMPLEX: Check = ("at least 0 and add up to 1", lambda x: (x >= 0).all(-1) & ((x.sum(-1) - 1).abs() < 1e-6))


@op
def _log_draws(input: TensorLike, key: mx.array) -> mx.array:
    """The logarithms of draws of the standard gamma distribution."""
    wide = input if input.dtype == mx.float64 else input.astype(mx.float32)
    return log_gamma_draw(wide, key).astype(input.dtype)


def log_gammas(concentration: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The logarithms of draws with rate 1, of the given shape."""
    return _log_draws(concentration.expand(shape), random.key())


def _log_beta(*concentrations: Tensor) -> Tensor:
    """The logarithm of the beta function, the integral that makes the density one."""
    total = concentrations[0]
    found = concentrations[0].lgamma()
    for one in concentrations[1:]:
        total, found = total + one, found + one.lgamma()
    return found - total.lgamma()


class Gamma(Distribution):
    """The gamma distribution.

    Args:
        concentration: Shape, often called alpha.
        rate: One over the scale, often called beta.
        validate_args: Check parameters and values.

    Example:
        >>> distributions.Gamma(3.0, 2.0).mean
        tensor(1.5)
    """

    has_rsample = True
    checks: ClassVar[dict[str, Check]] = {"concentration": POSITIVE, "rate": POSITIVE}
    support = NON_NEGATIVE
    concentration: Tensor
    rate: Tensor

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = parameters(concentration, rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        draws = log_gammas(self.concentration, self._shape(sample_shape)).exp() / self.rate
        return draws.clamp(min=_smallest(draws.dtype))

    def log_prob(self, value: Any) -> Tensor:
        place = self._value("log_prob", value)
        a, rate = self.concentration, self.rate
        return a.xlogy(rate) + (a - 1).xlogy(place) - rate * place - a.lgamma()

    def cdf(self, value: Any) -> Tensor:
        place = self._value("cdf", value)
        return self.concentration.igamma(self.rate * place)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1 - a) * a.digamma()

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate.square()


class Chi2(Gamma):
    """The chi-squared distribution, that of the sum of squares of ``df`` standard normal numbers.

    Args:
        df: Degrees of freedom.
        validate_args: Check parameters and values.

    Example:
        >>> distributions.Chi2(4.0).mean
        tensor(4.)
    """

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args)

    @property
    def df(self) -> Tensor:
        """The degrees of freedom."""
        return 2 * self.concentration


class Beta(Distribution):
    """The beta distribution, of numbers between 0 and 1.

    Args:
        concentration1: First shape, often called alpha: the larger, the closer to 1.
        concentration0: Second shape, often called beta: the larger, the closer to 0.
        validate_args: Check parameters and values.

    Example:
        >>> distributions.Beta(1.0, 3.0).mean
        tensor(0.25)
    """

    has_rsample = True
    checks: ClassVar[dict[str, Check]] = {"concentration1": POSITIVE, "concentration0": POSITIVE}
    support = PROBABILITY
    concentration1: Tensor
    concentration0: Tensor

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = parameters(concentration1, concentration0)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    def _pair(self) -> Dirichlet:
        return Dirichlet(stack([self.concentration1, self.concentration0], -1))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._pair().rsample(sample_shape)[..., 0]

    def log_prob(self, value: Any) -> Tensor:
        place = self._value("log_prob", value)
        a, b = self.concentration1, self.concentration0
        return (a - 1).xlogy(place) + (b - 1).xlogy(1 - place) - _log_beta(a, b)

    def entropy(self) -> Tensor:
        return self._pair().entropy()

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        return self._pair().mode[..., 0]

    @property
    def variance(self) -> Tensor:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.square() * (total + 1))


class Dirichlet(Distribution):
    """The Dirichlet distribution, of vectors that add up to 1.

    Args:
        concentration: Shapes, of which the last dimension is that of a draw.
        validate_args: Check parameters and values.

    Raises:
        ValueError: ``concentration`` has no dimension.

    Example:
        >>> distributions.Dirichlet(lucid.tensor([1.0, 3.0])).mean
        tensor([0.25, 0.75])
    """

    has_rsample = True
    checks: ClassVar[dict[str, Check]] = {"concentration": POSITIVE}
    support = SIMPLEX
    concentration: Tensor

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        [self.concentration] = parameters(concentration)
        if not self.concentration.ndim:
            raise ValueError("Dirichlet: concentration must have a dimension for the vectors, got a 0-d tensor")
        *batch, last = self.concentration.shape
        super().__init__(batch, (last,), validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        logs = log_gammas(self.concentration, self._shape(sample_shape))
        return (logs - logsumexp(logs, -1, True)).exp()

    def _log_normalizer(self) -> Tensor:
        return self.concentration.lgamma().sum(-1) - self.concentration.sum(-1).lgamma()

    def log_prob(self, value: Any) -> Tensor:
        place = self._value("log_prob", value)
        return (self.concentration - 1).xlogy(place).sum(-1) - self._log_normalizer()

    def entropy(self) -> Tensor:
        total, count = self.concentration.sum(-1), self.concentration.shape[-1]
        terms = ((self.concentration - 1) * self.concentration.digamma()).sum(-1)
        return self._log_normalizer() - (count - total) * total.digamma() - terms

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Tensor:
        above = (self.concentration - 1).clamp(min=0)
        inner = above / above.sum(-1, True)
        corner = one_hot(self.concentration.argmax(-1), self.concentration.shape[-1]).to(inner.dtype)
        return where((self.concentration < 1).all(-1, True), corner, inner)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.square() * (total + 1))


class StudentT(Distribution):
    """Student's t-distribution.

    Args:
        df: Degrees of freedom.
        loc: Center.
        scale: Scale.
        validate_args: Check parameters and values.

    Example:
        >>> distributions.StudentT(3.0).variance
        tensor(3.)
    """

    has_rsample = True
    checks: ClassVar[dict[str, Check]] = {"df": POSITIVE, "loc": FINITE, "scale": POSITIVE}
    df: Tensor
    loc: Tensor
    scale: Tensor

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = parameters(df, loc, scale)
        super().__init__(self.df.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._shape(sample_shape)
        log_ratio = log_gammas(self.df / 2, shape) - (self.df / 2).log()  # of chi-squared and the degrees of freedom
        return self.loc + self.scale * random.randn(shape, dtype=self.df.dtype) * (-0.5 * log_ratio).exp()

    def log_prob(self, value: Any) -> Tensor:
        place = (self._value("log_prob", value) - self.loc) / self.scale
        return -0.5 * (self.df + 1) * log1p(place.square() / self.df) - self._log_normalizer()

    def _log_normalizer(self) -> Tensor:
        half = self.df / 2
        return self.scale.log() + 0.5 * (self.df.log() + math.log(math.pi)) + half.lgamma() - (half + 0.5).lgamma()

    def entropy(self) -> Tensor:
        half = self.df / 2
        return (half + 0.5) * ((half + 0.5).digamma() - half.digamma()) + self._log_normalizer()

    @property
    def mean(self) -> Tensor:
        return where(self.df > 1, self.loc, full_like(self.loc, math.nan))

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        found = self.scale.square() * self.df / (self.df - 2)
        return where(self.df > 2, found, where(self.df > 1, full_like(found, math.inf), full_like(found, math.nan)))


def _smallest(dtype: mx.Dtype) -> float:
    """The smallest number above 0 that is not subnormal."""
    return {mx.float64: 2.2250738585072014e-308, mx.float16: 6.103515625e-05}.get(dtype, 1.1754943508222875e-38)

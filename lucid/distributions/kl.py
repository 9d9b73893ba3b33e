"""Kullback-Leibler divergences in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lucid._tensor import Tensor
from lucid.distributions.continuous import Exponential, HalfNormal, Laplace, LogNormal, Normal, Uniform
from lucid.distributions.discrete import Bernoulli, Categorical, Geometric
from lucid.distributions.distribution import Distribution
from lucid.distributions.gamma import Beta, Dirichlet, Gamma
from lucid.distributions.independent import Independent
from lucid.ops.activation import softplus
from lucid.ops.indexing import where

Formula = Callable[[Any, Any], Tensor]
_FORMULAS: dict[tuple[type, type], Formula] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Formula], Formula]:
    """A decorator: the function computes the divergence of distributions of these classes.

    Raises:
        TypeError: one of them is no class of distributions.

    Example:
        >>> @distributions.register_kl(distributions.Normal, distributions.Laplace)
        ... def normal_from_laplace(p, q):
        ...     return p.entropy() * 0 + 1.0
        ...
    """
    for one in (type_p, type_q):
        if not (isinstance(one, type) and issubclass(one, Distribution)):
            raise TypeError(f"register_kl: expected classes of distributions, got {one!r:.60}")

    def keep(formula: Formula) -> Formula:
        _FORMULAS[type_p, type_q] = formula
        return formula

    return keep


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """``KL(p || q)``, the mean of ``log p(x) - log q(x)`` for draws ``x`` of ``p``, of shape ``batch_shape``.

    Raises:
        NotImplementedError: there is no formula for these classes.

    Example:
        >>> distributions.kl_divergence(distributions.Normal(1.0, 1.0), distributions.Normal(0.0, 1.0))
        tensor(0.5)
    """
    for one in type(p).__mro__:
        for other in type(q).__mro__:
            if (one, other) in _FORMULAS:
                return _FORMULAS[one, other](p, q)
    raise NotImplementedError(
        f"kl_divergence: no formula for {type(p).__name__} and {type(q).__name__}; register_kl adds one"
    )


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).square() - 1 - ratio.log())


@register_kl(LogNormal, LogNormal)
def _log_normal(p: LogNormal, q: LogNormal) -> Tensor:
    return _normal(Normal(p.loc, p.scale), Normal(q.loc, q.scale))


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: HalfNormal, q: HalfNormal) -> Tensor:
    return _normal(Normal(0.0, p.scale), Normal(0.0, q.scale))


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    distance = (p.loc - q.loc).abs()
    return (q.scale / p.scale).log() + distance / q.scale + p.scale / q.scale * (-distance / p.scale).exp() - 1


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    widths = ((q.high - q.low) / (p.high - p.low)).log()
    return where((q.low > p.low) | (q.high < p.high), math.inf, widths)


@register_kl(Uniform, Normal)
def _uniform_normal(p: Uniform, q: Normal) -> Tensor:
    return -p.entropy() - 0.5 * (
        -(2 * math.pi * q.variance).log() - (p.variance + (p.mean - q.loc).square()) / q.variance
    )


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    one = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    return one + (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Tensor:
    terms = where(p.probs == 0, 0.0, p.probs * (p.logits - q.logits))
    return where((q.probs == 0) & (p.probs != 0), math.inf, terms).sum(-1)


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - (1 - q.probs).log() / p.probs * (1 - p.probs) - q.probs.log()


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    ratio = p.rate / q.rate
    return b * ratio.log() + b.lgamma() - a.lgamma() + (a - b) * a.digamma() + a * (1 / ratio - 1)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1, True)
    terms = b.lgamma() - a.lgamma() + (a - b) * (a.digamma() - total.digamma())
    return terms.sum(-1) + total.squeeze(-1).lgamma() - b.sum(-1).lgamma()


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Tensor:
    return _dirichlet(p._pair(), q._pair())


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("kl_divergence: both must take the same number of dimensions as the event")
    return p.sum_of(kl_divergence(p.base_dist, q.base_dist))

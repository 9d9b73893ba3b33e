"""Probability distributions: samples, densities, entropies and divergences, with gradients.

Parameters are tensors or numbers and are broadcast; ``rsample`` draws with gradients by reparametrization. Values are
only checked with ``validate_args=True``, because that has to read them.

    policy = distributions.Categorical(logits=network(state))
    action = policy.sample()
    loss = -policy.log_prob(action) * reward
"""

from lucid.distributions.continuous import (
    Cauchy,
    Exponential,
    Gumbel,
    HalfNormal,
    Laplace,
    LogNormal,
    Normal,
    Uniform,
)
from lucid.distributions.discrete import Bernoulli, Categorical, Geometric, OneHotCategorical
from lucid.distributions.distribution import Distribution
from lucid.distributions.gamma import Beta, Chi2, Dirichlet, Gamma, StudentT
from lucid.distributions.independent import Independent
from lucid.distributions.kl import kl_divergence, register_kl

__all__ = [
    "Bernoulli", "Beta", "Categorical", "Cauchy", "Chi2", "Dirichlet", "Distribution", "Exponential", "Gamma",
    "Geometric", "Gumbel", "HalfNormal", "Independent", "Laplace", "LogNormal", "Normal", "OneHotCategorical",
    "StudentT", "Uniform", "kl_divergence", "register_kl",
]  # fmt: skip

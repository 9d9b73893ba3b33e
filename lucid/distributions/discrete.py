"""Distributions of classes and counts. Probabilities are kept as logits, which are exact where they are small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import mlx.core as mx

from lucid import _grad_mode, random, tape
from lucid._creation import arange, full_like
from lucid._tensor import Tensor
from lucid.distributions.continuous import open_uniform
from lucid.distributions.distribution import (
    BINARY,
    COUNT,
    FINITE,
    NON_NEGATIVE,
    PROBABILITY,
    Check,
    Distribution,
    parameters,
)
from lucid.ops.activation import log_softmax
from lucid.ops.elementwise import log1p, sigmoid
from lucid.ops.gather_scatter import gather
from lucid.ops.indexing import one_hot, where
from lucid.ops.loss import binary_cross_entropy_with_logits


def _one_of(caller: str, probs: Any, logits: Any) -> None:
    if (probs is None) == (logits is None):
        raise ValueError(f"{caller}: give either probs or logits, got {'neither' if probs is None else 'both'}")


class _Binary(Distribution):
    """Of a single probability, given as such or as its logit."""

    checks: ClassVar[dict[str, Check]] = {"probs": PROBABILITY, "logits": FINITE}
    probs: Tensor
    logits: Tensor

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        _one_of(self._name, probs, logits)
        if logits is None:
            [self.probs] = parameters(probs)
            given = self.probs
        else:
            [self.logits] = given_logits = parameters(logits)
            given = given_logits[0]
        super().__init__(given.shape, validate_args=validate_args)
        if logits is None:
            smallest = mx.finfo(self.probs.dtype).eps
            kept = self.probs.clamp(smallest, 1 - smallest)
            self.logits = kept.log() - log1p(-kept)
        else:
            self.probs = sigmoid(self.logits)


class Bernoulli(_Binary):
    """1 with probability ``probs``, otherwise 0.

    Args:
        probs: The probability of 1.
        logits: ``log(probs / (1 - probs))``, instead of it.
        validate_args: Check parameters and values.

    Raises:
        ValueError: both or neither of ``probs`` and ``logits`` are given.

    Example:
        >>> distributions.Bernoulli(0.25).entropy()
        tensor(0.5623)
    """

    support = BINARY

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with _grad_mode.set_recording(False):
            uniform = random.rand(self._shape(sample_shape), dtype=self.probs.dtype)
            return (uniform < self.probs).to(self.probs.dtype)

    def log_prob(self, value: Any) -> Tensor:
        found = self._value("log_prob", value)
        shape = mx.broadcast_shapes(found.shape, self.logits.shape)
        logits, wanted = self.logits.expand(shape), found.to(self.logits.dtype).expand(shape)
        return -binary_cross_entropy_with_logits(logits, wanted, reduction="none")

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return _enumerated(arange(2, dtype=self.probs.dtype), self.batch_shape, expand)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return where(self.probs == 0.5, math.nan, (self.probs >= 0.5).to(self.probs.dtype))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)


class Geometric(_Binary):
    """The number of failures before the first success.

    Args:
        probs: The probability of success.
        logits: ``log(probs / (1 - probs))``, instead of it.
        validate_args: Check parameters and values.

    Raises:
        ValueError: both or neither of ``probs`` and ``logits`` are given.

    Example:
        >>> distributions.Geometric(0.25).mean
        tensor(3.)
    """

    support = COUNT

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with _grad_mode.set_recording(False):
            return (open_uniform(self._shape(sample_shape), self.probs.dtype).log() / log1p(-self.probs)).floor()

    def log_prob(self, value: Any) -> Tensor:
        found = self._value("log_prob", value)
        failures = where((self.probs == 1) & (found == 0), 0.0, found * log1p(-self.probs))
        return failures + self.probs.log()

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs - 1

    @property
    def mode(self) -> Tensor:
        return full_like(self.probs, 0.0)

    @property
    def variance(self) -> Tensor:
        return (1 / self.probs - 1) / self.probs


class Categorical(Distribution):
    """A class, with probabilities along the last dimension.

    Args:
        probs: Weights of the classes, of shape (..., classes), which are normalized.
        logits: Logarithms of the weights, instead of them.
        validate_args: Check parameters and values.

    Raises:
        ValueError: both or neither of ``probs`` and ``logits`` are given, or they have no dimension.

    Example:
        >>> distributions.Categorical(probs=lucid.tensor([1.0, 3.0])).log_prob(lucid.tensor([1, 0])).exp()
        tensor([0.75, 0.25])
    """

    checks: ClassVar[dict[str, Check]] = {"probs": NON_NEGATIVE, "logits": ("numbers", lambda x: x == x)}
    support = COUNT
    _event_dims = 0
    probs: Tensor
    logits: Tensor

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        _one_of(self._name, probs, logits)
        [given] = parameters(probs if logits is None else logits)
        if given.ndim < 1:
            raise ValueError(f"{self._name}: probs and logits need a dimension of classes, got a scalar")
        self._num_events = given.shape[-1]
        if logits is None:
            self.probs = given
        else:
            self.logits = given
        super().__init__(given.shape[:-1], given.shape[-1:] if self._event_dims else (), validate_args)
        if logits is None:
            self.probs = given / given.sum(-1, keepdim=True)
            smallest = mx.finfo(given.dtype).eps
            self.logits = self.probs.clamp(smallest, 1 - smallest).log()
        else:
            self.logits = log_softmax(given, -1)
            self.probs = self.logits.exp()

    def _classes(self, sample_shape: Sequence[int]) -> Tensor:
        shape = (*sample_shape, *self.batch_shape)
        with _grad_mode.set_recording(False):
            drawn = mx.random.categorical(self.logits._array, shape=shape, key=random.key())
            return tape.wrap(drawn.astype(mx.int64))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._classes(sample_shape)

    def log_prob(self, value: Any) -> Tensor:
        return self._log_prob_of(self._value("log_prob", value).long())

    def _log_prob_of(self, classes: Tensor) -> Tensor:
        shape = tuple(mx.broadcast_shapes(classes.shape, self.batch_shape))
        logits = self.logits.expand((*shape, self._num_events))
        return gather(logits, -1, classes.expand(shape).unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        smallest = mx.finfo(self.logits.dtype).min
        return -(self.logits.clamp(min=smallest) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return _enumerated(arange(self._num_events), self.batch_shape, expand)

    @property
    def param_shape(self) -> tuple[int, ...]:
        """The shape of ``probs``."""
        return self.probs.shape

    @property
    def mean(self) -> Tensor:
        return full_like(self.probs[..., 0], math.nan)

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    @property
    def variance(self) -> Tensor:
        return full_like(self.probs[..., 0], math.nan)


class OneHotCategorical(Categorical):
    """A class as a vector with a 1 at its place.

    Args:
        probs: Weights of the classes, of shape (..., classes), which are normalized.
        logits: Logarithms of the weights, instead of them.
        validate_args: Check parameters and values.

    Raises:
        ValueError: both or neither of ``probs`` and ``logits`` are given, or they have no dimension.

    Example:
        >>> distributions.OneHotCategorical(probs=lucid.tensor([1.0, 3.0])).mean
        tensor([0.25, 0.75])
    """

    support = BINARY
    _event_dims = 1

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return one_hot(self._classes(sample_shape), self._num_events).to(self.probs.dtype)

    def log_prob(self, value: Any) -> Tensor:
        return self._log_prob_of(self._value("log_prob", value).argmax(-1))

    def enumerate_support(self, expand: bool = True) -> Tensor:
        rows = one_hot(arange(self._num_events), self._num_events).to(self.probs.dtype)
        shape = (self._num_events, *(1 for _ in self.batch_shape), self._num_events)
        rows = rows.reshape(shape)
        return rows.expand((self._num_events, *self.batch_shape, self._num_events)) if expand else rows

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return one_hot(self.probs.argmax(-1), self._num_events).to(self.probs.dtype)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)


def _enumerated(values: Tensor, batch_shape: tuple[int, ...], expand: bool) -> Tensor:
    values = values.reshape((-1, *(1 for _ in batch_shape)))
    return values.expand((values.shape[0], *batch_shape)) if expand else values

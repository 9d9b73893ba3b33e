"""Several draws of a distribution as one event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lucid import _checks
from lucid._tensor import Tensor
from lucid.distributions.distribution import Distribution


class Independent(Distribution):
    """Takes the last dimensions of a distribution's ``batch_shape`` as part of the event, so that their log
    probabilities are added.

    Args:
        base_distribution: The distribution.
        reinterpreted_batch_ndims: How many dimensions.
        validate_args: Without effect: the distribution checks its own.

    Raises:
        ValueError: the distribution has fewer dimensions.

    Example:
        >>> image = distributions.Independent(distributions.Normal(lucid.zeros(2, 3), 1.0), 1)
        >>> image.batch_shape, image.event_shape
        ((2,), (3,))
    """

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        count = _checks.integer("Independent", "reinterpreted_batch_ndims", reinterpreted_batch_ndims, 0)
        batch = base_distribution.batch_shape
        if count > len(batch):
            raise ValueError(
                f"Independent: reinterpreted_batch_ndims must be at most {len(batch)}, the number of dimensions of "
                f"batch_shape, got {count}"
            )
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = count
        cut = len(batch) - count
        super().__init__(batch[:cut], (*batch[cut:], *base_distribution.event_shape))

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    def sum_of(self, values: Tensor) -> Tensor:
        """``values`` of the base distribution summed over the dimensions of the event."""
        count = self.reinterpreted_batch_ndims
        return values.sum(tuple(range(-count, 0))) if count else values

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Tensor:
        return self.sum_of(self.base_dist.log_prob(value))

    def entropy(self) -> Tensor:
        return self.sum_of(self.base_dist.entropy())

    def expand(self, batch_shape: Sequence[int]) -> Independent:
        event = self.event_shape[: self.reinterpreted_batch_ndims]
        return Independent(self.base_dist.expand((*batch_shape, *event)), self.reinterpreted_batch_ndims)

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def __repr__(self) -> str:
        return f"Independent({self.base_dist!r}, {self.reinterpreted_batch_ndims})"

"""The base class of distributions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import mlx.core as mx

from lucid import _grad_mode, tape
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.ops.shape import broadcast_tensors

Check = tuple[str, Callable[[Tensor], Tensor]]
D = TypeVar("D", bound="Distribution")

POSITIVE: Check = ("positive", lambda x: x > 0)
NON_NEGATIVE: Check = ("at least 0", lambda x: x >= 0)
FINITE: Check = ("finite", lambda x: (x - x) == 0)
PROBABILITY: Check = ("between 0 and 1", lambda x: (x >= 0) & (x <= 1))
BINARY: Check = ("0 or 1", lambda x: (x == 0) | (x == 1))
COUNT: Check = ("an integer of at least 0", lambda x: (x >= 0) & (x == x.floor()))


class Distribution:
    """Base class: a subclass sets its parameters, calls ``super().__init__``, and defines what it can compute.

    ``batch_shape`` is the shape of the parameters, ``event_shape`` that of a single draw; ``sample(shape)`` has the
    shape ``shape + batch_shape + event_shape`` and ``log_prob(value)`` the shape of ``value`` without ``event_shape``.

    Args:
        batch_shape: Number of independent distributions along each dimension.
        event_shape: Shape of a draw.
        validate_args: Check parameters and values, which waits for them. None means False.

    Raises:
        ValueError: With ``validate_args``, a parameter or value is out of range.

    Example:
        >>> class Constant(distributions.Distribution):
        ...     def sample(self, sample_shape=()):
        ...         return lucid.ones(tuple(sample_shape))
        ...
        >>> Constant().sample((2,))
        tensor([1., 1.])
    """

    has_rsample = False
    checks: ClassVar[dict[str, Check]] = {}  # of parameters
    support: Check | None = None  # of values

    def __init__(
        self, batch_shape: Sequence[int] = (), event_shape: Sequence[int] = (), validate_args: bool | None = None
    ) -> None:
        self.batch_shape, self.event_shape = tuple(batch_shape), tuple(event_shape)
        self._validate = bool(validate_args)
        if self._validate:
            for name, check in self.checks.items():
                if name in vars(self):
                    self._require(name, getattr(self, name), check)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _require(self, name: str, value: Tensor, check: Check) -> None:
        words, is_valid = check
        if not is_valid(value).all().item():
            raise ValueError(f"{self._name}: {name} must be {words}, got {value.detach()!r:.200}")

    def _value(self, caller: str, value: Any) -> Tensor:
        """A value to look up, checked if wanted."""
        found = value if isinstance(value, Tensor) else tape.wrap(as_array(value))
        try:
            mx.broadcast_shapes(found.shape, self.batch_shape + self.event_shape)
        except ValueError:
            raise ValueError(
                f"{self._name}.{caller}: value must be broadcastable to the shape "
                f"{self.batch_shape + self.event_shape}, got {found.shape}"
            ) from None
        if self._validate and self.support is not None:
            self._require("value", found, self.support)
        return found

    def _shape(self, sample_shape: Sequence[int]) -> tuple[int, ...]:
        return (*sample_shape, *self.batch_shape, *self.event_shape)

    def _missing(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"{self._name}: {what} is not available for this distribution")

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws of shape ``sample_shape + batch_shape + event_shape``, without gradients."""
        with _grad_mode.set_recording(False):
            return self.rsample(sample_shape)

    def sample_n(self, n: int) -> Tensor:
        """``sample((n,))``."""
        return self.sample((n,))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws that are differentiable functions of the parameters."""
        raise self._missing("rsample()")

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density, or of the probability, at ``value``."""
        raise self._missing("log_prob()")

    def cdf(self, value: Any) -> Tensor:
        """The probability of at most ``value``."""
        raise self._missing("cdf()")

    def icdf(self, value: Any) -> Tensor:
        """The quantile of the probability ``value``."""
        raise self._missing("icdf()")

    def entropy(self) -> Tensor:
        """The entropy in nats, of shape ``batch_shape``."""
        raise self._missing("entropy()")

    def perplexity(self) -> Tensor:
        """``exp(entropy())``."""
        return self.entropy().exp()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values along a new first dimension."""
        raise self._missing("enumerate_support()")

    def expand(self: D, batch_shape: Sequence[int]) -> D:
        """The distribution with its parameters broadcast to ``batch_shape``."""
        new = object.__new__(type(self))
        vars(new).update(vars(self))
        new.batch_shape = tuple(batch_shape)
        for name in self.checks:
            if name in vars(self):
                own = getattr(self, name)
                setattr(new, name, own.expand((*new.batch_shape, *own.shape[len(self.batch_shape) :])))
        return new

    @property
    def mean(self) -> Tensor:
        """The mean, of shape ``batch_shape + event_shape``."""
        raise self._missing("mean")

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        raise self._missing("mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise self._missing("variance")

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def __repr__(self) -> str:
        shown = ((name, getattr(self, name)) for name in self.checks if name in vars(self))
        return f"{self._name}({', '.join(f'{name}: {_short(value)}' for name, value in shown)})"


def _short(value: Tensor) -> str:
    return f"{value.item():g}" if value.numel() == 1 else f"{tuple(value.shape)}"


def parameters(*values: Any) -> list[Tensor]:
    """Numbers and tensors as tensors of one floating-point dtype and shape."""
    dtypes = [one.dtype for one in values if isinstance(one, Tensor)]
    dtype = dtypes[0] if dtypes and mx.issubdtype(dtypes[0], mx.floating) else mx.float32
    tensors = [one if isinstance(one, Tensor) else tape.wrap(as_array(one, dtype)) for one in values]
    return list(broadcast_tensors(*(one if one.is_floating_point() else one.to(dtype) for one in tensors)))

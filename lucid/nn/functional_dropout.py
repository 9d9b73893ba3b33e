"""The dropout functions of ``lucid.nn.functional``: they draw the random numbers that the operations take."""

import warnings
from collections.abc import Callable
from typing import Any

from lucid import _checks, random, tape
from lucid._tensor import Tensor
from lucid.ops import stochastic
from lucid.ops._types import TensorLike

__all__ = [
    "alpha_dropout", "drop_path", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout",
]  # fmt: skip


def dropout(input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """During training, zero each value with probability ``p`` and divide the rest by ``1 - p``.

    Otherwise this is the input itself. ``inplace=True`` writes the result to the input.

    Raises:
        ValueError: ``p`` is outside [0, 1].

    Example:
        >>> sorted(set(F.dropout(lucid.ones(100), 0.5).tolist()))
        [0.0, 2.0]
    """
    return _dropped("dropout", stochastic.dropout, input, p, training, inplace)


def dropout1d(
    input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False,
    *, data_format: str = "channels_first",
) -> Tensor:  # fmt: skip
    """``dropout`` of whole channels of signals (N, C, L) or (C, L).

    Raises:
        ValueError: ``p`` is outside [0, 1], or ``input`` has another number of dimensions.
    """
    return _dropped("dropout1d", stochastic.dropout_channels, input, p, training, inplace, data_format, 1)


def dropout2d(
    input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False,
    *, data_format: str = "channels_first",
) -> Tensor:  # fmt: skip
    """``dropout`` of whole channels of images (N, C, H, W).

    As in PyTorch, (N, C, L) is accepted with a warning.
    """
    result = _dropped("dropout2d", stochastic.dropout_channels, input, p, training, inplace, data_format, 2)
    if result.ndim == 3:
        warnings.warn(
            "dropout2d: an input of 3 dimensions is taken as (N, C, L), and not as an image without a batch",
            stacklevel=_checks.level_of_user(),
        )
    return result


def dropout3d(
    input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False,
    *, data_format: str = "channels_first",
) -> Tensor:  # fmt: skip
    """``dropout`` of whole channels of volumes (N, C, D, H, W) or (C, D, H, W).

    Raises:
        ValueError: ``p`` is outside [0, 1], or ``input`` has another number of dimensions.
    """
    return _dropped("dropout3d", stochastic.dropout_channels, input, p, training, inplace, data_format, 3)


def alpha_dropout(input: TensorLike, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """``dropout`` for networks with SELU: dropped values become its lower limit, and mean and variance stay.

    Source: Klambauer et al. 2017, arXiv:1706.02515.

    Raises:
        ValueError: ``p`` is outside [0, 1].
    """
    return _dropped("alpha_dropout", stochastic.alpha_dropout, input, p, training, inplace)


def feature_alpha_dropout(input: TensorLike, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """``alpha_dropout`` of whole channels of (N, C, ...).

    Raises:
        ValueError: ``p`` is outside [0, 1], or ``input`` has fewer than 2 dimensions.
    """
    return _dropped("feature_alpha_dropout", stochastic.alpha_dropout, input, p, training, inplace, True)


def drop_path(input: TensorLike, drop_prob: float = 0.0, training: bool = False, scale_by_keep: bool = True) -> Tensor:
    """During training, zero whole samples of ``input`` (N, ...) with probability ``drop_prob``: stochastic depth.

    With ``scale_by_keep``, the other samples are divided by ``1 - drop_prob``. Source: Huang et al. 2016,
    arXiv:1603.09382.

    Raises:
        ValueError: ``drop_prob`` is outside [0, 1].
    """
    _checks.probability("drop_path", "drop_prob", drop_prob)
    key = random.key() if training and drop_prob else None
    return stochastic.drop_path(input, drop_prob if training else 0.0, key, scale_by_keep)


def _dropped(
    caller: str, operation: Callable[..., Tensor], input: TensorLike, p: float, training: bool, inplace: bool,
    *options: Any,
) -> Tensor:  # fmt: skip
    rate = _checks.probability(caller, "p", p)
    rate = rate if _checks.flag(caller, "training", training) else 0.0
    if rate == 0 and isinstance(input, Tensor):
        return input
    result = operation(input, rate, random.key() if rate else None, *options)
    return tape.write_to(input, result, caller) if inplace else result

"""Layers that zero values at random during training, and do nothing in evaluation mode."""

from lucid import _checks
from lucid._tensor import Tensor
from lucid.nn import functional
from lucid.nn._common import layout
from lucid.nn.module import Module
from lucid.ops._types import TensorLike
from lucid.ops.normalization import DATA_FORMATS


class Dropout(Module):
    """Zeroes each value with probability ``p`` during training, and divides the rest by ``1 - p``.

    Args:
        p: The probability of zeroing, in [0, 1].
        inplace: Whether to write the result to the input.

    Example:
        >>> layer = nn.Dropout(0.5)
        >>> sorted(set(layer(lucid.ones(100)).tolist()))
        [0.0, 2.0]
        >>> layer.eval()(lucid.ones(3)).tolist()
        [1.0, 1.0, 1.0]
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p = _checks.probability(type(self).__name__, "p", p)
        self.inplace = inplace

    def forward(self, input: TensorLike) -> Tensor:
        return functional.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout1d(Dropout):
    """Zeroes whole channels of signals (N, C, L) with probability ``p`` during training.

    Args:
        p: The probability of zeroing, in [0, 1].
        inplace: Whether to write the result to the input.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> layer = nn.Dropout1d(0.2)
        >>> layer(lucid.randn(2, 64, 7)).shape
        (2, 64, 7)
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, *, data_format: str = "channels_first") -> None:
        super().__init__(p, inplace)
        self.data_format = _checks.one_of("Dropout1d", "data_format", data_format, DATA_FORMATS)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.dropout1d(input, self.p, self.training, self.inplace, data_format=self.data_format)

    def extra_repr(self) -> str:
        return super().extra_repr() + layout(self.data_format)


class Dropout2d(Dropout):
    """Zeroes whole channels of images (N, C, H, W) with probability ``p`` during training.

    Args:
        p: The probability of zeroing, in [0, 1].
        inplace: Whether to write the result to the input.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> layer = nn.Dropout2d(0.2)
        >>> layer(lucid.randn(2, 64, 7, 7)).shape
        (2, 64, 7, 7)
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, *, data_format: str = "channels_first") -> None:
        super().__init__(p, inplace)
        self.data_format = _checks.one_of("Dropout2d", "data_format", data_format, DATA_FORMATS)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.dropout2d(input, self.p, self.training, self.inplace, data_format=self.data_format)

    def extra_repr(self) -> str:
        return super().extra_repr() + layout(self.data_format)


class Dropout3d(Dropout):
    """Zeroes whole channels of volumes (N, C, D, H, W) with probability ``p`` during training.

    Args:
        p: The probability of zeroing, in [0, 1].
        inplace: Whether to write the result to the input.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> layer = nn.Dropout3d(0.2)
        >>> layer(lucid.randn(2, 8, 7, 7, 7)).shape
        (2, 8, 7, 7, 7)
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, *, data_format: str = "channels_first") -> None:
        super().__init__(p, inplace)
        self.data_format = _checks.one_of("Dropout3d", "data_format", data_format, DATA_FORMATS)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.dropout3d(input, self.p, self.training, self.inplace, data_format=self.data_format)

    def extra_repr(self) -> str:
        return super().extra_repr() + layout(self.data_format)


class AlphaDropout(Dropout):
    """Dropout for networks with SELU: dropped values become its lower limit, and mean and variance stay.

    Source: Klambauer et al. 2017, arXiv:1706.02515.

    Args:
        p: The probability of dropping, in [0, 1].
        inplace: Whether to write the result to the input.

    Example:
        >>> nn.AlphaDropout(0.2)(lucid.randn(4, 8)).shape
        (4, 8)
    """

    def forward(self, input: TensorLike) -> Tensor:
        return functional.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(Dropout):
    """``AlphaDropout`` of whole channels of (N, C, ...).

    Args:
        p: The probability of dropping, in [0, 1].
        inplace: Whether to write the result to the input.

    Example:
        >>> nn.FeatureAlphaDropout(0.2)(lucid.randn(4, 8, 5)).shape
        (4, 8, 5)
    """

    def forward(self, input: TensorLike) -> Tensor:
        return functional.feature_alpha_dropout(input, self.p, self.training, self.inplace)


class DropPath(Module):
    """Zeroes whole samples of (N, ...) with probability ``drop_prob`` during training: stochastic depth.

    With ``scale_by_keep``, the other samples are scaled to keep the mean. Place it at the end of a residual branch.
    Source: Huang et al. 2016, arXiv:1603.09382.

    Args:
        drop_prob: The probability of dropping a sample, in [0, 1].
        scale_by_keep: Scale the samples that remain, to keep the mean.

    Example:
        >>> branch = nn.Sequential(nn.Linear(64, 64), nn.DropPath(0.1))
        >>> x = lucid.randn(8, 64)
        >>> (x + branch(x)).shape
        (8, 64)
    """

    def __init__(self, drop_prob: float = 0.0, scale_by_keep: bool = True) -> None:
        super().__init__()
        self.drop_prob = _checks.probability("DropPath", "drop_prob", drop_prob)
        self.scale_by_keep = scale_by_keep

    def forward(self, input: TensorLike) -> Tensor:
        return functional.drop_path(input, self.drop_prob, self.training, self.scale_by_keep)

    def extra_repr(self) -> str:
        return f"drop_prob={self.drop_prob:.3f}"

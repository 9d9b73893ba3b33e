"""Instance normalization: statistics of each channel of each sample."""

import warnings

from lucid import _checks
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.nn import functional
from lucid.nn.batch_normalization import NormWithStatistics
from lucid.ops import shape as shapes
from lucid.ops._types import TensorLike
from lucid.ops._windows import layout_name


class _InstanceNorm(NormWithStatistics):
    dims: int

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = False,
        track_running_stats: bool = False, device: object = None, dtype: object = None,
        *, bias: bool = True, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias, data_format)

    def forward(self, input: TensorLike) -> Tensor:
        where, shape = type(self).__name__, as_array(input).shape
        wanted = layout_name(self.dims, self.data_format)
        _checks.rank(where, "input", shape, (self.dims + 1, self.dims + 2), wanted)
        is_single = len(shape) == self.dims + 1
        channels = shape[-1 if self.data_format == "channels_last" else 0 if is_single else 1]
        if channels != self.num_features:
            message = f"{where}: input should have {self.num_features} channels, got shape {tuple(shape)}"
            if self.affine or self.track_running_stats:
                raise _checks.ArgumentError(message)
            warnings.warn(f"{message}; num_features has no effect without affine", stacklevel=_checks.level_of_user())
        y = functional.instance_norm(
            shapes.unsqueeze(input, 0) if is_single else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
            data_format=self.data_format,
        )
        return shapes.squeeze(y, 0) if is_single else y


class InstanceNorm1d(_InstanceNorm):
    """Normalizes each channel of each sample of signals (N, C, L); see ``lucid.nn.functional.instance_norm``.

    The batch may be missing. Source: Ulyanov et al. 2016, arXiv:1607.08022.

    Args:
        num_features: Number of channels.
        eps: Added to the variance for numerical stability.
        momentum: The weight of the batch in the update of the running statistics.
        affine: Learn a scale and a shift per channel.
        track_running_stats: Whether to keep running statistics, and use them in evaluation mode.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters and running statistics, float32 by default.
        bias: Learn a shift, too.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.InstanceNorm1d(4)(lucid.randn(2, 4, 7)).shape
        (2, 4, 7)
    """

    dims = 1


class InstanceNorm2d(_InstanceNorm):
    """Normalizes each channel of each sample of images (N, C, H, W); see ``lucid.nn.functional.instance_norm``.

    The batch may be missing. Source: Ulyanov et al. 2016, arXiv:1607.08022.

    Args:
        num_features: Number of channels.
        eps: Added to the variance for numerical stability.
        momentum: The weight of the batch in the update of the running statistics.
        affine: Learn a scale and a shift per channel.
        track_running_stats: Whether to keep running statistics, and use them in evaluation mode.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters and running statistics, float32 by default.
        bias: Learn a shift, too.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.InstanceNorm2d(4)(lucid.randn(2, 4, 7, 7)).shape
        (2, 4, 7, 7)
    """

    dims = 2


class InstanceNorm3d(_InstanceNorm):
    """Normalizes each channel of each sample of volumes (N, C, D, H, W); see ``lucid.nn.functional.instance_norm``.

    The batch may be missing. Source: Ulyanov et al. 2016, arXiv:1607.08022.

    Args:
        num_features: Number of channels.
        eps: Added to the variance for numerical stability.
        momentum: The weight of the batch in the update of the running statistics.
        affine: Learn a scale and a shift per channel.
        track_running_stats: Whether to keep running statistics, and use them in evaluation mode.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters and running statistics, float32 by default.
        bias: Learn a shift, too.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.InstanceNorm3d(4)(lucid.randn(2, 4, 3, 5, 5)).shape
        (2, 4, 3, 5, 5)
    """

    dims = 3

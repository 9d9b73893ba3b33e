"""Lazy normalization: the number of channels follows from the first input."""

from lucid import _checks
from lucid._tensor_convert import as_array
from lucid.nn.batch_normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d, NormWithStatistics
from lucid.nn.instance_normalization import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from lucid.nn.lazy import LazyModuleMixin
from lucid.ops._types import TensorLike


class _LazyNorm(LazyModuleMixin, NormWithStatistics):
    def __init__(
        self, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, device: object = None, dtype: object = None,
        *, bias: bool = True, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__(
            1, eps, momentum, affine, track_running_stats, device, dtype, bias=bias, data_format=data_format
        )
        self.num_features = 0
        self._forget_shapes()

    def initialize_parameters(self, input: TensorLike) -> None:
        """Give the parameters and statistics the shapes that the input needs."""
        if self.num_features == 0:
            shape = as_array(input).shape
            single = len(shape) == getattr(self, "dims", -2) + 1  # instance normalization without a batch
            axis = -1 if self.data_format == "channels_last" else 0 if single else 1
            if len(shape) < 2:
                raise _checks.ArgumentError(
                    f"{type(self).__name__}: input must have at least 2 dimensions (N, C, ...), got {shape}"
                )
            self.num_features = shape[axis]
        if self.has_uninitialized_params():
            self._materialize(**dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (self.num_features,)))
            self.reset_running_stats()


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """``BatchNorm1d`` whose ``num_features`` is the number of channels of the first input.

    Args:
        eps: Added to the variance for numerical stability.
        momentum: The weight of the batch in the update of the running statistics.
        affine: Learn a scale and a shift per channel.
        track_running_stats: Whether to keep running statistics, and use them in evaluation mode.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters and running statistics, float32 by default.
        bias: Learn a shift, too.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.LazyBatchNorm1d()(lucid.randn(2, 3, 9)).shape
        (2, 3, 9)
    """

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """``BatchNorm2d`` whose ``num_features`` is the number of channels of the first input.

    Args:
        eps: Added to the variance for numerical stability.
        momentum: The weight of the batch in the update of the running statistics.
        affine: Learn a scale and a shift per channel.
        track_running_stats: Whether to keep running statistics, and use them in evaluation mode.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters and running statistics, float32 by default.
        bias: Learn a shift, too.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.LazyBatchNorm2d()(lucid.randn(2, 3, 9, 9)).shape
        (2, 3, 9, 9)
    """

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """``BatchNorm3d`` whose ``num_features`` is the number of channels of the first input.

    Args:
        eps: Added to the variance for numerical stability.
        momentum: The weight of the batch in the update of the running statistics.
        affine: Learn a scale and a shift per channel.
        track_running_stats: Whether to keep running statistics, and use them in evaluation mode.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters and running statistics, float32 by default.
        bias: Learn a shift, too.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.LazyBatchNorm3d()(lucid.randn(2, 3, 5, 5, 5)).shape
        (2, 3, 5, 5, 5)
    """

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """``InstanceNorm1d`` whose ``num_features`` is the number of channels of the first input.

    Args:
        eps: Added to the variance for numerical stability.
        momentum: The weight of the batch in the update of the running statistics.
        affine: Learn a scale and a shift per channel.
        track_running_stats: Whether to keep running statistics, and use them in evaluation mode.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters and running statistics, float32 by default.
        bias: Learn a shift, too.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> nn.LazyInstanceNorm1d()(lucid.randn(2, 3, 9)).shape
        (2, 3, 9)
    """

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """``InstanceNorm2d`` whose ``num_features`` is the number of channels of the first input.

    Args:
        eps: Added to the variance for numerical stability.
        momentum: The weight of the batch in the update of the running statistics.
        affine: Learn a scale and a shift per channel.
        track_running_stats: Whether to keep running statistics, and use them in evaluation mode.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters and running statistics, float32 by default.
        bias: Learn a shift, too.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> nn.LazyInstanceNorm2d()(lucid.randn(2, 3, 9, 9)).shape
        (2, 3, 9, 9)
    """

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """``InstanceNorm3d`` whose ``num_features`` is the number of channels of the first input.

    Args:
        eps: Added to the variance for numerical stability.
        momentum: The weight of the batch in the update of the running statistics.
        affine: Learn a scale and a shift per channel.
        track_running_stats: Whether to keep running statistics, and use them in evaluation mode.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters and running statistics, float32 by default.
        bias: Learn a shift, too.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.LazyInstanceNorm3d()(lucid.randn(2, 3, 5, 5, 5)).shape
        (2, 3, 5, 5, 5)
    """

    cls_to_become = InstanceNorm3d

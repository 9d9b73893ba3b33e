"""Layers with statistics of a batch: BatchNorm, also over all processes."""

from typing import Any

import mlx.core as mx

from lucid import _checks, _process_group, tape
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.nn import functional, init
from lucid.nn._common import empty_parameter, layout, parameter_dtype, update_running
from lucid.nn.module import Module
from lucid.nn.normalization import Affine
from lucid.ops import normalization, synchronized
from lucid.ops._types import TensorLike
from lucid.ops.normalization import DATA_FORMATS


class NormWithStatistics(Affine):
    """Base class of layers that can keep running statistics of their channels."""

    _optional_state = frozenset({"num_batches_tracked"})  # PyTorch's files from before 0.4.1 lack it

    def __init__(
        self, num_features: int, eps: float, momentum: float | None, affine: bool, track_running_stats: bool,
        device: object, dtype: object, bias: bool, data_format: str,
    ) -> None:  # fmt: skip
        super().__init__()
        where = type(self).__name__
        self.num_features = _checks.integer(where, "num_features", num_features, 1)
        self.eps = _checks.number(where, "eps", eps, 0)
        self.momentum = None if momentum is None else _checks.number(where, "momentum", momentum, 0, 1)
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.data_format = _checks.one_of(where, "data_format", data_format, DATA_FORMATS)
        kept = parameter_dtype(where, device, dtype)
        zeros, ones = empty_parameter(num_features, dtype=kept)._array, mx.ones((1,), kept)
        tracked = zeros, mx.broadcast_to(ones, zeros.shape), mx.array(0, mx.int64)
        for name, start in zip(("running_mean", "running_var", "num_batches_tracked"), tracked, strict=True):
            self.register_buffer(name, tape.wrap(start) if track_running_stats else None)
        self._register((num_features,), affine, affine and bias, kept)

    def reset_running_stats(self) -> None:
        """Reset the running statistics."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}{layout(self.data_format)}"
        )


class _BatchNorm(NormWithStatistics):
    ranks: tuple[int, ...]
    layout: str

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, device: object = None, dtype: object = None,
        *, bias: bool = True, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias, data_format)

    def forward(self, input: TensorLike) -> Tensor:
        self._check_shape(as_array(input).shape)
        tracks = self.training and self.track_running_stats
        momentum: Any = 0.0 if self.momentum is None else self.momentum
        if tracks:
            count = self.num_batches_tracked._array + 1
            if self.momentum is None:  # average over all batches
                momentum = 1.0 / count.astype(mx.float32)
        y = self._normalized(input, tracks or not self.training, momentum)
        if tracks:
            self.num_batches_tracked._update(count)
        return y

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        _checks.rank(type(self).__name__, "input", shape, self.ranks, self.layout)
        self._check_channels(shape)

    def _check_channels(self, shape: tuple[int, ...]) -> None:
        channels = shape[1 if self.data_format == "channels_first" else -1]
        if channels != self.num_features:
            hint = _checks.layout_hint(shape, self.num_features, self.data_format, len(shape) - 2)
            raise _checks.ArgumentError(
                f"{type(self).__name__}: input must have {self.num_features} channels, got shape {tuple(shape)}{hint}"
            )

    def _normalized(self, input: TensorLike, uses_running: bool, momentum: Any) -> Tensor:
        return functional.batch_norm(
            input,
            self.running_mean if uses_running else None,
            self.running_var if uses_running else None,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            momentum,
            self.eps,
            data_format=self.data_format,
        )


class BatchNorm1d(_BatchNorm):
    """Normalizes each feature of (N, C) or (N, C, L) over the batch; see ``lucid.nn.functional.batch_norm``.

    Args:
        num_features: Number of features or channels.
        eps: Added to the variance for numerical stability.
        momentum: The weight of the batch in the update of the running statistics, or ``None`` for their average over
            all batches.
        affine: Learn a scale and a shift per channel.
        track_running_stats: Whether to use running statistics in evaluation mode, instead of those of the batch.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters and running statistics, float32 by default.
        bias: Learn a shift, too.
        data_format: "channels_last" for inputs and outputs (N, L, C).

    Example:
        >>> layer = nn.BatchNorm1d(64)
        >>> layer(lucid.randn(8, 64)).shape
        (8, 64)
    """

    ranks = (2, 3)
    layout = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Normalizes each channel of images (N, C, H, W) over the batch; see ``lucid.nn.functional.batch_norm``.

    Args:
        num_features: Number of features or channels.
        eps: Added to the variance for numerical stability.
        momentum: The weight of the batch in the update of the running statistics, or ``None`` for their average over
            all batches.
        affine: Learn a scale and a shift per channel.
        track_running_stats: Whether to use running statistics in evaluation mode, instead of those of the batch.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters and running statistics, float32 by default.
        bias: Learn a shift, too.
        data_format: "channels_last" for inputs and outputs (N, H, W, C).

    Example:
        >>> layer = nn.BatchNorm2d(64)
        >>> layer(lucid.randn(8, 64, 7, 7)).shape
        (8, 64, 7, 7)
        >>> layer.eval()(lucid.randn(1, 64, 7, 7)).shape  # uses the running statistics
        (1, 64, 7, 7)
    """

    ranks = (4,)
    layout = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    """Normalizes each channel of volumes (N, C, D, H, W) over the batch; see ``lucid.nn.functional.batch_norm``.

    Args:
        num_features: Number of features or channels.
        eps: Added to the variance for numerical stability.
        momentum: The weight of the batch in the update of the running statistics, or ``None`` for their average over
            all batches.
        affine: Learn a scale and a shift per channel.
        track_running_stats: Whether to use running statistics in evaluation mode, instead of those of the batch.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters and running statistics, float32 by default.
        bias: Learn a shift, too.
        data_format: "channels_last" for inputs and outputs (N, D, H, W, C).

    Example:
        >>> nn.BatchNorm3d(4)(lucid.randn(2, 4, 3, 5, 5)).shape
        (2, 4, 3, 5, 5)
    """

    ranks = (5,)
    layout = "(N, C, D, H, W)"


class SyncBatchNorm(_BatchNorm):
    """``BatchNorm`` of (N, C, ...) with the mean and the variance of the batches of all processes.

    In a single process, and in evaluation mode, it is ``BatchNorm``. All processes must call their layers in the same
    order, also in the backward pass.

    Args:
        num_features: Number of features or channels.
        eps: Added to the variance for numerical stability.
        momentum: The weight of the batch in the update of the running statistics, or ``None`` for their average over
            all batches.
        affine: Learn a scale and a shift per channel.
        track_running_stats: Whether to use running statistics in evaluation mode, instead of those of the batch.
        process_group: ``None`` for all processes, which is the only choice.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters and running statistics, float32 by default.
        bias: Learn a shift, too.
        data_format: "channels_last" for inputs and outputs (N, ..., C).

    Raises:
        ValueError: ``process_group`` is not ``None``, or an option is out of range.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
        >>> nn.SyncBatchNorm.convert_sync_batchnorm(model).get_submodule("1")
        SyncBatchNorm(8, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)  # 16 parameters
    """

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, process_group: None = None, device: object = None, dtype: object = None,
        *, bias: bool = True, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        if process_group is not None:
            raise ValueError(f"SyncBatchNorm: process_group must be None, for all processes, got {process_group!r:.60}")
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias, data_format=data_format
        )  # fmt: skip
        self.process_group = process_group

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 2:
            raise ValueError(f"SyncBatchNorm: input must have at least 2 dimensions (N, C, ...), got {tuple(shape)}")
        self._check_channels(shape)

    def _normalized(self, input: TensorLike, uses_running: bool, momentum: Any) -> Tensor:
        if not self.training or _process_group.size() == 1:
            return super()._normalized(input, uses_running, momentum)
        parts = synchronized.gathered(synchronized.channel_moments(input, self.data_format))
        mean, var, unbiased = synchronized.combined_moments(parts)
        if uses_running and self.running_mean is not None:
            update_running(self.running_mean, mean, momentum)
            update_running(self.running_var, unbiased, momentum)
        return normalization.batch_norm_with_statistics(
            input, mean, var, self.weight, self.bias, self.eps, self.data_format
        )

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: None = None) -> Module:
        """``module`` with every ``BatchNorm`` layer in it replaced by a ``SyncBatchNorm`` with the same tensors.

        A module that is a ``BatchNorm`` layer itself is not changed; the new layer is returned.
        """
        converted = module
        if isinstance(module, _BatchNorm):
            converted = cls(
                module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats,
                process_group, bias=module.bias is not None, data_format=module.data_format,
            )  # fmt: skip
            for own, given in ((converted._parameters, module._parameters), (converted._buffers, module._buffers)):
                own.update(given)  # type: ignore[arg-type]
            converted.train(module.training)
        for name, child in module.named_children():
            converted.register_module(name, cls.convert_sync_batchnorm(child, process_group))
        return converted

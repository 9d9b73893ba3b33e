"""UPerNet: semantic segmentation with any feature pyramid (Xiao et al. 2018, arXiv:1807.10221).

The head is that of mmsegmentation, with its parameter names, so its checkpoints and those of the ConvNeXt authors load:
``UPerHead`` (pyramid pooling of the coarsest map, lateral and output convolutions, a fusion of all levels) and, for
training, ``FCNHead`` on one of the maps.
"""

from collections.abc import Sequence
from typing import Any, cast

from lucid import _checks, _deferred, nn, ops
from lucid._creation import zeros
from lucid._tensor import Tensor
from lucid.nn import functional as F

POOL_SCALES = (1, 2, 3, 6)


class _ConvModule(nn.Module):
    """Convolution without bias, batch norm, ReLU; mmcv's ``ConvModule`` with its parameter names."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class _Classifier(nn.Module):
    """The end of both heads: dropout of whole channels, and a 1x1 convolution to the classes."""

    def __init__(self, channels: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout2d(dropout)
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)
        nn.init.normal_(self.conv_seg.weight, std=0.01)
        nn.init.zeros_(cast(Any, self.conv_seg.bias))

    def classify(self, x: Tensor) -> Tensor:
        return self.conv_seg(self.dropout(x))


class UPerHead(_Classifier):
    """Logits (N, classes, H, W) from a pyramid of maps (N, C, H, W), the finest first, at the size of the finest.

    Args:
        in_channels: Channels of each map.
        num_classes: Number of classes.
        channels: Channels inside the head.
        pool_scales: Sizes to which the coarsest map is pooled.
        dropout: Probability of dropping a channel before the classifier.

    Example:
        >>> head = models.UPerHead([40, 80], num_classes=5, channels=32).eval()
        >>> head([lucid.rand(1, 40, 16, 16), lucid.rand(1, 80, 8, 8)]).shape
        (1, 5, 16, 16)
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        channels: int = 512,
        pool_scales: Sequence[int] = POOL_SCALES,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(channels, num_classes, dropout)
        last = in_channels[-1]
        self.psp_modules = nn.ModuleList(
            [nn.Sequential(nn.AdaptiveAvgPool2d(scale), _ConvModule(last, channels, 1)) for scale in pool_scales]
        )
        self.bottleneck = _ConvModule(last + len(pool_scales) * channels, channels, 3)
        self.lateral_convs = nn.ModuleList([_ConvModule(count, channels, 1) for count in in_channels[:-1]])
        self.fpn_convs = nn.ModuleList([_ConvModule(channels, channels, 3) for _ in in_channels[:-1]])
        self.fpn_bottleneck = _ConvModule(len(in_channels) * channels, channels, 3)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        last = maps[-1]
        pooled = [_resized(pool(last), last) for pool in self.psp_modules]
        top = self.bottleneck(ops.cat([last, *pooled], 1))
        levels = [conv(one) for conv, one in zip(self.lateral_convs, maps[:-1], strict=True)] + [top]
        for i in range(len(levels) - 1, 0, -1):
            levels[i - 1] = levels[i - 1] + _resized(levels[i], levels[i - 1])
        levels[:-1] = [conv(one) for conv, one in zip(self.fpn_convs, levels[:-1], strict=True)]
        fused = self.fpn_bottleneck(ops.cat([levels[0], *(_resized(one, levels[0]) for one in levels[1:])], 1))
        return self.classify(fused)


class FCNHead(_Classifier):
    """Logits (N, classes, H, W) from one map (N, C, H, W): a 3x3 convolution and the classifier.

    Args:
        in_channels: Channels of the map.
        num_classes: Number of classes.
        channels: Channels of the convolution.
        dropout: Probability of dropping a channel before the classifier.

    Example:
        >>> models.FCNHead(40, num_classes=5, channels=32)(lucid.rand(1, 40, 16, 16)).shape
        (1, 5, 16, 16)
    """

    def __init__(self, in_channels: int, num_classes: int, channels: int = 256, dropout: float = 0.1) -> None:
        super().__init__(channels, num_classes, dropout)
        self.convs = nn.ModuleList([_ConvModule(in_channels, channels, 3)])

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.convs[0](x))


class UPerNet(nn.Module):
    """Semantic segmentation: images (N, C, H, W) of any size from 32 px to logits (N, classes, H, W).

    While training, ``forward`` returns two tensors: the logits and those of the auxiliary head, whose loss the authors
    weight by 0.4. In evaluation it returns the logits alone.

    Source: Xiao et al. 2018, arXiv:1807.10221, as in mmsegmentation and the ConvNeXt authors' repository.

    Args:
        backbone: A network that returns a list of maps, the finest first, with their channels in
            ``feature_info.channels()``: ``create_model(name, features_only=True)``.
        num_classes: Number of classes.
        channels: Channels inside the head.
        pool_scales: Sizes to which the coarsest map is pooled.
        auxiliary_channels: Channels of the auxiliary head on the second coarsest map; 0: no such head.
        dropout: Probability of dropping a channel before each classifier.
        norm: Normalize each map of the backbone over its channels, as the ConvNeXt authors do.

    Raises:
        TypeError: ``backbone`` has no ``feature_info``.
        ValueError: A number is out of range, or the backbone has fewer than two maps.

    Example:
        >>> backbone = models.create_model("convnext_atto", features_only=True)
        >>> model = models.UPerNet(backbone, num_classes=5, channels=64, auxiliary_channels=32).eval()
        >>> model(lucid.rand(1, 3, 64, 96)).shape
        (1, 5, 64, 96)
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        channels: int = 512,
        *,
        pool_scales: Sequence[int] = POOL_SCALES,
        auxiliary_channels: int = 256,
        dropout: float = 0.1,
        norm: bool = True,
    ) -> None:
        super().__init__()
        if not hasattr(backbone, "feature_info"):
            raise TypeError(
                "UPerNet: backbone must have feature_info, as create_model(..., features_only=True), "
                f"got {type(backbone).__name__}"
            )
        widths = backbone.feature_info.channels()
        if len(widths) < 2:
            raise ValueError(f"UPerNet: backbone must give at least 2 maps, got {len(widths)}")
        _checks.integer("UPerNet", "num_classes", num_classes, 1)
        _checks.integer("UPerNet", "channels", channels, 1)
        _checks.integer("UPerNet", "auxiliary_channels", auxiliary_channels, 0)
        for scale in pool_scales:
            _checks.integer("UPerNet", "pool_scales", scale, 1)
        self.num_classes, self.channels, self.pool_scales = num_classes, channels, tuple(pool_scales)
        self.backbone = backbone
        self.norms = nn.ModuleList([_ChannelNorm(width) if norm else nn.Identity() for width in widths])
        self.decode_head = UPerHead(widths, num_classes, channels, pool_scales, dropout)
        self.auxiliary_head = (
            FCNHead(widths[-2], num_classes, auxiliary_channels, dropout) if auxiliary_channels else None
        )

    def forward(self, x: Tensor) -> Any:
        maps = [norm(one) for norm, one in zip(self.norms, self.backbone(x), strict=True)]
        logits = _resized(self.decode_head(maps), x)
        if self.auxiliary_head is None or not self.training:
            return logits
        return logits, _resized(self.auxiliary_head(maps[-2]), x)


class _ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _resized(x: Tensor, like: Tensor) -> Tensor:
    """``x`` interpolated to the height and width of ``like``."""
    size = (like.shape[2], like.shape[3])
    return x if x.shape[2:] == size else F.interpolate(x, size, mode="bilinear", align_corners=False)


def sliding_window_inference(
    model: nn.Module, images: Tensor, window: int | Sequence[int], stride: int | Sequence[int] | None = None
) -> Tensor:
    """Logits of a segmentation model from overlapping windows, which are averaged where they overlap.

    Windows at the right and lower border are moved inside the image. Images smaller than the window are passed whole.
    The same as ``mode="slide"`` in mmsegmentation.

    Args:
        model: Takes (N, C, h, w), returns (N, classes, h, w).
        images: (N, C, H, W).
        window: Height and width in px, or one number for both.
        stride: Distance of neighboring windows in px; two thirds of the window by default, at most the window.

    Returns:
        Logits (N, classes, H, W).

    Raises:
        ValueError: A number is out of range, or the images are not (N, C, H, W).

    Example:
        >>> backbone = models.create_model("convnext_atto", features_only=True)
        >>> model = models.UPerNet(backbone, num_classes=5, channels=64).eval()
        >>> models.sliding_window_inference(model, lucid.rand(1, 3, 96, 160), window=64).shape
        (1, 5, 96, 160)
    """
    where = "sliding_window_inference"
    if images.ndim != 4:
        raise ValueError(f"{where}: images must be (N, C, H, W), got shape {tuple(images.shape)}")
    height, width = _checks.pair(where, "window", window, 1)
    default = (max(1, height * 2 // 3), max(1, width * 2 // 3))
    steps = default if stride is None else _checks.pair(where, "stride", stride, 1)
    if steps[0] > height or steps[1] > width:
        raise ValueError(f"{where}: stride must be at most the window, {(height, width)}, got {tuple(steps)}")
    n, _, h, w = images.shape
    height, width = min(height, h), min(width, w)
    total, counts = None, zeros(1, 1, h, w)
    for top in _starts(h, height, steps[0]):
        for left in _starts(w, width, steps[1]):
            rows, columns = slice(top, top + height), slice(left, left + width)
            logits = model(images[:, :, rows, columns])
            if total is None:
                total = zeros(n, logits.shape[1], h, w)
            total[:, :, rows, columns] += logits
            counts[:, :, rows, columns] += 1
            if _deferred.evaluating():  # MLX would compute many windows side by side, with the memory of all of them
                _deferred.wait(total._array)
    return cast(Tensor, total) / counts


def segmentation_logits(model: nn.Module, images: Tensor, window: int = 0) -> Tensor:
    """Logits of a ``UPerNet`` for images of any size, which are padded to a multiple of the backbone's stride.

    Args:
        model: A ``UPerNet`` in evaluation mode.
        images: (N, C, H, W), normalized; the padding is 0, the mean color.
        window: Size in px of overlapping windows for ``sliding_window_inference``; 0: whole images.

    Returns:
        Logits (N, classes, H, W).

    Example:
        >>> backbone = models.create_model("convnext_atto", features_only=True)
        >>> model = models.UPerNet(backbone, num_classes=5, channels=64).eval()
        >>> models.segmentation_logits(model, lucid.rand(1, 3, 30, 45)).shape
        (1, 5, 30, 45)
    """
    h, w = images.shape[2:]
    stride = max(model.backbone.feature_info.reduction())
    bottom, right = (-h % stride, -w % stride)
    padded = F.pad(images, (0, right, 0, bottom)) if bottom or right else images
    logits = sliding_window_inference(model, padded, window) if window else model(padded)
    return cast(Tensor, logits[:, :, :h, :w])


def _starts(size: int, window: int, stride: int) -> list[int]:
    count = -(-(size - window) // stride) + 1
    return [min(i * stride, size - window) for i in range(count)]

"""ConvNeXt, ConvNeXt V2 and the isotropic ConvNeXt.

Sources: Liu et al. 2022, A ConvNet for the 2020s, arXiv:2201.03545; Woo et al. 2023, ConvNeXt V2, arXiv:2301.00808.
Parameters have the names and shapes of the authors' implementations, so their state dicts load as they are. Methods
have timm's names.

The network is a stem that embeds patches, stages of blocks with 2x downsampling between them, global average pooling, a
norm and a linear classifier. A block is a residual branch:

    x + drop_path(gamma * linear(gelu(linear(layer_norm(depthwise 7x7(x))))))

V2 has global response normalization (GRN) after the GELU and no gamma. The isotropic network has one stage. Stems of
overlapping convolutions, a norm before the pooling and a hidden layer in the head come from timm.

Inputs and outputs are (N, C, H, W). Inside, everything is (N, H, W, C): LayerNorm and Linear work on the last
dimension, MLX's convolutions expect it, and nothing has to be transposed.
"""

from collections.abc import Sequence

import mlx.core as mx
import numpy as np

from lucid import _checks, nn, tape
from lucid._tensor import Tensor
from lucid.models import _fused_block
from lucid.models._network import ConvNeXtBase, check_integers
from lucid.nn import functional as F
from lucid.nn.parameter import Parameter

_EPS = 1e-6  # of every LayerNorm; nn.LayerNorm's default, 1e-5, changes the logits by 5 %
_STEMS = ("patch", "overlap", "overlap_tiered", "overlap_act")
_OUTPUT_STRIDES = (8, 16, 32)


class GRN(nn.Module):
    """``nn.GlobalResponseNorm`` with the authors' names and shapes: gamma and beta (1, 1, 1, dim), initially zero."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = Parameter(tape.wrap(mx.zeros((1, 1, 1, dim))))
        self.beta = Parameter(tape.wrap(mx.zeros((1, 1, 1, dim))))

    def forward(self, x: Tensor) -> Tensor:
        return F.global_response_norm(x, self.gamma, self.beta, _EPS)

    def extra_repr(self) -> str:
        return f"{self.gamma.numel()}"


class Block(nn.Module):
    """Depthwise 7x7, LayerNorm, Linear to 4 times the width, GELU, Linear back, layer scale, drop path, residual.

    Shapes: x (N, H, W, dim), out the same. With ``layer_scale_init <= 0`` there is no layer scale ``gamma``; ``grn``
    adds V2's normalization after the GELU.
    """

    grn_class = GRN

    def __init__(
        self, dim: int, drop_path: float = 0.0, layer_scale_init: float = 1e-6, *,
        grn: bool = False, dilation: int = 1, norm_eps: float = _EPS,
    ) -> None:  # fmt: skip
        super().__init__()
        self.dwconv = nn.Conv2d(
            dim, dim, 7, padding=3 * dilation, dilation=dilation, groups=dim, data_format="channels_last"
        )
        self.norm = nn.LayerNorm(dim, eps=norm_eps)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.grn = GRN(4 * dim) if grn else None
        self.pwconv2 = nn.Linear(4 * dim, dim)
        if _checks.number("Block", "layer_scale_init", layer_scale_init) > 0:
            self.gamma = Parameter(tape.wrap(mx.full((dim,), layer_scale_init)))
        else:
            self.register_parameter("gamma", None)
        self.drop_path = nn.DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if _fused_block.can_fuse(self):
            return _fused_block.forward(self, x)  # the same in fewer passes over memory
        y = self.norm(self.dwconv(x))
        y = self.act(self.pwconv1(y))
        if self.grn is not None:
            y = self.grn(y)
        y = self.pwconv2(y)
        if self.gamma is not None:
            y = self.gamma * y
        return x + self.drop_path(y)


class ConvNeXt(ConvNeXtBase):
    """ConvNeXt: logits (N, num_classes) from images (N, in_chans, H, W).

    Images must have at least ``patch_size * 2 ** (len(dims) - 1)`` px per side. Sizes that do not divide evenly are
    cropped at the right and the bottom, as by strided convolutions.

    Args:
        num_classes: Outputs of the classifier; 0 leaves it out, for features (N, dims[-1]).
        depths: Number of blocks in each stage.
        dims: Width of each stage.
        drop_path: Drop path rate of the last block; it grows linearly from 0 at the first.
        layer_scale_init: Initial value of gamma; 0 or less leaves gamma out.
        in_chans: Channels of the images.
        patch_size: Kernel size and stride of the stem in px. 4 suits photos, 1 or 2 small images such as CIFAR's. With
            2, timm downsamples once more in front of the first stage; this class and transformers do not.
        output_stride: Largest total stride, 8, 16 or 32 (None: unlimited), for dense prediction. Stages beyond it use
            dilation instead of stride, as in timm.
        global_pool: "avg", "max", "avgmax" (the mean of both), or "" ("none") for a map of logits.
        drop_rate: Dropout in front of the classifier.
        head_init_scale: Factor on the initial weights of the classifier.
        norm_eps: Eps of every LayerNorm.
        head_norm_eps: Eps of the final LayerNorm, if it differs.
        stem_type: "patch", or timm's overlapping 3x3 convolutions with the same total stride: "overlap",
            "overlap_tiered" (the first has half the channels) and "overlap_act" (a GELU between them). Strides of 1
            and 2 take a single convolution and work with "overlap" only.
        head_norm_first: Apply the final norm before the pooling, as in timm's ``_hnf`` models.
        head_hidden_size: Width of a Linear layer with GELU before the classifier, as in timm's ``_mlp`` models.

    Raises:
        ValueError: ``depths`` and ``dims`` have different lengths, or an option is out of range.

    Example:
        >>> model = models.ConvNeXt(num_classes=10, depths=[1, 1], dims=[32, 64], patch_size=2)
        >>> model(lucid.rand(2, 3, 32, 32)).shape
        (2, 10)
        >>> model.forward_features(lucid.rand(2, 3, 32, 32)).shape
        (2, 64, 8, 8)
    """

    _grn = False

    def __init__(
        self,
        num_classes: int = 1000,
        depths: Sequence[int] = (3, 3, 9, 3),
        dims: Sequence[int] = (96, 192, 384, 768),
        drop_path: float = 0.0,
        layer_scale_init: float = 1e-6,
        *,
        in_chans: int = 3,
        patch_size: int = 4,
        output_stride: int | None = None,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        head_init_scale: float = 1.0,
        norm_eps: float = _EPS,
        head_norm_eps: float | None = None,
        stem_type: str = "patch",
        head_norm_first: bool = False,
        head_hidden_size: int | None = None,
    ) -> None:
        super().__init__(num_classes, in_chans, patch_size, global_pool, drop_rate, head_init_scale)
        where = type(self).__name__
        self.depths = check_integers(where, "depths", depths, 0)
        self.dims = check_integers(where, "dims", dims, 1)
        if len(self.depths) != len(self.dims) or not self.dims:
            raise ValueError(
                f"{where}: depths and dims must have one number for each stage, got {list(depths)} and {list(dims)}"
            )
        if output_stride is not None and output_stride not in _OUTPUT_STRIDES:
            raise ValueError(f"{where}: output_stride must be 8, 16, 32 or None, got {output_stride!r}")
        self.output_stride = output_stride
        self.stem_type = _checks.one_of(where, "stem_type", stem_type, _STEMS)
        self.head_norm_first = head_norm_first
        if head_hidden_size is not None:
            _checks.integer(where, "head_hidden_size", head_hidden_size, 1)
            if head_norm_first:
                raise ValueError(f"{where}: head_norm_first and head_hidden_size cannot be combined")
        rates = np.linspace(0, _checks.probability(where, "drop_path", drop_path), sum(self.depths)).tolist()

        self.num_features = self.dims[-1]
        self.feature_info = []
        self.downsample_layers = nn.ModuleList()
        self.stages = nn.ModuleList()
        reduction, dilation = patch_size, 1
        for i, (depth, dim) in enumerate(zip(self.depths, self.dims, strict=True)):
            if i == 0:
                down = nn.Sequential(
                    *_stem_layers(where, stem_type, in_chans, dim, patch_size), nn.LayerNorm(dim, eps=norm_eps)
                )
            else:
                if output_stride is not None and reduction >= output_stride:
                    dilation *= 2
                    halving = _dilated_conv(self.dims[i - 1], dim, min(dilation // 2, 2))
                else:
                    reduction *= 2
                    halving = _patch_conv(self.dims[i - 1], dim, 2)
                down = nn.Sequential(nn.LayerNorm(self.dims[i - 1], eps=norm_eps), halving)
            self.downsample_layers.append(down)
            first = sum(self.depths[:i])
            blocks = (
                Block(dim, rate, layer_scale_init, grn=self._grn, dilation=dilation, norm_eps=norm_eps)
                for rate in rates[first : first + depth]
            )
            self.stages.append(nn.Sequential(*blocks))
            self.feature_info.append({"num_chs": dim, "reduction": reduction, "module": f"stages.{i}"})
        self._add_head(norm_eps if head_norm_eps is None else head_norm_eps, head_norm_first, head_hidden_size)

    def _layers(self) -> list[tuple[nn.Module | None, nn.Module]]:
        return list(zip(self.downsample_layers, self.stages, strict=True))

    def _truncate(self, count: int) -> None:
        self.downsample_layers, self.stages = self.downsample_layers[:count], self.stages[:count]
        self.depths, self.dims = self.depths[:count], self.dims[:count]

    def _describe_shape(self) -> str:
        return f"{len(self.dims)} stages and "


class ConvNeXtV2(ConvNeXt):
    """ConvNeXt V2: ``ConvNeXt`` with global response normalization and without layer scale.

    Shapes and errors are those of ``ConvNeXt``.

    Args:
        num_classes: Outputs of the classifier; 0 leaves it out.
        depths: Number of blocks in each stage.
        dims: Width of each stage.
        drop_path: Drop path rate of the last block; it grows linearly from 0 at the first.
        in_chans: Channels of the images.
        patch_size: Kernel size and stride of the stem in px.
        output_stride: Largest total stride, 8, 16 or 32 (None: unlimited).
        global_pool: "avg", "max", "avgmax" (the mean of both), or "" ("none") for a map of logits.
        drop_rate: Dropout in front of the classifier.
        head_init_scale: Factor on the initial weights of the classifier.
        norm_eps: Eps of every LayerNorm.
        head_norm_eps: Eps of the final LayerNorm, if it differs.
        stem_type: "patch", "overlap", "overlap_tiered" or "overlap_act".
        head_norm_first: Apply the final norm before the pooling.
        head_hidden_size: Width of a Linear layer with GELU before the classifier.

    Example:
        >>> model = models.ConvNeXtV2(num_classes=10, depths=[1, 1], dims=[32, 64], patch_size=2)
        >>> model(lucid.rand(2, 3, 32, 32)).shape
        (2, 10)
    """

    _grn = True

    def __init__(
        self,
        num_classes: int = 1000,
        depths: Sequence[int] = (3, 3, 9, 3),
        dims: Sequence[int] = (96, 192, 384, 768),
        drop_path: float = 0.0,
        *,
        in_chans: int = 3,
        patch_size: int = 4,
        output_stride: int | None = None,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        head_init_scale: float = 1.0,
        norm_eps: float = _EPS,
        head_norm_eps: float | None = None,
        stem_type: str = "patch",
        head_norm_first: bool = False,
        head_hidden_size: int | None = None,
    ) -> None:
        super().__init__(
            num_classes, depths, dims, drop_path, 0.0, in_chans=in_chans, patch_size=patch_size,
            output_stride=output_stride, global_pool=global_pool, drop_rate=drop_rate, head_init_scale=head_init_scale,
            norm_eps=norm_eps, head_norm_eps=head_norm_eps, stem_type=stem_type, head_norm_first=head_norm_first,
            head_hidden_size=head_hidden_size,
        )  # fmt: skip


class ConvNeXtIsotropic(ConvNeXtBase):
    """Isotropic ConvNeXt: ``depth`` blocks of width ``dim`` at one resolution, like a vision transformer.

    The stem takes patches of ``patch_size`` px and has no norm. Other arguments, shapes and errors are those of
    ``ConvNeXt``. Each block counts as a layer for ``freeze_stages`` and the intermediate features.

    Args:
        num_classes: Outputs of the classifier; 0 leaves it out.
        depth: Number of blocks.
        dim: Width of the network.
        drop_path: Drop path rate of the last block; it grows linearly from 0 at the first.
        layer_scale_init: Initial value of gamma; 0 or less leaves gamma out.
        in_chans: Channels of the images.
        patch_size: Kernel size and stride of the stem in px.
        global_pool: "avg", "max", "avgmax" (the mean of both), or "" ("none") for a map of logits.
        drop_rate: Dropout in front of the classifier.
        head_init_scale: Factor on the initial weights of the classifier.
        norm_eps: Eps of every LayerNorm.
        head_norm_eps: Eps of the final LayerNorm, if it differs.

    Example:
        >>> model = models.ConvNeXtIsotropic(num_classes=10, depth=2, dim=64, patch_size=8)
        >>> model(lucid.rand(2, 3, 32, 32)).shape
        (2, 10)
    """

    def __init__(
        self,
        num_classes: int = 1000,
        depth: int = 18,
        dim: int = 384,
        drop_path: float = 0.0,
        layer_scale_init: float = 0.0,
        *,
        in_chans: int = 3,
        patch_size: int = 16,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        head_init_scale: float = 1.0,
        norm_eps: float = _EPS,
        head_norm_eps: float | None = None,
    ) -> None:
        super().__init__(num_classes, in_chans, patch_size, global_pool, drop_rate, head_init_scale)
        where = type(self).__name__
        self.depth = _checks.integer(where, "depth", depth, 1)
        self.dim = self.num_features = _checks.integer(where, "dim", dim, 1)
        rates = np.linspace(0, _checks.probability(where, "drop_path", drop_path), depth).tolist()
        self.stem = _patch_conv(in_chans, dim, patch_size)
        self.blocks = nn.Sequential(*(Block(dim, rate, layer_scale_init, norm_eps=norm_eps) for rate in rates))
        self.feature_info = [
            {"num_chs": dim, "reduction": patch_size, "module": f"blocks.{i}"} for i in range(self.depth)
        ]
        self._add_head(norm_eps if head_norm_eps is None else head_norm_eps)

    def _layers(self) -> list[tuple[nn.Module | None, nn.Module]]:
        return [(self.stem if i == 0 else None, block) for i, block in enumerate(self.blocks)]

    def _truncate(self, count: int) -> None:
        self.blocks, self.depth = self.blocks[:count], count

    def _apply_norm(self, layer: int, x: Tensor) -> Tensor:
        return self.norm(x)


def _patch_conv(in_chans: int, dim: int, size: int) -> nn.Conv2d:
    """A convolution that embeds patches of ``size`` x ``size`` px."""
    return nn.Conv2d(in_chans, dim, size, stride=size, data_format="channels_last")


def _stem_layers(caller: str, kind: str, in_chans: int, dim: int, stride: int) -> list[nn.Module]:
    """The layers before the norm of the stem: a patch convolution, or overlapping 3x3 convolutions."""
    if kind == "patch":
        return [_patch_conv(in_chans, dim, stride)]
    if stride not in (1, 2, 4) or (stride != 4 and kind != "overlap"):
        possible = "1, 2 or 4" if kind == "overlap" else "4"
        raise ValueError(f"{caller}: patch_size, the stride of stem_type {kind!r}, must be {possible}, got {stride}")
    strides = [2, 2] if stride == 4 else [stride]
    widths = [in_chans, *[_tiered_width(dim) if kind == "overlap_tiered" else dim] * (len(strides) - 1), dim]
    layers: list[nn.Module] = [
        nn.Conv2d(widths[i], widths[i + 1], 3, one, padding=1, data_format="channels_last")
        for i, one in enumerate(strides)
    ]
    if kind == "overlap_act":
        layers.insert(1, nn.GELU())
    return layers


def _tiered_width(dim: int) -> int:
    """Half the channels, rounded to a multiple of 8 but not below nine tenths of the half: timm's rule."""
    half = dim // 2
    rounded = max(8, (half + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * half else rounded


def _dilated_conv(in_chans: int, dim: int, dilation: int) -> nn.Conv2d:
    """The 2x2 downsampling without its stride: the same weights with dilation, as in timm."""
    return nn.Conv2d(in_chans, dim, 2, padding="same", dilation=dilation, data_format="channels_last")

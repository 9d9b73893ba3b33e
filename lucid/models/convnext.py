"""ConvNeXt.

Source: Liu et al. 2022, A ConvNet for the 2020s, arXiv:2201.03545; parameters have the names and shapes of the authors'
implementation (MIT licence), so their state dicts load as they are.

An image goes through a stem (patches to vectors), then stages of blocks, between which it is halved, then an average
over the image, a norm and a linear classifier. A block is a residual branch:

    x + drop_path(gamma * linear(gelu(linear(layer_norm(depthwise 7x7(x))))))

Users give images (N, C, H, W). Inside, they are (N, H, W, C) from the first to the last layer: LayerNorm and Linear
work on the last dimension, convolutions want it too, and nothing is transposed on the way.
"""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks, nn, tape
from lucid._tensor import Tensor
from lucid.nn.parameter import Parameter
from lucid.utils import checkpoint

_EPS = 1e-6  # of every LayerNorm; the default of LayerNorm, 1e-5, moves the logits by 5 %
_WEIGHT_STD = 0.02


class Block(nn.Module):
    """Depthwise 7x7, LayerNorm, Linear to 4 times the width, GELU, Linear back, scale, drop path, plus the input.

    Shapes: x (N, H, W, dim), out the same. ``layer_scale_init`` of 0 or less leaves the scale ``gamma`` out.
    """

    def __init__(self, dim: int, drop_path: float = 0.0, layer_scale_init: float = 1e-6) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 7, padding=3, groups=dim, data_format="channels_last")
        self.norm = nn.LayerNorm(dim, eps=_EPS)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * dim, dim)
        if layer_scale_init > 0:
            self.gamma = Parameter(tape.wrap(mx.full((dim,), layer_scale_init)))
        else:
            self.register_parameter("gamma", None)
        self.drop_path = nn.DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x))
        y = self.pwconv2(self.act(self.pwconv1(y)))
        if self.gamma is not None:
            y = self.gamma * y
        return x + self.drop_path(y)


class ConvNeXt(nn.Module):
    """The network: logits (N, num_classes) from images (N, in_chans, H, W).

    - ``num_classes=0`` leaves the classifier out: features (N, dims[-1]).
    - ``depths`` and ``dims``: number of blocks and width of each stage.
    - ``drop_path``: the rate of the last block; it grows linearly from 0 at the first.
    - ``layer_scale_init``: the start of gamma; 0 or less leaves it out.
    - ``patch_size``: the stem's kernel and stride in px. 4 suits photographs; 1 or 2 small images such as CIFAR's.

    Any image of at least ``patch_size * 2 ** (len(dims) - 1)`` px works; what does not divide is cut off at the right
    and the bottom, as the strided convolutions do.

    Raises:
        ValueError: ``depths`` and ``dims`` of different lengths, options out of range, or an image that does not fit.
    """

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
    ) -> None:
        super().__init__()
        self.num_classes = _checks.integer("ConvNeXt", "num_classes", num_classes, 0)
        self.depths = _integers("depths", depths, 0)
        self.dims = _integers("dims", dims, 1)
        if len(self.depths) != len(self.dims) or not self.dims:
            raise ValueError(
                f"ConvNeXt: depths and dims must have one number for each stage, got {list(depths)} and {list(dims)}"
            )
        self.in_chans = _checks.integer("ConvNeXt", "in_chans", in_chans, 1)
        self.patch_size = _checks.integer("ConvNeXt", "patch_size", patch_size, 1)
        rates = np.linspace(0, _checks.probability("ConvNeXt", "drop_path", drop_path), sum(self.depths)).tolist()

        self.downsample_layers = nn.ModuleList()
        self.stages = nn.ModuleList()
        for i, (depth, dim) in enumerate(zip(self.depths, self.dims, strict=True)):
            if i == 0:
                down = nn.Sequential(_patches(in_chans, dim, patch_size), nn.LayerNorm(dim, eps=_EPS))
            else:
                down = nn.Sequential(nn.LayerNorm(self.dims[i - 1], eps=_EPS), _patches(self.dims[i - 1], dim, 2))
            self.downsample_layers.append(down)
            first = sum(self.depths[:i])
            blocks = (Block(dim, rate, layer_scale_init) for rate in rates[first : first + depth])
            self.stages.append(nn.Sequential(*blocks))
        self.norm = nn.LayerNorm(self.dims[-1], eps=_EPS)
        self.head = nn.Linear(self.dims[-1], num_classes) if num_classes else nn.Identity()
        self.apply(_init_weights)
        self.grad_checkpointing: str | None = None  # "block" or "stage"

    def set_grad_checkpointing(self, enable: bool = True, every: str = "block") -> None:
        """In training, keep only the input of each block for the backward pass, which computes the block again.

        The gradients are the same, drop path included, for less memory and one more forward pass of time.
        ``every="stage"`` keeps only the input of each stage: while a stage is gone through backwards, all of its blocks
        are in memory, so this saves most where there are many stages. The name is timm's.

        Raises:
            ValueError: ``every`` is another word.
        """
        _checks.one_of("set_grad_checkpointing", "every", every, ("block", "stage"))
        self.grad_checkpointing = every if enable else None

    def forward_features(self, x: Tensor) -> Tensor:
        """Features (N, dims[-1]), averaged over the image and normalized, from images (N, in_chans, H, W)."""
        self._check_images(x)
        x = x.permute(0, 2, 3, 1)  # (N, H, W, C)
        for down, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = self._through(stage, down(x))
        return self.norm(x.mean(dim=(1, 2)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.forward_features(x))

    def _through(self, stage: nn.Module, x: Tensor) -> Tensor:
        if self.grad_checkpointing is None or not (self.training and tape.is_recording()):
            return stage(x)
        for part in [stage] if self.grad_checkpointing == "stage" else stage.children():
            x = checkpoint(part, x)
        return x

    def _check_images(self, x: Tensor) -> None:
        _checks.rank("ConvNeXt", "the images", x.shape, 4, "(N, C, H, W)")
        if x.shape[1] != self.in_chans:
            raise ValueError(f"ConvNeXt: the images must have {self.in_chans} channels (N, C, H, W), got {x.shape}")
        smallest = self.patch_size * 2 ** (len(self.dims) - 1)
        if min(x.shape[2:]) < smallest:
            raise ValueError(
                f"ConvNeXt: the images must be at least {smallest}x{smallest} px for {len(self.dims)} stages and "
                f"patch_size {self.patch_size}, got {x.shape[2]}x{x.shape[3]}; a smaller patch_size takes smaller ones"
            )


def _integers(name: str, values: Any, minimum: int) -> tuple[int, ...]:
    if not isinstance(values, Sequence):
        raise TypeError(f"ConvNeXt: {name} must be a sequence of integers, got {values!r}")
    return tuple(_checks.integer("ConvNeXt", name, one, minimum) for one in values)


def _patches(in_chans: int, dim: int, size: int) -> nn.Conv2d:
    """Patches of ``size`` x ``size`` px, side by side, to vectors."""
    return nn.Conv2d(in_chans, dim, size, stride=size, data_format="channels_last")


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=_WEIGHT_STD)
        nn.init.zeros_(module.bias)


def convnext_tiny(num_classes: int = 1000, **kwargs: Any) -> ConvNeXt:
    """28.6 million parameters, 4.5 GMACs at 224 px."""
    return ConvNeXt(num_classes, **{"depths": (3, 3, 9, 3), "dims": (96, 192, 384, 768), **kwargs})


def convnext_small(num_classes: int = 1000, **kwargs: Any) -> ConvNeXt:
    """50.2 million parameters, 8.7 GMACs at 224 px."""
    return ConvNeXt(num_classes, **{"depths": (3, 3, 27, 3), "dims": (96, 192, 384, 768), **kwargs})


def convnext_base(num_classes: int = 1000, **kwargs: Any) -> ConvNeXt:
    """88.6 million parameters, 15.4 GMACs at 224 px."""
    return ConvNeXt(num_classes, **{"depths": (3, 3, 27, 3), "dims": (128, 256, 512, 1024), **kwargs})


def convnext_large(num_classes: int = 1000, **kwargs: Any) -> ConvNeXt:
    """197.8 million parameters, 34.4 GMACs at 224 px."""
    return ConvNeXt(num_classes, **{"depths": (3, 3, 27, 3), "dims": (192, 384, 768, 1536), **kwargs})


def convnext_xlarge(num_classes: int = 1000, **kwargs: Any) -> ConvNeXt:
    """350.2 million parameters, 60.9 GMACs at 224 px."""
    return ConvNeXt(num_classes, **{"depths": (3, 3, 27, 3), "dims": (256, 512, 1024, 2048), **kwargs})

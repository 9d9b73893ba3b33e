"""ConvNeXt, ConvNeXt V2 and the isotropic ConvNeXt.

Sources: Liu et al. 2022, A ConvNet for the 2020s, arXiv:2201.03545; Woo et al. 2023, ConvNeXt V2, arXiv:2301.00808.
Parameters have the names and shapes of the authors' implementations, so their state dicts load as they are. Methods
have the names that timm's models have.

An image goes through a stem (patches to vectors), then stages of blocks, between which it is halved, then an average
over the image, a norm and a linear classifier. A block is a residual branch:

    x + drop_path(gamma * linear(gelu(linear(layer_norm(depthwise 7x7(x))))))

V2 has global response normalization after the GELU and no gamma. The isotropic network has one stage. Stems of
overlapping convolutions, a norm before the average and a hidden layer in the head are timm's.

Users give and get images and maps (N, C, H, W). Inside, they are (N, H, W, C) from the first to the last layer:
LayerNorm and Linear work on the last dimension, convolutions want it too, and nothing is copied to be transposed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks, _grad_mode, nn, tape
from lucid._creation import as_tensor
from lucid._tensor import Tensor
from lucid.nn import functional as F
from lucid.nn.parameter import Parameter
from lucid.utils import checkpoint

_EPS = 1e-6  # of every LayerNorm; the default of LayerNorm, 1e-5, moves the logits by 5 %
_WEIGHT_STD = 0.02
_POOLS = ("avg", "max", "avgmax", "")
_STEMS = ("patch", "overlap", "overlap_tiered", "overlap_act")
_OUTPUT_STRIDES = (8, 16, 32)


class GRN(nn.Module):
    """``nn.GlobalResponseNorm`` under the names and shapes of the authors: gamma and beta (1, 1, 1, dim), zeros."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = Parameter(tape.wrap(mx.zeros((1, 1, 1, dim))))
        self.beta = Parameter(tape.wrap(mx.zeros((1, 1, 1, dim))))

    def forward(self, x: Tensor) -> Tensor:
        return F.global_response_norm(x, self.gamma, self.beta, _EPS)

    def extra_repr(self) -> str:
        return f"{self.gamma.numel()}"


class Block(nn.Module):
    """Depthwise 7x7, LayerNorm, Linear to 4 times the width, GELU, Linear back, scale, drop path, plus the input.

    Shapes: x (N, H, W, dim), out the same. ``layer_scale_init`` of 0 or less leaves the scale ``gamma`` out; ``grn``
    puts V2's normalization between GELU and Linear.
    """

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
        y = self.norm(self.dwconv(x))
        y = self.act(self.pwconv1(y))
        if self.grn is not None:
            y = self.grn(y)
        y = self.pwconv2(y)
        if self.gamma is not None:
            y = self.gamma * y
        return x + self.drop_path(y)


class _Network(nn.Module):
    """What the three networks share: everything but their layers.

    A layer is what the methods below count: a stage with the downsampling in front of it, or a block of the isotropic
    network. ``feature_info`` has an entry for each.
    """

    norm_pre: nn.Module | None  # the final norm, where it comes before the pooling
    norm: nn.Module
    pre_logits: nn.Module | None
    head: nn.Module
    num_features: int
    feature_info: list[dict[str, Any]]

    def __init__(
        self, num_classes: int, in_chans: int, patch_size: int, global_pool: str | None, drop_rate: float,
        head_init_scale: float,
    ) -> None:  # fmt: skip
        super().__init__()
        where = type(self).__name__
        self.num_classes = _checks.integer(where, "num_classes", num_classes, 0)
        self.in_chans = _checks.integer(where, "in_chans", in_chans, 1)
        self.patch_size = _checks.integer(where, "patch_size", patch_size, 1)
        self.global_pool = _pool(where, global_pool)
        self.drop_rate = _checks.probability(where, "drop_rate", drop_rate)
        self.head_init_scale = _checks.number(where, "head_init_scale", head_init_scale)
        self.grad_checkpointing: str | None = None  # "block" or "stage"

    def _layers(self) -> list[tuple[nn.Module | None, nn.Module]]:
        """What comes before the blocks of each layer, and these."""
        raise NotImplementedError

    def _cut(self, count: int) -> None:
        """Forget all layers but the first ``count``."""
        raise NotImplementedError

    def _normed(self, layer: int, x: Tensor) -> Tensor:
        """The final norm on the map (N, H, W, C) of a layer that has the norm's width; other maps as they are."""
        if layer < len(self._layers()) - 1:
            return x
        return self.norm(x) if self.norm_pre is None else self.norm_pre(x)

    def _finish(self, norm_eps: float, head_norm_first: bool = False, head_hidden_size: int | None = None) -> None:
        """The head, and initial values for all."""
        norm = nn.LayerNorm(self.num_features, eps=norm_eps)
        self.norm_pre, self.norm = (norm, nn.Identity()) if head_norm_first else (None, norm)
        self.pre_logits = None if head_hidden_size is None else nn.Linear(self.num_features, head_hidden_size)
        self.head = nn.Identity()
        self.apply(_init_weights)
        if self.pre_logits is not None:
            _init_weights(self.pre_logits, self.head_init_scale)
        self.reset_classifier(self.num_classes)

    # Forward ---------------------------------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """The map (N, num_features, H', W') after the last stage of images (N, in_chans, H, W).

        It is not normalized, but with ``head_norm_first``.
        """
        *_, x = self._maps(x)
        return self._last(x).permute(0, 3, 1, 2)

    def _last(self, x: Tensor) -> Tensor:
        """What becomes of the last map (N, H, W, C) before it is pooled."""
        return x if self.norm_pre is None else self.norm_pre(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits (N, num_classes) of a map of ``forward_features``: pooled, normalized, classified.

        With ``pre_logits`` what the classifier sees, (N, num_features), or (N, head_hidden_size) with a hidden layer.
        Without pooling both are maps.
        """
        x = x.permute(0, 2, 3, 1)
        if self.global_pool:
            x = _pooled(self.global_pool, x)
        x = self.norm(x)
        if self.pre_logits is not None:
            x = F.gelu(self.pre_logits(x))
        if self.drop_rate:
            x = F.dropout(x, self.drop_rate, self.training)
        if not pre_logits:
            x = self.head(x)
        return x if self.global_pool else x.permute(0, 3, 1, 2)

    def forward_intermediates(
        self, x: Tensor, indices: int | Sequence[int] | None = None, norm: bool = False, stop_early: bool = False,
        output_fmt: str = "NCHW", intermediates_only: bool = False,
    ) -> Any:  # fmt: skip
        """The last map and the list of maps of the layers ``indices``, in the order of the network.

        ``indices``: layers, counted from the end where negative; a number takes the last so many, None all. ``norm``
        applies the final norm to the map of the last layer (isotropic: of every layer). ``stop_early`` leaves the
        layers after the last wanted one out. ``intermediates_only`` returns the list alone. The last map is that of
        ``forward_features``, or of the last layer that was not left out.
        """
        _checks.one_of("forward_intermediates", "output_fmt", output_fmt, ("NCHW", "NHWC"))
        wanted = take_indices("forward_intermediates", len(self._layers()), indices)
        order = (0, 3, 1, 2) if output_fmt == "NCHW" else (0, 1, 2, 3)
        maps = list(self._maps(x, max(wanted) + 1 if stop_early else None))
        taken = [self._normed(i, y) if norm else y for i, y in enumerate(maps) if i in wanted]
        taken = [y.permute(*order) for y in taken]
        if intermediates_only:
            return taken
        last = self._last(maps[-1]) if len(maps) == len(self._layers()) else maps[-1]
        return last.permute(*order), taken

    def get_intermediate_layers(
        self, x: Tensor, n: int | Sequence[int] = 1, reshape: bool = False, return_class_token: bool = False,
        norm: bool = True,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Tokens (N, H' W', C) of the last ``n`` layers, or of the layers ``n``: DINOv2's words, for any vision model.

        ``reshape`` gives maps (N, C, H', W') instead. ``return_class_token`` gives pairs with the average over the
        image (N, C), which stands for the class token. ``norm`` applies the final norm to the last layer (isotropic:
        to every layer).
        """
        wanted = take_indices("get_intermediate_layers", len(self._layers()), n)
        maps = dict(enumerate(self._maps(x, max(wanted) + 1)))
        found = []
        for i in wanted:
            y, mean = maps[i], maps[i].mean(dim=(1, 2))
            if norm:
                y, mean = self._normed(i, y), self._normed(i, mean)
            y = y.permute(0, 3, 1, 2) if reshape else y.flatten(1, 2)
            found.append((y, mean) if return_class_token else y)
        return tuple(found)

    def _maps(self, x: Tensor, count: int | None = None) -> Iterator[Tensor]:
        """The maps (N, H', W', C) after the first ``count`` layers, all by default."""
        x = as_tensor(x)  # an array of NumPy or MLX is good enough for a Conv2d too
        self._check_images(x)
        x = x.permute(0, 2, 3, 1)  # (N, H, W, C)
        for before, blocks in self._layers()[:count]:
            x = self._through(blocks, x if before is None else before(x))
            yield x

    def _through(self, blocks: Any, x: Tensor) -> Tensor:
        if self.grad_checkpointing is None or not (self.training and _grad_mode.is_recording()):
            return blocks(x)
        for part in [blocks] if self.grad_checkpointing == "stage" or isinstance(blocks, Block) else blocks:
            x = checkpoint(part, x)
        return x

    def _check_images(self, x: Tensor) -> None:
        where = type(self).__name__
        _checks.rank(where, "the images", x.shape, 4, "(N, C, H, W)")
        if x.shape[1] != self.in_chans:
            raise ValueError(f"{where}: the images must have {self.in_chans} channels (N, C, H, W), got {x.shape}")
        smallest = self.feature_info[-1]["reduction"]
        if min(x.shape[2:]) < smallest:
            hint = "; a smaller patch_size takes smaller ones" if self.patch_size > 1 else ""
            raise ValueError(
                f"{where}: the images must be at least {smallest}x{smallest} px for {self._shape_words()}"
                f"patch_size {self.patch_size}, got {x.shape[2]}x{x.shape[3]}{hint}"
            )

    def _shape_words(self) -> str:
        return ""

    # Changes ---------------------------------------------------------------------------------------------------------

    @property
    def head_hidden_size(self) -> int:
        """How many numbers the classifier sees of each image: ``num_features``, but with a hidden layer before it."""
        return self.num_features if self.pre_logits is None else self.pre_logits.weight.shape[0]

    def get_classifier(self) -> nn.Module:
        """The last layer: a Linear, or an Identity without classes."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new classifier, initialized as in a new model; ``num_classes=0`` leaves it out.

        ``global_pool`` changes the pooling: "avg", "max", "avgmax" (half the sum of both), or "" for maps.
        """
        where = "reset_classifier"
        self.num_classes = _checks.integer(where, "num_classes", num_classes, 0)
        if global_pool is not None:
            self.global_pool = _pool(where, global_pool)
        self.head = nn.Identity()
        if num_classes:
            self.head = nn.Linear(self.head_hidden_size, num_classes)
            _init_weights(self.head, self.head_init_scale)
            self.head.to(next(iter(self.parameters())).dtype)
        self.head.train(self.training)

    def freeze_stages(self, n: int) -> None:
        """Train no longer the stem and the first ``n`` stages (isotropic: blocks); 0 freezes the stem alone.

        ``requires_grad_(True)`` thaws everything.

        Raises:
            ValueError: there are fewer.
        """
        layers = self._layers()
        if _checks.integer("freeze_stages", "n", n, 0) > len(layers):
            raise ValueError(f"freeze_stages: n must be at most {len(layers)}, the number of stages, got {n}")
        frozen = [layers[0][0], *(part for layer in layers[:n] for part in layer)]
        for part in frozen:
            if part is not None:
                part.requires_grad_(False)

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop what the maps of the layers ``indices`` do not need: later layers, and the head. Returns the indices.

        ``prune_norm`` drops the final norm, which the head and later layers take with them.
        """
        wanted = take_indices("prune_intermediate_layers", len(self._layers()), indices)
        last = max(wanted) + 1
        shorter = last < len(self._layers())
        if shorter:
            self._cut(last)
            self.feature_info = self.feature_info[:last]
            self.num_features = self.feature_info[-1]["num_chs"]
        if prune_norm or prune_head or shorter:
            self.norm, self.norm_pre = nn.Identity(), None
        if prune_head or shorter:
            self.pre_logits = None
            self.reset_classifier(0, "")
        return wanted

    def set_grad_checkpointing(self, enable: bool = True, every: str = "block") -> None:
        """In training, keep only the input of each block for the backward pass, which computes the block again.

        The gradients are the same, drop path included, for less memory and one more forward pass of time.
        ``every="stage"`` keeps only the input of each stage: while a stage is gone through backwards, all of its blocks
        are in memory, so this saves most where there are many stages. The isotropic network keeps that of each block.

        Raises:
            ValueError: ``every`` is another word.
        """
        _checks.one_of("set_grad_checkpointing", "every", every, ("block", "stage"))
        self.grad_checkpointing = every if enable else None


class ConvNeXt(_Network):
    """The network: logits (N, num_classes) from images (N, in_chans, H, W).

    - ``num_classes=0`` leaves the classifier out: features (N, dims[-1]).
    - ``depths`` and ``dims``: number of blocks and width of each stage.
    - ``drop_path``: the rate of the last block; it grows linearly from 0 at the first.
    - ``layer_scale_init``: the start of gamma; 0 or less leaves it out.
    - ``patch_size``: the stem's kernel and stride in px. 4 suits photographs; 1 or 2 small images such as CIFAR's.
      After a stem of 2 timm halves the image once more, in front of the first stage; transformers and this do not.
    - ``output_stride``: by how much the image shrinks at most, 8, 16 or 32 (None: without limit). Stages that would
      shrink it further look at every second or fourth pixel instead, as in timm: for dense prediction.
    - ``global_pool``: "avg", "max", "avgmax" (half the sum of both), or "" ("none") for a map of logits.
    - ``drop_rate``: dropout in front of the classifier. ``head_init_scale``: a factor on its first weights.
    - ``norm_eps``: of every LayerNorm; ``head_norm_eps`` of the last one, where it differs.
    - ``stem_type``: "patch", or timm's overlapping 3x3 convolutions with the same stride: "overlap", "overlap_tiered"
      (the first has half of the channels) and "overlap_act" (a GELU between them). Strides of 1 and 2 take one
      convolution, which is "overlap".
    - ``head_norm_first``: the last norm comes before the pooling. ``head_hidden_size``: a Linear layer of that width
      and a GELU before the classifier. Both are timm's.

    Any image of at least ``patch_size * 2 ** (len(dims) - 1)`` px works; what does not divide is cut off at the right
    and the bottom, as the strided convolutions do.

    Raises:
        ValueError: ``depths`` and ``dims`` of different lengths, options out of range, or an image that does not fit.
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
        self.depths = _integers(where, "depths", depths, 0)
        self.dims = _integers(where, "dims", dims, 1)
        if len(self.depths) != len(self.dims) or not self.dims:
            raise ValueError(
                f"{where}: depths and dims must have one number for each stage, got {list(depths)} and {list(dims)}"
            )
        if output_stride is not None and output_stride not in _OUTPUT_STRIDES:
            raise ValueError(f"{where}: output_stride must be 8, 16, 32 or None, got {output_stride!r}")
        self.stem_type = _checks.one_of(where, "stem_type", stem_type, _STEMS)
        self.head_norm_first = head_norm_first
        if head_hidden_size is not None:
            _checks.integer(where, "head_hidden_size", head_hidden_size, 1)
            if head_norm_first:
                raise ValueError(f"{where}: head_norm_first and head_hidden_size exclude each other")
        rates = np.linspace(0, _checks.probability(where, "drop_path", drop_path), sum(self.depths)).tolist()

        self.num_features = self.dims[-1]
        self.feature_info = []
        self.downsample_layers = nn.ModuleList()
        self.stages = nn.ModuleList()
        reduction, dilation = patch_size, 1
        for i, (depth, dim) in enumerate(zip(self.depths, self.dims, strict=True)):
            if i == 0:
                down = nn.Sequential(
                    *_stem(where, stem_type, in_chans, dim, patch_size), nn.LayerNorm(dim, eps=norm_eps)
                )
            else:
                if output_stride is not None and reduction >= output_stride:
                    dilation *= 2
                    halving = _dilated(self.dims[i - 1], dim, min(dilation // 2, 2))
                else:
                    reduction *= 2
                    halving = _patches(self.dims[i - 1], dim, 2)
                down = nn.Sequential(nn.LayerNorm(self.dims[i - 1], eps=norm_eps), halving)
            self.downsample_layers.append(down)
            first = sum(self.depths[:i])
            blocks = (
                Block(dim, rate, layer_scale_init, grn=self._grn, dilation=dilation, norm_eps=norm_eps)
                for rate in rates[first : first + depth]
            )
            self.stages.append(nn.Sequential(*blocks))
            self.feature_info.append({"num_chs": dim, "reduction": reduction, "module": f"stages.{i}"})
        self._finish(norm_eps if head_norm_eps is None else head_norm_eps, head_norm_first, head_hidden_size)

    def _layers(self) -> list[tuple[nn.Module | None, nn.Module]]:
        return list(zip(self.downsample_layers, self.stages, strict=True))

    def _cut(self, count: int) -> None:
        self.downsample_layers, self.stages = self.downsample_layers[:count], self.stages[:count]
        self.depths, self.dims = self.depths[:count], self.dims[:count]

    def _shape_words(self) -> str:
        return f"{len(self.dims)} stages and "


class ConvNeXtV2(ConvNeXt):
    """ConvNeXt with global response normalization in its blocks, and without layer scale.

    Options, shapes and errors as ``ConvNeXt`` has them.
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


class ConvNeXtIsotropic(_Network):
    """ConvNeXt of one width and one resolution, as vision transformers are: ``depth`` blocks of width ``dim``.

    The stem takes patches of ``patch_size`` px and has no norm. Other options, shapes and errors as ``ConvNeXt`` has
    them; each block is a layer for ``freeze_stages`` and the intermediate features.
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
        self.stem = _patches(in_chans, dim, patch_size)
        self.blocks = nn.Sequential(*(Block(dim, rate, layer_scale_init, norm_eps=norm_eps) for rate in rates))
        self.feature_info = [
            {"num_chs": dim, "reduction": patch_size, "module": f"blocks.{i}"} for i in range(self.depth)
        ]
        self._finish(norm_eps if head_norm_eps is None else head_norm_eps)

    def _layers(self) -> list[tuple[nn.Module | None, nn.Module]]:
        return [(self.stem if i == 0 else None, block) for i, block in enumerate(self.blocks)]

    def _cut(self, count: int) -> None:
        self.blocks, self.depth = self.blocks[:count], count

    def _normed(self, layer: int, x: Tensor) -> Tensor:
        return self.norm(x)


def take_indices(where: str, count: int, indices: int | Sequence[int] | None) -> list[int]:
    """Layers counted from the front: the last ``indices`` of ``count``, those listed (from the end where negative),
    or all."""
    if indices is None or isinstance(indices, int):
        last = count if indices is None else _checks.integer(where, "the number of layers", indices, 1)
        if last > count:
            raise ValueError(f"{where}: there are {count} layers, got {indices}")
        return list(range(count - last, count))
    if not indices:
        raise ValueError(f"{where}: at least one layer is needed, got {indices!r}")
    found = [_checks.integer(where, "a layer", i) for i in indices]
    if min(found) < -count or max(found) >= count:
        raise ValueError(f"{where}: layers must be in [{-count}, {count - 1}] of {count} layers, got {list(indices)}")
    return [i % count for i in found]


def _integers(where: str, name: str, values: Any, minimum: int) -> tuple[int, ...]:
    if not isinstance(values, Sequence):
        raise TypeError(f"{where}: {name} must be a sequence of integers, got {values!r}")
    return tuple(_checks.integer(where, name, one, minimum) for one in values)


def _pool(where: str, name: str | None) -> str:
    return _checks.one_of(where, "global_pool", "" if name in (None, "none") else name, _POOLS)


def _pooled(kind: str, x: Tensor) -> Tensor:
    """(N, C) from (N, H, W, C)."""
    if kind == "avg":
        return x.mean(dim=(1, 2))
    largest = x.amax(dim=(1, 2))
    return largest if kind == "max" else 0.5 * (x.mean(dim=(1, 2)) + largest)


def _patches(in_chans: int, dim: int, size: int) -> nn.Conv2d:
    """Patches of ``size`` x ``size`` px, side by side, to vectors."""
    return nn.Conv2d(in_chans, dim, size, stride=size, data_format="channels_last")


def _stem(where: str, kind: str, in_chans: int, dim: int, stride: int) -> list[nn.Module]:
    """The layers before the stem's norm: patches, or windows of 3 x 3 px that overlap."""
    if kind == "patch":
        return [_patches(in_chans, dim, stride)]
    if stride not in (1, 2, 4) or (stride != 4 and kind != "overlap"):
        possible = "1, 2 or 4" if kind == "overlap" else "4"
        raise ValueError(f"{where}: patch_size, the stride of stem_type {kind!r}, must be {possible}, got {stride}")
    strides = [2, 2] if stride == 4 else [stride]
    widths = [in_chans, *[_tiered(dim) if kind == "overlap_tiered" else dim] * (len(strides) - 1), dim]
    layers: list[nn.Module] = [
        nn.Conv2d(widths[i], widths[i + 1], 3, one, padding=1, data_format="channels_last")
        for i, one in enumerate(strides)
    ]
    if kind == "overlap_act":
        layers.insert(1, nn.GELU())
    return layers


def _tiered(dim: int) -> int:
    """Half of the channels as a multiple of 8, but never less than nine tenths of the half: timm's rule."""
    half = dim // 2
    rounded = max(8, (half + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * half else rounded


def _dilated(in_chans: int, dim: int, dilation: int) -> nn.Conv2d:
    """What patches of 2 become where the image is not halved: the same weights on pixels further apart, as in timm."""
    return nn.Conv2d(in_chans, dim, 2, padding="same", dilation=dilation, data_format="channels_last")


def _init_weights(module: nn.Module, scale: float = 1.0) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=_WEIGHT_STD)
        nn.init.zeros_(module.bias)
        if scale != 1:
            module.weight._rebind(module.weight._array * scale)

"""What ConvNeXt, ConvNeXt V2 and the isotropic ConvNeXt share: forward passes, features, classifier, freezing."""

from collections.abc import Iterator, Sequence
from typing import Any

from lucid import _checks, nn, tape
from lucid._creation import as_tensor
from lucid._tensor import Tensor
from lucid.nn import functional as F
from lucid.utils import checkpoint

_WEIGHT_STD = 0.02
_POOLS = ("avg", "max", "avgmax", "")


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
        if self.grad_checkpointing is None or not (self.training and tape.is_recording()):
            return blocks(x)
        for part in [blocks] if self.grad_checkpointing == "stage" or not isinstance(blocks, nn.Sequential) else blocks:
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


def _init_weights(module: nn.Module, scale: float = 1.0) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=_WEIGHT_STD)
        nn.init.zeros_(module.bias)
        if scale != 1:
            module.weight._rebind(module.weight._array * scale)

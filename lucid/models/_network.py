"""What ConvNeXt, ConvNeXt V2 and the isotropic ConvNeXt share: forward passes, feature maps, classifier, freezing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lucid import _checks, _grad_mode, nn
from lucid._creation import as_tensor
from lucid._tensor import Tensor
from lucid.models.weights.dialects import foreign_names
from lucid.nn import functional as F
from lucid.nn.state import IncompatibleKeys
from lucid.utils import checkpoint

if TYPE_CHECKING:
    from lucid.models.preprocessing import ImageTransform

_WEIGHT_STD = 0.02
_POOLS = ("avg", "max", "avgmax", "")


class ConvNeXtBase(nn.Module):
    """Base class of the three networks, which define the layers.

    The methods below count layers: a layer is a stage with the downsampling in front of it, or a block of the isotropic
    network. ``feature_info`` has one entry per layer.

    Attributes:
        class_names: Names of the outputs of the classifier, None if unknown. A new classifier has none.
        preprocessing: The transform from images to input, None if unknown.
        task: What the outputs are: "classification", logits of classes, of which one is right; "multilabel", a logit
            for each of several labels, whose sigmoid is the label's probability; or "regression", numbers.
            ``from_checkpoint`` sets all three.
    """

    norm_pre: nn.Module | None  # the final norm, if it comes before the pooling
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
        self.global_pool = _check_global_pool(where, global_pool)
        self.drop_rate = _checks.probability(where, "drop_rate", drop_rate)
        self.head_init_scale = _checks.number(where, "head_init_scale", head_init_scale)
        self.grad_checkpointing: str | None = None  # "block" or "stage"
        self.preprocessing: ImageTransform | None = None  # set by from_checkpoint

    def _layers(self) -> list[tuple[nn.Module | None, nn.Module]]:
        """For each layer, the module in front of its blocks and the blocks."""
        raise NotImplementedError

    def _truncate(self, count: int) -> None:
        """Drop all layers after the first ``count``."""
        raise NotImplementedError

    def _apply_norm(self, layer: int, x: Tensor) -> Tensor:
        """Apply the final norm to the feature map (N, H, W, C) of a layer, if the layer has the width of the norm."""
        if layer < len(self._layers()) - 1:
            return x
        return self.norm(x) if self.norm_pre is None else self.norm_pre(x)

    def _add_head(self, norm_eps: float, head_norm_first: bool = False, head_hidden_size: int | None = None) -> None:
        """Add the head, and initialize all parameters."""
        norm = nn.LayerNorm(self.num_features, eps=norm_eps)
        self.norm_pre, self.norm = (norm, nn.Identity()) if head_norm_first else (None, norm)
        self.pre_logits = None if head_hidden_size is None else nn.Linear(self.num_features, head_hidden_size)
        self.head = nn.Identity()
        self.apply(_init_weights)
        if self.pre_logits is not None:
            _init_weights(self.pre_logits, self.head_init_scale)
        self.reset_classifier(self.num_classes)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Load a ``state_dict()`` of such a model, see ``Module.load_state_dict``.

        ``models.load_checkpoint`` also loads the names of other libraries.
        """
        try:
            return super().load_state_dict(state_dict, strict, assign)
        except (RuntimeError, TypeError) as error:
            if isinstance(state_dict, Mapping) and (found := foreign_names(state_dict)):
                advice = f"{error}\nThese are {found}; lucid.models.load_checkpoint(model, ...) loads them"
                raise type(error)(advice) from None
            raise

    # Forward ---------------------------------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """The last feature map (N, num_features, H', W') of images (N, in_chans, H, W).

        It is normalized only with ``head_norm_first``.
        """
        *_, x = self._maps(x)
        return self._normalize_last(x).permute(0, 3, 1, 2)

    def _normalize_last(self, x: Tensor) -> Tensor:
        """The last feature map (N, H, W, C), normalized if the norm comes before the pooling."""
        return x if self.norm_pre is None else self.norm_pre(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool, normalize and classify the output of ``forward_features``: logits (N, num_classes).

        ``pre_logits`` returns the input of the classifier instead, (N, num_features), or (N, head_hidden_size) with a
        hidden layer. Without pooling both are maps.
        """
        x = x.permute(0, 2, 3, 1)
        if self.global_pool:
            x = _pool(self.global_pool, x)
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
        """The output of ``forward_features`` and the feature maps of some layers, in network order.

        Args:
            x: Images (N, in_chans, H, W).
            indices: Layers, negative ones counted from the end; an integer n takes the last n, None all.
            norm: Apply the final norm to the map of the last layer (isotropic: of every layer).
            stop_early: Skip the layers after the last requested one; the first output is then that of the last layer
                that ran.
            output_fmt: ``"NCHW"`` or ``"NHWC"``.
            intermediates_only: Return the list of feature maps alone.
        """
        _checks.one_of("forward_intermediates", "output_fmt", output_fmt, ("NCHW", "NHWC"))
        wanted = take_indices("forward_intermediates", len(self._layers()), indices)
        order = (0, 3, 1, 2) if output_fmt == "NCHW" else (0, 1, 2, 3)
        maps = list(self._maps(x, max(wanted) + 1 if stop_early else None))
        taken = [self._apply_norm(i, y) if norm else y for i, y in enumerate(maps) if i in wanted]
        taken = [y.permute(*order) for y in taken]
        if intermediates_only:
            return taken
        last = self._normalize_last(maps[-1]) if len(maps) == len(self._layers()) else maps[-1]
        return last.permute(*order), taken

    def get_intermediate_layers(
        self, x: Tensor, n: int | Sequence[int] = 1, reshape: bool = False, return_class_token: bool = False,
        norm: bool = True,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Tokens (N, H' W', C) of the last ``n`` layers, or of the layers ``n``. The interface is DINOv2's.

        Args:
            x: Images (N, in_chans, H, W).
            n: How many layers from the end, or which layers.
            reshape: Return feature maps (N, C, H', W') instead.
            return_class_token: Return pairs of tokens and their mean (N, C), which stands in for the class token.
            norm: Apply the final norm to the last layer (isotropic: to every layer).
        """
        wanted = take_indices("get_intermediate_layers", len(self._layers()), n)
        maps = dict(enumerate(self._maps(x, max(wanted) + 1)))
        found = []
        for i in wanted:
            y, mean = maps[i], maps[i].mean(dim=(1, 2))
            if norm:
                y, mean = self._apply_norm(i, y), self._apply_norm(i, mean)
            y = y.permute(0, 3, 1, 2) if reshape else y.flatten(1, 2)
            found.append((y, mean) if return_class_token else y)
        return tuple(found)

    def _maps(self, x: Tensor, count: int | None = None) -> Iterator[Tensor]:
        """The feature maps (N, H', W', C) of the first ``count`` layers, by default of all."""
        x = as_tensor(x)  # NumPy and MLX arrays are fine, as for Conv2d
        self._check_images(x)
        x = x.permute(0, 2, 3, 1)  # (N, H, W, C)
        for before, blocks in self._layers()[:count]:
            x = self._run_blocks(blocks, x if before is None else before(x))
            yield x

    def _run_blocks(self, blocks: Any, x: Tensor) -> Tensor:
        if self.grad_checkpointing is None or not (self.training and _grad_mode.is_recording()):
            return blocks(x)
        for part in [blocks] if self.grad_checkpointing == "stage" or not isinstance(blocks, nn.Sequential) else blocks:
            x = checkpoint(part, x)
        return x

    def _check_images(self, x: Tensor) -> None:
        where = type(self).__name__
        _checks.rank(where, "the images", x.shape, 4, "(N, C, H, W)")
        if x.shape[1] != self.in_chans:
            raise ValueError(
                f"{where}: the images must have {self.in_chans} channels (N, C, H, W), got {x.shape}"
                f"{_checks.layout_hint(x.shape, self.in_chans)}"
            )
        if not x.is_floating_point():
            raise TypeError(
                f"{where}: the images must be floating-point, got {_checks.dtype_name(x.dtype)}; "
                "models.transforms_for(model) prepares Pillow images and uint8 arrays; .float() / 255 scales them"
            )
        smallest = self.feature_info[-1]["reduction"]
        if min(x.shape[2:]) < smallest:
            hint = "; a smaller patch_size takes smaller ones" if self.patch_size > 1 else ""
            raise ValueError(
                f"{where}: the images must be at least {smallest}x{smallest} px for {self._describe_shape()}"
                f"patch_size {self.patch_size}, got {x.shape[2]}x{x.shape[3]}{hint}"
            )

    def _describe_shape(self) -> str:
        return ""

    # Changes ---------------------------------------------------------------------------------------------------------

    @property
    def head_hidden_size(self) -> int:
        """Width of the classifier's input: that of the hidden layer if there is one, otherwise ``num_features``."""
        return self.num_features if self.pre_logits is None else self.pre_logits.weight.shape[0]

    def get_classifier(self) -> nn.Module:
        """The classifier: a Linear, or an Identity if there are no classes."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier with a newly initialized one; ``num_classes=0`` removes it.

        ``global_pool`` changes the pooling: "avg", "max", "avgmax" (the mean of both), or "" for none.
        """
        where = "reset_classifier"
        self.num_classes = _checks.integer(where, "num_classes", num_classes, 0)
        self.class_names: list[str] | None = None  # the old names do not fit the new outputs
        self.task = "classification"
        if global_pool is not None:
            self.global_pool = _check_global_pool(where, global_pool)
        self.head = nn.Identity()
        if num_classes:
            self.head = nn.Linear(self.head_hidden_size, num_classes)
            _init_weights(self.head, self.head_init_scale)
            self.head.to(next(iter(self.parameters())).dtype)
        self.head.train(self.training)

    def freeze_stages(self, n: int) -> None:
        """Freeze the stem and the first ``n`` stages (isotropic: blocks); 0 freezes the stem alone.

        ``requires_grad_(True)`` unfreezes everything.

        Raises:
            ValueError: There are fewer than ``n`` stages.
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
        """Drop everything that the feature maps of the layers ``indices`` do not need: later layers, and the head.

        The final norm is dropped with later layers or the head, or alone with ``prune_norm``.

        Returns:
            The indices, counted from the front.
        """
        wanted = take_indices("prune_intermediate_layers", len(self._layers()), indices)
        last = max(wanted) + 1
        shorter = last < len(self._layers())
        if shorter:
            self._truncate(last)
            self.feature_info = self.feature_info[:last]
            self.num_features = self.feature_info[-1]["num_chs"]
        if prune_norm or prune_head or shorter:
            self.norm, self.norm_pre = nn.Identity(), None
        if prune_head or shorter:
            self.pre_logits = None
            self.reset_classifier(0, "")
        return wanted

    def set_grad_checkpointing(self, enable: bool = True, every: str = "block") -> None:
        """In training, store only the input of each block and recompute the block in the backward pass.

        The gradients are the same, drop path included. This saves memory and costs one more forward pass.
        ``every="stage"`` stores only the input of each stage; while a stage is recomputed all of its blocks are in
        memory. The isotropic network checkpoints each block either way.

        Raises:
            ValueError: ``every`` is neither "block" nor "stage".
        """
        _checks.one_of("set_grad_checkpointing", "every", every, ("block", "stage"))
        self.grad_checkpointing = every if enable else None


def take_indices(caller: str, count: int, indices: int | Sequence[int] | None) -> list[int]:
    """Indices of layers, counted from the front: the last ``indices`` of ``count`` layers, those listed, or all."""
    if indices is None or isinstance(indices, int):
        last = count if indices is None else _checks.integer(caller, "the number of layers", indices, 1)
        if last > count:
            raise ValueError(f"{caller}: the number of layers must be at most {count}, got {indices}")
        return list(range(count - last, count))
    if not indices:
        raise ValueError(f"{caller}: expected at least one layer, got {indices!r}")
    found = [_checks.integer(caller, "a layer", i) for i in indices]
    if min(found) < -count or max(found) >= count:
        raise ValueError(f"{caller}: layers must be in [{-count}, {count - 1}] for {count} layers, got {list(indices)}")
    return [i % count for i in found]


def check_integers(caller: str, name: str, values: Any, minimum: int) -> tuple[int, ...]:
    if not isinstance(values, Sequence):
        raise TypeError(f"{caller}: {name} must be a sequence of integers, got {values!r}")
    return tuple(_checks.integer(caller, name, one, minimum) for one in values)


def _check_global_pool(caller: str, name: str | None) -> str:
    return _checks.one_of(caller, "global_pool", "" if name in (None, "none") else name, _POOLS)


def _pool(kind: str, x: Tensor) -> Tensor:
    """Pool (N, H, W, C) to (N, C)."""
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

"""Networks as backbones: the feature maps of several layers, and their channels and reductions."""

from collections.abc import Iterable, Sequence
from typing import Any

from lucid import nn
from lucid._tensor import Tensor
from lucid.models._network import take_indices
from lucid.models.convnext import ConvNeXt, ConvNeXtIsotropic


class FeatureInfo:
    """Channels, reduction and module of each feature map, with timm's interface.

    ``channels()`` and the like return a list for the layers in ``out_indices``, ``channels(i)`` the value of layer i,
    ``channels([i, j])`` a list for those layers. ``info[i]`` is the dict of layer i.

    Args:
        feature_info: A dictionary per layer, as ``model.feature_info``.
        out_indices: The selected layers.

    Example:
        >>> pyramid = models.create_model("convnext_atto", features_only=True)
        >>> pyramid.feature_info.channels(), pyramid.feature_info.reduction()
        ([40, 80, 160, 320], [4, 8, 16, 32])
    """

    def __init__(self, feature_info: Iterable[dict[str, Any]], out_indices: Sequence[int]) -> None:
        self.info = [{**one, "index": i} for i, one in enumerate(feature_info)]
        self.out_indices = tuple(out_indices)

    def channels(self, idx: int | Sequence[int] | None = None) -> Any:
        """Number of channels."""
        return self.get("num_chs", idx)

    def reduction(self, idx: int | Sequence[int] | None = None) -> Any:
        """Stride with respect to the image."""
        return self.get("reduction", idx)

    def module_name(self, idx: int | Sequence[int] | None = None) -> Any:
        """Name of the module that computes the map."""
        return self.get("module", idx)

    def get(self, key: str, idx: int | Sequence[int] | None = None) -> Any:
        """The value of ``key`` in the dict of one layer, or a list of values."""
        if isinstance(idx, int):
            return self.info[idx][key]
        return [self.info[i][key] for i in (self.out_indices if idx is None else idx)]

    def get_dicts(self, keys: Sequence[str] | None = None, idx: int | Sequence[int] | None = None) -> Any:
        """The dict of one layer, or a list of dicts, restricted to ``keys`` if given."""
        chosen = [idx] if isinstance(idx, int) else self.out_indices if idx is None else idx
        found = [{k: self.info[i][k] for k in (keys or self.info[i])} for i in chosen]
        return found[0] if isinstance(idx, int) else found

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.info[index]

    def __len__(self) -> int:
        return len(self.info)


class FeatureListNet(nn.Module):
    """A list of feature maps (N, C, H, W) from images, as ``create_model(..., features_only=True)`` returns it.

    Args:
        model: The network. It becomes ``body``, without the head and the layers that no map needs.
        out_indices: Layers, negative ones counted from the end; an integer n takes the last n, None all. Their maps are
            returned in this order, not normalized.

    Example:
        >>> pyramid = models.create_model("convnext_atto", features_only=True, out_indices=[1, 3])
        >>> [features.shape for features in pyramid(lucid.rand(1, 3, 64, 64))]
        [(1, 80, 8, 8), (1, 320, 2, 2)]
    """

    def __init__(self, model: ConvNeXt | ConvNeXtIsotropic, out_indices: int | Sequence[int] | None = None) -> None:
        super().__init__()
        layers = len(model.feature_info)
        if out_indices is None:
            out_indices = range(layers)
        elif isinstance(out_indices, int):
            out_indices = range(-out_indices, 0)
        self.feature_info = FeatureInfo(model.feature_info, out_indices)
        self._wanted = take_indices("features_only", layers, list(out_indices))
        model.prune_intermediate_layers(self._wanted)
        self.body = model

    def forward(self, x: Tensor) -> list[Tensor]:
        indices = sorted(set(self._wanted))
        maps = dict(zip(indices, self.body.forward_intermediates(x, indices, intermediates_only=True), strict=True))
        return [maps[i] for i in self._wanted]

    def freeze_stages(self, n: int) -> None:
        """Freeze the stem and the first ``n`` stages (isotropic: blocks)."""
        self.body.freeze_stages(n)

    def set_grad_checkpointing(self, enable: bool = True, every: str = "block") -> None:
        """Recompute blocks in the backward pass instead of storing them, see ``ConvNeXt.set_grad_checkpointing``."""
        self.body.set_grad_checkpointing(enable, every)

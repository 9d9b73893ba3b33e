"""A network as the backbone of another: the maps of several layers, and what is known about them."""

from collections.abc import Iterable, Sequence
from typing import Any

from lucid import nn
from lucid._tensor import Tensor
from lucid.models._network import take_indices
from lucid.models.convnext import ConvNeXt, ConvNeXtIsotropic


class FeatureInfo:
    """Channels, reduction and module of each map: ``info.channels()``, ``info.reduction()``. The interface is timm's.

    Without an index these give a list for the maps that come out (``out_indices``); with one, or several, the values
    of those layers. ``info[i]`` is the dictionary of layer i, of ``len(info)``.
    """

    def __init__(self, feature_info: Iterable[dict[str, Any]], out_indices: Sequence[int]) -> None:
        self.info = [{**one, "index": i} for i, one in enumerate(feature_info)]
        self.out_indices = tuple(out_indices)

    def channels(self, idx: int | Sequence[int] | None = None) -> Any:
        """How many channels a map has."""
        return self.get("num_chs", idx)

    def reduction(self, idx: int | Sequence[int] | None = None) -> Any:
        """By how much a map is smaller than the image, per side."""
        return self.get("reduction", idx)

    def module_name(self, idx: int | Sequence[int] | None = None) -> Any:
        """The module that a map comes from."""
        return self.get("module", idx)

    def get(self, key: str, idx: int | Sequence[int] | None = None) -> Any:
        """``key`` of the dictionaries."""
        if isinstance(idx, int):
            return self.info[idx][key]
        return [self.info[i][key] for i in (self.out_indices if idx is None else idx)]

    def get_dicts(self, keys: Sequence[str] | None = None, idx: int | Sequence[int] | None = None) -> Any:
        """The dictionaries, with ``keys`` alone where they are given."""
        chosen = [idx] if isinstance(idx, int) else self.out_indices if idx is None else idx
        found = [{k: self.info[i][k] for k in (keys or self.info[i])} for i in chosen]
        return found[0] if isinstance(idx, int) else found

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.info[index]

    def __len__(self) -> int:
        return len(self.info)


class FeatureListNet(nn.Module):
    """A list of maps (N, C, H, W) from images: what ``create_model(..., features_only=True)`` gives.

    ``out_indices``: layers, counted from the end where negative; a number takes the last so many, None all. Their maps
    come in that order, not normalized. ``body`` is the network, without the head and the layers that no map needs.
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
        """As of the network: train no longer the stem and the first ``n`` stages (isotropic: blocks)."""
        self.body.freeze_stages(n)

    def set_grad_checkpointing(self, enable: bool = True, every: str = "block") -> None:
        """As of the network: in training, compute each block again for the backward pass instead of keeping it."""
        self.body.set_grad_checkpointing(enable, every)

"""Parameter groups for fine-tuning: layer-wise learning rate decay, no weight decay for norms and biases."""

import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Any

from lucid import _checks, nn

_BLOCK = re.compile(r"(?:.+\.)?(?:stages\.(\d+)|blocks)\.(\d+)\.")
_BEFORE = re.compile(r"(?:.+\.)?(?:downsample_layers\.(\d+)|stem)\.")


def param_groups_layer_decay(
    model: nn.Module,
    lr: float,
    *,
    weight_decay: float = 0.05,
    layer_decay: float = 0.75,
    no_weight_decay_list: str | Collection[str] = (),
    blocks_per_layer: int = 3,
    min_scale: float = 0.0,
) -> list[dict[str, Any]]:
    """Parameter groups with learning rates that decay by ``layer_decay`` from layer to layer toward the stem.

    The final norm and the classifier have ``lr``, the layer before them ``lr * layer_decay``, and so on. Biases, norms,
    gamma and GRN have no weight decay. Frozen parameters are left out.

    Args:
        model: A ConvNeXt, or a module that contains one.
        lr: Learning rate of the head.
        weight_decay: Weight decay of the weights.
        layer_decay: Factor on the learning rate from each layer to the one before it.
        no_weight_decay_list: Names of parameters without weight decay, one ``fnmatch`` pattern or several.
        blocks_per_layer: Number of consecutive blocks of a stage that form a layer; the first layer of a stage includes
            the downsampling. 3 gives the authors' layers for depths 3, 3, 27, 3 (13 besides the head), 1 those of timm,
            which counts a ``norm_pre`` as part of the last block.
        min_scale: Lower bound of the factor on ``lr``.

    Returns:
        Groups with ``params``, ``param_names``, ``lr``, ``lr_scale`` and ``weight_decay``. Schedulers start from each
        group's ``lr``. Source: Bao et al. 2021 (BEiT), arXiv:2106.08254.

    Raises:
        ValueError: The model has no ConvNeXt blocks, or an option is out of range.
        TypeError: ``model`` is not a module.

    Example:
        >>> import lucid
        >>> model = lucid.models.convnext_atto(10)
        >>> groups = lucid.models.param_groups_layer_decay(model, lr=5e-5, layer_decay=0.8)
        >>> optimizer = lucid.optim.AdamW(groups)
    """
    where = "param_groups_layer_decay"
    _checks.number(where, "lr", lr, 0)
    _checks.number(where, "weight_decay", weight_decay, 0)
    _checks.number(where, "layer_decay", layer_decay, 0, above=True)
    _checks.number(where, "min_scale", min_scale, 0, 1)
    _checks.integer(where, "blocks_per_layer", blocks_per_layer, 1)
    if not hasattr(model, "named_parameters"):  # compiled modules have it
        raise TypeError(f"{where}: model must be a Module, whose parameters have names, got {type(model).__name__}")
    patterns = [no_weight_decay_list] if isinstance(no_weight_decay_list, str) else no_weight_decay_list
    named = list(model.named_parameters())
    layers = _layers([name for name, _ in named], blocks_per_layer)
    last = max(layers.values(), default=0) + 1
    if not any(_BLOCK.match(name) for name in layers):
        raise ValueError(f"{where}: {type(model).__name__} has no ConvNeXt blocks (stages.S.B or blocks.B)")

    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in named:
        if not parameter.requires_grad:
            continue
        layer = layers.get(name, last)
        decays = not _has_no_decay(name, parameter.ndim, patterns)
        scale = max(layer_decay ** (last - layer), min_scale)
        group = groups.setdefault(
            (layer, decays),
            {
                "params": [],
                "param_names": [],
                "lr": lr * scale,
                "lr_scale": scale,
                "weight_decay": weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
        group["param_names"].append(name)
    return list(groups.values())


def _layers(names: list[str], blocks_per_layer: int) -> dict[str, int]:
    """Layer index of each parameter outside the head, the stem being 0."""
    places: dict[str, tuple[int, int]] = {}  # stage, and layer within it
    for name in names:
        if block := _BLOCK.match(name):
            places[name] = int(block[1] or 0), int(block[2]) // blocks_per_layer
        elif before := _BEFORE.match(name):
            stage = int(before[1] or 0)
            places[name] = (stage, 0) if stage else (-1, 0)
    order = {place: i for i, place in enumerate(sorted(set(places.values())))}
    return {name: order[place] for name, place in places.items()}


def _has_no_decay(name: str, ndim: int, patterns: Collection[str]) -> bool:
    return (
        ndim <= 1
        or name.endswith((".bias", ".gamma", ".beta"))
        or any(fnmatchcase(name, pattern) for pattern in patterns)
    )

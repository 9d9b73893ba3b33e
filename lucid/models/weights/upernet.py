"""UPerNets in files: Lucid's own, mmsegmentation's, and the ConvNeXt authors'."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lucid import nn, serialization
from lucid.models.convnext import ConvNeXt, ConvNeXtIsotropic, ConvNeXtV2
from lucid.models.features import FeatureListNet
from lucid.models.preprocessing import ImageTransform
from lucid.models.upernet import POOL_SCALES, UPerNet
from lucid.models.weights.detect import (
    MismatchError,
    Network,
    architecture_of,
    describe_contents,
    find_networks,
    select_network,
)

_FAMILIES = {kind.__name__: kind for kind in (ConvNeXt, ConvNeXtV2, ConvNeXtIsotropic)}
_OWN = "backbone.body."  # the prefix of the backbone in Lucid's names
_LAST = "decode_head.conv_seg.weight"
_OPTIONS = ("pool_scales", "stem_type", "patch_size")
_SIZE_PX = 512  # of the training crops of published checkpoints


def save_segmenter(
    model: UPerNet,
    path: str | os.PathLike[str],
    *,
    class_names: Sequence[str] = (),
    palette: Sequence[Sequence[int]] = (),
    preprocessing: ImageTransform | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a ``UPerNet`` with a ConvNeXt backbone to a safetensors file that ``load_segmenter`` reads.

    Args:
        model: The network.
        path: The file.
        class_names: One for each class.
        palette: The colors of the classes in masks, as (red, green, blue) from 0 to 255.
        preprocessing: Mean and standard deviation of its input. Its ``image_size`` is the size that exports take by
            default; the network takes any.
        metadata: More strings to store.

    Raises:
        ValueError: ``palette`` has something else than colors.
        OSError: The file cannot be written.

    Example:
        >>> backbone = models.create_model("convnext_atto", features_only=True)
        >>> models.save_segmenter(models.UPerNet(backbone, 2, 32), "shapes.safetensors", class_names=["sky", "sea"])
        >>> models.load_segmenter("shapes.safetensors").class_names
        ['sky', 'sea']
    """
    found = segmenter_metadata(model, class_names, palette, preprocessing)
    serialization.save(model.state_dict(), path, {**found, **(metadata or {})})


def segmenter_metadata(
    model: UPerNet,
    class_names: Sequence[str],
    palette: Sequence[Sequence[int]] = (),
    preprocessing: ImageTransform | None = None,
) -> dict[str, str]:
    """What ``load_segmenter`` reads from the metadata of a file besides its tensors."""
    body = model.backbone.body
    options: dict[str, Any] = {"pool_scales": list(model.pool_scales)}
    for name, default in (("stem_type", "patch"), ("patch_size", 4)):
        if (value := getattr(body, name, default)) != default:
            options[name] = value
    found = {"format": "pt", "segmentation": json.dumps(options)}
    if class_names:
        found["classes"] = json.dumps(list(class_names))
    if len(palette):
        found["palette"] = json.dumps(_colors("save_segmenter", palette, model.num_classes))
    if preprocessing is not None:
        found["preprocessing"] = json.dumps(asdict(preprocessing))
    return found


def load_segmenter(path: str | os.PathLike[str]) -> UPerNet:
    """Build the ``UPerNet`` that a checkpoint holds, in evaluation mode.

    It has ``class_names``, ``palette`` (the colors of the classes, or an empty list), ``preprocessing`` (with the size
    of the training crops), ``in_chans`` and ``checkpoint_name``. Names and colors of mmsegmentation's files are read.

    Args:
        path: A file that ``save_segmenter`` wrote, a run folder of ``lucid segment``, or a checkpoint of
            mmsegmentation or of the ConvNeXt authors with a ConvNeXt backbone and ``UPerHead``. Their pool scales are
            taken to be 1, 2, 3 and 6.

    Raises:
        MismatchError: The file holds no ConvNeXt with the head of a UPerNet, or its tensors do not fit one.
        ValueError: The file is damaged, or its metadata is invalid.
        OSError: It cannot be read.

    Example:
        >>> backbone = models.create_model("convnext_atto", features_only=True)
        >>> models.save_segmenter(models.UPerNet(backbone, num_classes=5, channels=32), "mine.safetensors")
        >>> models.load_segmenter("mine.safetensors").num_classes
        5
    """
    return segmenter_in(serialization.open_checkpoint(path))


def segmenter_in(opened: serialization.OpenedCheckpoint) -> UPerNet:
    """``load_segmenter`` for a checkpoint that is open."""
    where = f"load_segmenter: {opened.path}"
    tree, metadata = opened.content, opened.metadata
    networks = list(find_networks(tree)) if isinstance(tree, Mapping) else []
    if not networks:
        raise MismatchError(f"{where} holds no ConvNeXt; {describe_contents(tree)}")
    network = select_network(where, networks, use_ema=True)
    weights = _own_names(where, tree, network)
    try:
        options = _options(metadata)
        model = _build(network, weights, options)
        model.load_state_dict(weights)
        opened.verify()
        names, colors = _classes_and_palette(tree, metadata, model.num_classes)
        model.class_names = [str(one) for one in names] or [f"class {i}" for i in range(model.num_classes)]
        if len(model.class_names) != model.num_classes:
            raise ValueError(f"there are {len(model.class_names)} class names for {model.num_classes} classes")
        model.palette = _colors("palette", colors, model.num_classes)
        model.checkpoint_name = metadata.get("model") or opened.path.stem
        fields = json.loads(metadata.get("preprocessing", "{}"))
        if not isinstance(fields, dict):
            raise ValueError(
                f"'preprocessing' in the metadata must be a JSON object, got {metadata['preprocessing'][:40]}"
            )
        default = ImageTransform(_SIZE_PX, _SIZE_PX)
        mean, std = (tuple(fields.get(name, getattr(default, name))) for name in ("mean", "std"))
        size = int(fields.get("image_size", default.image_size))
        model.preprocessing = ImageTransform(size, size, mean=mean, std=std)
        model.in_chans = model.backbone.body.in_chans
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise MismatchError(f"{where}: {error}") from error
    return model.eval()


def is_segmenter(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a checkpoint with the head of a UPerNet; False for what cannot be read."""
    try:
        opened = serialization.open_checkpoint(path)
    except (OSError, ValueError):
        return False
    tree = opened.content if isinstance(opened.content, Mapping) else {}
    levels = [tree, *(one for one in tree.values() if isinstance(one, Mapping))]
    return "segmentation" in opened.metadata or any(str(name).endswith(_LAST) for one in levels for name in one)


def _classes_and_palette(tree: Mapping[str, Any], metadata: Mapping[str, str], count: int) -> tuple[Any, Any]:
    """Class names and colors of a file, or none: those of Lucid's metadata, or else those of mmsegmentation."""
    meta = tree.get("meta")
    found = {**meta} if isinstance(meta, Mapping) else {}
    if isinstance(inner := found.get("dataset_meta"), Mapping):  # since version 1.0
        found |= inner
    others = {str(name).lower(): value for name, value in found.items()}

    def of(name: str) -> Any:
        if name in metadata:
            return json.loads(metadata[name])
        value = others.get(name)
        return value if isinstance(value, list | tuple) and len(value) == count else []

    return of("classes"), of("palette")


def _colors(where: str, palette: Any, count: int) -> list[tuple[int, int, int]]:
    """The first ``count`` colors of a palette."""
    found = []
    for one in list(palette)[:count]:
        color = tuple(int(value) for value in one)
        if len(color) != 3 or not all(0 <= value <= 255 for value in color):
            raise ValueError(f"{where}: colors must be three numbers from 0 to 255, got {one!r}")
        found.append(color)
    return found


def _own_names(where: str, tree: Mapping[str, Any], network: Network) -> dict[str, Any]:
    """The tensors of a segmentation network under Lucid's names."""
    for key in network.wrapper:
        tree = tree[key]
    root = network.prefix.removesuffix("body.")
    parent = root.removesuffix("backbone.")
    found = {_OWN + name: value for name, value in network.tensors.items() if name.startswith(("downsample", "stages"))}
    for name, value in tree.items():
        inner = str(name).removeprefix(parent)
        if inner.startswith(("decode_head.", "auxiliary_head.", "norms.")):
            found[inner] = value
        elif inner.startswith("backbone.norm") and inner[13:14].isdecimal():
            found[f"norms.{inner[13:]}"] = value
    if _LAST not in found:
        raise MismatchError(f"{where} holds a ConvNeXt, but no head of a UPerNet ({_LAST})")
    return found


def _options(metadata: Mapping[str, str]) -> dict[str, Any]:
    options = json.loads(metadata.get("segmentation", "{}"))
    if not isinstance(options, dict):
        raise ValueError(f"'segmentation' in the metadata must be a JSON object, got {metadata['segmentation'][:40]}")
    for name in options:
        if name not in _OPTIONS:
            raise ValueError(f"'segmentation' in the metadata may only have {', '.join(_OPTIONS)}, got {name!r}")
    return {"pool_scales": POOL_SCALES, **options}


def _build(network: Network, weights: Mapping[str, Any], options: dict[str, Any]) -> UPerNet:
    shapes = {name: tuple(value.shape) for name, value in network.tensors.items()}
    architecture = architecture_of(shapes)
    stem = shapes["downsample_layers.0.0.weight"]
    patch_size = stem[2] if architecture.stem_type == "patch" else 4
    own = {"in_chans": stem[1], "patch_size": patch_size, **architecture.options()}
    own |= {name: options[name] for name in ("stem_type", "patch_size") if name in options}
    backbone: nn.Module = FeatureListNet(_FAMILIES[architecture.family](0, **own))
    auxiliary = weights.get("auxiliary_head.conv_seg.weight")
    return UPerNet(
        backbone,
        num_classes=weights[_LAST].shape[0],
        channels=weights[_LAST].shape[1],
        pool_scales=options["pool_scales"],
        auxiliary_channels=0 if auxiliary is None else auxiliary.shape[1],
        norm="norms.0.weight" in weights,
    )

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


def save_segmenter(
    model: UPerNet,
    path: str | os.PathLike[str],
    *,
    class_names: Sequence[str] = (),
    preprocessing: ImageTransform | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a ``UPerNet`` with a ConvNeXt backbone to a safetensors file that ``load_segmenter`` reads.

    Args:
        model: The network.
        path: The file.
        class_names: One for each class.
        preprocessing: Mean and standard deviation of its input; of the sizes nothing is used.
        metadata: More strings to store.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> backbone = models.create_model("convnext_atto", features_only=True)
        >>> models.save_segmenter(models.UPerNet(backbone, 2, 32), "shapes.safetensors", class_names=["sky", "sea"])
        >>> models.load_segmenter("shapes.safetensors").class_names
        ['sky', 'sea']
    """
    found = segmenter_metadata(model, class_names, preprocessing)
    serialization.save(model.state_dict(), path, {**found, **(metadata or {})})


def segmenter_metadata(
    model: UPerNet, class_names: Sequence[str], preprocessing: ImageTransform | None = None
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
    if preprocessing is not None:
        found["preprocessing"] = json.dumps(asdict(preprocessing))
    return found


def load_segmenter(path: str | os.PathLike[str]) -> UPerNet:
    """Build the ``UPerNet`` that a checkpoint holds, in evaluation mode, with ``class_names`` and ``preprocessing``.

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
        names = json.loads(metadata.get("classes", "[]"))
        model.class_names = [str(one) for one in names] or [f"class {i}" for i in range(model.num_classes)]
        if len(model.class_names) != model.num_classes:
            raise ValueError(f"there are {len(model.class_names)} class names for {model.num_classes} classes")
        fields = json.loads(metadata.get("preprocessing", "{}"))
        default = ImageTransform()
        mean, std = (tuple(fields.get(name, getattr(default, name))) for name in ("mean", "std"))
        model.preprocessing = ImageTransform(mean=mean, std=std)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise MismatchError(f"{where}: {error}") from error
    return model.eval()


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

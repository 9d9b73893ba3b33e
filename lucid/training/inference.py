"""A trained model from the name of a checkpoint or from a file, with all that its use needs.

A file of weights says about itself, in the metadata of safetensors:

- ``model``: a name for people, or that of a variant;
- ``classes``: the names of the classes, a JSON list; an empty one says that the model gives features;
- ``preprocessing``: fields of ``lucid.models.ImageTransform`` as a JSON object: ``image_size``, ``mean``,
  ``std`` and, where they are not its defaults, ``resize_size`` (default: ``image_size``), ``crop_mode``,
  ``interpolation``, ``round_crop``; ``dataclasses.asdict(transform)`` is complete;
- ``recipe``: how ``train_cifar10.py`` built the model.

All may be missing, as in the files that others publish. The architecture is then read off the weights, the classes are
ImageNet's if there are as many as in one of its lists, and images are prepared as for the first checkpoint of that
variant and dialect.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lucid
from lucid import models, nn
from lucid.models import ImageTransform, transforms_for
from lucid.models.imagenet import imagenet_classes
from lucid.models.weights.detect import architecture_of, choose, networks, variant_of
from lucid.models.weights.tags import tags_of
from lucid.serialization import load_with_metadata
from lucid.training.small_images import Settings, make_model

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")


@dataclass
class Trained:
    """``model`` in evaluation mode; ``transform`` makes its input from images; ``classes`` by number.

    There are no ``classes`` where the checkpoint has no classifier, or CLIP's projection in its place; the model then
    gives features.
    """

    name: str
    model: nn.Module
    classes: list[str]
    transform: ImageTransform
    metadata: dict[str, str]


def open_trained(source: str, image_size: int | None = None) -> Trained:
    """The model behind ``source``: a file if there is one or the name ends like one, else what ``create_model`` knows.

    ``image_size``: other than the model's own, in px; the share that is cropped stays.

    Raises:
        ValueError: there is no such model, or the file does not hold one. OSError: it cannot be read.
    """
    path = Path(source)
    if path.exists() or path.suffix in SUFFIXES:
        return _from_file(path, image_size)
    model = models.create_model(source, pretrained=True).eval()
    transform = transforms_for(model, image_size=image_size)
    return Trained(model.pretrained_tag, model, imagenet_classes(model.num_classes) or [], transform, {})


def class_names(count: int, metadata: Mapping[str, str] | None = None) -> list[str]:
    """Those that the metadata has, ImageNet's if a list of them is as long, or else numbers."""
    if metadata and "classes" in metadata:
        names = _parsed(metadata, "classes", list)
        if names and len(names) != count:
            raise ValueError(f"the metadata must name {count} classes, as many as the model has")
        return [str(name) for name in names]
    return imagenet_classes(count) or [f"class {number}" for number in range(count)]


def _from_file(path: Path, image_size: int | None) -> Trained:
    content = lucid.load(path)
    metadata = load_with_metadata(path)[1] if path.suffix == ".safetensors" else {}
    try:
        if "recipe" in metadata:
            model, variant, dialect = _of_recipe(content, metadata), "", ""
        else:
            model, variant = _of_weights(str(path), content)
            dialect = models.load_checkpoint(model, path).dialect
        classes = class_names(model.num_classes, metadata)
        transform = _transform(metadata, image_size) or _usual_transform(variant, dialect, image_size)
        return Trained(metadata.get("model") or variant or path.stem, model.eval(), classes, transform, metadata)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _of_recipe(weights: Mapping[str, Any], metadata: Mapping[str, str]) -> nn.Module:
    """A model of train_cifar10.py, whose stem may be another than ConvNeXt's."""
    settings = Settings(**_parsed(metadata, "recipe", dict))
    first, last = (weights.get(name) for name in ("downsample_layers.0.0.weight", "head.weight"))
    if first is None or last is None:
        raise ValueError("its recipe is that of train_cifar10.py, but its weights have other names")
    model = make_model(settings, first.shape[1], last.shape[0])
    model.load_state_dict(weights)
    return model


def _of_weights(where: str, content: Any) -> tuple[nn.Module, str]:
    """A model of the architecture that the weights have, with its own weights still, and the name of its variant."""
    found = list(networks(content)) if isinstance(content, Mapping) else []
    if not found:
        raise ValueError("it holds no ConvNeXt in any dialect")
    shapes = {name: tuple(tensor.shape) for name, tensor in choose(where, found, use_ema=True).tensors.items()}
    architecture = architecture_of(shapes)
    _, in_chans, kernel, _ = shapes.get("stem.weight") or shapes["downsample_layers.0.0.weight"]
    options = {"in_chans": in_chans, "patch_size": kernel if architecture.stem_type == "patch" else 4}
    num_classes, *_ = shapes.get("head.weight", (0,))
    variant = variant_of(architecture)
    if variant:
        return models.create_model(variant, num_classes=num_classes, **options), variant
    return getattr(models, architecture.family)(num_classes, **architecture.options(), **options), ""


def _transform(metadata: Mapping[str, str], image_size: int | None) -> ImageTransform | None:
    """That of the metadata, if it has one."""
    if "preprocessing" not in metadata:
        return None
    known = {one.name for one in dataclasses.fields(ImageTransform)}
    given = {name: value for name, value in _parsed(metadata, "preprocessing", dict).items() if name in known}
    transform = ImageTransform(**{"resize_size": given.get("image_size", 224), **given})
    if image_size is None:
        return transform
    return replace(
        transform, image_size=image_size, resize_size=transform.resize_size * image_size // transform.image_size
    )


def _usual_transform(variant: str, dialect: str, image_size: int | None) -> ImageTransform:
    """That of the first checkpoint of this variant from the home of this dialect."""
    tags = tags_of(variant)
    home = {"huggingface": "transformers"}.get(dialect, dialect)
    tags = [tag for tag in tags if tag.source == home] or tags
    if tags:
        return transforms_for(tags[0], image_size=image_size)
    size = image_size or 224
    return ImageTransform(size, int(size / 0.875))


def _parsed(metadata: Mapping[str, str], name: str, kind: type) -> Any:
    try:
        found = json.loads(metadata[name])
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{name!r} in the metadata is not JSON: {error}") from None
    if not isinstance(found, kind):
        raise ValueError(f"{name!r} in the metadata must be a JSON {kind.__name__}, got {metadata[name][:40]}")
    return found

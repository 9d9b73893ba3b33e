"""A trained model from a file, a run folder or a checkpoint name, ready to classify.

A safetensors file may describe its model in its metadata, as ``save_checkpoint`` writes it:

- ``model``: a name for display;
- ``classes``: the class names, a JSON list; empty if the model returns features;
- ``preprocessing``: the fields of ``ImageTransform`` as a JSON object. ``resize_size`` defaults to ``image_size``, the
  other fields to the defaults of ``ImageTransform``;
- ``options``: those options of the model that cannot be read from its parameters, a JSON object;
- ``lucid_task``: "multilabel" or "regression", a JSON string, if the outputs are no classes;
- ``recipe``: the settings of a CIFAR training run, a JSON object, from which its ConvNeXt is built;
- ``quantization``: which layers are quantized and how, a JSON object, as ``nn.utils.quantization_metadata`` gives it.

All of them are optional, and files from other libraries have none. Folders of timm and transformers say the same in
``config.json``, see ``weights/folder.py``. Otherwise the architecture is then read from the parameters,
the classes are ImageNet's when one of its lists is as long, and images are prepared as for the first published
checkpoint of the same variant and dialect. For the image tower of an OpenCLIP checkpoint, ``open_clip_config.json``
beside it says how.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lucid import nn, serialization
from lucid.models.convnext import ConvNeXt, ConvNeXtIsotropic, ConvNeXtV2
from lucid.models.imagenet import IMAGENET_SIZES, imagenet_class_names
from lucid.models.preprocessing import ImageTransform, resized, transforms_for
from lucid.models.registry import build, create_model
from lucid.models.weights.detect import (
    Network,
    architecture_of,
    describe_contents,
    find_networks,
    select_network,
    variant_of,
)
from lucid.models.weights.folder import load_folder, read_config, read_open_clip_transform
from lucid.models.weights.folder_config import FolderConfig
from lucid.models.weights.load import load_opened
from lucid.models.weights.location import find_folder, names_repository
from lucid.models.weights.open_clip_config import clip_transform
from lucid.models.weights.save import EXTRA_OPTIONS, TASK_KEY, TASKS
from lucid.models.weights.tags import tags_of
from lucid.nn.utils import quantization
from lucid.serialization.checkpoint_folder import WEIGHT_SUFFIXES, find_weights

_FAMILIES = {kind.__name__: kind for kind in (ConvNeXt, ConvNeXtV2, ConvNeXtIsotropic)}
# Keys of a recipe, and the options of ConvNeXt that they set.
_RECIPE_OPTIONS = {
    "depths": "depths",
    "dims": "dims",
    "drop_path": "drop_path",
    "layer_scale_init": "layer_scale_init",
    "patch_size": "patch_size",
    "stem": "stem_type",
}


def from_checkpoint(path_or_name: str | os.PathLike[str], *, image_size: int | None = None) -> nn.Module:
    """Build the model that a checkpoint holds, in evaluation mode, with its class names and preprocessing.

    The model has these plain attributes, which are not part of its ``state_dict``:

    - ``class_names``: a list of strings, one for each output. Empty when the checkpoint has no classifier, or CLIP's
      projection in its place: the model then returns features.
    - ``preprocessing``: the ``ImageTransform`` that turns images into its input.
    - ``task``: "classification"; "multilabel", whose outputs become the probability of each label by ``sigmoid()``; or
      "regression", whose outputs are numbers.
    - ``checkpoint_name``: a name for display.
    - ``checkpoint_metadata``: the metadata of the safetensors file, otherwise an empty dict.

    The weights of a file with quantized layers are never in memory in full, see ``lucid.quantize``.

    Args:
        path_or_name: A weights file (safetensors, or PyTorch's ``.pth``, ``.pt``, ``.bin``, ``.ckpt``), a run folder
            (its ``best.safetensors``, or else ``last.safetensors``), a folder of timm or transformers with its
            ``config.json``, another folder with one weights file or with shards, a repository on the hub
            ("hf-hub:user/name", or with a revision "hf-hub:user/name@v1"), or the name of a published checkpoint as
            ``create_model(name, pretrained=True)`` takes it. Weights on the hub are downloaded on first use.
        image_size: Size in px of the model's input, if other than the checkpoint's. The crop fraction stays the same.

    Returns:
        The model.

    Raises:
        ValueError: The file holds no ConvNeXt, its metadata is invalid, or there is no checkpoint of that name.
        OSError: The file cannot be read.
        DownloadError: The checkpoint cannot be downloaded.

    Example:
        >>> import lucid
        >>> from lucid import models
        >>> models.save_checkpoint(
        ...     models.convnext_atto(2), "pets.safetensors",
        ...     class_names=["cat", "dog"], preprocessing=models.ImageTransform(64, 72),
        ... )
        >>> model = models.from_checkpoint("pets.safetensors")
        >>> image = lucid.zeros(80, 100, 3).numpy().astype("uint8")
        >>> with lucid.no_grad():
        ...     logits = model(model.preprocessing([image]))
        >>> model.class_names[logits.argmax(dim=1).item()] in ("cat", "dog")
        True
    """
    if not isinstance(path_or_name, str | os.PathLike):
        raise TypeError(
            "from_checkpoint: path_or_name must be a path or the name of a checkpoint, "
            f"got {type(path_or_name).__name__}"
        )
    folder = find_folder("from_checkpoint", path_or_name)
    if folder is not None:
        name = str(path_or_name).partition(":")[2] if names_repository(path_or_name) else ""
        return _from_folder(folder, image_size, name)
    path = Path(path_or_name)
    if path.exists() or path.suffix in WEIGHT_SUFFIXES or not isinstance(path_or_name, str):
        return from_opened(serialization.open_checkpoint(path), path, image_size)
    model = create_model(path_or_name, pretrained=True)
    transform = transforms_for(model, image_size=image_size)
    return _described(model, _default_class_names(model.num_classes), transform, str(model.pretrained_tag), {})


def _described(
    model: nn.Module, class_names: list[str], preprocessing: ImageTransform, name: str, metadata: dict[str, str]
) -> nn.Module:
    model.class_names = class_names
    model.preprocessing = preprocessing
    model.checkpoint_name = name
    model.checkpoint_metadata = metadata
    return model.eval()


def from_opened(opened: serialization.OpenedCheckpoint, path: Path, image_size: int | None = None) -> nn.Module:
    """``from_checkpoint`` for the file or folder ``path``, which is open. Its tensors are dropped."""
    content, metadata = opened.content, opened.metadata
    try:
        if "segmentation" in metadata:
            raise ValueError("it holds a UPerNet for segmentation; use models.load_segmenter, or lucid segment predict")
        if "recipe" in metadata:
            model, variant, dialect, training = _from_recipe(content, metadata), "", "", ""
        else:
            network = _find_network(path, content)
            model, variant = _from_shapes(network, metadata)
            dialect = network.dialect
            if network.is_projection:
                metadata = {"classes": "[]", **metadata}
            training = "clip_" if network.is_clip else "dinov3_" if network.is_dinov3 else ""
            del network  # load_opened frees each tensor once it is converted, if nobody else holds it
        if quantization.KEY in metadata:
            quantization.load_opened(model, opened)
        elif "recipe" in metadata:
            model.load_state_dict(content)
        else:
            content = None
            load_opened(model, opened, str(path))
        opened.verify()
        class_names, model.task = _class_names(model.num_classes, metadata), _task(metadata)
        transform = _transform(metadata, image_size)
        if transform is None and training == "clip_":
            transform = _clip_transform(path, variant, model.num_classes, image_size)
        transform = transform or _default_transform(variant, dialect, image_size, training)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path}: {error}") from error
    return _described(model, class_names, transform, metadata.get("model") or variant or path.stem, metadata)


def _from_folder(folder: Path, image_size: int | None, name: str) -> nn.Module:
    """The model in a folder of another library, or in a run folder."""
    config = read_config(folder)
    if config is None:
        path = find_weights(folder)
        return from_opened(serialization.open_checkpoint(path), path, image_size)
    try:
        model = build(config)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder}: {error}") from error
    metadata = load_folder(model, folder, config)
    try:
        class_names = config.class_names
        if class_names is None:
            class_names = _class_names(model.num_classes, metadata)
        model.task = _task(metadata)
        transform = _folder_transform(config, metadata)
        if transform is None:
            training = "dinov3_" if config.dialect == "dinov3" else ""
            transform = _default_transform(config.variant or "", config.dialect, image_size, training)
        elif image_size is not None:
            transform = resized(transform, image_size)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder}: {error}") from error
    name = name or metadata.get("model") or folder.absolute().name
    return _described(model, class_names, transform, name, metadata)


def _folder_transform(config: FolderConfig, metadata: Mapping[str, str]) -> ImageTransform | None:
    """The transform of a folder. The one in the metadata is more exact, unless somebody has changed the folder's."""
    own = _transform(metadata, None)
    found = config.preprocessing
    if own is None or found is None:
        return found or own
    same = ("image_size", "resize_size", "crop_mode", "interpolation", "mean", "std")
    return own if all(getattr(own, word) == getattr(found, word) for word in same) else found


def _from_recipe(weights: Mapping[str, Any], metadata: Mapping[str, str]) -> nn.Module:
    """A new ConvNeXt with the settings of a CIFAR training run."""
    recipe = _parsed(metadata, "recipe", dict)
    options = {option: recipe[key] for key, option in _RECIPE_OPTIONS.items() if key in recipe}
    stem, head = (weights.get(name) for name in ("downsample_layers.0.0.weight", "head.weight"))
    if stem is None or head is None:
        raise ValueError("the metadata has the recipe of a training run, but the weights do not have its names")
    if recipe.get("grn"):
        options.pop("layer_scale_init", None)
        return ConvNeXtV2(head.shape[0], in_chans=stem.shape[1], **options)
    return ConvNeXt(head.shape[0], in_chans=stem.shape[1], **options)


def _find_network(path: Path, content: Any) -> Network:
    found = list(find_networks(content)) if isinstance(content, Mapping) else []
    if not found:
        raise ValueError(f"it holds no ConvNeXt in any dialect; {describe_contents(content)}")
    return select_network(str(path), found, use_ema=True)


def _from_shapes(network: Network, metadata: Mapping[str, str]) -> tuple[nn.Module, str]:
    """A new model of the architecture that the parameters have, and the name of its variant, or ""."""
    shapes = {name: tuple(tensor.shape) for name, tensor in network.tensors.items()}
    architecture = architecture_of(shapes)
    stem = shapes.get("stem.weight") or shapes.get("downsample_layers.0.0.weight")
    if stem is None or len(stem) != 4:
        raise ValueError("the ConvNeXt has no stem")
    options = {"in_chans": stem[1], "patch_size": stem[2] if architecture.stem_type == "patch" else 4}
    options |= _options(metadata)
    num_classes, *_ = shapes.get("head.weight", (0,))
    variant = variant_of(architecture)
    if variant:
        return create_model(variant, num_classes=num_classes, **options), variant
    return _FAMILIES[architecture.family](num_classes, **{**architecture.options(), **options}), ""


def _options(metadata: Mapping[str, str]) -> dict[str, Any]:
    options = _parsed(metadata, "options", dict) if "options" in metadata else {}
    unknown = [name for name in options if name not in EXTRA_OPTIONS]
    if unknown:
        raise ValueError(f"'options' in the metadata may only have {', '.join(EXTRA_OPTIONS)}, got {unknown[0]!r}")
    return options


def _class_names(num_classes: int, metadata: Mapping[str, str]) -> list[str]:
    """The class names in the metadata; without them ImageNet's when one of its lists is as long, or else numbers."""
    if "classes" in metadata:
        names = _parsed(metadata, "classes", list)
        if names and len(names) != num_classes:
            raise ValueError(
                f"'classes' in the metadata must have {num_classes} names, one per output, got {len(names)}"
            )
        return [str(name) for name in names]
    return _default_class_names(num_classes) or [f"class {number}" for number in range(num_classes)]


def _task(metadata: Mapping[str, str]) -> str:
    """What the outputs are."""
    if TASK_KEY not in metadata:
        return TASKS[0]
    found: str = _parsed(metadata, TASK_KEY, str)
    if found not in TASKS:
        raise ValueError(f"{TASK_KEY!r} in the metadata must be one of {', '.join(TASKS)}, got {found[:40]!r}")
    return found


def _default_class_names(num_classes: int) -> list[str]:
    return imagenet_class_names(num_classes) if num_classes in IMAGENET_SIZES else []


def _transform(metadata: Mapping[str, str], image_size: int | None) -> ImageTransform | None:
    """The transform in the metadata, if there is one."""
    if "preprocessing" not in metadata:
        return None
    known = {field.name for field in dataclasses.fields(ImageTransform)}
    given = {name: value for name, value in _parsed(metadata, "preprocessing", dict).items() if name in known}
    transform = ImageTransform(**{"resize_size": given.get("image_size", 224), **given})
    return transform if image_size is None else resized(transform, image_size)


def _clip_transform(path: Path, variant: str, width: int, image_size: int | None) -> ImageTransform:
    """The transform of an OpenCLIP checkpoint: its own, that of a published one of this width, or the default."""
    found = read_open_clip_transform(path, width)
    if found is None:
        trainings = ((tag, tag.name.partition(".")[2]) for tag in tags_of(variant) if tag.num_classes == width)
        found = next((transforms_for(tag) for tag, name in trainings if name.startswith("clip_")), clip_transform())
    return found if image_size is None else resized(found, image_size)


def _default_transform(variant: str, dialect: str, image_size: int | None, training: str = "") -> ImageTransform:
    """The transform of the first published checkpoint of the variant, preferably of this training and dialect."""
    tags = tags_of(variant)
    tags = [tag for tag in tags if tag.name.partition(".")[2].startswith(training)] or tags
    source = {"huggingface": "transformers"}.get(dialect, dialect)
    tags = [tag for tag in tags if tag.source == source] or tags
    if tags:
        return transforms_for(tags[0], image_size=image_size)
    size = image_size or 224
    return ImageTransform(size, int(size / 0.875))


def _parsed(metadata: Mapping[str, str], key: str, kind: type) -> Any:
    """A JSON value of the metadata."""
    try:
        found = json.loads(metadata[key])
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{key!r} in the metadata is not JSON: {error}") from None
    if not isinstance(found, kind):
        raise ValueError(f"{key!r} in the metadata must be a JSON {kind.__name__}, got {metadata[key][:40]}")
    return found

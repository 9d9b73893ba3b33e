"""Models by name: ``create_model`` and ``list_models``, with timm's interface."""

import fnmatch
import inspect
import re
from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from lucid import nn
from lucid.models.features import FeatureListNet
from lucid.models.variants import VARIANTS
from lucid.models.weights.folder import load_folder, read_config
from lucid.models.weights.folder_config import FolderConfig
from lucid.models.weights.load import load_checkpoint, load_pretrained, resolve_tag
from lucid.models.weights.location import find_folder
from lucid.models.weights.tags import TAGS, Tag, find_tag, similar_names

_ALIASES = {  # names of options in timm and in the authors' code
    "drop_path_rate": "drop_path",
    "ls_init_value": "layer_scale_init",
    "layer_scale_init_value": "layer_scale_init",
}


def create_model(
    name: str | PathLike[str],
    pretrained: bool | str | None = None,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    features_only: bool = False,
    out_indices: int | Sequence[int] | None = None,
    output_stride: int | None = None,
    checkpoint_path: str | PathLike[str] | None = None,
    **kwargs: Any,
) -> nn.Module:
    """Create a model by name, with random or pretrained weights. Weights are computed on first use.

    Args:
        name: A variant ("convnext_tiny", see ``list_models``), or a checkpoint of one ("convnext_tiny.fb_in1k",
            "timm/convnext_tiny.fb_in1k", "facebook/convnext-tiny-224", see ``list_models(pretrained=True)``). Or a
            model of timm's or transformers' form that others have saved: a repository on the hub
            ("hf-hub:user/name", "hf-hub:user/name@revision") or a folder ("local-dir:path", or just its path). Its
            ``class_names`` and ``preprocessing`` become attributes of the model.
        pretrained: True loads the checkpoint in ``name``, or the default one of the variant. A string names a different
            checkpoint, in full or by the part after the dot. Checkpoints are downloaded on first use. By default the
            weights of a repository or folder are loaded, and others are not.
        num_classes: Outputs of the classifier, by default those of the checkpoint, or 1000. If the checkpoint has
            a different number, the classifier is new.
        in_chans: Channels of the images, by default those of the folder, or 3; pretrained weights of the stem are
            adapted.
        features_only: Return a ``FeatureListNet``, which gives a list of feature maps instead of logits.
        out_indices: Layers of those feature maps.
        output_stride: 8 or 16 for larger feature maps, see ``ConvNeXt``.
        checkpoint_path: A file to load last, see ``load_checkpoint``.
        **kwargs: Options of the class: ``drop_path``, ``patch_size``, ``global_pool``, ``depths``, ... None is ignored.

    Raises:
        ValueError: There is no such model or checkpoint; the message suggests similar names. Or a folder holds no
            model of Lucid's, or one that does not fit its ``config.json``.
        FileNotFoundError: There is no such folder.
        TypeError: The class has no such option.
        DownloadError: The checkpoint is not in the cache and cannot be downloaded.

    Example:
        >>> from lucid import models
        >>> model = models.create_model("convnext_atto", num_classes=10, drop_path=0.1)
        >>> model.num_classes
        10
    """
    if out_indices is not None and not features_only:
        raise ValueError("create_model: out_indices requires features_only=True")
    if output_stride is not None:
        kwargs["output_stride"] = output_stride
    if isinstance(name, PathLike):
        name = f"local-dir:{fspath(name)}"
    try:
        variant, tag = parse("create_model", name)
    except ValueError:
        folder = find_folder("create_model", name, weights=pretrained is not False)
        if folder is None:
            raise
        model = _from_folder(folder, pretrained, num_classes, in_chans, features_only, out_indices, kwargs)
        if checkpoint_path:
            load_checkpoint(model, checkpoint_path)
        return model
    if pretrained not in (None, False):
        tag = resolve_tag(variant, tag.name if tag and pretrained is True else pretrained)
    if features_only:
        num_classes = 0
    elif num_classes is None:
        num_classes = 1000 if tag is None else tag.num_classes
    kind, options = VARIANTS[variant]
    in_chans = 3 if in_chans is None else in_chans
    network = kind(num_classes, in_chans=in_chans, **{**options, **_options(kind, kwargs)})
    model = FeatureListNet(network, out_indices) if features_only else network
    model.pretrained_tag = tag and tag.name
    if tag and pretrained not in (None, False):
        load_pretrained(model, tag)
    if checkpoint_path:  # timm's default is ""
        load_checkpoint(model, checkpoint_path)
    return model


def _from_folder(
    folder: Path, pretrained: bool | str | None, num_classes: int | None, in_chans: int | None, features_only: bool,
    out_indices: int | Sequence[int] | None, kwargs: dict[str, Any],
) -> nn.Module:  # fmt: skip
    """``create_model`` for a folder of timm or transformers."""
    if isinstance(pretrained, str):
        raise TypeError(f"create_model: pretrained must be True or False for a folder, got {pretrained!r}")
    config = read_config(folder)
    if config is None:
        raise ValueError(
            f"create_model: {folder} has no config.json of a ConvNeXt of timm or transformers; from_checkpoint opens "
            "folders with nothing but weights"
        )
    try:
        model = build(config, num_classes, in_chans, features_only, out_indices, kwargs)
    except ValueError as error:
        raise ValueError(f"create_model: {folder}: {error}") from None
    if pretrained is not False:
        load_folder(model, folder, config, same_classes=num_classes in (None, config.num_classes))
    return model


def build(
    config: FolderConfig, num_classes: int | None = None, in_chans: int | None = None, features_only: bool = False,
    out_indices: int | Sequence[int] | None = None, kwargs: dict[str, Any] | None = None,
) -> nn.Module:  # fmt: skip
    """A model as a folder describes it, with random weights. Arguments are those of ``create_model``."""
    classes = 0 if features_only else config.num_classes if num_classes is None else num_classes
    options = {**config.options, **_options(config.kind, kwargs or {})}
    if in_chans is not None:
        options["in_chans"] = in_chans
    network = config.kind(classes, **options)
    model = FeatureListNet(network, out_indices) if features_only else network
    model.pretrained_tag = None
    model.preprocessing = config.preprocessing
    if config.class_names and classes == config.num_classes:
        model.class_names = list(config.class_names)
    return model


def list_models(
    filter: str | Iterable[str] = "", pretrained: bool = False, exclude_filters: str | Iterable[str] = ""
) -> list[str]:
    """List the names that ``create_model`` takes, in natural order.

    Args:
        filter: One ``fnmatch`` pattern or several, such as "convnext_*". With ``pretrained``, a pattern without a dot
            matches all checkpoints of a variant.
        pretrained: List checkpoints instead of variants.
        exclude_filters: Patterns of names to leave out.

    Example:
        >>> from lucid import models
        >>> models.list_models("convnext_*o")
        ['convnext_atto', 'convnext_femto', 'convnext_nano', 'convnext_pico']
    """
    if not isinstance(pretrained, bool):  # timm's second argument is a module
        raise TypeError(f"list_models: pretrained must be True or False, got {pretrained!r}")
    names = [short_name(tag) for tag in TAGS.values()] if pretrained else list(VARIANTS)
    include, exclude = _patterns(filter, pretrained), _patterns(exclude_filters, pretrained)
    found = [name for name in names if (not include or _matches(name, include)) and not _matches(name, exclude)]
    return sorted(found, key=_natural)


def parse(caller: str, name: Any) -> tuple[str, Tag | None]:
    """The variant, and the tag if ``name`` is a checkpoint."""
    if not isinstance(name, str):
        raise TypeError(f"{caller}: name must be a string, got {type(name).__name__}")
    if name in VARIANTS:
        return name, None
    try:
        tag = find_tag(name)
    except ValueError:
        hint = similar_names(name, [*VARIANTS, *map(short_name, TAGS.values())], "list_models()")
        raise ValueError(f"{caller}: there is no model {name!r}; {hint}") from None
    return tag.variant, tag


def short_name(tag: Tag) -> str:
    """The name of a tag, without its source for timm and torchvision."""
    return tag.name.partition("/")[2] if tag.source in ("timm", "torchvision") else tag.name


def _options(kind: type[nn.Module], given: dict[str, Any]) -> dict[str, Any]:
    given = {word: value for word, value in given.items() if value is not None}
    found = {_ALIASES.get(word, word): value for word, value in given.items()}
    if len(found) < len(given):
        aliases = [word for word in given if word in _ALIASES]
        raise TypeError(f"create_model: {', '.join(aliases)} is an alias of an option that is also given")
    known = list(inspect.signature(kind).parameters)[1:]  # without num_classes
    unknown = [word for word in found if word not in known]
    if unknown:
        raise TypeError(
            f"create_model: {kind.__name__} has no option {unknown[0]!r}, expected one of {', '.join(known)}"
        )
    return found


def _natural(name: str) -> list[Any]:
    """Sort key that compares numbers by value."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name.lower())]


def _patterns(given: str | Iterable[str], pretrained: bool) -> list[str]:
    patterns = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(one, str) for one in patterns):
        raise TypeError(f"list_models: filters must be strings, got {given!r}")
    patterns = [one for one in patterns if one]
    return [*patterns, *(f"{one}.*" for one in patterns if pretrained and "." not in one)]


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, one) or fnmatch.fnmatchcase(f"timm/{name}", one) for one in patterns)

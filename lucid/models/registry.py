"""Models by name: ``create_model``, ``list_models``. The words are timm's."""

import fnmatch
import inspect
import re
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any

from lucid import nn
from lucid.models.features import FeatureListNet
from lucid.models.variants import VARIANTS
from lucid.models.weights.load import load_checkpoint, load_pretrained, resolve
from lucid.models.weights.tags import TAGS, Tag, find_tag, nearest_names

_OTHER_WORDS = {  # timm's and the authors' for options of the classes
    "drop_path_rate": "drop_path",
    "ls_init_value": "layer_scale_init",
    "layer_scale_init_value": "layer_scale_init",
}


def create_model(
    name: str,
    pretrained: bool | str = False,
    *,
    num_classes: int | None = None,
    in_chans: int = 3,
    features_only: bool = False,
    out_indices: int | Sequence[int] | None = None,
    output_stride: int | None = None,
    checkpoint_path: str | PathLike[str] | None = None,
    **kwargs: Any,
) -> nn.Module:
    """The model of that name, with new weights or trained ones. Nothing is computed until it is used.

    - ``name``: a variant ("convnext_tiny", see ``list_models``), or a checkpoint of one ("convnext_tiny.fb_in1k",
      "timm/convnext_tiny.fb_in1k", "facebook/convnext-tiny-224", see ``list_models(pretrained=True)``).
    - ``pretrained``: True downloads the checkpoint in the name, or else the default one of the variant; a string names
      another one, whole or only what stands after the dot.
    - ``num_classes``: by default those of the checkpoint, or 1000. Another number gets a new classifier.
    - ``in_chans``: channels of the images; trained weights of the stem are adapted.
    - ``features_only``: a list of maps instead of logits, those of the layers ``out_indices``: a ``FeatureListNet``.
    - ``output_stride``: 8 or 16 keeps maps larger, see ``ConvNeXt``.
    - ``checkpoint_path``: a file to load at the end, see ``load_checkpoint``.
    - ``kwargs``: options of the class: ``drop_path``, ``patch_size``, ``global_pool``, ``depths``, ... None is ignored.

    Raises:
        ValueError: there is no such model or checkpoint; the message names the nearest.
        TypeError: the class has no such option.
        DownloadError: the checkpoint is neither in the cache nor to be had.
    """
    variant, tag = parse("create_model", name)
    if pretrained is not False:
        tag = resolve(variant, tag.name if tag and pretrained is True else pretrained)
    if out_indices is not None and not features_only:
        raise ValueError("create_model: out_indices are those of features_only=True")
    if features_only:
        num_classes = 0
    elif num_classes is None:
        num_classes = 1000 if tag is None else tag.num_classes
    if output_stride is not None:
        kwargs["output_stride"] = output_stride
    kind, options = VARIANTS[variant]
    network = kind(num_classes, in_chans=in_chans, **{**options, **_options(kind, kwargs)})
    model = FeatureListNet(network, out_indices) if features_only else network
    model.pretrained_tag = tag and tag.name
    if tag and pretrained is not False:
        load_pretrained(model, tag)
    if checkpoint_path:  # timm's "" is none
        load_checkpoint(model, checkpoint_path)
    return model


def list_models(
    filter: str | Iterable[str] = "", pretrained: bool = False, exclude_filters: str | Iterable[str] = ""
) -> list[str]:
    """Names that ``create_model`` takes, in natural order: variants, or with ``pretrained`` their checkpoints.

    ``filter``: wildcards as of ``fnmatch``, "convnext_*" or several; a name without a dot stands for all of its
    checkpoints. ``exclude_filters`` takes names out again.
    """
    if not isinstance(pretrained, bool):  # timm's second argument is another one
        raise TypeError(f"list_models: pretrained must be True or False, got {pretrained!r}")
    names = [short_name(tag) for tag in TAGS.values()] if pretrained else list(VARIANTS)
    include, exclude = _patterns(filter, pretrained), _patterns(exclude_filters, pretrained)
    found = [name for name in names if (not include or _matches(name, include)) and not _matches(name, exclude)]
    return sorted(found, key=_natural)


def parse(where: str, name: Any) -> tuple[str, Tag | None]:
    """The variant and, where ``name`` is that of a checkpoint, its tag."""
    if not isinstance(name, str):
        raise TypeError(f"{where}: name must be a string, got {type(name).__name__}")
    if name in VARIANTS:
        return name, None
    try:
        tag = find_tag(name)
    except ValueError:
        hint = nearest_names(name, [*VARIANTS, *map(short_name, TAGS.values())], "list_models()")
        raise ValueError(f"{where}: there is no model {name!r}; {hint}") from None
    return tag.variant, tag


def short_name(tag: Tag) -> str:
    """The name of a tag without its source, where it can do without: timm's and torchvision's."""
    return tag.name.partition("/")[2] if tag.source in ("timm", "torchvision") else tag.name


def _options(kind: type[nn.Module], given: dict[str, Any]) -> dict[str, Any]:
    given = {word: value for word, value in given.items() if value is not None}
    found = {_OTHER_WORDS.get(word, word): value for word, value in given.items()}
    if len(found) < len(given):
        twice = [word for word in given if word in _OTHER_WORDS]
        raise TypeError(f"create_model: {', '.join(twice)} is another word for an option that is given too")
    known = list(inspect.signature(kind).parameters)[1:]  # without num_classes
    unknown = [word for word in found if word not in known]
    if unknown:
        raise TypeError(f"create_model: {kind.__name__} has no option {unknown[0]!r}; it has {', '.join(known)}")
    return found


def _natural(name: str) -> list[Any]:
    """A key to sort by, with numbers as numbers."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name.lower())]


def _patterns(given: str | Iterable[str], pretrained: bool) -> list[str]:
    patterns = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(one, str) for one in patterns):
        raise TypeError(f"list_models: a filter must be a string or several, got {given!r}")
    patterns = [one for one in patterns if one]
    return [*patterns, *(f"{one}.*" for one in patterns if pretrained and "." not in one)]


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, one) or fnmatch.fnmatchcase(f"timm/{name}", one) for one in patterns)

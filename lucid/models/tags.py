"""The checkpoints that ``create_model(pretrained=...)`` knows, by name.

A tag is named after its source:

- ``timm/convnext_tiny.fb_in1k``, also without ``timm/`` and with ``hf-hub:`` in front: a repository on the hub;
- ``torchvision/convnext_tiny.tv_in1k``, also without ``torchvision/``, and ``convnext_tiny.IMAGENET1K_V1``;
- ``facebook/convnext-tiny-224``: a repository of Hugging Face's transformers on the hub;
- ``official/convnext_tiny_1k_224_ema``: the authors' file of that name, also by its URL.

``@`` and a branch, tag or commit behind the name of a repository pin it: ``timm/convnext_tiny.fb_in1k@main``.
"""

import difflib
from collections.abc import Iterable
from dataclasses import replace

from lucid.models.tag import Tag
from lucid.models.tag_table import all_tags

TAGS = {tag.name: tag for tag in all_tags()}


def _other_names(tag: Tag) -> Iterable[str]:
    if tag.source in ("timm", "torchvision"):
        yield tag.name.partition("/")[2]
    if tag.source == "torchvision":
        yield f"{tag.variant}.IMAGENET1K_V1"
    if tag.location.startswith("https://"):
        yield tag.location


_OTHER_NAMES = {name: tag for tag in TAGS.values() for name in _other_names(tag)}


def find_tag(name: str, where: str = "pretrained") -> Tag:
    """The tag of that name.

    Raises:
        ValueError: there is none; the message begins with ``where`` and names the nearest.
    """
    wanted, _, revision = name.removeprefix("hf-hub:").removeprefix("hf_hub:").partition("@")
    tag = TAGS.get(wanted) or _OTHER_NAMES.get(wanted)
    if tag is None:
        known = [*TAGS, *_OTHER_NAMES]
        raise ValueError(
            f"{where}: there is no tag {name!r}; {nearest_names(wanted, known, 'list_models(pretrained=True)')}"
        )
    if not revision:
        return tag
    if tag.source not in ("timm", "transformers"):
        raise ValueError(f"{where}: {tag.name} lies in no repository, so it has no revision {revision!r}")
    return replace(tag, name=f"{tag.name}@{revision}", revision=revision)


def tags_of(variant: str) -> list[Tag]:
    """All tags of an architecture; the first is the one that ``pretrained=True`` takes."""
    return [tag for tag in TAGS.values() if tag.variant == variant]


def nearest_names(name: str, known: list[str], all_names: str) -> str:
    """Those of the same variant if there are any, else those that look alike, in words; or where all names are."""
    of_variant = [one for one in known if one.startswith(name.partition(".")[0] + ".")]
    found = difflib.get_close_matches(name, of_variant or known, 3, cutoff=0.3 if of_variant else 0.6)
    found = found or of_variant[:3]
    return f"the nearest are {', '.join(found)}" if found else f"{all_names} has all names"

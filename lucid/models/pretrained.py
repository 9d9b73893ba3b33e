"""Trained weights into a model: ``create_model(..., pretrained=...)``."""

from lucid import nn
from lucid.models.checkpoints import load_checkpoint
from lucid.models.fitting import LoadReport
from lucid.models.hub import download
from lucid.models.tag import Tag
from lucid.models.tags import find_tag, tags_of


def resolve(variant: str, pretrained: bool | str) -> Tag:
    """The tag that ``create_model(variant, pretrained=...)`` means: True, a name, or what follows the dot in it.

    Raises:
        ValueError: there is no such tag, or it is one of another architecture.
        TypeError: ``pretrained`` is neither True nor a string.
    """
    if pretrained is True:
        own = tags_of(variant)
        if not own:
            raise ValueError(f"pretrained: there are no trained weights of {variant}")
        return own[0]
    if not isinstance(pretrained, str):
        raise TypeError(f"pretrained: must be True, False or the name of a tag, got {pretrained!r}")
    whole = "/" in pretrained or pretrained.startswith("convnext")
    tag = find_tag(pretrained if whole else f"{variant}.{pretrained}")
    if tag.variant != variant:
        raise ValueError(f"pretrained: {tag.name} holds weights of {tag.variant}, not of {variant}")
    return tag


def load_pretrained(model: nn.Module, tag: Tag | str) -> LoadReport:
    """Download the weights of a tag, or take them from the cache, and load them into ``model``.

    The model keeps the name of the tag as ``pretrained_tag``, for ``transforms_for(model)``.

    Raises:
        DownloadError: the weights cannot be had.
        MismatchError: they are of another architecture.
    """
    tag = tag if isinstance(tag, Tag) else find_tag(tag)
    report = load_checkpoint(model, download(tag), strict=tag.has_final_norm)
    model.pretrained_tag = tag.name
    return report

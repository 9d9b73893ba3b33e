"""Class names of ImageNet-1k and ImageNet-22k, in the order of the published classifiers."""

from pathlib import Path

IMAGENET_SIZES = (1000, 11_821, 21_841)  # ImageNet-1k, timm's ImageNet-12k, ImageNet-22k

_FOLDER = Path(__file__).parent


def imagenet_class_names(num_classes: int = 1000) -> list[str]:
    """The class names of ImageNet, in the order of the outputs of published checkpoints.

    Args:
        num_classes: 1000 for ImageNet-1k, 21841 for ImageNet-22k, 11821 for its subset ImageNet-12k.

    Raises:
        ValueError: No release of ImageNet has that many classes.

    Example:
        >>> from lucid import models
        >>> models.imagenet_class_names(1000)[207]
        'golden retriever'
    """
    if num_classes == 1000:
        return _lines("imagenet_1k.txt")
    if num_classes == 21_841:
        return [line.removeprefix("*") for line in _lines("imagenet_22k.txt")]
    if num_classes == 11_821:
        return [line[1:] for line in _lines("imagenet_22k.txt") if line.startswith("*")]
    raise ValueError(f"imagenet_class_names: num_classes must be 1000, 11821 or 21841, got {num_classes!r}")


def _lines(name: str) -> list[str]:
    text = (_FOLDER / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]

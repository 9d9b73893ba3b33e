"""The names of ImageNet's classes, which are those of all published classifiers."""

from pathlib import Path

_HERE = Path(__file__).parent


def imagenet_classes(count: int) -> list[str] | None:
    """The names in the order of the checkpoints with so many classes: 1000, 11,821 or 21,841; None for other counts."""
    if count == 1000:
        return _lines("imagenet_1k.txt")
    if count == 21_841:
        return [line.removeprefix("*") for line in _lines("imagenet_22k.txt")]
    if count == 11_821:
        return [line[1:] for line in _lines("imagenet_22k.txt") if line.startswith("*")]
    return None


def _lines(name: str) -> list[str]:
    text = (_HERE / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]

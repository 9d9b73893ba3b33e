"""What the ``config.json`` of a folder says about its model: the same for the folders of timm and of transformers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lucid.models.preprocessing import ImageTransform
from lucid.models.variants import Kind

CONFIG = "config.json"
MAX_BLOCKS = 999  # in a stage: names of parameters have at most three digits
_MAX_INTEGER = 1 << 20  # of widths, classes and pixels; larger ones could fill the memory
_WORDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
}


@dataclass(frozen=True)
class FolderConfig:
    """A model as a folder describes it.

    Attributes:
        dialect: The library that the folder is for, "timm" or "huggingface"; or "dinov3" for DINOv3 in the latter.
        kind: The class of the model.
        options: Arguments of the class, besides the number of classes.
        num_classes: Outputs of the classifier; 0 if there is none.
        class_names: One for each output, None if the folder does not say.
        preprocessing: How images become the model's input, None if the folder does not say.
        variant: The name of the architecture, if it has one.
    """

    dialect: str
    kind: Kind
    options: dict[str, Any]
    num_classes: int
    class_names: list[str] | None
    preprocessing: ImageTransform | None
    variant: str | None


def entry(config: Mapping[str, Any], key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
    """The value of ``key``, which must be a ``kind``; ``default`` if it is missing or null.

    Raises:
        ValueError: It is something else.
    """
    value = config.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = {
            dict: "an object",
            list: "a list",
            str: "a string",
            int: "an integer",
            float: "a number",
            bool: "a bool",
        }
        raise ValueError(f"{key!r} must be {' or '.join(names[one] for one in kinds)}, got {value!r:.60}")
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise ValueError(f"{key!r} must be at most {_MAX_INTEGER}, got {value!r:.60}")
    return value


def integers(config: Mapping[str, Any], key: str, largest: int, default: Any = None) -> Any:
    """The list of integers from 0 to ``largest`` under ``key``.

    Raises:
        ValueError: It is something else.
    """
    found = entry(config, key, list, default)
    valid = found is default or all(isinstance(one, int) and 0 <= one <= largest for one in found)
    if not valid:
        raise ValueError(f"{key!r} must be a list of integers from 0 to {largest}, got {found!r:.60}")
    return found


def stages(config: Mapping[str, Any], depths: str, dims: str, default: Mapping[str, Any]) -> dict[str, Any]:
    """``depths`` and ``dims`` of the model, from the keys of that name in ``config`` or from ``default``."""
    return {
        "depths": tuple(integers(config, depths, MAX_BLOCKS, default["depths"])),
        "dims": tuple(integers(config, dims, _MAX_INTEGER, default["dims"])),
    }


def checked_names(names: list[Any], key: str, num_classes: int) -> list[str]:
    """Class names, of which there must be one for each output.

    Raises:
        ValueError: There are more or fewer.
    """
    if len(names) != num_classes:
        raise ValueError(f"{key!r} has {len(names)} names, but the model has {num_classes} outputs")
    return [str(name) for name in names]


def names_by_number(names: Mapping[str, Any], num_classes: int) -> list[str]:
    """Class names by the number of their output as a string; numbers stand for those that are missing.

    Raises:
        ValueError: A key is not the number of an output.
    """
    wrong = [key for key in names if not (str(key).isdecimal() and int(key) < num_classes)]
    if wrong:
        raise ValueError(f"{wrong[0]!r:.40} is not the number of one of the model's {num_classes} outputs")
    return [str(names.get(str(number), f"class {number}")) for number in range(num_classes)]


def crop_fraction(size: int, resize_size: int) -> float:
    """The ``crop_pct`` for which other libraries, which compute ``int(size / crop_pct)``, resize to ``resize_size``."""
    fraction = size / resize_size
    while int(size / fraction) < resize_size:  # rounding may have made it too large
        fraction *= 1 - 2**-52
    return fraction

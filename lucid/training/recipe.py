"""``Recipe``: the settings of a training run as a dataclass.

A program subclasses ``Recipe`` with settings of its own. Each field says what it means and which values it takes; the
command line, the JSON files and the report need nothing else::

    @dataclass(frozen=True, kw_only=True)
    class MyRecipe(Recipe):
        width: int = setting(64, "channels of the first layer", low=1)

What the program does not do is named in ``absent``, see ``Recipe``.
"""

import dataclasses
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar, get_args

from lucid.evaluation.view_average import VIEWS

Kind = TypeVar("Kind", bound="Recipe")
Field = dataclasses.Field[Any]


class SettingError(ValueError):
    """A setting or argument is out of range or contradicts another one; ``names`` are those in the message."""

    def __init__(self, message: str, *names: str) -> None:
        super().__init__(message)
        self.names = names


class SettingTypeError(SettingError, TypeError):
    """A setting is of the wrong type."""


def setting(default: Any, help: str, **limits: Any) -> Any:
    """A field of a recipe.

    Args:
        default: Its default value.
        help: What it means, for ``--help``.
        limits: ``low`` and ``high``, both inclusive; ``below``, exclusive; or ``choices``.
    """
    return field(default=default, metadata={"help": help, **limits})


def check_stages(depths: tuple[int, ...], dims: tuple[int, ...]) -> None:
    """Raise SettingError unless ``depths`` and ``dims`` have the same number of stages."""
    if len(depths) != len(dims):
        raise SettingError(f"depths has {len(depths)} stages but dims has {len(dims)}", "depths", "dims")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings that determine the result of a run, besides the data and the model. Checkpoints store them.

    ``drop_path`` is applied by whoever builds the model, and everything from ``flip`` to ``mix_switch`` by
    ``augmentation``. ``seed`` is the seed of the sample order; ``lucid.manual_seed`` sets that of the weights, of
    dropout and of augmentation. ``balance="sampling"`` has no effect on a loader of your own.

    A subclass names in ``absent`` the settings of ``Recipe`` that it does not have: they are no options, and are
    neither listed nor saved. They may still be given with their default, 0 or "none", as in files of earlier versions.

    Raises:
        SettingError: A value is out of range, two contradict each other, or a setting is absent. It is a
            ``ValueError``.
        SettingTypeError: A value is of the wrong type. It is a ``TypeError`` too.
    """

    epochs: int = setting(50, "passes over the training data", low=1)
    warmup_epochs: int = setting(5, "epochs during which the learning rate rises to its peak", low=0)
    batch_size: int = setting(128, "samples per optimizer step", low=1)
    accumulate: int = setting(1, "split each batch into N parts and accumulate gradients, to save memory", low=1)
    patience: int = setting(0, "stop after N epochs without improvement; 0: never", low=0)

    optimizer: str = setting(
        "adamw", "optimizer; muon: for hidden layers, adamw for the rest", choices=("adamw", "sgd", "muon")
    )
    lr: float = setting(2e-3, "peak learning rate", low=0)
    min_lr: float = setting(0.0, "final learning rate", low=0)
    schedule: str = setting("cosine", "decay from the peak to the final learning rate", choices=("cosine", "linear"))
    momentum: float = setting(0.9, "Nesterov momentum for sgd and muon", low=0, below=1)
    beta2: float = setting(0.999, "decay of adamw's mean of squared gradients", low=0, below=1)
    weight_decay: float = setting(0.05, "weight decay; biases, norms and scales have none", low=0)
    layer_decay: float = setting(1.0, "learning rate factor from each group of blocks to the previous one", low=0)
    clip_norm: float = setting(1.0, "largest gradient norm; 0: no clipping", low=0)
    ema: float = setting(
        0.0, "decay of the averaged weights that are evaluated and saved; 0: no average", low=0, below=1
    )

    drop_path: float = setting(0.1, "drop path rate of the last block (stochastic depth)", low=0, below=1)
    label_smoothing: float = setting(0.1, "fraction of the target spread evenly over all classes", low=0, below=1)
    balance: str = setting(
        "none", "for classes of different sizes: weigh the loss, or draw all equally often",
        choices=("none", "weights", "sampling"),
    )  # fmt: skip
    flip: bool = setting(True, "flip half of the images horizontally")
    augment: str = setting("none", 'none, trivial, or a RandAugment config of timm such as "rand-m9-mstd0.5-inc1"')
    color_jitter: float = setting(0.0, "strength of random brightness, contrast and saturation", low=0)
    erasing: float = setting(0.0, "probability of replacing a rectangle with noise", low=0, high=1)
    mixup: float = setting(0.0, "mixup alpha; 0: no mixup", low=0)
    cutmix: float = setting(0.0, "cutmix alpha; 0: no cutmix", low=0)
    mix_switch: float = setting(0.5, "probability of cutmix when mixup is enabled too", low=0, high=1)

    image_sizes: tuple[int, ...] = setting(
        (), "train on images of these sizes in px, each for an equal share of the epochs; none: all at full size"
    )
    shrink: str = setting(
        "resize",
        "how larger images get one of these sizes: resized, or a random part of each",
        choices=("resize", "crop"),
    )
    test_flip: bool = setting(False, "the same as tta=flip")
    tta: str = setting(
        "none", "evaluate the mean of the outputs for several views: an image and its mirror image (flip), these also "
        "moved by a pixel (shift), or crops",
        choices=("none", *VIEWS),
    )  # fmt: skip

    amp: str = setting("none", "automatic mixed precision", choices=("none", "bfloat16", "float16"))
    seed: int = setting(0, "random seed for weights, sample order and augmentation", low=0)

    absent: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        for one in fields(self):
            value = _checked(one, getattr(self, one.name))
            object.__setattr__(self, one.name, value)
            if one.name in self.absent and value not in (one.default, "none") and value:
                raise SettingError(f"{one.name} has no effect here and must be {one.default!r}, got {value!r}")
        if self.batch_size % self.accumulate:
            message = f"batch_size must be a multiple of accumulate, {self.accumulate}, got {self.batch_size}"
            raise SettingError(message, "batch_size", "accumulate")
        if self.min_lr > self.lr:
            raise SettingError(f"min_lr must be at most lr, {self.lr:g}, got {self.min_lr:g}", "min_lr", "lr")
        if any(size < 1 for size in self.image_sizes):
            raise SettingError(f"image_sizes must be at least 1, got {min(self.image_sizes)}", "image_sizes")
        if self.test_flip and self.tta not in ("none", "flip"):
            raise SettingError(f"test_flip is tta=flip, but tta is {self.tta}", "test_flip", "tta")
        if not 0 < self.layer_decay <= 1:
            raise SettingError(f"layer_decay must be above 0 and at most 1, got {self.layer_decay:g}", "layer_decay")

    @property
    def views(self) -> str:
        """The views of each image in evaluation: ``tta``, for which ``test_flip`` is the older name of one."""
        return "flip" if self.test_flip else self.tta

    def settings(self) -> dict[str, Any]:
        """The values by name, those of the subclass first."""
        return {one.name: getattr(self, one.name) for one in ordered_fields(type(self))}

    def to_json(self) -> str:
        """The recipe as a JSON object, one line per setting."""
        lines = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in self.settings().items())
        return "{\n" + ",\n".join(lines) + "\n}"

    @classmethod
    def from_json(cls: type[Kind], text: str) -> Kind:
        """A recipe from a JSON object of all or some settings.

        Raises:
            SettingError: ``text`` is not a JSON object, a setting is unknown, or a value is out of range.
        """
        return cls(**parse_settings(text, cls))


def parse_settings(text: str, kind: type[Recipe]) -> dict[str, Any]:
    """The settings in a JSON object.

    Raises:
        SettingError: ``text`` is not a JSON object, or has a key that is not a setting of ``kind``.
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingError(f"not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise SettingError(f"expected a JSON object, got {type(found).__name__}")
    if unknown := sorted(set(found) - {one.name for one in fields(kind)}):
        raise SettingError(f"unknown setting {', '.join(unknown)}")
    return found


def ordered_fields(kind: type[Recipe]) -> list[Field]:
    """The fields of a recipe, those of the subclass first, without those that it does not have."""
    common = {one.name for one in fields(Recipe)}
    present = (one for one in fields(kind) if one.name not in kind.absent)
    return sorted(present, key=lambda one: one.name in common)


def rename_settings(error: Exception, rename: Callable[[str], str]) -> str:
    """The message of an error with the settings renamed, for example to command-line options."""
    message = str(error)
    for name in getattr(error, "names", ()):
        message = re.sub(rf"(?<!-)\b{name}\b", rename(name), message, count=1)
    return message


def _checked(one: Field, value: Any) -> Any:
    """``value`` in the type of the field."""
    name, limits = one.name, one.metadata
    item_types = get_args(one.type)
    if item_types:
        if not isinstance(value, (list, tuple)) or not all(type(item) is item_types[0] for item in value):
            raise SettingTypeError(f"{name} must be a list of {item_types[0].__name__}, got {value!r}", name)
        return tuple(value)
    if one.type is float and type(value) is int:
        value = float(value)
    if type(value) is not one.type:
        raise SettingTypeError(f"{name} must be of type {one.type.__name__}, got {value!r}", name)  # type: ignore[union-attr]
    if "choices" in limits and value not in limits["choices"]:
        raise SettingError(f"{name} must be one of {', '.join(limits['choices'])}, got {value}", name)
    if one.type is float and not math.isfinite(value):
        raise SettingError(f"{name} must be finite, got {value}", name)
    low, high, below = limits.get("low", -math.inf), limits.get("high", math.inf), limits.get("below", math.inf)
    if one.type in (int, float) and not (low <= value <= high and value < below):
        top = f" and below {below:g}" if "below" in limits else f" and at most {high:g}" if "high" in limits else ""
        raise SettingError(f"{name} must be at least {low:g}{top}, got {value}", name)
    return value

"""How to train, as a dataclass: every field is an option of the command line and a line of the configuration.

A program extends ``Recipe`` with what is its own and gives its class to ``options`` and ``choose``. A field says what
it means and which values it takes; nothing else has to be written for it.
"""

import dataclasses
import json
import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args


def knob(default: Any, help: str, **limits: Any) -> Any:
    """A field. Values lie from ``low`` to ``high``, or stay ``below`` a number, or are one of ``choices``."""
    return field(default=default, metadata={"help": help, **limits})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What decides the outcome of a run, beside the images and the model; a checkpoint carries it along.

    Raises:
        ValueError: a value out of range, or values that do not go together.
        TypeError: a value of another type.
    """

    epochs: int = knob(50, "passes over the training images", low=1)
    warmup_epochs: int = knob(5, "epochs in which the learning rate rises to its peak", low=0)
    batch_size: int = knob(128, "images per step of the optimizer", low=1)
    accumulate: int = knob(1, "compute the step's gradients in so many parts, for less memory", low=1)
    patience: int = knob(0, "stop when the accuracy has not risen for so many epochs; 0: never", low=0)

    optimizer: str = knob("adamw", "how weights change", choices=("adamw", "sgd"))
    lr: float = knob(2e-3, "peak learning rate", low=0)
    min_lr: float = knob(0.0, "learning rate at the end; in between it falls along half a cosine", low=0)
    momentum: float = knob(0.9, "of sgd (Nesterov's)", low=0, below=1)
    weight_decay: float = knob(0.05, "of weights; biases, norms and scales have none", low=0)
    layer_decay: float = knob(1.0, "factor on the learning rate from each group of blocks to the one before", low=0)
    clip_norm: float = knob(1.0, "longest gradient; 0: any", low=0)
    ema: float = knob(0.0, "decay of averaged weights, which are then tested and saved; 0: none", low=0, below=1)

    drop_path: float = knob(0.1, "probability that the last block is passed over (stochastic depth)", low=0, below=1)
    label_smoothing: float = knob(0.1, "part of the target that goes to all classes alike", low=0, below=1)
    flip: bool = knob(True, "mirror half of the images")
    augment: str = knob("none", 'none, trivial, or RandAugment in timm\'s words, such as "rand-m9-mstd0.5-inc1"')
    color_jitter: float = knob(0.0, "strength of random brightness, contrast and saturation", low=0)
    erasing: float = knob(0.0, "probability that a rectangle is replaced by noise", low=0, high=1)
    mixup: float = knob(0.0, "alpha of mixup: two images blended; 0: none", low=0)
    cutmix: float = knob(0.0, "alpha of cutmix: a rectangle of another image; 0: none", low=0)
    mix_switch: float = knob(0.5, "how often cutmix is taken where both are there", low=0, high=1)

    amp: str = knob("none", "half precision where that is safe", choices=("none", "bfloat16", "float16"))
    seed: int = knob(0, "of weights, order and augmentation", low=0)

    def __post_init__(self) -> None:
        for one in fields(self):
            object.__setattr__(self, one.name, _typed(one, getattr(self, one.name)))
        if self.batch_size % self.accumulate:
            raise ValueError(f"--accumulate {self.accumulate} does not divide --batch-size {self.batch_size}")
        if self.min_lr > self.lr:
            raise ValueError(f"--min-lr must be at most --lr, {self.lr:g}, got {self.min_lr:g}")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"--layer-decay must be above 0 and at most 1, got {self.layer_decay:g}")


Kind = TypeVar("Kind", bound=Recipe)


def read_config(path: Path, kind: type[Recipe]) -> dict[str, Any]:
    """The fields that a file of ``shown`` names, all or some.

    Raises:
        ValueError: it is no JSON object, or names a field that does not exist.
        OSError: it cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"--config {path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"--config {path} must hold an object, as --print-config shows one")
    unknown = sorted(set(found) - {one.name for one in fields(kind)})
    if unknown:
        raise ValueError(f"--config {path}: there is no setting {', '.join(unknown)}; --print-config shows all")
    return found


def shown(recipe: Recipe) -> str:
    """The recipe as JSON, a line for each field: what ``--print-config`` prints and ``--config`` reads."""
    lines = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in settings_of(recipe).items())
    return "{\n" + ",\n".join(lines) + "\n}"


def in_order(kind: type[Recipe]) -> list["dataclasses.Field[Any]"]:
    """The fields, a program's own ones first."""
    common = {one.name for one in fields(Recipe)}
    return sorted(fields(kind), key=lambda one: one.name in common)


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """The values by name, a program's own ones first."""
    return {one.name: getattr(recipe, one.name) for one in in_order(type(recipe))}


def option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _typed(one: "dataclasses.Field[Any]", value: Any) -> Any:
    """``value`` as the field wants it."""
    name, limits = option(one.name), one.metadata
    inner = get_args(one.type)
    if inner:
        if not isinstance(value, (list, tuple)) or not all(type(item) is inner[0] for item in value):
            raise TypeError(f"{name} must be a list of {inner[0].__name__}, got {value!r}")
        return tuple(value)
    if one.type is float and type(value) is int:
        value = float(value)
    if type(value) is not one.type:
        raise TypeError(f"{name} must be of type {one.type.__name__}, got {value!r}")  # type: ignore[union-attr]
    if "choices" in limits and value not in limits["choices"]:
        raise ValueError(f"{name} must be one of {', '.join(limits['choices'])}, got {value}")
    if one.type is float and not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value}")
    low, high, below = limits.get("low", -math.inf), limits.get("high", math.inf), limits.get("below", math.inf)
    if one.type in (int, float) and not (low <= value <= high and value < below):
        top = f" and below {below:g}" if "below" in limits else f" and at most {high:g}" if "high" in limits else ""
        raise ValueError(f"{name} must be at least {low:g}{top}, got {value}")
    return value

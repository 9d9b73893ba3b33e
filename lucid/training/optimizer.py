"""The optimizer and the learning rate schedule of a recipe."""

import math
from collections.abc import Callable
from typing import Any

from lucid import memory, models, nn, optim
from lucid.training.recipe import Recipe, SettingError

_CONVNEXTS = (models.ConvNeXt, models.ConvNeXtV2, models.ConvNeXtIsotropic)


def check_memory(recipe: Recipe, model: nn.Module) -> None:
    """Refuse a model that cannot be trained on this device. Its parameters take no memory until they are used.

    Raises:
        SettingError: Parameters, gradients, two moments of the optimizer and the average need more than there is.
    """
    needed = count = 0
    for parameter in model.parameters():
        copies = (4 if parameter.requires_grad else 1) + bool(recipe.ema)
        count += parameter.numel()
        needed += parameter.numel() * parameter.itemsize * copies
    if needed > memory.total():
        raise SettingError(
            f"the model has {count:,} parameters, and training it takes at least {gigabytes(needed)}; "
            f"this device has {gigabytes(memory.total())}"
        )


def gigabytes(size: int) -> str:
    return f"{size / 1e9:,.0f} GB"


def parameter_groups(recipe: Recipe, model: nn.Module) -> list[dict[str, Any]]:
    """The trainable parameters, grouped by weight decay and learning rate.

    Biases, norms and other one-dimensional parameters have no weight decay. With a ``layer_decay`` below 1 earlier
    layers of a ConvNeXt have lower rates.

    Raises:
        ValueError: ``layer_decay`` is below 1 and the model is not a ConvNeXt.
    """
    # A ConvNeXt also takes this way without layer decay: the order of its parameters is that of saved optimizer states.
    if recipe.layer_decay < 1 or isinstance(model, _CONVNEXTS):
        groups = models.param_groups_layer_decay(
            model, recipe.lr, weight_decay=recipe.weight_decay, layer_decay=recipe.layer_decay
        )
    else:
        groups = [
            _group(name, parameter, recipe) for name, parameter in model.named_parameters() if parameter.requires_grad
        ]
    merged: dict[tuple[float, float], dict[str, Any]] = {}
    for group in groups:
        key = group["lr_scale"], group["weight_decay"]
        same = merged.setdefault(key, {**group, "params": [], "param_names": []})
        same["params"] += group["params"]
        same["param_names"] += group["param_names"]
    return list(merged.values())


def _group(name: str, parameter: nn.Parameter, recipe: Recipe) -> dict[str, Any]:
    decays = parameter.ndim > 1 and not name.endswith(".bias")
    return {
        "params": [parameter],
        "param_names": [name],
        "lr": recipe.lr,
        "lr_scale": 1.0,
        "weight_decay": recipe.weight_decay if decays else 0.0,
    }


def make_optimizer(recipe: Recipe, groups: list[dict[str, Any]]) -> optim.Optimizer:
    """AdamW, or SGD with Nesterov momentum."""
    if recipe.optimizer == "sgd":
        return optim.SGD(
            groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0,
            weight_decay=recipe.weight_decay,
        )  # fmt: skip
    return optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)


def lr_schedule(recipe: Recipe, steps_per_epoch: int) -> Callable[[int], float]:
    """The factor on the learning rate of each step: linear warm-up, then cosine decay to ``min_lr``."""
    warmup_epochs = min(recipe.warmup_epochs, recipe.epochs)
    final = recipe.min_lr / recipe.lr if recipe.lr else 0.0
    return warmup_cosine(warmup_epochs * steps_per_epoch, recipe.epochs * steps_per_epoch, final)


def warmup_cosine(warmup_steps: int, steps: int, final: float) -> Callable[[int], float]:
    """A factor that rises to 1 during the warm-up, then decays along half a cosine to ``final``."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
        return final + (1 - final) * (0.5 + 0.5 * math.cos(math.pi * progress))

    return factor

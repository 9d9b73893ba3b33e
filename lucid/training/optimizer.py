"""The optimizer of a recipe: groups of parameters, and a learning rate that rises and falls."""

import math
from collections.abc import Callable
from typing import Any

from lucid import models, nn, optim
from lucid.training.recipe import Recipe


def make_groups(recipe: Recipe, model: nn.Module) -> list[dict[str, Any]]:
    """The parameters in groups: no weight decay where there shall be none, lower rates for earlier layers if asked."""
    groups = models.param_groups_layer_decay(
        model, recipe.lr, weight_decay=recipe.weight_decay, layer_decay=recipe.layer_decay
    )
    merged: dict[tuple[float, float], dict[str, Any]] = {}
    for group in groups:  # with a layer decay of 1 two are left
        one = merged.setdefault((group["lr_scale"], group["weight_decay"]), {**group, "params": [], "param_names": []})
        one["params"] += group["params"]
        one["param_names"] += group["param_names"]
    return list(merged.values())


def make_optimizer(recipe: Recipe, groups: list[dict[str, Any]]) -> optim.Optimizer:
    if recipe.optimizer == "sgd":
        return optim.SGD(
            groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0,
            weight_decay=recipe.weight_decay,
        )  # fmt: skip
    return optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)


def warmup_cosine(warmup_steps: int, steps: int, floor: float) -> Callable[[int], float]:
    """A factor on the learning rate: it rises to 1 in the warm-up, then falls along half a cosine to ``floor``."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        along = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
        return floor + (1 - floor) * (0.5 + 0.5 * math.cos(math.pi * along))

    return factor

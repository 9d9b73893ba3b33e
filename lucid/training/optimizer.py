"""The optimizer and the learning rate schedule of a recipe."""

import math
from collections.abc import Callable
from typing import Any

from lucid import memory, models, nn, optim
from lucid.training.recipe import Recipe, SettingError

_MUON: Any = optim.Muon
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

    Biases, norms, GRN and other one-dimensional parameters have no weight decay. With a ``layer_decay`` below 1 earlier
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
    if recipe.optimizer == "muon":
        groups = _with_muon_apart(recipe, groups)
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for group in groups:
        key = group["lr_scale"], group["weight_decay"], group.get("muon", False)
        same = merged.setdefault(key, {**group, "params": [], "param_names": []})
        same["params"] += group["params"]
        same["param_names"] += group["param_names"]
    return list(merged.values())


def _group(name: str, parameter: nn.Parameter, recipe: Recipe) -> dict[str, Any]:
    decays = parameter.ndim > 1 and not name.endswith((".bias", ".grn.gamma", ".grn.beta"))
    return {
        "params": [parameter],
        "param_names": [name],
        "lr": recipe.lr,
        "lr_scale": 1.0,
        "weight_decay": recipe.weight_decay if decays else 0.0,
    }


def _with_muon_apart(recipe: Recipe, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``groups``, split by optimizer.

    Muon gets all weight matrices and kernels, except that of a first convolution and the last one; AdamW gets the rest.
    """
    weights = [p for group in groups for p in group["params"] if p.ndim > 1]
    first = 1 if weights and weights[0].ndim > 2 else 0
    own = {id(p) for p in weights[first:-1]}
    split = []
    for group in groups:
        for is_muon in (False, True):
            chosen = [
                (p, name)
                for p, name in zip(group["params"], group["param_names"], strict=True)
                if (id(p) in own) == is_muon
            ]
            if chosen:
                params, names = map(list, zip(*chosen, strict=True))
                split.append({**group, "params": params, "param_names": names, "muon": is_muon})
    return split


class MuonWithAdamW(optim.AdamW):
    """Muon for the groups that set ``muon``, AdamW for the others: one optimizer with one state.

    The updates of Muon have the size of AdamW's, so both use the same learning rates. A group of Muon takes its
    momentum from ``betas[0]``. A convolution kernel is treated as a matrix with one row per output channel.
    """

    state_names = (*optim.AdamW.state_names, *optim.Muon.state_names)  # type: ignore[assignment]

    def _check(self, group: Any) -> None:
        super()._check(group)
        if group.setdefault("muon", False):
            defaults = {"nesterov": True, "ns_steps": 5, "ns_coefficients": (3.4445, -4.775, 2.0315)}
            for name, value in {**defaults, "adjust_lr_fn": "match_rms_adamw", "momentum": group["betas"][0]}.items():
                group.setdefault(name, value)
            _MUON._check(self, group)

    def _rule(self, group: Any) -> Any:
        return _MUON._rule(self, group) if group["muon"] else super()._rule(group)


def make_optimizer(recipe: Recipe, groups: list[dict[str, Any]]) -> optim.Optimizer:
    """AdamW, SGD with Nesterov momentum, or Muon with AdamW."""
    if recipe.optimizer == "sgd":
        return optim.SGD(
            groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0,
            weight_decay=recipe.weight_decay,
        )  # fmt: skip
    betas = (0.9, recipe.beta2)
    if recipe.optimizer == "muon":
        groups = [{**group, "betas": (recipe.momentum, recipe.beta2)} if group["muon"] else group for group in groups]
        return MuonWithAdamW(groups, lr=recipe.lr, betas=betas, weight_decay=recipe.weight_decay)
    return optim.AdamW(groups, lr=recipe.lr, betas=betas, weight_decay=recipe.weight_decay)


def lr_schedule(recipe: Recipe, steps_per_epoch: int) -> Callable[[int], float]:
    """The factor on the learning rate of each step: linear warm-up, then decay to ``min_lr``."""
    warmup_epochs = min(recipe.warmup_epochs, recipe.epochs)
    final = recipe.min_lr / recipe.lr if recipe.lr else 0.0
    is_linear = recipe.schedule == "linear"
    return warmup_decay(warmup_epochs * steps_per_epoch, recipe.epochs * steps_per_epoch, final, is_linear=is_linear)


def warmup_decay(warmup_steps: int, steps: int, final: float, *, is_linear: bool = False) -> Callable[[int], float]:
    """A factor that rises to 1 during the warm-up, then decays to ``final``, along half a cosine or linearly."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
        if is_linear:
            return final + (1 - final) * (1 - progress)
        return final + (1 - final) * (0.5 + 0.5 * math.cos(math.pi * progress))

    return factor

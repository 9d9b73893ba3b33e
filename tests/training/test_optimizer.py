"""The schedule and the parameter groups of a recipe."""

import math

import numpy as np
import pytest

import lucid
from lucid import models, nn
from lucid.training import optimizer
from lucid.training.recipe import Recipe


def test_the_rate_rises_then_decays_to_its_final_value():
    factor = optimizer.warmup_cosine(4, 12, 0.1)
    found = [factor(step) for step in range(14)]
    cosine = [0.1 + 0.9 * (0.5 + 0.5 * math.cos(math.pi * step / 8)) for step in range(9)]
    np.testing.assert_allclose(found, [0.25, 0.5, 0.75, 1, *cosine, 0.1], rtol=1e-12)
    assert optimizer.warmup_cosine(0, 0, 0.0)(0) == 1.0


def test_the_schedule_counts_epochs_and_its_warm_up_ends_with_them():
    factor = optimizer.lr_schedule(Recipe(epochs=4, warmup_epochs=1, lr=0.1, min_lr=0.01), 10)
    assert factor(4) == 0.5 and factor(9) == factor(10) == 1 and factor(40) == pytest.approx(0.1)
    factor = optimizer.lr_schedule(Recipe(epochs=2, warmup_epochs=5), 10)
    assert factor(19) == 1
    assert optimizer.lr_schedule(Recipe(lr=0.0), 10)(500) == 0


@pytest.mark.parametrize(("decay", "groups"), [(1.0, 2), (0.5, 8)])
def test_biases_norms_and_scales_have_no_decay(decay, groups):
    model = models.ConvNeXt(3, (1, 1), (4, 8), in_chans=1, patch_size=2)
    recipe = Recipe(layer_decay=decay, weight_decay=0.3)
    found = optimizer.parameter_groups(recipe, model)
    assert len(found) == groups
    names = {name: group["weight_decay"] for group in found for name in group["param_names"]}
    assert names == {name: 0.3 if p.ndim > 1 else 0.0 for name, p in model.named_parameters()}
    made = optimizer.make_optimizer(recipe, found)
    rates = {name: group["lr"] for group in made.param_groups for name in group["param_names"]}
    assert rates["head.weight"] == 2e-3 and rates["stages.0.0.gamma"] == pytest.approx(2e-3 * decay**2)


def test_any_model_has_groups():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    model[3].weight.requires_grad = False
    found = optimizer.parameter_groups(Recipe(weight_decay=0.3), model)
    assert {name: group["weight_decay"] for group in found for name in group["param_names"]} == {
        "0.weight": 0.3, "0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0, "3.bias": 0.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="Sequential has no ConvNeXt blocks"):
        optimizer.parameter_groups(Recipe(layer_decay=0.9), model)


def test_optimizers_are_those_of_the_recipe():
    groups = [{"params": [nn.Parameter(lucid.ones(2))]}]
    sgd = optimizer.make_optimizer(Recipe(optimizer="sgd", momentum=0.8, lr=0.1), groups)
    assert isinstance(sgd, lucid.optim.SGD) and sgd.param_groups[0]["momentum"] == 0.8
    assert sgd.param_groups[0]["nesterov"] and sgd.param_groups[0]["lr"] == 0.1
    assert isinstance(optimizer.make_optimizer(Recipe(), groups), lucid.optim.AdamW)

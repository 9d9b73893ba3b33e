"""The schedule and the parameter groups of a recipe."""

import math

import numpy as np
import pytest

import lucid
from lucid import models, nn
from lucid.training import optimizer
from lucid.training.recipe import Recipe


def test_the_rate_rises_then_decays_to_its_final_value():
    factor = optimizer.warmup_decay(4, 12, 0.1)
    found = [factor(step) for step in range(14)]
    cosine = [0.1 + 0.9 * (0.5 + 0.5 * math.cos(math.pi * step / 8)) for step in range(9)]
    np.testing.assert_allclose(found, [0.25, 0.5, 0.75, 1, *cosine, 0.1], rtol=1e-12)
    assert optimizer.warmup_decay(0, 0, 0.0)(0) == 1.0


def test_the_schedule_counts_epochs_and_its_warm_up_ends_with_them():
    factor = optimizer.lr_schedule(Recipe(epochs=4, warmup_epochs=1, lr=0.1, min_lr=0.01), 10)
    assert factor(4) == 0.5 and factor(9) == factor(10) == 1 and factor(40) == pytest.approx(0.1)
    factor = optimizer.lr_schedule(Recipe(epochs=2, warmup_epochs=5), 10)
    assert factor(19) == 1
    assert optimizer.lr_schedule(Recipe(lr=0.0), 10)(500) == 0


def test_the_rate_may_decay_linearly():
    factor = optimizer.lr_schedule(Recipe(epochs=4, warmup_epochs=1, lr=0.1, min_lr=0.01, schedule="linear"), 10)
    assert [factor(step) for step in (9, 10, 25, 40)] == pytest.approx([1, 1, 0.55, 0.1])


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
    adamw = optimizer.make_optimizer(Recipe(beta2=0.95), groups)
    assert adamw.param_groups[0]["betas"] == (0.9, 0.95)


def muon_recipe(**settings):
    return Recipe(optimizer="muon", lr=0.01, weight_decay=0.1, momentum=0.8, beta2=0.98, **settings)


def test_muon_has_the_matrices_and_kernels_of_hidden_layers_and_adamw_the_rest():
    model = models.ConvNeXt(3, (1, 1), (4, 8), in_chans=1, patch_size=2)
    groups = optimizer.parameter_groups(muon_recipe(), model)
    own = {name for group in groups if group["muon"] for name in group["param_names"]}
    linear = {f"stages.{i}.0.pwconv{j}.weight" for i in (0, 1) for j in (1, 2)}
    assert own == linear | {"downsample_layers.1.1.weight", "stages.0.0.dwconv.weight", "stages.1.0.dwconv.weight"}
    assert sorted(name for group in groups for name in group["param_names"]) == sorted(
        name for name, _ in model.named_parameters()
    )
    assert {(g["muon"], g["weight_decay"]) for g in groups} == {(True, 0.1), (False, 0.1), (False, 0.0)}


@pytest.mark.parametrize(("size", "groups"), [((2, 2), 1), ((3, 1), 1), ((2, 2), 4)])
def test_muon_takes_the_kernel_of_a_convolution_as_a_matrix(size, groups):
    lucid.manual_seed(0)
    x, y = lucid.randn(6, 2, 5, 5), lucid.randint(0, 3, (6,))
    hidden = nn.Conv2d(4, 8, size, groups=groups)
    features = 8 * (6 - size[0]) * (6 - size[1])
    model = nn.Sequential(nn.Conv2d(2, 4, 1), hidden, nn.Flatten(), nn.Linear(features, 3))
    kernel, recipe = hidden.weight, muon_recipe()
    both = optimizer.make_optimizer(recipe, optimizer.parameter_groups(recipe, model))
    matrix = nn.Parameter(kernel.detach().reshape(8, -1))
    muon = lucid.optim.Muon([matrix], 0.01, 0.1, 0.8, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        model.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        matrix.grad = kernel.grad.reshape(8, -1)
        both.step()
        muon.step()
        found = kernel.detach().reshape(8, -1).numpy()
        np.testing.assert_allclose(found, matrix.detach().numpy(), rtol=1e-5, atol=1e-6)
    assert both.state[kernel]["momentum_buffer"].shape == kernel.shape
    assert "momentum_buffer" not in both.state[model[0].weight]


def test_muon_with_adamw_does_what_the_two_do():
    def network():
        lucid.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 3))

    x, y = lucid.randn(20, 5), lucid.randint(0, 3, (20,))
    one, other = network(), network()
    recipe = muon_recipe()
    both = [optimizer.make_optimizer(recipe, optimizer.parameter_groups(recipe, one))]
    apart = [
        lucid.optim.Muon([other[0].weight], 0.01, 0.1, 0.8, adjust_lr_fn="match_rms_adamw"),
        lucid.optim.AdamW([other[2].weight], 0.01, (0.9, 0.98), weight_decay=0.1),
        lucid.optim.AdamW([other[0].bias, other[2].bias], 0.01, (0.9, 0.98), weight_decay=0.0),
    ]
    for model, optimizers in ((one, both), (other, apart)):
        for _ in range(3):
            model.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            for each in optimizers:
                each.step()
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        assert lucid.equal(p, q)
    again = optimizer.make_optimizer(recipe, optimizer.parameter_groups(recipe, one))
    again.load_state_dict(both[0].state_dict())
    assert {name for state in again.state.values() for name in state} == {
        "step", "exp_avg", "exp_avg_sq", "momentum_buffer",
    }  # fmt: skip

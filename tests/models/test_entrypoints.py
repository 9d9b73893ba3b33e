"""The functions of the variants build them, and their docstrings have the right numbers."""

import inspect
import re
from typing import get_type_hints

import pytest

import lucid
from lucid import models, nn
from lucid.models import entrypoints
from lucid.models.variants import VARIANTS


def test_every_variant_has_a_function():
    functions = {name for name, one in vars(entrypoints).items() if inspect.isfunction(one) and name[0] != "_"}
    assert functions == set(VARIANTS)
    assert functions < set(models.__all__)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_function_builds_its_variant(name):
    function = getattr(models, name)
    kind, options = VARIANTS[name]
    model = function(num_classes=7, drop_path=0.25, in_chans=2)
    assert type(model) is kind is get_type_hints(function)["return"]
    assert {word: getattr(model, word) for word in options if word != "norm_eps"}.items() <= options.items()
    assert {one.eps for one in model.modules() if isinstance(one, nn.LayerNorm)} == {options.get("norm_eps", 1e-6)}
    assert (model.num_classes, model.in_chans) == (7, 2)
    blocks = model.blocks if "depth" in options else model.stages[3]
    assert blocks[-1].drop_path.drop_prob == 0.25


@pytest.mark.parametrize("name", VARIANTS)
def test_docstrings_have_the_right_numbers(name):
    info = models.model_info(name, image_size=224)
    millions, giga = re.match(
        r"(\d+\.\d) million parameters, (\d+\.\d) GMACs at 224 px", getattr(models, name).__doc__
    ).groups()
    assert millions == f"{info.parameters / 1e6:.1f}"
    assert giga == f"{info.macs / 1e9:.1f}"


def test_num_classes_is_the_first_argument():
    assert models.convnext_atto(3, depths=[1, 1], dims=[4, 8])(lucid.zeros(1, 3, 8, 8)).shape == (1, 3)

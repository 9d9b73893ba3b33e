"""Every kind of checkpoint that people have loads with the right values, or is refused by name."""

import os
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import models
from tests.reference.checkpoint_cases import KINDS, extract, images, table, value

DOCUMENT = Path(__file__).parents[3] / "docs" / "checkpoint-files.md"
LOADED = [kind for kind in KINDS if not kind.refused]
REFUSED = [kind for kind in KINDS if kind.refused]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return extract(tmp_path_factory.mktemp("checkpoints"))


@pytest.mark.parametrize("kind", LOADED, ids=lambda kind: kind.file)
@pytest.mark.filterwarnings("ignore:load_checkpoint. .*the model keeps its own")
def test_it_loads(folder, kind, monkeypatch):
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("the file ran a command"))
    model = models.from_checkpoint(folder / kind.file)
    report = model.load_report
    assert type(model).__name__ == kind.family
    assert set(report.kept) <= set(kind.absent)
    names = [name for name in model.state_dict() if name not in kind.absent]
    assert len(names) >= 52 and ("head.weight" in names) == kind.has_head
    for name, tensor in model.state_dict().items():
        if name in kind.absent:
            continue
        expected = np.zeros(tensor.shape) if name in kind.zeros else value(name, tensor.shape)
        np.testing.assert_allclose(tensor.numpy(), expected, rtol=kind.tolerance, err_msg=name)


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.file)
def test_it_is_refused_by_name(folder, kind):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        models.from_checkpoint(folder / kind.file)
    assert kind.refused in str(caught.value) and kind.file.partition("/")[0] in str(caught.value)


@pytest.mark.parametrize("file", ["dinov3_transformers.safetensors", "open_clip.pt", "open_clip_mlp.pt"])
def test_outputs_are_those_of_the_library(folder, file):
    expected = np.load(folder / f"{file.partition('.')[0]}_outputs.npy")
    with lucid.no_grad():
        found = models.from_checkpoint(folder / file)(lucid.tensor(images())).numpy()
    assert np.abs(found - expected).max() < 2e-5 * np.abs(expected).max()


def test_a_projection_gives_features_and_no_classes(folder):
    assert models.from_checkpoint(folder / "open_clip.pt").class_names == []
    assert models.from_checkpoint(folder / "own_fc.pth").class_names == ["class 0", "class 1", "class 2"]


def test_there_are_enough_kinds():
    assert len(KINDS) == len({kind.file for kind in KINDS}) >= 80 and all(kind.reason for kind in REFUSED)


def test_the_documentation_has_the_table():
    assert table() in DOCUMENT.read_text("utf-8")


def test_placeholders_stand_beside_the_weights(folder):
    extra = lucid.load(folder / "beside_numpy_scalar.pth")["extra"]
    assert isinstance(extra[0], lucid.serialization.Placeholder) and extra[0].name.endswith("multiarray.scalar")

"""Nested values come back as they were, from safetensors files, PyTorch files and file objects."""

import io
import json

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.serialization import load_with_metadata
from tests.serialization.test_safetensors_file import entry, written


def checkpoint():
    model = nn.Linear(3, 2)
    optimizer = optim.AdamW(model.parameters(), lr=0.1)
    model(lucid.ones(1, 3)).sum().backward()
    optimizer.step()
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "history": [(0.5, float("nan")), None, "text"],
        "both": lucid.ones(2, dtype=lucid.bfloat16),
        7: {"f64": lucid.full((2,), 0.1, dtype=lucid.float64)},
    }


def same(found, wanted):
    if isinstance(wanted, lucid.Tensor):
        return found.dtype == wanted.dtype and found.tolist() == wanted.tolist()
    if isinstance(wanted, dict):
        return list(found) == list(wanted) and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list | tuple):
        return type(found) is type(wanted) and all(same(a, b) for a, b in zip(found, wanted, strict=True))
    return found == wanted or (found != found and wanted != wanted)


@pytest.mark.parametrize("name", ["x.safetensors", "x.pt", "x.pth", "x.ckpt", "x.bin", "x.pth.tar"])
def test_a_nested_checkpoint_comes_back_from_a_file(tmp_path, name):
    wanted = checkpoint()
    lucid.save(wanted, tmp_path / name)
    assert same(lucid.load(tmp_path / name), wanted)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("format", [None, "safetensors", "pytorch"])
@pytest.mark.parametrize("value", [checkpoint(), {"w": lucid.ones(2)}, lucid.ones(3), [1, "a"]])
def test_values_come_back_from_file_objects(format, value):
    file = io.BytesIO()
    lucid.save(value, file, format=format)
    assert file.getvalue().startswith(b"PK") == (format == "pytorch")
    file.seek(0)
    assert same(lucid.load(file), value)


def test_a_mapping_of_tensors_is_a_plain_safetensors_file(tmp_path):
    lucid.save({"w": lucid.ones(2), "a": np.arange(3)}, tmp_path / "x.safetensors", {"note": "ours"})
    tensors, metadata = load_with_metadata(tmp_path / "x.safetensors")
    assert metadata == {"note": "ours"} and tensors["a"].tolist() == [0, 1, 2]


def test_format_overrides_the_name(tmp_path):
    lucid.save({"w": lucid.ones(1)}, tmp_path / "model", format="pytorch")
    assert lucid.load(tmp_path / "model")["w"].tolist() == [1]
    lucid.save({"w": lucid.ones(1)}, tmp_path / "model.pt", format="safetensors")
    assert load_with_metadata(tmp_path / "model.pt")[0]["w"].tolist() == [1]


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(TypeError, match="save: f must be a path or a binary file object, got int"):
        lucid.save({}, 3)
    with pytest.raises(ValueError, match=r"save: the file name must end with \.safetensors, or with .* got 'x.dat'"):
        lucid.save({}, tmp_path / "x.dat")
    with pytest.raises(ValueError, match="save: format must be 'safetensors' or 'pytorch', got 'pickle'"):
        lucid.save({}, tmp_path / "x.pt", format="pickle")
    with pytest.raises(ValueError, match="save: files of PyTorch have no metadata"):
        lucid.save({}, tmp_path / "x.pt", {"a": "b"})


@pytest.mark.parametrize("tree", ["{", '{"$tensor": "b"}', '{"$tuple": 3}', '{"$float": "x"}', "[" * 10**5])
def test_a_damaged_tree_is_refused(tmp_path, tree):
    header = {"a": entry(0, 4), "__metadata__": {"lucid.tree": tree}}
    with pytest.raises(ValueError, match="is damaged: its metadata does not describe its tensors"):
        lucid.load(written(tmp_path / "x.safetensors", json.dumps(header).encode(), bytes(4)))

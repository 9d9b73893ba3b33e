"""lucid.save and lucid.load: every dtype survives, and partial files are neither left nor read."""

import os
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid.serialization import load_with_metadata


def test_round_trip(tmp_path):
    path = tmp_path / "weights.safetensors"
    tensors = {
        "w": lucid.randn(3, 4, requires_grad=True),
        "half": lucid.randn(2, dtype=lucid.bfloat16),
        "n": lucid.arange(3),
        "scalar": lucid.tensor(2.5),
        "numpy": np.ones((2, 2), np.float32),
        "empty": lucid.zeros(0, 3),
    }
    lucid.save(tensors, path, {"epoch": "3"})
    back, metadata = load_with_metadata(path)
    assert metadata["epoch"] == "3" and list(tmp_path.iterdir()) == [path]
    for name, value in tensors.items():
        expected = lucid.as_tensor(value)
        assert back[name].dtype == expected.dtype and back[name].shape == expected.shape
        assert back[name].tolist() == expected.tolist()


def test_a_file_can_be_overwritten_with_its_own_tensors(tmp_path):
    path = tmp_path / "w.safetensors"
    lucid.save({"w": lucid.arange(1000)}, path)
    lucid.save({name: t + 1 for name, t in lucid.load(path).items()}, path)
    assert lucid.load(path)["w"][:3].tolist() == [1, 2, 3]


@pytest.mark.parametrize("size", [0, 4, 20, 200])
def test_a_truncated_file_is_refused(tmp_path, size):
    path = tmp_path / "w.safetensors"
    lucid.save({"w": lucid.arange(1000)}, path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match="not a complete safetensors file"):
        lucid.load(path)["w"].tolist()


def test_unsupported_values_leave_the_old_file(tmp_path):
    path = tmp_path / "w.safetensors"
    lucid.save({"w": lucid.ones(1)}, path)
    with pytest.raises(TypeError, match="'model' is a dictionary"):
        lucid.save({"model": {"w": lucid.ones(2)}}, path)
    with pytest.raises(TypeError, match="names must be strings"):
        lucid.save({1: lucid.ones(2)}, path)
    with pytest.raises(TypeError, match="'w' is float64"):
        lucid.save({"w": lucid.ones(2, dtype=lucid.float64)}, path)
    with pytest.raises(
        TypeError, match="save: metadata must map strings to strings, got 'epoch': 3; convert values with json.dumps"
    ):
        lucid.save({"w": lucid.ones(2)}, path, {"epoch": 3})
    with pytest.raises(ValueError, match=r"the file name must end with \.safetensors"):
        lucid.save({"w": lucid.ones(2)}, tmp_path / "w.bin")
    assert lucid.load(path)["w"].tolist() == [1] and list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError, match="there is no file"):
        lucid.load(tmp_path / "other.safetensors")


def test_a_missing_folder_and_a_full_disk_are_named(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(FileNotFoundError, match=r"save: .*none/w.safetensors could not be written \(No such file"):
        lucid.save({"w": lucid.ones(1)}, tmp_path / "none" / "w.safetensors")
    lucid.save({"w": lucid.ones(1)}, path)
    if Path("/dev/full").exists():  # Linux: a device that is always full
        (tmp_path / f".w.{os.getpid()}.safetensors").symlink_to("/dev/full")
        with pytest.raises(OSError, match=r"save: .*w.safetensors could not be written \(No space left"):
            lucid.save({"w": lucid.ones(10**5)}, path)
    assert lucid.load(path)["w"].tolist() == [1] and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: lucid.nn.Linear(1, 1),
            r"got Linear; save its state_dict\(\): lucid.save\(model.state_dict\(\), 'x.safe",
        ),
        (
            lambda: lucid.optim.SGD(lucid.nn.Linear(1, 1).parameters(), lr=0.1),
            r"got SGD; save lucid.optim.flatten_state\(optimizer.state_dict\(\)\)",
        ),
        (lambda: lucid.zeros(1), "got Tensor; a single tensor needs a name"),
    ],
)
def test_saving_anything_but_a_mapping_says_what_to_save(tmp_path, make, message):
    with pytest.raises(TypeError, match=f"save: expected a mapping of names to tensors, {message}"):
        lucid.save(make(), tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())

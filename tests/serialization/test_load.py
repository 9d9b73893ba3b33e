"""lucid.load detects the format by content."""

import gzip
import io
import json
import shutil

import pytest

import lucid
from lucid.serialization import Placeholder
from tests.reference.pth_description import FOLDER


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors", ".anything", ""])
def test_the_file_name_does_not_matter(tmp_path, suffix):
    shutil.copy(FOLDER / "tensor.pth", tmp_path / f"a{suffix}")
    assert lucid.load(tmp_path / f"a{suffix}").tolist() == [0, 1, 2]
    lucid.save({"w": lucid.arange(2)}, tmp_path / "b.safetensors")
    (tmp_path / "b.safetensors").replace(tmp_path / f"b{suffix}")
    assert lucid.load(tmp_path / f"b{suffix}")["w"].tolist() == [0, 1]


def test_a_safetensors_header_may_start_like_a_pickle(tmp_path):
    """The file starts with the length of the header: 0x280 bytes are b"\\x80\\x02", the first bytes of a pickle."""
    path = tmp_path / "w.safetensors"
    tensors = {"w": lucid.arange(2)}
    for padding in range(400, 640):
        lucid.save(tensors, path, {"padding": "x" * padding})
        if path.read_bytes()[:2] == b"\x80\x02":
            break
    else:
        pytest.fail("no header of 640 bytes")
    assert lucid.load(path)["w"].tolist() == [0, 1]


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors", "x"])
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "it is a Git LFS pointer, not the file itself"),
        (b'{"dims": [96]}', "it is a JSON file, which holds no weights"),
        (b"[1, 2]", "it is a JSON file"),
        (gzip.compress(b"x", mtime=0), "it is compressed with gzip; unpack it first"),
        (b"<!DOCTYPE html>", "it is a web page"),
        (b"\n<html>", "it is a web page"),
        (bytes(600), "it starts with zeros"),
        (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file"),
        (b"x" * 257 + b"ustar" + b"x" * 300, "it is a tar archive"),
        (b"neither", "it starts with b'neither'"),
    ],
)
def test_what_an_unknown_file_is(tmp_path, name, content, fault):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"load: .*{name} .*{fault}"):
        lucid.load(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "fault"), [("x.safetensors", "safetensors"), ("x.pth", "PyTorch"), ("x", "safetensors")]
)
def test_the_file_name_selects_the_error_for_unknown_formats(tmp_path, name, fault):
    (tmp_path / name).write_bytes(b"neither")
    with pytest.raises(ValueError, match=fault):
        lucid.load(tmp_path / name)


def shards(folder, places):
    for name in set(places.values()):
        lucid.save({one: lucid.full((2,), ord(one)) for one in places if places[one] == name}, folder / name)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("by", ["folder", "index"])
def test_sharded_folders(tmp_path, by):
    shards(tmp_path, {"a": "m-1-of-2.safetensors", "b": "m-2-of-2.safetensors", "c": "m-1-of-2.safetensors"})
    (tmp_path / "optimizer.bin").write_bytes(b"other")
    found = lucid.load(tmp_path if by == "folder" else tmp_path / "model.safetensors.index.json")
    assert {name: tensor.tolist() for name, tensor in sorted(found.items())} == {
        "a": [97, 97], "b": [98, 98], "c": [99, 99]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("weight_map", "error", "fault"),
    [
        ({"a": "../m.safetensors"}, ValueError, "lists '../m.safetensors', which is not the name of a weights file"),
        ({"a": "/etc/passwd"}, ValueError, "'/etc/passwd'"),
        ({"a": "..\\m.bin"}, ValueError, "not the name of a weights file"),
        ({"a": "model.safetensors.index.json"}, ValueError, "not the name of a weights file"),
        ({"a": "gone.safetensors"}, FileNotFoundError, "lists gone.safetensors, which is missing"),
        ({"z": "m.safetensors"}, ValueError, "m.safetensors has no tensor 'z'"),
        ({"a": 3}, ValueError, "no 'weight_map' from names to files"),
        (None, ValueError, "no 'weight_map' from names to files"),
    ],
)
def test_invalid_indices_are_refused(tmp_path, weight_map, error, fault):
    shards(tmp_path, {"a": "m.safetensors"})
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(error, match=fault):
        lucid.load(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="is not an index of shards"):
        lucid.load(tmp_path)


def test_a_folder_with_one_file_of_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no weights file"):
        lucid.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    lucid.save({"w": lucid.arange(2)}, tmp_path / "any.safetensors")
    assert lucid.load(tmp_path)["w"].tolist() == [0, 1]
    (tmp_path / "optimizer.pt").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"has 2 weights files \(any.safetensors, optimizer.pt\); pass one of them"):
        lucid.load(tmp_path)
    for count, name in enumerate(("pytorch_model.bin", "model.safetensors", "last.safetensors", "best.safetensors"), 3):
        lucid.save({"w": lucid.arange(count)}, tmp_path / "w.safetensors")
        (tmp_path / "w.safetensors").replace(tmp_path / name)
        assert lucid.load(tmp_path)["w"].shape == (count,)


def test_a_distributed_checkpoint_is_refused_by_name(tmp_path):
    (tmp_path / "__0_0.distcp").write_bytes(b"PK")
    (tmp_path / ".metadata").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"is a distributed checkpoint \(.distcp\).*dcp_to_torch_save"):
        lucid.load(tmp_path)


def test_a_placeholder_in_place_of_a_tensor_says_what_it_is():
    values = {"weight": Placeholder("torch._utils._rebuild_qtensor"), "bias": lucid.zeros(1)}
    with pytest.raises(TypeError, match=r"'weight' is not an array: the file has torch\._utils\._rebuild_qtensor here"):
        lucid.nn.Linear(1, 1).load_state_dict(values)
    with pytest.raises(TypeError, match="the file has argparse.Namespace here, which is not supported"):
        lucid.tensor(Placeholder("argparse.Namespace"))


def test_pytorch_s_arguments_are_checked_and_have_no_effect(tmp_path):
    path = tmp_path / "x.safetensors"
    lucid.save(obj={"x": lucid.ones(2)}, f=path)
    for location in ("cpu", lucid.device("cpu"), {"cuda:1": "cpu"}, lambda storage, location: storage, None):
        assert lucid.load(f=path, map_location=location, weights_only=True, mmap=True)["x"].tolist() == [1, 1]
    assert lucid.load(path, "cpu", None, weights_only=False)["x"].tolist() == [1, 1]
    for wrong, error, message in (
        ("tpu", RuntimeError, "load: map_location: device must be one of .*, got 'tpu'"),
        ("xpu", RuntimeError, "load: map_location: device 'xpu' is not available here"),
        ({"cuda": "tpu"}, ValueError, "device: device must be one of .*, got 'tpu'"),
        (3.5, TypeError, "device: expected a name"),
    ):
        with pytest.raises(error, match=message):
            lucid.load(path, map_location=wrong)
    with pytest.raises(TypeError, match="load: pickle_module must be None, because nothing is unpickled"):
        lucid.load(path, pickle_module=pytest)
    assert lucid.load(io.BytesIO(path.read_bytes()))["x"].tolist() == [1, 1]
    with pytest.raises(TypeError, match="load: f must be a path or a binary file object, got int"):
        lucid.load(3)
    with pytest.raises(TypeError, match=r"load: the file object must be binary, but its read\(\) gives str"):
        lucid.load(io.StringIO("text"))

"""Sharded weights: sizes, the index, and what ``lucid.load`` makes of them."""

import json

import pytest

import lucid
from lucid.serialization.safetensors_file import SafetensorsFile
from lucid.serialization.shards import parse_bytes, save_shards

TENSORS = {f"layer{i}": lucid.arange(i * i).float() for i in range(8)}  # of 0 to 196 bytes


@pytest.mark.parametrize("max_bytes", [1, 60, 100, 196, 300])
def test_shards_are_small_and_complete(tmp_path, max_bytes):
    paths = save_shards(TENSORS, tmp_path, max_bytes, {"format": "pt"})
    files = [SafetensorsFile(path) for path in paths]
    assert [path.name for path in paths] == [
        f"model-{i:05d}-of-{len(paths):05d}.safetensors" for i in range(1, len(paths) + 1)
    ]
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert list(index["weight_map"]) == list(TENSORS)
    assert index["weight_map"] == {name: file.path.name for file in files for name in sorted(file.tensors)}
    assert index["metadata"]["total_size"] == sum(4 * i * i for i in range(8))
    for file in files:
        size = sum(4 * tensor.numel() for tensor in file.tensors.values())
        assert (size <= max_bytes or len(file.tensors) == 1) and file.metadata == {"format": "pt"}
    found = lucid.load(tmp_path)
    assert {name: one.tolist() for name, one in found.items()} == {name: one.tolist() for name, one in TENSORS.items()}


@pytest.mark.parametrize("max_bytes", [None, 560, 1000])
def test_small_weights_are_one_file(tmp_path, max_bytes):
    [path] = save_shards(TENSORS, tmp_path, max_bytes)
    assert path.name == "model.safetensors" and list(tmp_path.iterdir()) == [path]
    assert set(lucid.load(path)) == set(TENSORS)


def test_sizes():
    wanted = {"5GB": 5 * 10**9, "200MB": 2 * 10**8, "1.5 KiB": 1536, "2mib": 2 << 20, "1gib": 1 << 30, 7: 7, None: None}
    assert {size: parse_bytes("save", "max_shard_size", size) for size in wanted} == wanted
    for size in ("5", "GB", "-1GB", "0KB", "5 TB", "1e3MB", 0, -5, 1.5, True, b"5GB"):
        with pytest.raises(
            ValueError, match='save: max_shard_size must be a number of bytes or a string such as "5GB"'
        ):
            parse_bytes("save", "max_shard_size", size)

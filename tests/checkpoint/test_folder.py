"""A checkpoint folder is written atomically, and all damage to it is detected."""

import hashlib
import json
import os
import struct

import pytest

import lucid
from lucid.checkpoint import CheckpointError, DamagedError
from lucid.checkpoint.folder import check_part_name, read_folder, read_manifest, write_folder
from lucid.serialization.tree import pack

PARTS = {"model": {"weight": lucid.tensor([1.0, 2.0, 3.0])}, "history": [1, 2]}
ABOUT = {"step": 7, "epoch": None, "metrics": {"loss": float("nan")}}


@pytest.fixture
def folder(tmp_path):
    parts = {name: pack(value, name) for name, value in PARTS.items()}
    write_folder(tmp_path / "temporary", tmp_path / "step", parts, ABOUT)
    assert os.listdir(tmp_path) == ["step"]
    return tmp_path / "step"


def test_round_trip(folder):
    about, parts = read_folder(folder)
    assert (about.path, about.step, about.epoch, list(about.metrics)) == (folder, 7, None, ["loss"])
    assert parts["model"]["weight"].tolist() == [1.0, 2.0, 3.0] and parts["history"] == [1, 2]
    assert sorted(os.listdir(folder)) == ["manifest.json", "model.safetensors", "state.json"]
    assert lucid.load(folder / "model.safetensors")["weight"].tolist() == [1.0, 2.0, 3.0]


def test_every_changed_bit_is_detected(folder):
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for at in range(len(content)):
            path.write_bytes(content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :])
            try:
                about, _ = read_folder(folder)
            except DamagedError:
                continue
            # White space in the manifest is not significant.
            assert path.name == "manifest.json" and about == read_manifest(folder)[0]
            assert json.loads(path.read_bytes()) == json.loads(content)
        path.write_bytes(content)
    read_folder(folder)


def test_every_truncation_is_detected(folder):
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for size in (0, 1, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:size])
            with pytest.raises(DamagedError, match=path.name):
                read_folder(folder)
        path.write_bytes(content + b" " if path.name != "manifest.json" else content)
        if path.name != "manifest.json":
            with pytest.raises(DamagedError, match="were written"):
                read_folder(folder)
        path.write_bytes(content)


@pytest.mark.parametrize("content", ["[" * 100_000, "null", "[1]", '{"manifest": 1}', '{"manifest": {}, "sha256": 1}'])
def test_a_manifest_with_other_json_is_damaged(folder, content):
    (folder / "manifest.json").write_text(content)
    with pytest.raises(DamagedError, match=r"manifest.json (cannot be read|has changed)"):
        read_folder(folder)


@pytest.mark.parametrize("manifest", [None, [], {}])
def test_an_invalid_manifest_is_refused_even_with_a_valid_checksum(folder, manifest):
    sha256 = hashlib.sha256(json.dumps(manifest).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({"manifest": manifest, "sha256": sha256}))
    with pytest.raises(CheckpointError, match=r"manifest.json has changed|has format None"):
        read_folder(folder)


def test_missing_files_are_detected(folder):
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(DamagedError, match=f"{path.name} (is missing|cannot be read)"):
            read_folder(folder)
        path.mkdir()
        with pytest.raises(DamagedError, match=f"{path.name} cannot be read"):
            read_folder(folder)
        path.rmdir()
        path.write_bytes(content)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(DamagedError, match=r"manifest.json is missing"):
        read_folder(folder)


def test_another_format_is_not_damage(tmp_path, monkeypatch):
    monkeypatch.setattr("lucid.checkpoint.folder.FORMAT", "lucid.checkpoint 99")
    write_folder(tmp_path / "temporary", tmp_path / "step", {"a": pack(1, "a")}, ABOUT)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format 'lucid.checkpoint 99'") as error:
        read_folder(tmp_path / "step")
    assert not isinstance(error.value, DamagedError)


@pytest.mark.parametrize("name", ["", "../model", "a/b", ".hidden", "a b", 3])
def test_invalid_part_names_are_refused(name):
    with pytest.raises(ValueError, match="here: part names may only contain"):
        check_part_name("here", name)


# Made by hand, or hostile ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["manifest.json", "state.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_a_file_that_is_no_file_is_damage(folder, name, kind):
    """An endless device would fill the memory, and a pipe would block."""
    (folder / name).unlink()
    if kind == "device":
        (folder / name).symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).mkdir()
    with pytest.raises(DamagedError, match=f"{name} cannot be read"):
        read_folder(folder)


def make_by_hand(folder, **changes):
    """Change the manifest and give it a valid checksum."""
    manifest = {**json.loads((folder / "manifest.json").read_text())["manifest"], **changes}
    manifest = {name: value for name, value in manifest.items() if value != "missing"}
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({"manifest": manifest, "sha256": digest}))


def deep(levels):
    value = {}
    for _ in range(levels):
        value = {"$tuple": [value]}
    return value


@pytest.mark.parametrize(
    "changes",
    [
        {"step": "missing"}, {"step": "7"}, {"step": -1}, {"step": True}, {"step": 1 << 70}, {"step": {"$float": "x"}},
        {"epoch": 1.5}, {"written": 3}, {"metrics": []}, {"metrics": {"loss": "low"}}, {"metrics": None},
        {"metrics": {"loss": {"$tensor": "x"}}}, {"metrics": deep(400)}, {"files": "missing"}, {"files": []},
        {"files": {}}, {"files": {"state.json": None}}, {"files": {"state.json": {"bytes": "9", "sha256": ""}}},
        {"files": {"state.json": {"bytes": 9, "sha256": 9}}}, {"files": {"state.json": {"bytes": 9}}},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_a_manifest_made_by_hand_is_refused(folder, changes):
    make_by_hand(folder, **changes)
    with pytest.raises(DamagedError, match=r"^manifest.json (lists no files|does not describe|has step|has metrics)"):
        read_folder(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "manifest.json", "", ".", "a/b"])
def test_a_manifest_lists_files_of_its_folder_only(folder, name):
    (folder.parent / "outside").write_text("secret")
    files = json.loads((folder / "manifest.json").read_text())["manifest"]["files"]
    make_by_hand(folder, files={**files, name: {"bytes": 6, "sha256": "0" * 64}})
    with pytest.raises(DamagedError, match="manifest.json lists no files"):
        read_folder(folder)


def replace_file(folder, name, content):
    (folder / name).write_bytes(content)
    files = json.loads((folder / "manifest.json").read_text())["manifest"]["files"]
    make_by_hand(folder, files={**files, name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}})


@pytest.mark.parametrize(
    "state",
    [
        [], None, "[" * 100_000,
        '{"model": ' + "[" * 900 + "]" * 900 + "}",
        {"model": {"$tensor": "nothing"}}, {"model": {"$tensor": []}},
        {"model": {"$array": "weight", "dtype": "object"}}, {"model": {"$array": "weight", "dtype": "O8"}},
        {"model": {"$array": "weight", "dtype": ["int8", 2]}}, {"model": {"$array": "weight"}},
        {"model": {"$array": "weight", "dtype": "complex256"}}, {"model": {"$dict": [[[], 1]]}},
        {"model": {"$dict": 5}}, {"model": {"$tuple": None}}, {"model": {"$float": "1" * 9 + "x"}},
    ],
    ids=lambda state: type(state).__name__,
)  # fmt: skip
def test_a_state_made_by_hand_is_refused(folder, state):
    replace_file(folder, "state.json", (state if isinstance(state, str) else json.dumps(state)).encode())
    with pytest.raises(DamagedError, match="its content cannot be read"):
        read_folder(folder)


@pytest.mark.parametrize(
    "header",
    [
        b"[]", b"{", b'{"weight": {"dtype": "F32", "shape": [1000000000], "data_offsets": [0, 12]}}',
        b'{"weight": {"dtype": "F32", "shape": [3], "data_offsets": [0, 4000000000]}}',
        b'{"weight": {"dtype": "F32", "shape": [3], "data_offsets": [12, 0]}}',
    ],
)  # fmt: skip
def test_tensors_made_by_hand_are_refused(folder, header):
    replace_file(folder, "model.safetensors", struct.pack("<Q", len(header)) + header + bytes(12))
    with pytest.raises(DamagedError, match="its content cannot be read"):
        read_folder(folder)

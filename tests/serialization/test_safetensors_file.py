"""lucid.save and lucid.load: every dtype survives, and partial files are neither left nor read."""

import json
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid.serialization import load_with_metadata, safetensors_file
from lucid.serialization.safetensors_file import SafetensorsFile


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
    with pytest.raises(TypeError, match=r"save: cannot save model.w of type object; supported are tensors"):
        lucid.save({"model": {"w": object()}}, path)
    with pytest.raises(TypeError, match="'w' is float64"):
        lucid.save({"w": lucid.ones(2, dtype=lucid.float64)}, path)
    with pytest.raises(
        TypeError, match="save: metadata must map strings to strings, got 'epoch': 3; convert values with json.dumps"
    ):
        lucid.save({"w": lucid.ones(2)}, path, {"epoch": 3})
    with pytest.raises(ValueError, match=r"the file name must end with \.safetensors"):
        lucid.save({"w": lucid.ones(2)}, tmp_path / "w.dat")
    assert lucid.load(path)["w"].tolist() == [1] and list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError, match="there is no file"):
        lucid.load(tmp_path / "other.safetensors")


def test_a_missing_folder_and_a_full_disk_are_named(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(FileNotFoundError, match=r"save: .*none/w.safetensors could not be written \(No such file"):
        lucid.save({"w": lucid.ones(1)}, tmp_path / "none" / "w.safetensors")
    lucid.save({"w": lucid.ones(1)}, path)
    if Path("/dev/full").exists():  # Linux: a device that is always full
        (tmp_path / f".w.{os.getpid()}-{threading.get_ident()}.safetensors").symlink_to("/dev/full")
        with pytest.raises(OSError, match=r"save: .*w.safetensors could not be written \(No space left"):
            lucid.save({"w": lucid.ones(10**5)}, path)
    assert lucid.load(path)["w"].tolist() == [1] and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["x.safetensors", "x.pth"])
def test_saving_an_object_with_a_state_dict_says_to_save_that(tmp_path, name):
    optimizer = lucid.optim.SGD(lucid.nn.Linear(1, 1).parameters(), lr=0.1)
    for given, kind in ((lucid.nn.Linear(1, 1), "Linear"), (optimizer, "SGD")):
        with pytest.raises(
            TypeError, match=rf"save: expected tensors, got {kind}; save its state_dict\(\): lucid.save"
        ):
            lucid.save(given, tmp_path / name)
    assert not list(tmp_path.iterdir())


def written(path, header, data=b"", size=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(header) if size is None else size) + header + data)
    return path


def entry(start, end, shape=(4,), dtype="U8"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("header", "data", "fault"),
    [
        ({"a": entry(0, 4), "b": entry(2, 6)}, bytes(6), "tensor 'b' starts at byte .*, but the one before it ends at"),
        ({"a": entry(0, 4), "b": entry(5, 9)}, bytes(9), "tensor 'b' starts at byte .*, but the one before it ends at"),
        ({"a": entry(1, 5)}, bytes(5), "tensor 'a' starts at byte"),
        ({"a": entry(0, 4)}, bytes(5), "end at byte .*, but the file has"),
        ({"a": entry(0, 4)}, bytes(3), "end at byte .*, but the file has"),
        (b'{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "a": {}}', b"x", "two entries 'a'"),
        (b'{"__metadata__": {"k": "1", "k": "2"}}', b"", "two entries 'k'"),
        ({"a": entry(0, 4, (2, 3))}, bytes(4), "takes 6 bytes, but has offsets"),
        ({"a": entry(4, 0)}, bytes(4), "takes 4 bytes, but has offsets"),
        ({"a": entry(0, 0, (2**31, 0))}, b"", "dimensions of 2147483647 are supported"),
        ({"a": entry(0, 1, [1] * 33)}, b"x", "at most 32 dimensions"),
        (b'{"a": {"dtype": "U8", "shape": [1.0], "data_offsets": [0, 1]}}', b"x", "not a list of integers"),
        (b'{"a": {"dtype": "U8", "shape": [1e0], "data_offsets": [0, 1]}}', b"x", "not a list of integers"),
        (b'{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, true]}}', b"x", "not a list of integers"),
        (b'{"a": {"dtype": "U8", "shape": [-1], "data_offsets": [0, 1]}}', b"x", "the integer -1"),
        (b'{"a": {"dtype": "U8", "shape": [1], "data_offsets": [-0, 1]}}', b"x", "the integer -0"),
        (b'{"a": {"dtype": "U8", "shape": [NaN], "data_offsets": [0, 1]}}', b"x", "the constant NaN"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"", "not valid JSON"),
        (b'{"a": {"dtype": "U8", "shape": [' + b"9" * 5000 + b"]}}", b"", "the integer 9999"),
        (b'{"\\ud800": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}', b"x", "not valid JSON"),
        (b'{"\xff": 1}', b"", "not valid JSON"),
        (b"{}x", b"", "not valid JSON"),
        ({"a": entry(0, 4, dtype="F4")}, bytes(4), "has dtype 'F4', which is not supported"),
        ({"a": {**entry(0, 4), "more": 1}}, bytes(4), "must have dtype, shape and data_offsets"),
        ({"a": 3}, b"", "must have dtype, shape and data_offsets"),
        ({"__metadata__": {"epoch": 3}}, b"", "does not map strings to strings"),
        ({"__metadata__": "x"}, b"", "does not map strings to strings"),
    ],
)
def test_invalid_headers_are_refused(tmp_path, header, data, fault):
    with pytest.raises(ValueError, match=f"w.safetensors is not a complete safetensors file: .*{fault}"):
        lucid.load(written(tmp_path / "w.safetensors", header, data))


def test_long_values_are_shortened_in_errors_and_found_quickly(tmp_path):
    path = tmp_path / "w.safetensors"
    many = ", ".join(f'"{i}": {{}}' for i in range(100_000))
    for header in ({"a": entry(0, 1, [1] * 100_000)}, {"a" * 100_000: 1}, f'{{{many}, "99999": {{}}}}'.encode()):
        with pytest.raises(ValueError, match="not a complete safetensors file") as caught:
            lucid.load(written(path, header, b"x"))
        assert len(str(caught.value)) < 1000


def test_the_length_of_the_header_is_checked(tmp_path):
    for size in (3, 2**40, 2**63, 2**64 - 1):
        with pytest.raises(ValueError, match="not a complete safetensors file: its header (would take|is not)"):
            lucid.load(written(tmp_path / "w.safetensors", b"{}", size=size))


def test_padding_and_empty_files_load(tmp_path):
    assert lucid.load(written(tmp_path / "w.safetensors", b"{}")) == {}
    assert lucid.load(written(tmp_path / "w.safetensors", b"{}   \n")) == {}
    header = b'{"__metadata__": null, "a": {"dtype": "U8", "shape": [], "data_offsets": [0, 1]}}  '
    assert lucid.load(written(tmp_path / "w.safetensors", header, b"\x07"))["a"].item() == 7


def test_every_dtype_loads(tmp_path):
    rows = {
        "F64": np.array([0.1, -2], np.float64), "F32": np.array([0.1, -2], np.float32),
        "F16": np.array([1, 2], np.float16),
        "I64": np.array([-(2**62)]), "I32": np.array([-7], np.int32), "I16": np.array([-7], np.int16),
        "I8": np.array([-7], np.int8), "U64": np.array([2**63], np.uint64), "U32": np.array([2**31], np.uint32),
        "U16": np.array([7], np.uint16), "U8": np.array([7], np.uint8), "C64": np.array([1 + 2j], np.complex64),
        "BOOL": np.array([True, False]),
    }  # fmt: skip
    for dtype, row in rows.items():
        path = written(tmp_path / "w.safetensors", {"a": entry(0, row.nbytes, row.shape, dtype)}, row.tobytes())
        assert lucid.load(path)["a"].tolist() == row.tolist(), dtype
    path = written(tmp_path / "w.safetensors", {"a": entry(0, 2, (1,), "BF16")}, b"\x80\x3f")
    assert lucid.load(path)["a"].tolist() == [1]


@pytest.mark.parametrize(
    ("dtype", "codes", "values"),
    [
        ("F8_E4M3", [0x00, 0x01, 0x08, 0x38, 0xB8, 0x7E, 0xFE], [0, 2**-9, 2**-6, 1, -1, 448, -448]),
        ("F8_E5M2", [0x00, 0x01, 0x04, 0x3C, 0xBC, 0x7B, 0x7C], [0, 2**-16, 2**-14, 1, -1, 57344, float("inf")]),
    ],
)
def test_float8_becomes_float16(tmp_path, dtype, codes, values):
    path = written(tmp_path / "w.safetensors", {"a": entry(0, 8, (2, 4), dtype)}, bytes([*codes, 0x7F]))
    found = lucid.load(path)["a"]
    assert found.dtype == lucid.float16 and found.flatten().tolist()[:7] == values
    assert np.isnan(found.flatten()[7].item())


def large_file(path):
    lucid.save({"w": lucid.ones(1 << 20), "last": lucid.ones(1)}, path)
    return path


@pytest.mark.parametrize("change", ["shrink", "rewrite"])
def test_a_file_that_changes_while_it_is_read_gives_no_values(tmp_path, change):
    path = large_file(tmp_path / "w.safetensors")
    opened = SafetensorsFile(path)
    if change == "shrink":
        os.truncate(path, 1 << 16)
    else:
        path.write_bytes(bytes(path.stat().st_size))
        os.utime(path, ns=(1, 1))
    with pytest.raises(OSError, match="w.safetensors changed while it was read"):
        opened.read_all()


@pytest.mark.parametrize("change", ["replace", "delete"])
def test_a_file_may_be_replaced_while_it_is_read(tmp_path, change):
    path = large_file(tmp_path / "w.safetensors")
    opened = SafetensorsFile(path)
    if change == "replace":
        lucid.save({"w": lucid.zeros(1)}, path)
    else:
        path.unlink()
    opened.read_all()
    assert opened.tensors["w"].sum().item() == 1 << 20


def test_a_file_that_is_replaced_while_it_is_opened_raises(tmp_path, monkeypatch):
    path = large_file(tmp_path / "w.safetensors")
    complete = safetensors_file.read_header

    def read_and_replace(*arguments):
        found = complete(*arguments)
        lucid.save({"w": lucid.zeros(1 << 20), "last": lucid.zeros(1)}, path)
        return found

    monkeypatch.setattr(safetensors_file, "read_header", read_and_replace)
    with pytest.raises(OSError, match="w.safetensors was replaced while it was opened"):
        lucid.load(path)


def test_a_file_with_tensors_that_numpy_reads_may_shrink_as_well(tmp_path, monkeypatch):
    path = written(tmp_path / "w.safetensors", {"a": entry(0, 80_000, (10_000,), "F64")}, bytes(80_000))
    complete = safetensors_file.read_header

    def read_and_cut(*arguments):
        found = complete(*arguments)
        os.truncate(path, 1000)
        return found

    monkeypatch.setattr(safetensors_file, "read_header", read_and_cut)
    with pytest.raises(OSError, match="w.safetensors changed while it was read"):
        lucid.load(path)


def test_loading_reads_the_values_at_once(tmp_path):
    path = large_file(tmp_path / "w.safetensors")
    found = lucid.load(path)
    os.truncate(path, 1 << 16)
    assert found["w"].sum().item() == 1 << 20

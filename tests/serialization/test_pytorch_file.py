"""Files written by PyTorch load exactly; malicious files are refused and run nothing."""

import json
import os
import struct
import zipfile

import numpy as np
import pytest

import lucid
from lucid.serialization import pytorch_file, read_pytorch
from tests.reference.pth_description import FOLDER, described
from tests.serialization.writing import archive, integer, pickled, storage, tensor, text

FILES = sorted(path.stem for path in FOLDER.glob("*.pth"))
FOUR = np.arange(4, dtype=np.float32).tobytes()


@pytest.fixture(scope="module")
def expected():
    return json.loads((FOLDER / "expected.json").read_text())


@pytest.mark.parametrize("name", FILES)
def test_files_written_by_pytorch_load_exactly(name, expected):
    assert described(lucid.load(FOLDER / f"{name}.pth")) == expected[name]


def test_every_recorded_file_exists(expected):
    assert sorted(expected) == FILES and len(FILES) >= 19


REFUSED = json.loads((FOLDER / "refused" / "culprits.json").read_text())


@pytest.mark.parametrize("name", REFUSED)
def test_unsupported_objects_are_refused_by_name(name):
    with pytest.raises(ValueError, match="load: ") as caught:
        lucid.load(FOLDER / "refused" / f"{name}.pth")
    assert REFUSED[name] in str(caught.value)


def test_memory_stays_shared_and_parameters_require_no_gradient():
    found = read_pytorch(FOLDER / "parameters.pth")
    assert found["w"] is found["again"] and not found["w"].requires_grad
    containers = read_pytorch(FOLDER / "containers.pth")
    assert containers["names"] is containers["again"]


def test_a_state_dict_loads_into_a_model():
    model = lucid.nn.Linear(3, 2)
    model.load_state_dict(read_pytorch(FOLDER / "training.pth")["model"])
    saved = json.loads((FOLDER / "expected.json").read_text())["training"]["dict"][0][1]["OrderedDict"]
    assert [[name, tensor.tolist()] for name, tensor in model.state_dict().items()] == [
        [name, one["tensor"]] for name, one in saved
    ]


@pytest.mark.parametrize("name", ["strided", "shared_legacy"])
def test_views_can_be_saved_again(tmp_path, name, expected):
    lucid.save(read_pytorch(FOLDER / f"{name}.pth"), tmp_path / "w.safetensors")
    again = lucid.load(tmp_path / "w.safetensors")
    assert {key: described(one) for key, one in again.items()} == dict(expected[name]["dict"])


def repacked(source, target, change=lambda name, data: data, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for member in old.infolist():
            new.writestr(member.filename, change(member.filename, old.read(member)))
    return target


def test_a_compressed_archive_loads(tmp_path, expected):
    path = repacked(FOLDER / "training.pth", tmp_path / "small.pth", compression=zipfile.ZIP_DEFLATED)
    assert described(read_pytorch(path)) == expected["training"]


def test_a_big_endian_file_loads(tmp_path, expected):
    def swap(name, data):
        if name.endswith("byteorder"):
            return b"big"
        return np.frombuffer(data, np.float32).byteswap().tobytes() if "/data/" in name else data

    path = repacked(FOLDER / "shared.pth", tmp_path / "big.pth", swap)
    assert described(read_pytorch(path)) == expected["shared"]


def refused(path):
    with pytest.raises(ValueError, match="load: ") as caught:
        lucid.load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("layout", ["zip", "legacy", "bare"])
@pytest.mark.parametrize("module", ["os", "posix", "subprocess", "builtins"])
def test_code_is_refused_by_name_and_not_run(tmp_path, layout, module):
    function = {"subprocess": "call", "builtins": "exec"}.get(module, "system")
    canary = tmp_path / "canary"
    command = f"open({str(canary)!r}, 'w')" if function == "exec" else f"touch {canary}"
    body = f"c{module}\n{function}\n".encode() + text(command) + b"\x85R"
    path = tmp_path / "evil.pth"
    if layout == "zip":
        archive(path, body)
    else:
        path.write_bytes(legacy_head() * (layout == "legacy") + pickled(body))
    assert f"'{module}.{function}'" in refused(path)
    assert not canary.exists()


def legacy_head(magic=0x1950A86A20F9469CFC6C, version=1001):
    return pickled(integer(magic)) + pickled(integer(version)) + pickled(b"}")


def legacy(body, keys, *storages):
    listed = b"](" + b"".join(map(text, keys)) + b"e"
    return legacy_head() + pickled(body) + pickled(listed) + b"".join(storages)


def legacy_tensor():
    return tensor().replace(b"tQ", b"NtQ")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "neither"),
        (b"garbage" * 100, "neither"),
        (b"PK\x03\x04" + b"\0" * 100, "damaged zip"),
        (b"PK\x05\x06" + b"\0" * 18, "neither"),
        (pickled(b"}"), "not written by torch.save"),
        (pickled(integer(0x1950A86A20F9469CFC6C)), "its pickle is truncated"),
        (legacy_head(version=7), "version 7"),
        (legacy(legacy_tensor(), ["0"], struct.pack("<q", 4), FOUR[:-1]), "truncated in storage '0'"),
        (legacy(legacy_tensor(), ["0"]), "4 values of torch.FloatStorage take 16"),
        (legacy(legacy_tensor(), ["0"], struct.pack("<q", -1), FOUR), "truncated in storage '0'"),
        (legacy(legacy_tensor(), ["0"], struct.pack("<q", 2), FOUR), "has 8 bytes"),
        (legacy(legacy_tensor(), ["1"], struct.pack("<q", 4), FOUR), "do not match those that its tensors refer to"),
        (legacy(text("module") + b"\x85Q", []), "something other than a storage"),
    ],
)
def test_malformed_files_are_refused(tmp_path, content, fault):
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=fault):
        read_pytorch(path)
    refused(path)


def test_the_legacy_format_by_hand(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(legacy(legacy_tensor(), ["0"], struct.pack("<q", 4), FOUR))
    assert read_pytorch(path).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["plain", "training_legacy"])
def test_truncated_files_are_refused(tmp_path, name):
    data = (FOLDER / f"{name}.pth").read_bytes()
    path = tmp_path / "cut.pth"
    for size in range(1, len(data), 7):
        path.write_bytes(data[:size])
        refused(path)


def test_a_flipped_bit_in_a_tensor_is_detected(tmp_path):
    path = archive(tmp_path / "x.pth", tensor(), {"0": FOUR})
    path.write_bytes(path.read_bytes().replace(FOUR, FOUR[:-1] + b"\x41"))
    assert "CRC" in refused(path)


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["../../evil"], "unsafe path: '../../evil'"),
        (["/etc/passwd"], "unsafe path: '/etc/passwd'"),
        (["a\\..\\b"], "unsafe path"),
        (["archive/data/0"], "two members named 'archive/data/0'"),
        (["other/data.pkl"], "but has 2"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_suspicious_members_are_refused(tmp_path, names, fault):
    path = archive(tmp_path / "x.pth", tensor(), {"0": FOUR})
    with zipfile.ZipFile(path, "a") as file:
        for name in names:
            file.writestr(name, b"N.")
    assert fault in refused(path)
    assert [one.name for one in tmp_path.iterdir()] == ["x.pth"]


def test_missing_members_are_named(tmp_path):
    assert "'archive/data/0'" in refused(archive(tmp_path / "x.pth", tensor()))
    with zipfile.ZipFile(tmp_path / "y.pth", "w") as file:
        file.writestr("hello.txt", "hello")
    assert "but has 0" in refused(tmp_path / "y.pth")
    repacked(FOLDER / "plain.pth", tmp_path / "z.pth", lambda name, data: b"middle" if "byteorder" in name else data)
    assert "byteorder must be little or big, got b'middle'" in refused(tmp_path / "z.pth")


def test_a_zip_bomb_is_refused_before_it_expands(tmp_path, monkeypatch):
    monkeypatch.setattr("lucid.serialization.pytorch_tensors._SPARE_BYTES", 4 << 20)
    zeros = bytes(5 << 20)
    path = archive(tmp_path / "x.pth", tensor((5 << 18,), count=5 << 18), {"0": zeros}, zipfile.ZIP_DEFLATED)
    assert "expands to far more than its size" in refused(path)
    assert path.stat().st_size < 1 << 16
    # One whose directory claims a small size.
    path = archive(tmp_path / "y.pth", tensor(), {"0": zeros[:1234567]}, zipfile.ZIP_DEFLATED)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 1234567), struct.pack("<I", 16)))
    assert "CRC" in refused(path)
    # Many members that are small individually but large in total.
    keys = [str(i) for i in range(8)]
    body = b"](" + b"".join(tensor((1,), key=key, count=1 << 18) for key in keys) + b"e"
    assert "far more than its size" in refused(
        archive(tmp_path / "z.pth", body, dict.fromkeys(keys, zeros[: 1 << 20]), 8)
    )


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(tmp_path, method):
    assert "uses a compression method" in refused(archive(tmp_path / "x.pth", tensor(), {"0": FOUR}, method))


def test_an_encrypted_archive_is_refused(tmp_path):
    path = archive(tmp_path / "x.pth", tensor(), {"0": FOUR})
    data = path.read_bytes()
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark) + flags
        data = data[:at] + b"\x01" + data[at + 1 :]
    path.write_bytes(data)
    assert "encrypted" in refused(path)


def test_a_missing_file_and_a_folder(tmp_path):
    for read in (lucid.load, read_pytorch):
        with pytest.raises(FileNotFoundError, match="there is no file"):
            read(tmp_path / "x.pth")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        read_pytorch(tmp_path)


def test_files_that_torch_load_does_not_take_are_named(tmp_path):
    for member, fault in (("archive/constants.pkl", "a TorchScript program"), ("w.npy", "a NumPy archive")):
        with zipfile.ZipFile(tmp_path / "x.pth", "w") as file:
            file.writestr(member, b"N.")
        assert fault in refused(tmp_path / "x.pth")


def test_a_bare_storage_is_refused(tmp_path):
    assert "a bare storage" in refused(archive(tmp_path / "x.pth", storage(), {"0": FOUR}))


def outcome(path):
    """Whether a damaged file could be read. Errors other than ValueError propagate."""
    try:
        described(lucid.load(path))
    except ValueError as error:
        return "refused" if str(error).startswith(f"load: {path}") else f"refused without its name: {error}"
    return "read"


def damaged(data, rng):
    data = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 6)):
        data[place] = rng.integers(0, 256)
    return bytes(data)


@pytest.mark.parametrize("name", ["shared", "dtypes_legacy", "training", "containers_protocol_4"])
def test_damaged_files_give_a_value_or_a_value_error(tmp_path, name):
    original = (FOLDER / f"{name}.pth").read_bytes()
    rng = np.random.default_rng(7)
    path = tmp_path / "x.pth"
    outcomes = set()
    for _ in range(250):
        path.write_bytes(damaged(original, rng))
        outcomes.add(outcome(path))
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("name", ["training", "containers", "shared", "dtypes"])
def test_damaged_pickles_give_a_value_or_a_value_error(tmp_path, name):
    """The archive is valid, so that the damaged pickle is always read."""
    rng = np.random.default_rng(8)
    path = tmp_path / "x.pth"
    outcomes = set()
    for _ in range(250):
        repacked(
            FOLDER / f"{name}.pth", path, lambda member, data: damaged(data, rng) if member.endswith(".pkl") else data
        )
        outcomes.add(outcome(path))
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("layout", ["zip", "legacy"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.9])
def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path, monkeypatch, layout, share):
    count = 100_000
    ones = np.ones(count, np.float32).tobytes()
    path = tmp_path / "x.pth"
    if layout == "zip":
        archive(path, tensor((count,), count=count), {"0": ones})
    else:
        body = tensor((count,), count=count).replace(b"tQ", b"NtQ")
        path.write_bytes(legacy(body, ["0"], struct.pack("<q", count), ones))
    complete = pytorch_file.ObjectBuilder.make

    def cut_and_make(*arguments):
        os.truncate(path, int(path.stat().st_size * share))
        return complete(*arguments)

    monkeypatch.setattr(pytorch_file.ObjectBuilder, "make", cut_and_make)
    assert "x.pth" in refused(path)

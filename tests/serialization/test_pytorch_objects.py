"""Containers: sharing is kept; cyclic and exponentially large ones are refused."""

import pytest

import lucid
from tests.serialization.writing import ORDERED_DICT, archive, integer, storage, text


def load(tmp_path, body):
    return lucid.load(archive(tmp_path / "x.pth", body))


@pytest.mark.parametrize(
    "body",
    [
        b"]q\x00h\x00a",
        b"}q\x00" + text("self") + b"h\x00s",
        ORDERED_DICT + b"q\x00" + text("self") + b"h\x00s",
        b"]q\x00h\x00\x85a",
        b"]q\x00ctorch\nSize\nh\x00\x85\x85Ra",
        b"]q\x00]h\x00aa",
    ],
)
def test_cyclic_containers_are_refused(tmp_path, body):
    with pytest.raises(ValueError, match="contains itself"):
        load(tmp_path, body)


def test_depth_is_bounded(tmp_path):
    assert load(tmp_path, b")" + b"\x85" * 99) is not None
    for deep in (b")" + b"\x85" * 100, b")" + b"\x85" * 100_000, b"]" + b"]" * 200 + b"a" * 200):
        with pytest.raises(ValueError, match="nested deeper than 100"):
            load(tmp_path, deep)


def test_exponentially_large_containers_are_refused(tmp_path):
    doubled = b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(60))
    with pytest.raises(ValueError, match="more than 10,000,000 values"):
        load(tmp_path, b")" + doubled)


@pytest.mark.parametrize(
    ("function", "values"),
    [
        (b"cbuiltins\nset\n", b"](" + b"K\x01" * 200 + b"e"),
        (b"ctorch\nSize\n", b"(" + b"K\x01" * 200 + b"t"),
        (b"ccollections\nCounter\n", b"}(" + b"".join(integer(i) + b"N" for i in range(200)) + b"u"),
    ],
)
def test_repeated_copies_are_refused(tmp_path, monkeypatch, function, values):
    monkeypatch.setattr("lucid.serialization.pytorch_objects._MAX_COPIED", 10_000)
    calls = (function + b"h\x00\x85R") * 60
    with pytest.raises(ValueError, match="of more than 10,000 values"):
        load(tmp_path, b"(" + values + b"q\x00" + calls + b"t")


def test_the_number_of_colliding_set_members_is_limited(tmp_path):
    members = b"](" + b"".join(integer(i) + b"\x85" for i in range(10_001)) + b"e"
    with pytest.raises(ValueError, match="more than 10,000 keys that are not strings"):
        load(tmp_path, b"cbuiltins\nset\n" + members + b"\x85R")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"ctorch\nSize\n", "holds 'torch.Size'"),
        (b"ctorch\nFloatStorage\n", "holds 'torch.FloatStorage'"),
        (storage(), "a bare storage"),
        (b"ctorch\nSize\nK\x01\x85R", "torch.Size with unexpected arguments"),
        (b"ctorch\nSize\n)R", "torch.Size with unexpected arguments"),
        (b"ctorch\nfloat32\n)R", "torch.float32 with unexpected arguments"),
        (b"ctorch\ndevice\n]\x85R", "torch.device with unexpected arguments"),
        (b"cbuiltins\ncomplex\n]\x85R", "builtins.complex with unexpected arguments"),
        (b"cbuiltins\ncomplex\n\x8a\xff" + b"\x7f" * 255 + b"\x85R", "builtins.complex with unexpected arguments"),
        (b"cbuiltins\nset\nK\x01\x85R", "builtins.set with unexpected arguments"),
        (b"cbuiltins\nset\n]]a\x85R", "a list as a key"),
        (b"ccollections\nCounter\n]\x85R", "collections.Counter with unexpected arguments"),
        (
            b"ctorch._utils\n_rebuild_parameter\nK\x01\x88" + ORDERED_DICT + b"\x87R",
            "_rebuild_parameter with unexpected",
        ),
    ],
)
def test_unsupported_values_are_named(tmp_path, body, fault):
    with pytest.raises(ValueError, match=fault):
        load(tmp_path, body)


def test_objects_beside_tensors_become_placeholders(tmp_path):
    namespace = b"cargparse\nNamespace\n)\x81}" + text("lr") + b"K\x01sb"
    found = load(tmp_path, b"(" + namespace + b"q\x00h\x00" + storage() + b"ctorch\nSize\nt")
    assert [repr(one) for one in found] == [
        "Placeholder('argparse.Namespace')", "Placeholder('argparse.Namespace')", "Placeholder('a bare storage')",
        "Placeholder('torch.Size')",
    ]  # fmt: skip
    assert found[0] is found[1]
    with pytest.raises(AttributeError):
        found[0].name = "other"


def test_unknown_containers_become_plain_ones(tmp_path):
    pair = text("a") + b"K\x01s"
    found = load(tmp_path, b"](cmmengine\nConfigDict\n)\x81" + pair + b"ca\nList\n)\x81K\x07ae")
    assert found == [{"a": 1}, [7]] and [type(one) for one in found] == [dict, list]


def test_unknown_keys_are_kept_apart(tmp_path):
    path = b"cpathlib\nPath\n" + text("a") + b"\x85R"
    found = load(tmp_path, b"}(" + path + b"K\x01" + path + b"K\x02u")
    assert [str(key) for key in found] == ["Placeholder('pathlib.Path')"] * 2 and list(found.values()) == [1, 2]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"c_codecs\nencode\n" + text("a\xff") + text("latin1") + b"\x86R", b"a\xff"),
        (b"c__builtin__\nset\n]K\x01a\x85R", {1}),
    ],
)
def test_calls_that_give_plain_data(tmp_path, body, value):
    assert load(tmp_path, body) == value

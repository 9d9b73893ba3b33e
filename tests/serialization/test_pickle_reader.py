"""Pickles are read as data: plain data is supported, other objects are only named, and nothing runs."""

import io
from collections import OrderedDict

import numpy as np
import pytest

from lucid.serialization import pickle_reader
from lucid.serialization.pickle_reader import Call, Global, Persistent, Unknown, read_pickle
from tests.serialization.writing import ORDERED_DICT, integer, pickled, text


def read(body, names=()):
    return read_pickle(io.BytesIO(body), names)[0]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"N", None),
        (b"\x88", True),
        (b"K\x05", 5),
        (b"M\x00\x01", 256),
        (b"J\xff\xff\xff\xff", -1),
        (integer(-(2**70)), -(2**70)),
        (b"\x8a\x00", 0),
        (b"\x8b\x01\x00\x00\x00\x07", 7),
        (b"G\x3f\xf8\x00\x00\x00\x00\x00\x00", 1.5),
        (text("ü"), "ü"),
        (b"\x8c\x01a", "a"),
        (b"\x8d\x01\x00\x00\x00\x00\x00\x00\x00a", "a"),
        (b")", ()),
        (b"K\x01K\x02K\x03\x87", (1, 2, 3)),
        (b"(K\x01K\x02K\x03K\x04t", (1, 2, 3, 4)),
        (b"](K\x01K\x02e", [1, 2]),
        (b"]K\x01a", [1]),
        (b"}(" + text("a") + b"K\x01" + text("b") + b"K\x02u", {"a": 1, "b": 2}),
        (b"}K\x01K\x02\x86K\x03s", {(1, 2): 3}),
        (b"}" + integer(2**64 - 1) + b"K\x03s", {2**64 - 1: 3}),
        (ORDERED_DICT + text("a") + b"K\x01s", OrderedDict(a=1)),
        (ORDERED_DICT + b"}" + text("_metadata") + b"}sb", OrderedDict()),
        (b"\x8f(K\x01K\x01\x90", {1}),
        (b"]q\x00h\x00K\x01a\x86", ([1], [1])),
        (b"]\x94h\x00\x86", ([], [])),
        (b"C\x01a", b"a"),
        (b"B\x01\x00\x00\x00\xff", b"\xff"),
        (b"\x8e\x01\x00\x00\x00\x00\x00\x00\x00a", b"a"),
        (b"\x96\x01\x00\x00\x00\x00\x00\x00\x00a", b"a"),
        (b"K\x01K\x020", 1),
        (b"K\x01(K\x021", 1),
        (b"K\x01(0", 1),
        (ORDERED_DICT + b"}" + text("__class__") + b"K\x01sb", OrderedDict()),
    ],
)
def test_plain_data(body, value):
    found = read(pickled(body))
    assert found == value and type(found) is type(value)


def test_shared_values_stay_shared():
    first, second = read(pickled(b"]r\x00\x00\x01\x00j\x00\x00\x01\x00\x86"))
    assert first is second


def test_globals_calls_and_references_are_only_described():
    body = b"ctorch\nSize\nK\x03\x85\x85R" + text("torch") + text("float32") + b"\x93" + text("key") + b"Q\x87"
    value, references = read_pickle(io.BytesIO(pickled(body)), {"torch.Size", "torch.float32"})
    call, name, reference = value
    assert isinstance(call, Call) and (call.name, call.arguments) == ("torch.Size", ((3,),))
    assert isinstance(name, Global) and name.name == "torch.float32"
    assert isinstance(reference, Persistent) and reference.identifier == "key" and references == [reference]


def test_the_stream_ends_after_the_pickle():
    stream = io.BytesIO(pickled(b"K\x01") + pickled(b"K\x02") + b"rest")
    assert [read_pickle(stream, ())[0], read_pickle(stream, ())[0], stream.read()] == [1, 2, b"rest"]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"cos\nsystem\n" + text("true") + b"\x85R", "os.system"),
        (text("nt") + text("system") + b"\x93" + text("true") + b"\x85R", "nt.system"),
        (b"cbuiltins\neval\n" + text("1") + b"\x85R", "builtins.eval"),
        (b"c__builtin__\ngetattr\n" + text("a") + text("b") + b"\x86R", "__builtin__.getattr"),
        (text("collections") + text("OrderedDict.fromkeys") + b"\x93", "collections.OrderedDict.fromkeys"),
        (b"ctorch\nload\n" + text("http://example") + b"\x85R", "torch.load"),
        (b"ctorch.storage\n_load_from_bytes\n", "torch.storage._load_from_bytes"),
        (b"cargparse\nNamespace\n)\x81}" + text("lr") + b"K\x01sb", "argparse.Namespace"),
        (b"cpathlib\nPath\n)}\x92", "pathlib.Path"),
        (b"cnumpy.core.multiarray\nscalar\n", "numpy.core.multiarray.scalar"),
        (b"ctorch\nSize\n)\x81", "torch.Size"),
        (b"coperator\nattrgetter\n" + text("f") + b"\x85RK\x01\x85R", "operator.attrgetter"),
        (b"(K\x01\x91", "builtins.frozenset"),
        (text("a\x1b[2J") + text("b\n") + b"\x93", "a\\x1b[2J.b\\n"),
        (text("a" * 1000) + text("b") + b"\x93", "a" * 256 + ".b"),
        (b"(" + text("module") + b"ca\nNet\n" + text("net.py") + text("class Net") + b"tQ)\x81", "a.Net"),
    ],
)
def test_other_objects_are_only_named(body, name):
    found = read(pickled(body), {"torch.Size"})
    assert type(found) is Unknown and (found.name, found.items) == (name, None)


def test_items_of_other_containers_are_kept():
    def items(body):
        found = read(pickled(body))
        assert type(found) is Unknown
        return found.items

    pair = text("a") + b"K\x01"
    assert items(b"ccollections\ndefaultdict\ncbuiltins\nlist\n\x85R") == {}
    assert items(b"ccollections\ndefaultdict\ncbuiltins\nlist\n\x85R(" + pair + b"u") == {"a": 1}
    assert items(b"cmmengine\nConfigDict\n)\x81" + pair + b"s") == {"a": 1}
    assert items(b"ccollections\ndeque\n)K\x05\x86R(K\x01K\x02e") == [1, 2]
    assert items(b"ca\nList\n)\x81K\x01a" + pair + b"s") == [1]  # of an object that is both, the first kind
    assert items(b"ca\nSet\n)\x81(K\x01\x90") is None


def test_objects_as_keys_are_only_named():
    for key in (b"cpathlib\nPath\n)R", b"ctorch\nfloat32\n", b")" + b"\x85" * 100, b"(" + b"N" * 33 + b"t", b"C\x01a"):
        [found] = read(pickled(b"}" + key + b"K\x01s"), {"torch.float32"})
        assert type(found) is Unknown
    [found] = read(pickled(b"}" + text("x" * 5000) + b"Ns"))
    assert found.name == "builtins.str"


@pytest.mark.parametrize(
    ("body", "culprit"),
    [
        (b"(S'id'\nios\nsystem\n", "'S' of protocol 0"),
        (b"(" + text("id") + b"ios\nsystem\n", "INST"),
        (b"(" + text("id") + b"o", "OBJ"),
        (b"\x82\x01", "EXT1"),
        (b"\x84\x01\x00\x00\x00", "EXT4"),
        (ORDERED_DICT + b")\x81", "an instance of something other than a class"),
        (b"Pid\n", "'P' of protocol 0"),
        (b"\x97", "unknown instruction"),
        (b"0", "a mark that is not set"),
        (b"1", "a mark that is not set"),
    ],
)
def test_unsupported_instructions_are_refused_by_name(body, culprit):
    with pytest.raises(ValueError, match="its pickle") as caught:
        read(pickled(body), {"torch.Size"})
    assert culprit in str(caught.value)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "its pickle is truncated"),
        (b"\x80", "its pickle is truncated"),
        (b"\x80\x02K", "its pickle is truncated"),
        (b"\x80\x02X\x05\x00\x00\x00abc", "its pickle is truncated"),
        (b"\x80\x02", "its pickle is truncated"),
        (b"\x80\x01N.", "protocol 1; 2 to 5"),
        (b"\x80\x06N.", "protocol 6; 2 to 5"),
        (pickled(b""), "empty stack"),
        (pickled(b"K\x01K\x02"), "values left over"),
        (pickled(b"(K\x01"), "values left over"),
        (pickled(b"t"), "a mark that is not set"),
        (pickled(b"h\x07"), "uses memo 7"),
        (pickled(b"j\xff\xff\xff\xff"), "uses memo 4294967295"),
        (pickled(b"q\x00"), "empty stack"),
        (pickled(b"\x86"), "empty stack"),
        (pickled(b"K\x01K\x02a"), "an object that is not of type list"),
        (pickled(b"]K\x01K\x02s"), "an object that is not of type dict"),
        (pickled(b"}(K\x01u"), "key without a value"),
        (pickled(b"}]K\x01s"), "a list as a key"),
        (pickled(b"K\x01)R"), "something other than a function"),
        (pickled(b"ccollections\nOrderedDict\nK\x01R"), "something other than a function"),
        (pickled(b"ccollections\nOrderedDict\n]\x85R"), "Python 2"),
        (pickled(b"}}b"), "attributes of something other than an object"),
        (pickled(b"K\x01K\x02\x93"), "whose name is not a string"),
        (pickled(b"c" + b"a" * 1000 + b"\nb\n"), "unterminated name"),
        (pickled(b"\x8b\xff\xff\xff\x7f"), "integer of 2147483647 bytes"),
        (pickled(b"\x8b\x00\x00\x00\xff"), "integer of 4278190080 bytes"),
        (pickled(b"X\xff\xff\xff\xff"), "larger than 64 MiB"),
        (pickled(b"\x8d" + b"\xff" * 8), "larger than 64 MiB"),
        (pickled(b"\x8c\x01\xff"), "a string that is not UTF-8"),
    ],
)
def test_malformed_pickles_are_refused(body, fault):
    with pytest.raises(ValueError, match=fault):
        read(body)


def test_deep_nesting_needs_no_recursion():
    depth = 200_000
    with pytest.raises(ValueError, match="empty stack"):
        read(pickled(b"(" * depth))
    assert len(read(pickled(b")" + b"\x85" * depth))) == 1
    # Hashing deeply nested tuples would overflow the C stack.
    [key] = read(pickled(b"})" + b"\x85" * depth + b"Ns"))
    assert type(key) is Unknown


def test_the_number_of_colliding_keys_is_limited():
    """Thirty thousand integers with the hash 0 would take a minute; string hashes are randomized."""
    alike = [integer((2**61 - 1) * i) + b"N" for i in range(1, 10_002)]
    assert len(read(pickled(b"}(" + b"".join(alike[:1000]) + b"u"))) == 1000
    with pytest.raises(ValueError, match="more than 10,000 keys that are not strings"):
        read(pickled(b"}(" + b"".join(alike) + b"u"))
    with pytest.raises(ValueError, match="more than 10,000 keys that are not strings"):
        read(pickled(b"\x8f(" + b"K\x01\x85" * 10_001 + b"\x90"))
    assert len(read(pickled(b"}(" + b"".join(integer(i) + b"N" for i in range(10_001)) + b"u"))) == 10_001
    assert len(read(pickled(b"}(" + b"".join(text(str(i)) + b"N" for i in range(10_001)) + b"u"))) == 10_001


def test_the_number_of_instructions_is_bounded(monkeypatch):
    monkeypatch.setattr(pickle_reader, "_MAX_INSTRUCTIONS", 1000)
    assert read(pickled(b"N" + b"\x94" * 997)) is None
    with pytest.raises(ValueError, match="more than 1,000 instructions"):
        read(pickled(b"N" + b"\x94" * 998))


def test_any_bytes_give_a_value_or_a_value_error():
    rng = np.random.default_rng(0)
    codes = np.frombuffer(
        b"\x80\x02NKMJXGC()]}aesuqhcRQbt01.\x81\x85\x86\x87\x88\x8a\x8b\x8c\x8f\x90\x91\x92\x93\x94\x95", np.uint8
    )
    read_well = 0
    for _ in range(5000):
        body = bytes(rng.choice(codes, rng.integers(1, 40)))
        try:
            read(pickled(body))
            read_well += 1
        except ValueError:
            pass
    assert 0 < read_well < 5000

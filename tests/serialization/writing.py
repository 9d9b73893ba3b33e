"""Builds pickles and archives by hand, as an attacker would: Python's own writer only creates valid ones."""

import struct
import zipfile

ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def text(word):
    data = word.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value):
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def integers(values):
    return b"(" + b"".join(map(integer, values)) + b"t"


def storage(key="0", count=4, kind=b"ctorch\nFloatStorage\n"):
    return b"(" + text("storage") + kind + text(key) + text("cpu") + integer(count) + b"tQ"


def tensor(size=(4,), stride=(1,), offset=0, **of_storage):
    """A tensor as PyTorch pickles it."""
    arguments = storage(**of_storage) + integer(offset) + integers(size) + integers(stride) + b"\x89" + ORDERED_DICT
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def typed_tensor(**options):
    """A tensor of a subclass, or with attributes, as PyTorch pickles it."""
    function, arguments = tensor(**options)[:-1].split(b"(", 1)
    return b"ctorch._tensor\n_rebuild_from_type_v2\n(" + function + b"ca\nSpecial\n(" + arguments + b"}tR"


def pickled(body):
    return b"\x80\x02" + body + b"."


def archive(path, body, storages=None, compression=zipfile.ZIP_STORED):
    """A file in PyTorch's format at ``path``: the instructions ``body`` as its pickle, and ``storages`` by key."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", pickled(body))
        for key, data in (storages or {}).items():
            file.writestr(f"archive/data/{key}", data)
    return path

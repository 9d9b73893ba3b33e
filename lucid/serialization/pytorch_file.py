"""Reads files written by ``torch.save``, without PyTorch and without executing anything in them.

There are two formats. Since PyTorch 1.6 the file is a zip archive with ``NAME/data.pkl``, a pickle in which tensors
refer to storages, and ``NAME/data/KEY``, the bytes of each storage. The legacy format is a sequence of pickles (magic
number, format version, system information, the object, the keys of the storages) followed by the storages, each after
its length.
"""

from __future__ import annotations

import errno
import io
import os
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from lucid.serialization.file_kind import HEAD_SIZE, describe_start
from lucid.serialization.pickle_reader import Call, Unknown, read_pickle
from lucid.serialization.placeholder import Placeholder
from lucid.serialization.pytorch_objects import NAMES, ObjectBuilder
from lucid.serialization.pytorch_tensors import ByteBudget, Storages, item_size, parse_storage

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, EOFError, OverflowError)
_ENCRYPTED = 0x1  # of a member's flags


def read_pytorch(path: str | os.PathLike[str]) -> Any:
    """Read a ``.pth``, ``.pt`` or ``.bin`` file of PyTorch: tensors in plain containers.

    Supported containers are dict, OrderedDict, Counter, list, tuple and set, and values str, bytes, numbers, bool and
    None. Other mappings become dicts and other sequences lists. Dtypes become Lucid's, devices strings, sizes tuples,
    and parameters tensors that do not require gradients. Tensors keep their dtype (float64 works on the CPU only,
    float8 becomes float16) and share memory as in the file.

    Everything else (an argparse.Namespace, a NumPy array, a sparse or quantized tensor) becomes a ``Placeholder``
    with its name. Nothing in the file is imported, called or executed.

    Raises:
        FileNotFoundError: the file does not exist.
        IsADirectoryError: ``path`` is a folder.
        ValueError: the file holds a single unsupported object, which is named, such as a module; or it is damaged or
            malicious: truncated, cyclic, or implausibly large.
    """
    source = Path(path)
    if source.is_dir():
        raise IsADirectoryError(f"load: {source} is a folder; pass a file in it")
    if not source.is_file():
        raise FileNotFoundError(f"load: there is no file {source}")
    with source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            return _read_zip(file, size) if file.read(4) == b"PK\x03\x04" else _read_legacy(file, size)
        except _DAMAGED as error:
            raise ValueError(f"load: {source} is a damaged zip archive: {error}") from None
        except OSError as error:
            if error.errno != errno.EINVAL:  # the archive refers to a negative offset
                raise
            raise ValueError(f"load: {source} is a damaged zip archive, or its beginning is missing") from None
        except ValueError as error:
            raise ValueError(f"load: {source} cannot be read as a PyTorch file: {error}") from None


def _read_zip(file: BinaryIO, file_size: int) -> Any:
    with zipfile.ZipFile(file) as archive:
        members = _members(archive)
        folders = [name.removesuffix("/data.pkl") for name in members if PurePosixPath(name).match("*/data.pkl")]
        folders = [name for name in folders if "/" not in name]
        if any(PurePosixPath(name).match("*/constants.pkl") for name in members):
            raise ValueError(
                "it is a TorchScript program; in PyTorch, save torch.jit.load(path).state_dict() with torch.save"
            )
        if not folders and any(name.endswith(".npy") for name in members):
            raise ValueError("it is a NumPy archive (.npz); read it with numpy.load and pass the arrays as a mapping")
        if len(folders) != 1:
            raise ValueError(
                f"the zip archive must have one member NAME/data.pkl, as written by torch.save, but has {len(folders)}"
            )
        [folder] = folders
        budget = ByteBudget(file_size)

        def read(name: str) -> bytes:
            full = f"{folder}/{name}"
            if full not in members:
                raise ValueError(f"the zip archive has no member {full!r}")
            return _content(archive, members[full], budget)

        order = read("byteorder") if f"{folder}/byteorder" in members else b"little"
        if order not in (b"little", b"big"):
            raise ValueError(f"its byteorder must be little or big, got {order[:20]!r}")
        root, _ = read_pickle(io.BytesIO(read("data.pkl")), NAMES)
        storages = Storages(lambda key: read(f"data/{key}"), file_size, swapped=order == b"big")
        return _built(root, storages)


def _built(root: Any, storages: Storages) -> Any:
    """The object that the pickle describes.

    Raises:
        ValueError: all of it is one object that Lucid does not build, or as for ``ObjectBuilder.make``.
    """
    found = ObjectBuilder(storages).make(root)
    if isinstance(found, Placeholder):
        raise ValueError(_refusal(found.name))
    return found


def _refusal(name: str) -> str:
    return (
        f"it holds {name!r} instead of tensors in plain containers; in PyTorch, save the state dict: "
        "torch.save(model.state_dict(), ...)"
    )


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members by name. Archives with suspicious names are rejected: PyTorch did not write them."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.orig_filename
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
            raise ValueError(f"the zip archive has a member with an unsafe path: {name!r}")
        if name in members:
            raise ValueError(f"the zip archive has two members named {name!r}")
        members[name] = member
    return members


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: ByteBudget) -> bytes:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"the member {member.filename!r} uses a compression method that PyTorch does not")
    if member.flag_bits & _ENCRYPTED:
        raise ValueError(f"the member {member.filename!r} is encrypted")
    budget.spend(member.file_size, f"member {member.filename!r}")
    with archive.open(member) as content:
        # With an explicit size: read() alone would decompress everything, whatever size the archive claims.
        data = content.read(member.file_size)
    if len(data) != member.file_size:
        raise ValueError(f"the member {member.filename!r} ends after {len(data)} of {member.file_size} bytes")
    return data


def _read_legacy(file: BinaryIO, file_size: int) -> Any:
    file.seek(0)
    first = file.read(HEAD_SIZE)
    if not first.startswith(b"\x80"):
        raise ValueError(f"it is neither a zip archive nor a pickle; it {describe_start(first)}")
    file.seek(0)
    magic, _ = read_pickle(file, NAMES)
    if magic != _LEGACY_MAGIC:
        what = repr(magic.name) if isinstance(magic, Unknown | Call) else type(magic).__name__
        raise ValueError(f"it is a pickle of {what}, not written by torch.save")
    version, system = read_pickle(file, ())[0], read_pickle(file, ())[0]
    if version != _LEGACY_VERSION or not isinstance(system, dict):
        found = version if isinstance(version, int) else type(version).__name__
        raise ValueError(f"its format has version {found}, but only {_LEGACY_VERSION} is supported")
    root, references = read_pickle(file, NAMES)
    if isinstance(root, Unknown) and root.items is None:
        raise ValueError(_refusal(root.name))
    keys, _ = read_pickle(file, ())
    try:
        item_sizes = {key: item_size(kind) for key, kind, _ in map(parse_storage, references)}
    except TypeError:
        raise ValueError("its pickle refers to something other than a storage") from None
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(item_sizes):
        raise ValueError("the storages in the file do not match those that its tensors refer to")
    places = {}
    for key in keys:
        size = int.from_bytes(file.read(8), "little") * item_sizes[key]
        places[key] = file.tell(), size
        if size > file_size - file.tell():
            raise ValueError(f"it is truncated in storage {key!r}")
        file.seek(size, os.SEEK_CUR)

    def read(key: str) -> bytes:
        file.seek(places[key][0])
        return file.read(places[key][1])

    return _built(root, Storages(read, file_size, swapped=system.get("little_endian") is False))

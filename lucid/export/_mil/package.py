"""The files of a package, and the constants in them.

A package is a folder: ``Manifest.json`` names the folder of the model, which holds ``model.mlmodel``, a protobuf
message, and ``weights/weight.bin``. Each array in that file has a record of 64 bytes in front of it: a magic number,
its type, its size in bytes, and its position. Integers of less than 8 bits are packed, the first in the lowest bits.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from lucid.export import _coremltools

_MAGIC = 0xDEADBEEF
_NUMPY = {
    "FLOAT16": np.float16, "FLOAT32": np.float32, "FLOAT64": np.float64, "BOOL": np.bool_, "INT8": np.int8,
    "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "UINT8": np.uint8, "UINT16": np.uint16,
    "UINT32": np.uint32, "UINT64": np.uint64,
}  # fmt: skip
_BITS = {"UINT1": 1, "UINT2": 2, "UINT3": 3, "UINT4": 4, "UINT6": 6, "INT4": 4}


class PackageError(ValueError):
    """A package is damaged, or holds something that is not supported here."""


class Package:
    """The parsed model of a package, with access to its weights."""

    def __init__(self, path: str | Path) -> None:
        ct = _coremltools.load("MLProgram")
        root = Path(path)
        try:
            manifest = json.loads((root / "Manifest.json").read_bytes())
            entry = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
            file = root / "Data" / str(entry["path"])
            self.spec = ct.proto.Model_pb2.Model.FromString(file.read_bytes())
        except OSError as error:
            raise PackageError(f"{path} is not a Core ML package: {error}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise PackageError(f"{path} is not a Core ML package: {error!r}") from None
        if self.spec.WhichOneof("Type") != "mlProgram":
            raise PackageError(f"{path} holds a {self.spec.WhichOneof('Type')}, only ML Programs can be run")
        self.folder = file.parent
        self.type_name = ct.proto.MIL_pb2.DataType.Name
        self._files: dict[str, np.ndarray] = {}

    def type_of(self, value_type: Any) -> tuple[str, tuple[int, ...]]:
        """The element type and the shape that a tensor type names."""
        tensor = value_type.tensorType
        return self.type_name(tensor.dataType), tuple(one.constant.size for one in tensor.dimensions)

    def constant(self, value: Any) -> Any:
        """A ``Value`` message as an array, a Python value if it is a scalar, or a list."""
        kind = value.WhichOneof("value")
        if kind == "blobFileValue":
            name, shape = self.type_of(value.type)
            return self._from_file(value.blobFileValue, name, shape)
        immediate = value.immediateValue
        if immediate.WhichOneof("value") == "list":
            return [self.constant(one) for one in immediate.list.values]
        name, shape = self.type_of(value.type)
        field = immediate.tensor.WhichOneof("value")
        values = getattr(immediate.tensor, field).values
        if field == "strings":
            return str(values[0]) if not shape else [str(one) for one in values]
        if field == "bytes":
            found = _unpacked(np.frombuffer(values, np.uint8), name, shape)
        else:
            found = np.array(list(values), _NUMPY[name]).reshape(shape)
        return found if shape else found[()].item() if name != "FLOAT16" else np.float16(found)

    def _from_file(self, blob: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
        inside = blob.fileName.removeprefix("@model_path/")
        file = self.folder / inside
        if self.folder.resolve() not in file.resolve().parents:
            raise PackageError(f"weights must lie inside the package, not in {blob.fileName}")
        if inside not in self._files:
            self._files[inside] = np.memmap(file, np.uint8, "r")
        content = self._files[inside]
        record = bytes(content[blob.offset : blob.offset + 64])
        if len(record) < 64:
            raise PackageError(f"{file}: no array at {blob.offset}, the file has {content.size} bytes")
        magic, _, size, start = struct.unpack_from("<IIQQ", record)
        if magic != _MAGIC or start + size > content.size:
            raise PackageError(f"{file}: no array at {blob.offset}")
        return _unpacked(np.asarray(content[start : start + size]), name, shape)


def _unpacked(content: np.ndarray, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Bytes as an array."""
    count = int(np.prod(shape, dtype=np.int64))
    if name in _BITS:
        found = unpack_bits(content, _BITS[name], count)
        return (found.astype(np.int8) ^ 8) - 8 if name == "INT4" else found.reshape(shape)
    if name not in _NUMPY:
        raise PackageError(f"arrays of {name} are not supported")
    dtype = np.dtype(_NUMPY[name]).newbyteorder("<")
    if content.size < count * dtype.itemsize:
        raise PackageError(f"an array of shape {shape} needs {count * dtype.itemsize} bytes, found {content.size}")
    return content[: count * dtype.itemsize].view(dtype).reshape(shape)


def unpack_bits(content: np.ndarray, bits: int, count: int) -> np.ndarray:
    """``count`` integers of ``bits`` bits, the first in the lowest bits of the first byte."""
    single = np.unpackbits(np.ascontiguousarray(content), bitorder="little")[: count * bits]
    if single.size < count * bits:
        raise PackageError(f"{count} integers of {bits} bits need more than {content.size} bytes")
    weights = (1 << np.arange(bits)).astype(np.uint8)
    return (single.reshape(count, bits) * weights).sum(1, dtype=np.uint8)

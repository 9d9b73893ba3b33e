"""Named tensors and strings in a safetensors file."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import mlx.core as mx
import numpy as np

from lucid import _deferred, _threads, tape
from lucid._files import atomic_path
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.serialization.float8 import decode_float8
from lucid.serialization.safetensors_header import FLOAT8, Entry, read_header

_UNKNOWN_TO_MLX = {"F64", "F8_E5M2"}  # dtypes that mx.load refuses
_NUMPY_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "F8_E4M3": "u1", "F8_E5M2": "u1", "C64": "<c8",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1",
    "BOOL": "?",
}  # fmt: skip


def save_safetensors(
    obj: Mapping[str, Any], f: str | os.PathLike[str] | BinaryIO, metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors and the strings ``metadata``, to a path (atomically) or a binary file object.

    Raises:
        TypeError: a name or an entry of ``metadata`` is not a string, or a value is float64 or not a tensor.
        OSError: writing failed, e.g. because the disk is full or the folder does not exist.
    """
    arrays = {}
    for name, value in obj.items():
        if not isinstance(name, str):
            raise TypeError(f"save: names must be strings, got {name!r}")
        arrays[name] = as_array(value)
        if arrays[name].dtype == mx.float64:
            raise TypeError(f"save: {name!r} is float64, which MLX cannot save; convert it, e.g. with .float()")
    metadata = dict(metadata or {})
    for key, text in metadata.items():
        if not (isinstance(key, str) and isinstance(text, str)):
            raise TypeError(
                f"save: metadata must map strings to strings, got {key!r}: {text!r}; convert values with json.dumps"
            )
    if not isinstance(f, str | os.PathLike):
        with _threads.lock:
            mx.save_safetensors(f, arrays, metadata)
        return
    target = Path(f)
    try:
        with atomic_path(target) as temporary, temporary.open("wb") as file, _threads.lock:
            mx.save_safetensors(file, arrays, metadata)
    except OSError as error:
        raise OSError(error.errno, f"save: {target} could not be written ({error.strerror})") from error


def load_with_metadata(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The named tensors of a safetensors file, and its metadata. Values of float8 dtypes become float16.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not in the safetensors format, truncated, or has tensors of a dtype that MLX lacks.
        OSError: reading failed, or the file changed meanwhile.
    """
    source = SafetensorsFile(path)
    source.read_all()
    return source.tensors, source.metadata


class SafetensorsFile:
    """A safetensors file whose tensors are read when they are evaluated.

    MLX does not notice when a file shrinks before it is read, and returns zeros. Whoever evaluates the tensors calls
    ``verify`` afterwards.

    Attributes:
        tensors: Named tensors, not yet read.
        metadata: The strings stored with them.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        _threads.prepare()
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"load: there is no file {self.path}")
        self._descriptor = os.open(self.path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        self._state = self._current_state()
        with open(self._descriptor, "rb", closefd=False) as file:
            try:
                entries, self.metadata = read_header(file, self._state[0])
            except ValueError as error:
                raise ValueError(f"load: {self.path} is not a complete safetensors file: {error}") from None
            arrays = self._arrays(file, entries)
        # MLX opened the path again, where another file may be by now.
        if not os.path.samestat(os.fstat(self._descriptor), self.path.stat()):
            raise OSError(f"load: {self.path} was replaced while it was opened")
        self.verify()
        self.tensors = {name: tape.wrap(arrays[name]) for name in entries}

    def _arrays(self, file: BinaryIO, entries: dict[str, Entry]) -> dict[str, mx.array]:
        kinds = {entry.dtype for entry in entries.values()}
        if kinds.isdisjoint(_UNKNOWN_TO_MLX):
            try:
                found: Any = mx.load(str(self.path), format="safetensors") if entries else {}
            except (RuntimeError, ValueError) as error:
                self.verify()
                raise ValueError(f"load: {self.path} is not a complete safetensors file ({error})") from None
        else:
            found = {name: self._read_array(file, entry) for name, entry in entries.items()}
        float8 = {name: FLOAT8[entry.dtype] for name, entry in entries.items() if entry.dtype in FLOAT8}
        return found | {name: decode_float8(found[name], kind) for name, kind in float8.items()}

    def verify(self) -> None:
        """Raise OSError if the file changed since it was opened. It may have been replaced by another at its path."""
        if self._current_state() != self._state:
            raise OSError(f"load: {self.path} changed while it was read")

    def _current_state(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns

    def read_all(self) -> None:
        """Read the tensors. Raises OSError if that fails or the file changed."""
        try:
            _deferred.wait([tensor._array for tensor in self.tensors.values()])
        except RuntimeError as error:
            self.verify()
            raise OSError(f"load: {self.path} could not be read: {error}") from error
        self.verify()

    def _read_array(self, file: BinaryIO, entry: Entry) -> mx.array:
        """An array of any dtype, read with NumPy."""
        file.seek(entry.start)
        data = file.read(entry.end - entry.start)
        if len(data) != entry.end - entry.start:
            raise OSError(f"load: {self.path} changed while it was read")
        values = np.frombuffer(data, _NUMPY_DTYPES[entry.dtype]).reshape(entry.shape)
        if entry.dtype == "BF16":
            return mx.array(values).view(mx.bfloat16)
        return mx.array(values, mx.float64 if entry.dtype == "F64" else None)

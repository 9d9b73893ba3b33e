"""Writes files that ``torch.load`` reads, with ``weights_only=True`` too, without PyTorch and without pickling.

The file is a zip archive as ``lucid/serialization/pytorch_file.py`` describes it. Its pickle is put together here from
the few instructions that tensors and plain containers need; no object decides what is written for it, so nothing but
the names in ``_GLOBALS`` ever stands in such a file.
"""

from __future__ import annotations

import argparse
import os
import struct
import zipfile
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import mlx.core as mx
import numpy as np

from lucid import _deferred, _layout, _threads
from lucid._checks import dtype_name
from lucid._device import device
from lucid._files import atomic_path
from lucid._tensor import Tensor
from lucid.serialization.pytorch_tensors import STORAGES

_MAX_DEPTH = 100  # containers in containers; the reader has the same limit
_HEADER_BYTES = 30  # of a member, before its name
_ALIGNMENT = 64  # of the values in the file, as PyTorch writes them, for memory-mapped reading
_STORAGE_NAMES = {dtype: name for name, dtype in STORAGES.items() if not name.endswith("UntypedStorage")}
_UNTYPED = "torch.storage.UntypedStorage"
_PARAMETER = "Parameter"  # lucid.nn.Parameter, which stands above this module


class _Storage(NamedTuple):
    key: str
    values: mx.array  # flat


def save_pytorch(obj: Any, f: str | os.PathLike[str] | BinaryIO) -> None:
    """Write ``obj`` in PyTorch's format: ``torch.load(f, weights_only=True)`` and ``lucid.load(f)`` read it.

    ``obj`` is made of tensors, dict, OrderedDict, Counter, list, tuple, set, str, bytes, numbers, None, dtypes and
    devices, nested as you like; a ``defaultdict`` is written as a dict, and NumPy's numbers as Python's. Tensors that
    share their values, as tied weights and views do, share them in the file too. An ``argparse.Namespace`` is written
    as PyTorch does, which reads it with ``weights_only=False`` only.

    Args:
        obj: What to write.
        f: A path, to which the file is written atomically, or a binary file object.

    Raises:
        TypeError: ``obj`` holds anything else; the message says what and where. Nothing is written.
        ValueError: a container contains itself, or is nested deeper than 100.
        OSError: writing failed, e.g. because the disk is full or the folder does not exist.
    """
    pickler = _Pickler(obj)
    if isinstance(f, str | os.PathLike):
        try:
            with atomic_path(f) as temporary, temporary.open("wb") as file:
                _write(pickler, file, Path(f).stem)
        except OSError as error:
            raise OSError(error.errno, f"save: {os.fspath(f)} could not be written ({error.strerror})") from error
    else:
        _write(pickler, f, "archive")


def _write(pickler: _Pickler, file: BinaryIO, folder: str) -> None:
    folder = folder.replace("/", "_").replace("\\", "_") or "archive"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, f"{folder}/data.pkl", bytes(pickler.code))
        _add(archive, f"{folder}/byteorder", b"little")
        for storage in pickler.storages:
            _add(archive, f"{folder}/data/{storage.key}", _bytes_of(storage.values))
        _add(archive, f"{folder}/version", b"3\n")


def _add(archive: zipfile.ZipFile, name: str, data: bytes | memoryview) -> None:
    member = zipfile.ZipInfo(name)  # of 1980: the same values give the same file
    start = (archive.fp.tell() if archive.fp is not None else 0) + _HEADER_BYTES + len(name.encode()) + 4
    gap = -start % _ALIGNMENT
    member.extra = b"FB" + struct.pack("<H", gap) + b"Z" * gap
    member.file_size = len(data)
    with archive.open(member, "w") as target:
        target.write(data)


def _bytes_of(values: mx.array) -> memoryview:
    """The bytes of a flat array, little-endian, without a copy."""
    words = values.view(mx.uint16) if values.dtype == mx.bfloat16 else values
    return np.ascontiguousarray(_deferred.to_numpy(words)).data.cast("B")


class _Pickler:
    """The instructions of the pickle, and the storages that its tensors refer to.

    Attributes:
        code: The pickle, in protocol 2.
        storages: What its persistent references name.
    """

    def __init__(self, root: Any) -> None:
        self.code = bytearray(b"\x80\x02")
        self.storages: list[_Storage] = []
        self._by_source: dict[Any, _Storage] = {}
        self._memo: dict[Any, int] = {}
        self._kept: list[Any] = []  # what the memo identifies by id
        self._open: list[int] = []  # containers that are being written
        self._path: list[str] = []
        self._shared = Counter(id(tensor._place.cell) for tensor in _tensors_in(root) if tensor._place is not None)
        self._put(root)
        self.code += b"."

    # Values ----------------------------------------------------------------------------------------------------------

    def _put(self, value: Any) -> None:
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool):
            self.code += {None: b"N", True: b"\x88", False: b"\x89"}[value]
        elif isinstance(value, int):
            self._put_integer(int(value))
        elif isinstance(value, float):
            self.code += b"G" + struct.pack(">d", value)
        elif isinstance(value, str):
            self._once(("str", str(value)), lambda: self._put_text(str(value)))
        elif isinstance(value, bytes):
            self._call("_codecs.encode", value.decode("latin1"), "latin1")
        elif isinstance(value, complex):
            self._call("__builtin__.complex", value.real, value.imag)
        elif isinstance(value, mx.Dtype):
            self._global(f"torch.{dtype_name(value)}")
        elif isinstance(value, device):
            self._call("torch.device", str(value))
        elif isinstance(value, Tensor | mx.array):
            self._kept.append(value)
            self._once(id(value), lambda: self._put_tensor(value))
        else:
            self._put_container(value)

    def _put_container(self, value: Any) -> None:
        write = self._writer_of(value)
        if write is None:
            raise TypeError(
                f"save: cannot save {''.join(self._path).lstrip('.') or 'it'} of type {_full_name(value)}; supported "
                f"are tensors, numbers, strings, None, and dictionaries, lists, tuples and sets of them{_hint(value)}"
            )
        if id(value) in self._memo:
            self._get(self._memo[id(value)])
            return
        if id(value) in self._open:
            raise ValueError(f"save: {''.join(self._path).lstrip('.')} contains itself")
        if len(self._open) >= _MAX_DEPTH:
            raise ValueError(f"save: containers are nested deeper than {_MAX_DEPTH}")
        self._kept.append(value)
        self._open.append(id(value))
        write(value)
        self._open.pop()
        self._memoize(id(value))

    def _writer_of(self, value: Any) -> Callable[[Any], None] | None:
        kind = type(value)
        if kind is OrderedDict:
            return self._put_ordered
        if kind in (dict, defaultdict):
            return self._put_dict
        if kind is Counter:
            return lambda counter: self._call("collections.Counter", dict(counter))
        if kind is list:
            return self._put_list
        if kind is tuple:
            return self._put_tuple
        if kind.__name__ == "Size" and isinstance(value, tuple):
            return lambda size: self._call("torch.Size", tuple(size))
        if kind is set:
            return lambda members: self._call("__builtin__.set", list(members))
        if kind is argparse.Namespace:
            return self._put_namespace
        return None

    def _put_dict(self, value: dict[Any, Any]) -> None:
        self.code += b"}"
        self._put_items(value)

    def _put_ordered(self, value: dict[Any, Any]) -> None:
        self._call("collections.OrderedDict")
        self._put_items(value)

    def _put_items(self, value: dict[Any, Any]) -> None:
        self.code += b"("
        for key, one in value.items():
            self._put(key)
            self._inside(f".{key}" if isinstance(key, str) else f"[{key!r:.40}]", one)
        self.code += b"u"

    def _put_list(self, value: list[Any]) -> None:
        self.code += b"]("
        self._put_all(value)
        self.code += b"e"

    def _put_tuple(self, value: tuple[Any, ...]) -> None:
        self.code += b"("
        self._put_all(value)
        self.code += b"t"

    def _put_all(self, values: Iterable[Any]) -> None:
        for number, one in enumerate(values):
            self._inside(f"[{number}]", one)

    def _put_namespace(self, value: argparse.Namespace) -> None:
        self._call("argparse.Namespace")
        self._put_dict(vars(value))
        self.code += b"b"

    def _inside(self, step: str, value: Any) -> None:
        self._path.append(step)
        self._put(value)
        self._path.pop()

    # Tensors ---------------------------------------------------------------------------------------------------------

    def _put_tensor(self, value: Tensor | mx.array) -> None:
        tensor = value if isinstance(value, Tensor) else None
        if type(value).__name__ == _PARAMETER and tensor is not None:
            self._global("torch._utils._rebuild_parameter")
            self.code += b"("
            self._put_view(tensor, False)
            self._put(tensor.requires_grad)
            self._call("collections.OrderedDict")
            self.code += b"tR"
        else:
            self._put_view(value, tensor is not None and tensor.requires_grad)

    def _put_view(self, value: Tensor | mx.array, requires_grad: bool) -> None:
        """``_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)``, or v3 with a dtype."""
        storage, layout = self._stored(value)
        name = _STORAGE_NAMES.get(storage.values.dtype)
        self._global(f"torch._utils._rebuild_tensor_v{3 if name is None else 2}")
        self.code += b"(("
        self._put("storage")
        self._global(name or _UNTYPED)
        self._put(storage.key)
        self._put("cpu")
        self._put(storage.values.size if name else storage.values.nbytes)
        self.code += b"tQ"
        self._put(layout.offset)
        self._put_integers(layout.shape)
        self._put_integers(layout.strides)
        self._put(requires_grad)
        self._call("collections.OrderedDict")
        if name is None:
            self._put(storage.values.dtype)
        self.code += b"tR"

    @_threads.between_traces
    def _stored(self, value: Tensor | mx.array) -> tuple[_Storage, _layout.Layout]:
        """The storage of a tensor, and where its values lie in it. Aliases that are saved together share one."""
        array = value._array if isinstance(value, Tensor) else value
        place = value._place if isinstance(value, Tensor) else None
        if place is not None and self._shared[id(place.cell)] > 1:
            layout = place.layout()
            if layout is not None and place.cell._array.dtype == array.dtype:
                return self._storage(id(place.cell), place.cell, place.cell._array), layout
        return self._storage(id(array), array, array), _layout.contiguous(tuple(array.shape))

    def _storage(self, source: int, owner: Any, array: mx.array) -> _Storage:
        if source not in self._by_source:
            self._kept.append(owner)
            # GPUs do not support float64, not even views of it.
            flat = mx.reshape(array, (-1,), stream=mx.cpu if array.dtype == mx.float64 else None)
            self._by_source[source] = _Storage(str(len(self.storages)), flat)
            self.storages.append(self._by_source[source])
        return self._by_source[source]

    # Instructions ----------------------------------------------------------------------------------------------------

    def _put_integers(self, values: tuple[int, ...]) -> None:
        self.code += b"("
        for one in values:
            self._put_integer(one)
        self.code += b"t"

    def _put_integer(self, value: int) -> None:
        if 0 <= value < 256:
            self.code += b"K" + bytes([value])
        elif -(2**31) <= value < 2**31:
            self.code += b"J" + struct.pack("<i", value)
        else:
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            if len(data) > 255:
                raise ValueError(f"save: an integer has at most 255 bytes, got {len(data)}")
            self.code += b"\x8a" + bytes([len(data)]) + data

    def _put_text(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self.code += b"X" + struct.pack("<I", len(data)) + data

    def _global(self, name: str) -> None:
        module, _, attribute = name.rpartition(".")
        self._once(("global", name), lambda: self.code.extend(f"c{module}\n{attribute}\n".encode()))

    def _call(self, name: str, *arguments: Any) -> None:
        self._global(name)
        self.code += b"("
        for one in arguments:
            self._put(one)
        self.code += b"tR"

    def _once(self, key: Any, write: Callable[[], Any]) -> None:
        """Write something, or refer to it if it is written already."""
        if key in self._memo:
            self._get(self._memo[key])
        else:
            write()
            self._memoize(key)

    def _memoize(self, key: Any) -> None:
        number = self._memo[key] = len(self._memo)
        self.code += b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number)

    def _get(self, number: int) -> None:
        self.code += b"h" + bytes([number]) if number < 256 else b"j" + struct.pack("<I", number)


def _tensors_in(value: Any) -> Iterable[Tensor]:
    """The tensors in nested containers, each as often as it stands there."""
    stack, seen = [value], set()
    found: dict[int, Tensor] = {}
    while stack:
        one = stack.pop()
        if isinstance(one, Tensor):
            found[id(one)] = one
        elif isinstance(one, dict | list | tuple | argparse.Namespace) and id(one) not in seen:
            seen.add(id(one))
            inner = vars(one) if isinstance(one, argparse.Namespace) else one
            stack += list(inner.values()) if isinstance(inner, dict) else list(inner)
    return found.values()


def _full_name(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _hint(value: Any) -> str:
    if callable(getattr(value, "state_dict", None)):
        return "; save its state_dict()"
    if isinstance(value, np.ndarray):
        return "; save lucid.tensor(array)"
    if isinstance(value, tuple | dict | list):
        return "; convert it to a plain tuple, dict or list"
    return ""

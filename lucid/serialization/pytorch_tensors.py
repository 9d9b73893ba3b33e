"""Tensors of a PyTorch file: views of storages, validated before they reach MLX."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks, tape
from lucid._tensor import Tensor
from lucid.serialization.float8 import decode_float8
from lucid.serialization.pickle_reader import Global, Persistent, Unknown

_MAX_DIMS = 32
_MAX_SIZE = 2**31 - 1  # of a dimension, in MLX
_MAX_KEY_LENGTH = 100  # of a storage key; PyTorch's are numbers
# Views may overlap and have stride 0, so tensors can be larger than the file. The limits bound the memory and time that
# computing with such tensors takes.
_SPARE_BYTES = 1 << 26
_MAX_EXPANSION = 8

STORAGES = {
    "torch.DoubleStorage": mx.float64,
    "torch.FloatStorage": mx.float32,
    "torch.HalfStorage": mx.float16,
    "torch.BFloat16Storage": mx.bfloat16,
    "torch.LongStorage": mx.int64,
    "torch.IntStorage": mx.int32,
    "torch.ShortStorage": mx.int16,
    "torch.CharStorage": mx.int8,
    "torch.ByteStorage": mx.uint8,
    "torch.BoolStorage": mx.bool_,
    "torch.ComplexFloatStorage": mx.complex64,
    "torch.storage.UntypedStorage": mx.uint8,  # its tensors specify their own dtypes
}
# The sizes in bytes of values that only placeholders stand for.
OTHER_STORAGES = {
    "torch.ComplexDoubleStorage": 16,
    "torch.QInt8Storage": 1,
    "torch.QUInt8Storage": 1,
    "torch.QInt32Storage": 4,
    "torch.QUInt4x2Storage": 1,
    "torch.QUInt2x4Storage": 1,
}
_SHARED_DTYPE_NAMES = (
    *("float64", "float32", "float16", "bfloat16", "complex64", "bool"),
    *("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"),
)
FLOAT8 = {"torch.float8_e4m3fn": "e4m3", "torch.float8_e5m2": "e5m2"}
DTYPES = {f"torch.{name}": _checks.dtype("load", name) for name in _SHARED_DTYPE_NAMES}


class UnsupportedTensor(Exception):
    """A tensor that cannot be an array of MLX; the message describes it."""


class ByteBudget:
    """The number of bytes that a file of a given size may expand to. Valid files expand to about their size."""

    def __init__(self, file_size: int) -> None:
        self._left = _SPARE_BYTES + _MAX_EXPANSION * file_size

    def spend(self, size: int, what: str) -> None:
        """Subtract ``size`` bytes. Raises ValueError if the budget is exceeded."""
        self._left -= size
        if self._left < 0:
            raise ValueError(f"it expands to far more than its size: {what} would take {size:,} bytes")


class Storages:
    """Creates tensors. ``read(key)`` returns the bytes of a storage, in big-endian order if ``swapped``."""

    def __init__(self, read: Callable[[str], bytes], file_size: int, swapped: bool = False) -> None:
        self._read = read
        self._budget = ByteBudget(file_size)
        self._swapped = swapped
        self._rows: dict[tuple[str, str], mx.array] = {}

    def tensor(self, arguments: Sequence[Any], typed: bool) -> Tensor:
        """The tensor of PyTorch's ``_rebuild_tensor_v2``, or ``_v3`` if ``typed``. Views share their storage.

        Values of float8 dtypes become float16.

        Raises:
            UnsupportedTensor: MLX does not have such tensors.
            TypeError: the arguments are not those of PyTorch.
            ValueError: the view exceeds its storage, the storage is missing, or they exceed the byte budget.
        """
        if not 6 <= len(arguments) - typed <= 7:
            raise TypeError
        storage, offset, size, stride, _requires_grad, _hooks, *rest = arguments
        dtype = rest.pop(0) if typed else None
        if any(rest):  # metadata of lazy negation and conjugation
            raise UnsupportedTensor("a lazily conjugated or negated tensor; save tensor.resolve_conj().resolve_neg()")
        sizes, strides = _non_negative_ints(size), _non_negative_ints(stride)
        [start] = _non_negative_ints((offset,))
        if len(sizes) != len(strides):
            raise ValueError(f"it holds a tensor with {len(sizes)} sizes and {len(strides)} strides")
        if max(sizes, default=0) > _MAX_SIZE:
            raise ValueError(f"it holds a tensor of size {sizes}; a dimension has at most {_MAX_SIZE} values")
        row = self._row(storage, dtype)
        self._budget.spend(math.prod(max(one, 1) for one in sizes) * row.dtype.size, f"a tensor of size {sizes}")
        if 0 in sizes:
            return tape.wrap(mx.zeros(sizes, row.dtype))
        end = start + sum((one - 1) * step for one, step in zip(sizes, strides, strict=True)) + 1
        if end > row.size:
            raise ValueError(
                f"it holds a tensor of size {sizes} with strides {strides} at offset {start}, which needs "
                f"{end} values of a storage with {row.size}"
            )
        # A dimension of size 1 may have any stride, even one that exceeds 64 bits.
        steps = [step if one > 1 else 0 for one, step in zip(sizes, strides, strict=True)]
        # GPUs do not support float64, not even views of it.
        stream = mx.cpu if row.dtype == mx.float64 else None
        return tape.wrap(mx.as_strided(row, sizes, steps, start, stream=stream))

    def _row(self, storage: Any, dtype: Any) -> mx.array:
        """The values of a storage as a one-dimensional array."""
        if not isinstance(storage, Persistent):
            raise TypeError
        key, own, count = parse_storage(storage)
        name = own
        if dtype is not None:
            if not isinstance(dtype, Global | Unknown):
                raise TypeError
            name = dtype.name
        wanted = mx.uint8 if name in FLOAT8 else STORAGES.get(name) or DTYPES.get(name)
        if wanted is None:
            raise UnsupportedTensor(f"a tensor of {name}")
        if (key, name) not in self._rows:
            data, size = self._read(key), item_size(own)
            if len(data) != count * size or len(data) % wanted.size:
                raise ValueError(
                    f"storage {key!r} has {len(data)} bytes, but {count} values of {own} take {count * size}"
                )
            values = _values(data, wanted, self._swapped)
            self._rows[key, name] = decode_float8(values, FLOAT8[name]) if name in FLOAT8 else values
        return self._rows[key, name]


def item_size(kind: str) -> int:
    """The size in bytes of the values in a storage of this kind."""
    return STORAGES[kind].size if kind in STORAGES else OTHER_STORAGES[kind]


def parse_storage(node: Persistent) -> tuple[str, str, int]:
    """Key, kind and number of values of the storage that ``node`` refers to.

    Raises:
        TypeError: ``node`` does not refer to a storage.
    """
    match node.identifier:
        # The sixth item dates from PyTorch before 0.4: a storage as a view of another.
        case ("storage", Global(name=kind) | Unknown(name=kind), str(key), str(), int(count)) | (
            "storage", Global(name=kind) | Unknown(name=kind), str(key), str(), int(count), None
        ) if kind in (*STORAGES, *OTHER_STORAGES) and count >= 0 and len(key) <= _MAX_KEY_LENGTH:  # fmt: skip
            return key, kind, count
    raise TypeError


def _non_negative_ints(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or not all(type(one) is int for one in values[:_MAX_DIMS]):
        raise TypeError
    if len(values) > _MAX_DIMS:
        raise ValueError(f"it holds a tensor of {len(values)} dimensions; at most {_MAX_DIMS} are supported")
    if any(one < 0 for one in values):
        raise ValueError(f"it holds a tensor with a negative size, stride or offset: {tuple(values)}")
    return tuple(values)


def _values(data: bytes, dtype: mx.Dtype, swapped: bool) -> mx.array:
    # NumPy has no bfloat16. A bool byte in a damaged file may hold any number, but in an array only 0 and 1.
    stand_in = {mx.bfloat16: "uint16", mx.bool_: "uint8"}.get(dtype) or _checks.dtype_name(dtype)
    row = np.frombuffer(data, stand_in)
    if swapped:
        row = row.byteswap()
    if dtype == mx.bool_:
        return mx.array(row != 0)
    if dtype == mx.bfloat16:
        return mx.array(row).view(mx.bfloat16)
    return mx.array(row, dtype)

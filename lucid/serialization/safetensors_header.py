"""Reads the header of a safetensors file, as strictly as the reference implementation (huggingface/safetensors).

The file starts with the length of the header in eight bytes and the header, a JSON object:

    {"__metadata__": {"epoch": "3"}, "w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}

The offsets count from the end of the header. The tensors have to cover the rest of the file without holes or overlaps.
"""

import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from lucid.serialization.file_kind import HEAD_SIZE, describe_start

_MAX_HEADER_BYTES = 100_000_000
_MAX_DIMS = 32
_MAX_SIZE = 2**31 - 1  # of a dimension, in MLX
_MAX_SHOWN = 100  # characters of a value in an error message
_METADATA = "__metadata__"
_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "C64": 8, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1,
}  # fmt: skip
FLOAT8 = {"F8_E4M3": "e4m3", "F8_E5M2": "e5m2"}
"""The format of float8 dtypes."""


@dataclass(frozen=True)
class Entry:
    """A tensor in the file: its dtype, its shape, and where its data starts and ends in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(file: BinaryIO, file_size: int) -> tuple[dict[str, Entry], dict[str, str]]:
    """The tensors by name, and the metadata.

    Raises:
        ValueError: The header is invalid, does not describe the rest of the file, or has a dtype that MLX lacks.
    """
    head = file.read(HEAD_SIZE)
    if head[8:9] != b"{":
        raise ValueError(f"it {describe_start(head)}")
    size = int.from_bytes(head[:8], "little")
    if size > min(_MAX_HEADER_BYTES, file_size - 8):
        raise ValueError(f"its header would take {size:,} bytes, of {file_size:,} in the file")
    file.seek(8)
    found, metadata = _parsed(file.read(size))
    entries = {name: _entry(name, value, 8 + size) for name, value in found.items()}
    position = 8 + size
    for name, entry in sorted(entries.items(), key=lambda one: (one[1].start, one[1].end)):
        if entry.start != position:
            raise ValueError(
                f"tensor {_short(name)} starts at byte {entry.start}, but the one before it ends at {position}"
            )
        position = entry.end
    if position != file_size:
        raise ValueError(f"its tensors end at byte {position:,}, but the file has {file_size:,}")
    return entries, metadata


def _parsed(data: bytes) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    try:
        text = data.decode()
        header = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_integer, parse_float=_Fraction
        )
        json.dumps(header, ensure_ascii=False, default=str).encode()  # a lone surrogate is not UTF-8
    except (ValueError, RecursionError) as error:  # JSONDecodeError and Unicode errors are ValueErrors
        raise ValueError(f"its header is not valid JSON: {error}") from None
    if text.rstrip(" \t\r\n")[-1:] != "}" or not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    metadata = header.pop(_METADATA, None)
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict) or not all(isinstance(one, str) for one in metadata.values()):
        raise ValueError("its metadata does not map strings to strings")
    return header, metadata


class _Fraction(float):
    """A number with a fraction or an exponent, which is no integer even if its value is."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"it has two entries {_short(twice)}")
    return found


def _integer(text: str) -> int:
    if len(text) > 20 or text.startswith("-"):
        raise ValueError(f"it has the integer {text[:24]}")
    return int(text)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"it has the constant {text}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _entry(name: str, entry: Any, base: int) -> Entry:
    """The entry of the header; its offsets count from ``base``."""
    what = f"tensor {_short(name)}"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{what} must have dtype, shape and data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in _BYTES:
        raise ValueError(f"{what} has dtype {_short(kind)}, which is not supported")
    for field, values in (("shape", shape), ("data_offsets", offsets)):
        if not isinstance(values, list) or not all(type(one) is int for one in values):
            raise ValueError(f"{what} has {field} {_short(values)}, which is not a list of integers")
    if len(shape) > _MAX_DIMS or max(shape, default=0) > _MAX_SIZE:
        raise ValueError(
            f"{what} has shape {_short(shape)}; at most {_MAX_DIMS} dimensions of {_MAX_SIZE} are supported"
        )
    size = math.prod(shape) * _BYTES[kind]
    if len(offsets) != 2 or offsets[1] - offsets[0] != size:
        raise ValueError(f"{what} of {kind} and shape {shape} takes {size:,} bytes, but has offsets {_short(offsets)}")
    return Entry(kind, tuple(shape), base + offsets[0], base + offsets[1])

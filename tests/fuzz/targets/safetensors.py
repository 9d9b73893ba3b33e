"""Safetensors files, compared with the reference implementation where it is installed."""

import json
import random
import struct
from typing import Any

import numpy as np

import lucid
from lucid.serialization import load_with_metadata
from tests.fuzz.runner import scratch_file

try:
    import safetensors as reference  # type: ignore[import-not-found]
except ImportError:
    reference = None

# Files that the reference implementation reads and Lucid refuses: dtypes and sizes that MLX lacks, and whatever no
# writer produces (duplicate names, more fields than there are).
_STRICTER = (
    "which is not supported", "are supported", "two entries", "must have dtype, shape and data_offsets",
    "metadata does not map", "the integer",
)  # fmt: skip
_DTYPES = (
    "F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL", "C64", "F8_E4M3",
    "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "f32", "",
)  # fmt: skip
_WORDS = (
    "0", "1", "4", "8", "-1", "2147483648", "1.0", "1e1", "true", "null", '"F32"', '"U8"', '"F4"', '"w"', '"a"', "[]",
    "[0, 4]", "{}", ",", ":", '"__metadata__"', "18446744073709551616", "\\ud800", " ", "NaN", "\n", "\x00",
)  # fmt: skip
_RAW = {"F16", "F32", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "F64", "C64", "BOOL"}


def seeds() -> list[bytes]:
    def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, object]:
        return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}

    headers = [
        {},
        {"w": entry("F32", [2, 3], 0, 24), "b": entry("I64", [1], 24, 32)},
        {
            "__metadata__": {"format": "pt"},
            "a": entry("F16", [], 0, 2), "e": entry("U8", [0, 3], 2, 2), "z": entry("BF16", [3], 2, 8),
        },
        {"f": entry("F8_E4M3", [4], 0, 4), "g": entry("F8_E5M2", [2, 2], 4, 8), "h": entry("BOOL", [8], 8, 16)},
        {"d": entry("F64", [2], 0, 16), "c": entry("C64", [1], 16, 24), "u": entry("U16", [4], 24, 32)},
        {"x": entry("I32", [2, 2], 16, 32), "y": entry("U64", [2], 0, 16)},
    ]  # fmt: skip
    sizes = [0, 32, 8, 16, 32, 32]
    return [_file(json.dumps(header), bytes(range(1, size + 1))) for header, size in zip(headers, sizes, strict=True)]


def _file(header: str, data: bytes) -> bytes:
    encoded = header.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(encoded)) + encoded + data


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change the values or the text of the header, and correct its length."""
    size = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + size].decode(), data[8 + size :]
    if rng.random() < 0.5:
        header, body = _changed_values(json.loads(header), body, rng)
    else:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            places = [place for place, letter in enumerate(header) if letter in '0123456789"[],:{} '] or [0]
            place = rng.choice(places)
            end = place + rng.choice((0, 0, 1, 1, 2, 5))
            header = header[:place] + rng.choice(_WORDS) + header[end:]
    if rng.random() < 0.1:
        body = body[: rng.randrange(len(body) + 1)] + rng.randbytes(rng.randrange(9))
    return _file(header, body)


def _changed_values(header: dict[str, Any], body: bytes, rng: random.Random) -> tuple[str, bytes]:
    entries = [one for name, one in header.items() if name != "__metadata__"]
    for _ in range(rng.choice((1, 1, 2, 3))):
        entry = rng.choice(entries) if entries else {}
        match rng.randrange(7):
            case 0 if entry:
                entry["dtype"] = rng.choice(_DTYPES)
            case 1 if entry:
                entry["shape"] = [*entry["shape"], rng.choice((0, 1, 1, 2, 2**31, 2**40, 2**64))]
            case 2 if entry:
                entry["shape"] = rng.choice((entry["shape"][1:], entry["shape"][::-1], [1, *entry["shape"]]))
            case 3 if entry:
                offset = rng.choice((-8, -1, 1, 4, 8))
                entry["data_offsets"][rng.randrange(2)] += offset
            case 4 if len(entries) > 1:
                other = rng.choice(entries)
                entry["data_offsets"], other["data_offsets"] = other["data_offsets"], entry["data_offsets"]
            case 5:
                offsets = [len(body), len(body) + 8]
                added = {"dtype": rng.choice(_DTYPES), "shape": [rng.choice((1, 2, 4))], "data_offsets": offsets}
                header[rng.choice(("n", "w", "ü", "", "\ud800"))] = added
                body += rng.randbytes(8)
            case 6:
                header["__metadata__"] = rng.choice(({}, {"a": "b"}, {"a": 1}, None, [], {"ü": ""}))
    names = list(header)
    rng.shuffle(names)
    return json.dumps({name: header[name] for name in names}, ensure_ascii=rng.random() < 0.5), body


def check(data: bytes) -> None:
    path = scratch_file("x.safetensors")
    path.write_bytes(data)
    theirs = None
    fault = ""
    if reference is not None:
        try:
            theirs = dict(reference.deserialize(data))
        except Exception as error:
            fault = str(error)
    try:
        ours, _ = load_with_metadata(path)
    except ValueError as error:
        begins_well = data[8:9] == b"{"  # which the format requires, but the reference does not check
        if theirs is not None and begins_well and not any(word in str(error) for word in _STRICTER):
            raise AssertionError(f"the reference reads it, but {error}") from error
        return
    values = {name: tensor.numpy() if tensor.dtype != lucid.bfloat16 else None for name, tensor in ours.items()}
    if reference is None:
        return
    assert theirs is not None, f"the reference refuses it: {fault}"
    assert values.keys() == theirs.keys()
    for name, one in theirs.items():
        assert list(ours[name].shape) == list(one["shape"]), name
        if one["dtype"] in _RAW and values[name] is not None:
            raw = np.frombuffer(bytes(one["data"]), np.uint8)
            expected = raw != 0 if one["dtype"] == "BOOL" else raw
            mine = (
                values[name].reshape(-1) if one["dtype"] == "BOOL" else np.frombuffer(values[name].tobytes(), np.uint8)
            )
            assert np.array_equal(mine, expected), f"{name} differs"

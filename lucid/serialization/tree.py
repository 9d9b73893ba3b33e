"""Convert nested Python values to JSON and flat tensors, and back, without pickle.

JSON has no tensors, tuples, non-string keys, NaN or infinity, so these become dictionaries with one key that starts
with "$": ``{"$tuple": [0.9, 0.999]}``, ``{"$tensor": "state.0.exp_avg"}``. Dictionaries, lists, tuples, strings,
numbers, None, tensors and NumPy arrays keep their types.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import tape
from lucid._tensor import Tensor

Tensors = dict[str, mx.array]
TREE_KEY = "lucid.tree"
"""The entry of a safetensors file's metadata that holds the JSON around its tensors."""


def pack(value: Any, caller: str) -> tuple[Any, Tensors]:
    """``value`` as a JSON-serializable object, and its tensors by dotted name.

    Raises:
        TypeError: it holds an unsupported object; the message starts with ``caller`` and says where.
    """
    tensors: Tensors = {}
    return _pack(value, (), caller, tensors), tensors


def _pack(value: Any, path: tuple[str, ...], caller: str, tensors: Tensors) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, Tensor | mx.array | np.ndarray):
        return _pack_array(value, path, caller, tensors)
    if isinstance(value, list | tuple):
        items = [_pack(one, (*path, str(i)), caller, tensors) for i, one in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _pack(one, (*path, key), caller, tensors) for key, one in value.items()}
        return {
            "$dict": [
                [_pack(key, path, caller, tensors), _pack(one, (*path, str(key)), caller, tensors)]
                for key, one in value.items()
            ]
        }
    raise TypeError(
        f"{caller}: cannot save {'.'.join(path) or 'it'} of type {type(value).__name__}; supported are tensors, NumPy "
        "arrays, numbers, strings, None, and lists, tuples and dictionaries of them"
    )


def _pack_array(value: Any, path: tuple[str, ...], caller: str, tensors: Tensors) -> Any:
    name = first = ".".join(path) or "value"
    number = 1
    while name in tensors or name == "__metadata__":  # {"a.b": x, "a": {"b": y}}; safetensors reserves this name
        number += 1
        name = f"{first}~{number}"
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufc" or value.dtype.itemsize > 8:
            raise TypeError(f"{caller}: cannot save {first}, a NumPy array of dtype {value.dtype}")
        native = value.astype(value.dtype.newbyteorder("="))
        # float64 is stored as int64 bits: MLX would round it and cannot write it to files.
        tensors[name] = mx.array(native.view(np.int64) if native.dtype == np.float64 else native)
        return {"$array": name, "dtype": native.dtype.name}
    array = tape.unwrap(value)
    if array.dtype == mx.float64:
        tensors[name] = array.view(mx.int64)
        return {"$tensor": name, "dtype": "float64"}
    tensors[name] = array
    return {"$tensor": name}


def unpack(packed: Any, tensors: Mapping[str, mx.array]) -> Any:
    """The inverse of ``pack``; MLX arrays come back as tensors.

    Raises:
        KeyError, TypeError, ValueError: the arguments are not an output of ``pack``.
    """
    if isinstance(packed, list):
        return [unpack(one, tensors) for one in packed]
    if not isinstance(packed, dict):
        return packed
    if "$float" in packed:
        return float(packed["$float"])
    if "$tuple" in packed:
        return tuple(unpack(one, tensors) for one in packed["$tuple"])
    if "$dict" in packed:
        return {unpack(key, tensors): unpack(one, tensors) for key, one in packed["$dict"]}
    if "$array" in packed:
        dtype = np.dtype(packed["dtype"])
        if dtype.kind not in "biufc":
            raise ValueError(f"a NumPy array cannot have the dtype {dtype}")
        return np.array(tensors[packed["$array"]]).view(dtype)
    if "$tensor" in packed:
        array = tensors[packed["$tensor"]]
        return tape.wrap(array.view(mx.float64) if packed.get("dtype") == "float64" else array)
    return {key: unpack(one, tensors) for key, one in packed.items()}

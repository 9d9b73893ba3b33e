"""Named tensors and strings in a safetensors file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx

from lucid import tape
from lucid._files import atomic_path
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array


def save(tensors: Mapping[str, Any], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors, a ``state_dict()`` for instance, to a safetensors file.

    The file is complete or not there: it is written under a temporary name, synced and renamed.

    Raises:
        TypeError: a name or a value of ``metadata`` is not a string, or a tensor is of float64 or cannot become one
            (nested dictionaries: flatten their names).
        ValueError: the name of the file does not end with ``.safetensors``.
        OSError: the disk is full, the folder is missing, or the like.
    """
    target = Path(path)
    if target.suffix != ".safetensors":
        raise ValueError(f"save: the file must be called *.safetensors, got {target.name!r}")
    arrays = {}
    for name, value in tensors.items():
        if not isinstance(name, str):
            raise TypeError(f"save: names must be strings, got {name!r}")
        if isinstance(value, Mapping):
            raise TypeError(f"save: {name!r} is a dictionary; a safetensors file holds tensors under flat names")
        arrays[name] = as_array(value)
        if arrays[name].dtype == mx.float64:
            raise TypeError(
                f"save: {name!r} is float64, which MLX does not write; convert it, with .float() for instance"
            )
    metadata = dict(metadata or {})
    for key, text in metadata.items():
        if not (isinstance(key, str) and isinstance(text, str)):
            raise TypeError(f"save: metadata must hold strings alone, got {key!r}: {text!r}; json.dumps makes one")
    try:
        with atomic_path(target) as temporary, temporary.open("wb") as file:
            mx.save_safetensors(file, arrays, metadata)
    except OSError as error:
        raise OSError(error.errno, f"save: {target} could not be written ({error.strerror})") from error


def load_with_metadata(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The named tensors of a safetensors file, read when they are used, and the strings that were saved beside them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not in the safetensors format, or cut off.
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"load: there is no file {source}")
    try:
        found: Any = mx.load(str(source), format="safetensors", return_metadata=True)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"load: {source} is not a complete safetensors file ({error})") from None
    arrays, metadata = found
    return {name: tape.wrap(array) for name, array in arrays.items()}, metadata

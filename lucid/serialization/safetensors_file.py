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
    """Write named tensors, such as a ``state_dict()``, to a safetensors file. The file is written atomically.

    Args:
        tensors: Tensors or arrays by name; flatten nested dictionaries first.
        path: The file, which must end with ``.safetensors``.
        metadata: Strings to store with the tensors.

    Raises:
        TypeError: ``tensors`` is not a mapping, a name or an entry of ``metadata`` is not a string, or a value is
            float64 or not a tensor.
        ValueError: the file name does not end with ``.safetensors``.
        OSError: writing failed, e.g. because the disk is full or the folder does not exist.

    Example:
        >>> model = nn.Linear(8, 2)
        >>> lucid.save(model.state_dict(), "model.safetensors")
        >>> model.load_state_dict(lucid.load("model.safetensors"))
        IncompatibleKeys(missing_keys=[], unexpected_keys=[])
    """
    target = Path(path)
    if target.suffix != ".safetensors":
        raise ValueError(f"save: the file name must end with .safetensors, got {target.name!r}")
    if not isinstance(tensors, Mapping):
        given = type(tensors).__name__
        if hasattr(tensors, "param_groups"):
            hint = "; save lucid.optim.flatten_state(optimizer.state_dict())"
        else:
            hint = f"; save its state_dict(): lucid.save(model.state_dict(), {target.name!r})"
            hint = hint if hasattr(tensors, "state_dict") else '; a single tensor needs a name, as in {"x": tensor}'
        raise TypeError(f"save: expected a mapping of names to tensors, got {given}{hint}")
    arrays = {}
    for name, value in tensors.items():
        if not isinstance(name, str):
            raise TypeError(f"save: names must be strings, got {name!r}")
        if isinstance(value, Mapping):
            raise TypeError(f"save: {name!r} is a dictionary; flatten it first, as safetensors files are not nested")
        arrays[name] = as_array(value)
        if arrays[name].dtype == mx.float64:
            raise TypeError(f"save: {name!r} is float64, which MLX cannot save; convert it, e.g. with .float()")
    metadata = dict(metadata or {})
    for key, text in metadata.items():
        if not (isinstance(key, str) and isinstance(text, str)):
            raise TypeError(
                f"save: metadata must map strings to strings, got {key!r}: {text!r}; convert values with json.dumps"
            )
    try:
        with atomic_path(target) as temporary, temporary.open("wb") as file:
            mx.save_safetensors(file, arrays, metadata)
    except OSError as error:
        raise OSError(error.errno, f"save: {target} could not be written ({error.strerror})") from error


def load_with_metadata(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The named tensors of a safetensors file, read lazily, and its metadata.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not in the safetensors format, or truncated.
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

"""``save`` for every file format: safetensors, with nested values as JSON beside the tensors, or PyTorch's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid._tensor import Tensor
from lucid.serialization.pytorch_writer import save_pytorch
from lucid.serialization.safetensors_file import save_safetensors
from lucid.serialization.tree import TREE_KEY, pack

PYTORCH_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".tar")
_FORMATS = ("safetensors", "pytorch")


def save(
    obj: Any, f: str | os.PathLike[str] | BinaryIO, metadata: Mapping[str, str] | None = None,
    *, format: str | None = None,
) -> None:  # fmt: skip
    """Write tensors, alone or in nested containers, such as ``{"model": model.state_dict(), "epoch": 3}``.

    A ``.safetensors`` file holds named tensors as they are; for anything else, the containers, numbers and strings
    around the tensors are JSON in its metadata, and ``lucid.load`` puts all together again. A ``.pt``, ``.pth``,
    ``.bin``, ``.ckpt`` or ``.tar`` file is one of PyTorch, see ``lucid.serialization.save_pytorch``. Files are written
    atomically.

    Args:
        obj: A mapping of names to tensors, such as a ``state_dict()``, or dictionaries, lists, tuples, strings, numbers
            and None with tensors and NumPy arrays in them.
        f: The path of the file, or a binary file object.
        metadata: Strings to store with the tensors of a safetensors file.
        format: "safetensors" or "pytorch". By default that of the name of the file, safetensors for a file object.

    Raises:
        TypeError: ``obj`` holds an unsupported object, or an entry of ``metadata`` is not a string.
        ValueError: the name of the file has another ending and ``format`` is not given, or ``metadata`` is given for
            PyTorch's format.
        OSError: writing failed, e.g. because the disk is full or the folder does not exist.

    Example:
        >>> model = nn.Linear(8, 2)
        >>> lucid.save({"model": model.state_dict(), "epoch": 3}, "model.safetensors")
        >>> model.load_state_dict(lucid.load("model.safetensors")["model"])
        IncompatibleKeys(missing_keys=[], unexpected_keys=[])
    """
    if not (isinstance(f, str | os.PathLike) or callable(getattr(f, "write", None))):
        raise TypeError(f"save: f must be a path or a binary file object, got {type(f).__name__}")
    if callable(getattr(obj, "state_dict", None)):
        name = os.fspath(f) if isinstance(f, str | os.PathLike) else "file"
        raise TypeError(
            f"save: expected tensors, got {type(obj).__name__}; save its state_dict(): "
            f"lucid.save(model.state_dict(), {name!r})"
        )
    if _format_of(f, format) == "pytorch":
        if metadata:
            raise ValueError("save: files of PyTorch have no metadata; put it into the dictionary")
        save_pytorch(obj, f)
        return
    if _is_flat(obj):
        save_safetensors(obj, f, metadata)
        return
    packed, tensors = pack(obj, "save")
    save_safetensors(tensors, f, {**(metadata or {}), TREE_KEY: json.dumps(packed)})


def _format_of(f: Any, format: str | None) -> str:
    if format is not None:
        return _checks.one_of("save", "format", format, _FORMATS)
    if not isinstance(f, str | os.PathLike):
        return "safetensors"
    suffix = Path(f).suffix
    if suffix == ".safetensors":
        return "safetensors"
    if suffix in PYTORCH_SUFFIXES:
        return "pytorch"
    raise ValueError(
        f"save: the file name must end with .safetensors, or with {', '.join(PYTORCH_SUFFIXES)} for PyTorch's format, "
        f"got {Path(f).name!r}; format= takes any name"
    )


def _is_flat(obj: Any) -> bool:
    """Whether ``obj`` maps names to tensors, which every reader of safetensors understands."""
    return isinstance(obj, Mapping) and all(
        isinstance(name, str) and isinstance(value, Tensor | mx.array | np.ndarray) for name, value in obj.items()
    )

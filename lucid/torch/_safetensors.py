"""``safetensors.torch`` after ``install``: the functions of that module with Lucid's reader and writer.

The package's own module reaches into PyTorch's storages, which tensors of Lucid do not have.
"""

from __future__ import annotations

import io
import os
from typing import Any

from lucid._tensor import Tensor
from lucid.nn.module import Module
from lucid.serialization import load as _load
from lucid.serialization import save as _save


def load_file(filename: str | os.PathLike[str], device: Any = "cpu") -> dict[str, Tensor]:
    """The tensors of a safetensors file by name."""
    return dict(_load(filename, device))


def save_file(
    tensors: dict[str, Tensor], filename: str | os.PathLike[str], metadata: dict[str, str] | None = None
) -> None:
    """Write tensors by name to a safetensors file."""
    _save(tensors, filename, metadata, format="safetensors")


def load(data: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file in memory."""
    return dict(_load(io.BytesIO(data)))


def save(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file with these tensors."""
    file = io.BytesIO()
    _save(tensors, file, metadata, format="safetensors")
    return file.getvalue()


def load_model(
    model: Module, filename: str | os.PathLike[str], strict: bool = True, device: Any = "cpu"
) -> tuple[list[str], list[str]]:
    """Load a file into ``model``. Returns the missing and the unexpected names."""
    found = model.load_state_dict(load_file(filename, device), strict=strict)
    return found.missing_keys, found.unexpected_keys


def save_model(
    model: Module, filename: str | os.PathLike[str], metadata: dict[str, str] | None = None,
    force_contiguous: bool = True,
) -> None:  # fmt: skip
    """Write the state dict of ``model``."""
    save_file(model.state_dict(), filename, metadata)

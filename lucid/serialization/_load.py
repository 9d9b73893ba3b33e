"""``load`` for every file format, detected by content, and by file name only if the content is ambiguous."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lucid.serialization.pytorch_file import read_pytorch
from lucid.serialization.safetensors_file import load_with_metadata

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
_PYTORCH_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".tar")


def load(path: str | os.PathLike[str]) -> Any:
    """Load a safetensors or PyTorch file; the format is detected by content, not by file name.

    A safetensors file returns a dict of tensors, whose data is read lazily. A ``.pth``, ``.pt`` or ``.bin`` file of
    PyTorch returns its nested containers, see ``read_pytorch``, often ``{"model": {name: tensor}}``.

    Raises:
        FileNotFoundError: the file does not exist.
        IsADirectoryError: ``path`` is a folder.
        ValueError: the format is unknown, the file is damaged, or it contains anything but tensors and plain
            containers.

    Example:
        >>> lucid.save({"weight": lucid.ones(2)}, "weights.safetensors")
        >>> lucid.load("weights.safetensors")["weight"].tolist()
        [1.0, 1.0]
    """
    source = Path(path)
    if source.is_dir():
        raise IsADirectoryError(f"load: {source} is a folder; pass a file in it")
    if not source.is_file():
        raise FileNotFoundError(f"load: there is no file {source}")
    return read_pytorch(source) if _is_pytorch_file(source) else load_with_metadata(source)[0]


def _is_pytorch_file(source: Path) -> bool:
    with source.open("rb") as file:
        first = file.read(9)
    # A safetensors file starts with the length of its JSON header, which may look like the start of a pickle.
    if first[8:] == b"{":
        return False
    return first.startswith((_ZIP, _PICKLE)) or source.suffix in _PYTORCH_SUFFIXES

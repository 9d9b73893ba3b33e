"""One ``load`` for every kind of file; the content decides which it is, the name only when the content says nothing."""

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
    """What a checkpoint holds: tensors by name, or the nested containers of a file that PyTorch wrote.

    A safetensors file gives a dict of tensors that are read when they are used. A ``.pth``, ``.pt`` or ``.bin`` file of
    PyTorch gives what ``read_pytorch`` does: often ``{"model": {name: tensor}}``. The first bytes of the file decide,
    not its name.

    Raises:
        FileNotFoundError: there is no such file. IsADirectoryError: it is a folder.
        ValueError: the file is of neither kind, damaged, or holds more than tensors and plain containers.
    """
    source = Path(path)
    if source.is_dir():
        raise IsADirectoryError(f"load: {source} is a folder; name a file in it")
    if not source.is_file():
        raise FileNotFoundError(f"load: there is no file {source}")
    return read_pytorch(source) if _is_pytorch_file(source) else load_with_metadata(source)[0]


def _is_pytorch_file(source: Path) -> bool:
    with source.open("rb") as file:
        first = file.read(9)
    # The length of a safetensors file's header stands before its JSON, and may begin like a pickle.
    if first[8:] == b"{":
        return False
    return first.startswith((_ZIP, _PICKLE)) or source.suffix in _PYTORCH_SUFFIXES

"""``load`` for every file format, detected by content, and by file name only if the content is ambiguous."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from lucid import _device
from lucid.serialization._save import PYTORCH_SUFFIXES
from lucid.serialization.checkpoint_folder import find_weights, is_index, read_index
from lucid.serialization.pytorch_file import read_pytorch
from lucid.serialization.safetensors_file import SafetensorsFile
from lucid.serialization.tree import TREE_KEY, unpack

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"


def load(
    f: str | os.PathLike[str] | BinaryIO, map_location: Any = None, pickle_module: None = None, *,
    weights_only: bool | None = None, mmap: bool | None = None, **pickle_load_args: Any,
) -> Any:  # fmt: skip
    """Load a safetensors or PyTorch file; the format is detected by content, not by file name.

    A safetensors file returns a dict of tensors, or the nested value that ``lucid.save`` was given. A ``.pth``,
    ``.pt``, ``.bin`` or ``.ckpt`` file of PyTorch returns its nested containers, see ``read_pytorch``, often
    ``{"model": {name: tensor}}``; ``Placeholder`` objects stand for what is neither a tensor nor plain data. A folder
    returns what its only weights file holds, or one dict of the tensors in all shards, as transformers writes them with
    ``model.safetensors.index.json``.

    Args:
        f: The path of the file or folder, or a binary file object.
        map_location: A device, a dict of devices or a function, which are checked and have no effect, because memory
            is unified.
        pickle_module: Has to be ``None``.
        weights_only: Has no effect: nothing is unpickled in any case.
        mmap: Has no effect.
        **pickle_load_args: Has no effect.

    Raises:
        TypeError: ``f`` is neither a path nor a file object, ``map_location`` is of another type, or ``pickle_module``
            is given.
        RuntimeError: the device that ``map_location`` names is not available on this machine.
        FileNotFoundError: the file does not exist, or a folder holds no weights.
        ValueError: the format is unknown, the file is damaged, or all of it is one unsupported object, such as a
            module; a folder holds several weights files.
        OSError: reading failed, or the file changed meanwhile.

    Example:
        >>> lucid.save({"weight": lucid.ones(2)}, "weights.safetensors")
        >>> lucid.load("weights.safetensors")["weight"].tolist()
        [1.0, 1.0]
    """
    if pickle_module is not None:
        raise TypeError("load: pickle_module must be None, because nothing is unpickled")
    _check_map_location(map_location)
    if not isinstance(f, str | os.PathLike):
        return _load_from(f)
    opened = open_checkpoint(f)
    for file in opened.files:
        file.read_all()
    return opened.content


def _load_from(file: Any) -> Any:
    """What a file object holds, from its position to its end."""
    if not callable(getattr(file, "read", None)):
        raise TypeError(f"load: f must be a path or a binary file object, got {type(file).__name__}")
    data = file.read()
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"load: the file object must be binary, but its read() gives {type(data).__name__}")
    with tempfile.TemporaryDirectory(prefix="lucid-") as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        return load(path)


def _check_map_location(value: Any) -> None:
    if isinstance(value, Mapping):
        for one in (*value.keys(), *value.values()):
            _device.device(one)
    elif value is not None and not callable(value):
        _device.resolve("load: map_location", value)


@dataclass
class OpenedCheckpoint:
    """A checkpoint whose tensors in safetensors files are read when they are evaluated.

    Attributes:
        path: The file with the weights, or the index of shards.
        content: What ``load`` returns.
        metadata: The metadata of a safetensors file or of its shards, otherwise an empty dict.
        files: The safetensors files behind ``content``.
    """

    path: Path
    content: Any
    metadata: dict[str, str] = field(default_factory=dict)
    files: list[SafetensorsFile] = field(default_factory=list)

    def drop_tensors(self) -> None:
        """Forget the tensors, so that they are freed once nobody else uses them."""
        self.content = None
        for file in self.files:
            file.tensors = {}

    def verify(self) -> None:
        """Raise OSError if a file changed since it was opened. To be called after tensors were evaluated."""
        for file in self.files:
            file.verify()


def open_checkpoint(path: str | os.PathLike[str]) -> OpenedCheckpoint:
    """Like ``load``, without reading the tensors in safetensors files yet."""
    source = Path(path)
    if source.is_dir():
        source = find_weights(source)
    if not source.is_file():
        raise FileNotFoundError(f"load: there is no file {source}")
    if is_index(source):
        return _open_shards(source)
    if _is_pytorch_file(source):
        return OpenedCheckpoint(source, read_pytorch(source))
    file = SafetensorsFile(source)
    return OpenedCheckpoint(source, _content_of(file), file.metadata, [file])


def _content_of(file: SafetensorsFile) -> Any:
    """The tensors by name, or the nested value that ``save`` was given."""
    if TREE_KEY not in file.metadata:
        return file.tensors
    try:
        return unpack(json.loads(file.metadata[TREE_KEY]), {name: one._array for name, one in file.tensors.items()})
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"load: {file.path} is damaged: its metadata does not describe its tensors: {error}") from None


def _open_shards(index: Path) -> OpenedCheckpoint:
    opened = OpenedCheckpoint(index, {})
    for path, names in read_index(index).items():
        if not path.is_file():
            raise FileNotFoundError(f"load: {index} lists {path.name}, which is missing")
        shard = open_checkpoint(path)
        missing = [name for name in names if not isinstance(shard.content, Mapping) or name not in shard.content]
        if missing:
            raise ValueError(f"load: {path} has no tensor {missing[0]!r}, which {index.name} lists")
        opened.content |= {name: shard.content[name] for name in names}
        opened.metadata = {**shard.metadata, **opened.metadata}
        opened.files += shard.files
    return opened


def _is_pytorch_file(source: Path) -> bool:
    with source.open("rb") as file:
        first = file.read(9)
    # A safetensors file starts with the length of its JSON header, which may look like the start of a pickle.
    if first[8:] == b"{":
        return False
    return first.startswith((_ZIP, _PICKLE)) or source.suffix in PYTORCH_SUFFIXES

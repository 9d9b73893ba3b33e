"""One checkpoint on disk: a folder that is complete or not there, and that shows when it has been damaged since.

::

    step-00001200/
        manifest.json            step, epoch, metrics, and the size and SHA-256 of every other file; also of itself
        state.json               everything that is no tensor
        model.safetensors        the tensors of "model", and so on for the other parts

The folder is written under a temporary name. Every file is synced to the disk, then the folder, then it is renamed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, cast

import mlx.core as mx

from lucid.checkpoint.tree import Tensors, pack, unpack

FORMAT = "lucid.checkpoint 1"
MANIFEST, STATE = "manifest.json", "state.json"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_CHUNK_BYTES = 1 << 20


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message says which one, and why."""


class DamagedError(CheckpointError):
    """A file of a checkpoint is missing, cut off or changed."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint says about itself. ``values`` are the parts without ``load_state_dict``, once restored."""

    path: Path
    step: int
    epoch: int | None
    metrics: dict[str, float]
    written: str  # ISO 8601, UTC
    values: dict[str, Any] = field(default_factory=dict, compare=False)


def check_part_name(where: str, name: Any) -> str:
    """``name`` when a file can be called so."""
    if not isinstance(name, str) or not _PART.fullmatch(name):
        raise ValueError(f"{where}: the name of a part must be letters, digits, '_', '-' and '.', got {name!r}")
    return name


# Writing -------------------------------------------------------------------------------------------------------------


def write_folder(
    temporary: Path, target: Path, parts: Mapping[str, tuple[Any, Tensors]], about: dict[str, Any]
) -> None:
    """Write the packed ``parts`` to the folder ``temporary`` and rename it to ``target``, which must not be there.

    Raises:
        OSError: the disk is full, or the like.
    """
    temporary.mkdir()
    files = {}
    for name, (_, tensors) in parts.items():
        if tensors:
            file = f"{name}.safetensors"
            files[file] = _write(temporary / file, tensors)
    files[STATE] = _write(temporary / STATE, _to_json({name: packed for name, (packed, _) in parts.items()}))
    written = datetime.now(timezone.utc).isoformat(timespec="seconds")
    manifest = {"format": FORMAT, **pack(about, "manifest")[0], "written": written, "files": files}
    _write(temporary / MANIFEST, _to_json({"manifest": manifest, "sha256": _digest(manifest)}))
    sync_folder(temporary)
    os.rename(temporary, target)
    sync_folder(target.parent)


class _HashingWriter:
    """A file to write to, whose checksum is taken of what was meant to be written, not of what came to be."""

    closed = False  # MLX asks for this, seek and tell, and then only writes

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.bytes = 0

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        self.bytes += len(data)
        self._file.write(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self.bytes


def _write(path: Path, content: Tensors | bytes) -> dict[str, Any]:
    """Write a file, sync it, and give its size and checksum."""
    with open(path, "xb") as file:
        hashing = _HashingWriter(file)
        if isinstance(content, bytes):
            hashing.write(content)
        else:
            mx.save_safetensors(cast(BinaryIO, hashing), content, {})
        file.flush()
        _sync(file.fileno())
    return {"bytes": hashing.bytes, "sha256": hashing.sha256.hexdigest()}


def _sync(descriptor: int) -> None:
    # On macOS fsync leaves the bytes in the drive's cache; not every file system there offers the full one.
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        try:
            fcntl.fcntl(descriptor, full)
            return
        except OSError:
            pass
    os.fsync(descriptor)


def sync_folder(path: Path) -> None:
    """Make what was created and renamed in the folder outlive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _to_json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, indent=1).encode()


def _digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# Reading -------------------------------------------------------------------------------------------------------------


def read_manifest(path: Path) -> tuple[Checkpoint, dict[str, Any]]:
    """What the manifest in ``path`` says, and the files that it lists.

    Raises:
        DamagedError: it is missing or changed.
        CheckpointError: it is of another version of the format.
    """
    try:
        content = json.loads((path / MANIFEST).read_bytes())
        manifest, sha256 = content["manifest"], content["sha256"]
    except FileNotFoundError:
        raise DamagedError(f"{MANIFEST} is missing") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError(f"{MANIFEST} cannot be read: {error}") from None
    if not isinstance(manifest, dict) or _digest(manifest) != sha256:
        raise DamagedError(f"{MANIFEST} has changed since it was written")
    if (found := manifest.get("format")) != FORMAT:
        raise CheckpointError(f"{path} is of the format {found!r}, this version of Lucid reads {FORMAT!r}")
    about = unpack({key: manifest[key] for key in ("step", "epoch", "metrics", "written")}, {})
    return Checkpoint(path, **about), manifest["files"]


def read_folder(path: Path) -> tuple[Checkpoint, dict[str, Any]]:
    """What the manifest says, and the parts by name; every byte is checked and read before anything is returned.

    Raises:
        DamagedError: a file is missing, cut off or changed.
        CheckpointError: it is of another version of the format.
    """
    about, files = read_manifest(path)
    for name, wanted in files.items():
        _check_file(path / name, wanted)
    try:
        packed = json.loads((path / STATE).read_bytes())
        arrays: Any = {name: mx.load(str(path / name)) for name in files if name.endswith(".safetensors")}
        mx.eval(arrays)  # MLX reads late, and the folder may have given way to newer ones by then
        return about, {name: unpack(one, arrays.get(f"{name}.safetensors", {})) for name, one in packed.items()}
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"its content cannot be read: {error}") from None


def _check_file(path: Path, wanted: Mapping[str, Any]) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise DamagedError(f"{path.name} cannot be read: {error.strerror}") from None
    if size != wanted["bytes"]:
        raise DamagedError(f"{path.name} has {size} bytes, {wanted['bytes']} were written")
    if digest.hexdigest() != wanted["sha256"]:
        raise DamagedError(f"{path.name} has changed since it was written")

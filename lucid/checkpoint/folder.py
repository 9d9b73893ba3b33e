"""One checkpoint on disk: a folder written atomically, with checksums that detect corruption.

::

    step-00001200/
        manifest.json            step, epoch, metrics, size and SHA-256 of every other file, and its own SHA-256
        state.json               everything that is not a tensor
        model.safetensors        the tensors of "model"; likewise for the other parts

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

from lucid import _deferred, _threads, serialization
from lucid._files import open_regular, read_regular
from lucid.serialization.tree import Tensors, pack, unpack

FORMAT = "lucid.checkpoint 1"
MANIFEST, STATE = "manifest.json", "state.json"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_CHUNK_BYTES = 1 << 20


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message names it and the reason."""


class DamagedError(CheckpointError):
    """A file of a checkpoint is missing, truncated or changed."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's metadata. After a restore, ``values`` holds the parts without ``load_state_dict``."""

    path: Path
    step: int
    epoch: int | None
    metrics: dict[str, float]
    written: str  # ISO 8601, UTC
    values: dict[str, Any] = field(default_factory=dict, compare=False)


def check_part_name(caller: str, name: Any) -> str:
    """Return ``name`` if it is valid as a file name."""
    if not isinstance(name, str) or not _PART.fullmatch(name):
        raise ValueError(f"{caller}: part names may only contain letters, digits, '_', '-' and '.', got {name!r}")
    return name


# Writing -----------------------------------------------------------------------------------------------------------


def write_folder(
    temporary: Path, target: Path, parts: Mapping[str, tuple[Any, Tensors]], about: dict[str, Any]
) -> None:
    """Write the packed ``parts`` to the folder ``temporary`` and rename it to ``target``, which must not exist.

    Raises:
        OSError: writing failed, for example because the disk is full.
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
    """A writable file that hashes the data passed to it, not what ends up on disk."""

    closed = False  # MLX checks this, seek and tell, and then only writes

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
    """Write and sync a file; return its size and checksum."""
    with open(path, "xb") as file:
        hashing = _HashingWriter(file)
        if isinstance(content, bytes):
            hashing.write(content)
        else:
            with _threads.lock:
                mx.save_safetensors(cast(BinaryIO, hashing), content, {})
        file.flush()
        _sync(file.fileno())
    return {"bytes": hashing.bytes, "sha256": hashing.sha256.hexdigest()}


def _sync(descriptor: int) -> None:
    # On macOS fsync leaves the data in the drive's cache; not every file system supports F_FULLFSYNC.
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        try:
            fcntl.fcntl(descriptor, full)
            return
        except OSError:
            pass
    os.fsync(descriptor)


def sync_folder(path: Path) -> None:
    """Make files created and renamed in the folder survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _to_json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, indent=1).encode()


def _digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# Reading -----------------------------------------------------------------------------------------------------------


def read_manifest(path: Path) -> tuple[Checkpoint, dict[str, Any]]:
    """The metadata in the manifest of ``path``, and the files that it lists.

    Raises:
        DamagedError: the manifest is missing or changed.
        CheckpointError: the format has an unsupported version.
    """
    try:
        content = json.loads(read_regular(path / MANIFEST))
        manifest, sha256 = content["manifest"], content["sha256"]
    except FileNotFoundError:
        raise DamagedError(f"{MANIFEST} is missing") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError(f"{MANIFEST} cannot be read: {_first_line(error)}") from None
    if not isinstance(manifest, dict) or _digest(manifest) != sha256:
        raise DamagedError(f"{MANIFEST} has changed since it was written")
    if (found := manifest.get("format")) != FORMAT:
        raise CheckpointError(f"{path} has format {found!r}, but this version of Lucid reads {FORMAT!r}")
    if not _is_listing(manifest.get("files")):
        raise DamagedError(f"{MANIFEST} lists no files with sizes and checksums")
    try:
        about = unpack({key: manifest[key] for key in ("step", "epoch", "metrics", "written")}, {})
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedError(f"{MANIFEST} does not describe a checkpoint: {_first_line(error)}") from None
    step, epoch, metrics = about["step"], about["epoch"], about["metrics"]
    if not (_is_count(step) and (epoch is None or _is_count(epoch)) and isinstance(about["written"], str)):
        raise DamagedError(f"{MANIFEST} has step {step!r:.40} and epoch {epoch!r:.40}, which are no counts")
    if not isinstance(metrics, dict) or not all(_is_metric(*item) for item in metrics.items()):
        raise DamagedError(f"{MANIFEST} has metrics that are not a mapping of names to numbers")
    return Checkpoint(path, **about), manifest["files"]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _is_metric(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, int | float)


def _is_listing(files: Any) -> bool:
    """Whether it is a manifest's list of files, all of them in the folder itself."""
    return (
        isinstance(files, dict)
        and STATE in files
        and all(_PART.fullmatch(name) and name != MANIFEST for name in files)
        and all(isinstance(one, dict) and _is_count(one.get("bytes")) for one in files.values())
        and all(isinstance(one.get("sha256"), str) for one in files.values())
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def read_folder(path: Path) -> tuple[Checkpoint, dict[str, Any]]:
    """The metadata and the parts by name, read and verified completely before anything is returned.

    Raises:
        DamagedError: a file is missing, truncated or changed.
        CheckpointError: the format has an unsupported version.
    """
    about, files = read_manifest(path)
    for name, wanted in files.items():
        _check_file(path / name, wanted)
    try:
        packed = json.loads(read_regular(path / STATE, files[STATE]["bytes"]))
        arrays = {name: _load(path / name) for name in files if name.endswith(".safetensors")}
        _deferred.wait(arrays)  # read lazily, and by then a newer checkpoint may have replaced this one
        return about, {name: unpack(one, arrays.get(f"{name}.safetensors", {})) for name, one in packed.items()}
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"its content cannot be read: {_first_line(error)}") from None


def _load(path: Path) -> Tensors:
    """Tensors of a file whose header is valid; MLX itself trusts it."""
    return {name: tensor._array for name, tensor in serialization.load_with_metadata(path)[0].items()}


def _check_file(path: Path, wanted: Mapping[str, Any]) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size == wanted["bytes"]:
                size = 0
                while size <= wanted["bytes"] and (chunk := file.read(_CHUNK_BYTES)):
                    digest.update(chunk)
                    size += len(chunk)
    except OSError as error:
        raise DamagedError(f"{path.name} cannot be read: {error.strerror or error}") from None
    if size != wanted["bytes"]:
        raise DamagedError(f"{path.name} has {size} bytes, but {wanted['bytes']} were written")
    if digest.hexdigest() != wanted["sha256"]:
        raise DamagedError(f"{path.name} has changed since it was written")

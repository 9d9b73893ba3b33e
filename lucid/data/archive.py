"""Read members of a tar archive into memory, by name. Nothing is extracted to disk."""

import gzip
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

_MAX_HEADER_BYTES = 1 << 20


class ArchiveError(RuntimeError):
    """A dataset is missing or damaged, or cannot be downloaded. The message names the file and the fix.

    Example:
        >>> try:
        ...     data.CIFAR10("no such folder")
        ... except data.ArchiveError:
        ...     print("download it with download=True")
        ...
        download it with download=True
    """


class _Reader(gzip.GzipFile):
    """Refuses to read more at once than any header or wanted member has; a header may claim exabytes."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        super().__init__(path, "rb")
        self._max_bytes = max_bytes

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > self._max_bytes:
            raise ValueError(f"a header claims {size} bytes")
        return super().read(size)


def read_members(path: Path, sizes: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    """Yield name and contents of the members in ``sizes`` (name to size in bytes), in the order of the archive.

    The whole archive is read and checked, including members that are not in ``sizes``.

    Raises:
        ArchiveError: the archive is damaged; a member of ``sizes`` is missing, duplicated or has the wrong size; or any
            member is a link or device, or has a path that leads outside the archive.
    """
    seen: set[str] = set()
    try:
        reader: Any = _Reader(path, max(sizes.values(), default=0) + _MAX_HEADER_BYTES)
        with reader as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                name = _checked_name(path, member)
                if name not in sizes:
                    continue
                if name in seen:
                    raise ArchiveError(f"{path}: contains {name} twice")
                if not member.isreg() or member.size != sizes[name]:
                    raise ArchiveError(f"{path}: {name} must be a file of {sizes[name]} bytes, got {member.size}")
                file = archive.extractfile(member)
                content = file.read() if file is not None else b""
                if len(content) != member.size:
                    raise ArchiveError(f"{path}: truncated inside {name}")
                seen.add(name)
                yield name, content
                del content
            while stream.read(1 << 20):  # gzip verifies its checksum at the end of the stream
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, OverflowError, RecursionError) as error:
        raise ArchiveError(f"{path}: cannot be read as a tar.gz archive: {' '.join(str(error).split())}") from error
    missing = sorted(set(sizes) - seen)
    if missing:
        raise ArchiveError(f"{path}: missing {', '.join(missing)}")


def _checked_name(path: Path, member: tarfile.TarInfo) -> str:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or "\0" in member.name:
        raise ArchiveError(f"{path}: unsafe archive, the path {member.name!r} leads outside of it")
    if not (member.isreg() or member.isdir()):
        raise ArchiveError(f"{path}: unsafe archive, {member.name!r} is neither a file nor a folder")
    return str(name)

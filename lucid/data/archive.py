"""Members of a tar archive, read by name into memory. Nothing is ever extracted to a path."""

import gzip
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath


class ArchiveError(RuntimeError):
    """A data set is not there, cannot be downloaded, or is damaged. The message says which file and what to do."""


def read_members(path: Path, sizes: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    """The contents of the members named in ``sizes`` (name to size in bytes), in the order of the archive.

    The whole archive is looked through, and refused if it holds anything that an honest one does not.

    Raises:
        ArchiveError: the archive is damaged; a wanted member is missing, there twice or of another size; any member
            is a link or device or has a name that leads out of the archive's folder.
    """
    seen: set[str] = set()
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                name = _checked_name(path, member)
                if name not in sizes:
                    continue
                if name in seen:
                    raise ArchiveError(f"{path}: holds {name} twice")
                if not member.isreg() or member.size != sizes[name]:
                    raise ArchiveError(f"{path}: {name} must be a file of {sizes[name]} bytes, has {member.size}")
                file = archive.extractfile(member)
                content = file.read() if file is not None else b""
                if len(content) != member.size:
                    raise ArchiveError(f"{path}: breaks off inside {name}")
                seen.add(name)
                yield name, content
                del content
            while stream.read(1 << 20):  # gzip compares its own checksum when it comes to the end
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, OverflowError) as error:
        raise ArchiveError(f"{path}: cannot be read as a tar.gz archive: {error}") from error
    missing = sorted(set(sizes) - seen)
    if missing:
        raise ArchiveError(f"{path}: lacks {', '.join(missing)}")


def _checked_name(path: Path, member: tarfile.TarInfo) -> str:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or "\0" in member.name:
        raise ArchiveError(f"{path}: refused, member name {member.name!r} leads out of the archive")
    if not (member.isreg() or member.isdir()):
        raise ArchiveError(f"{path}: refused, member {member.name!r} is neither a file nor a folder")
    return str(name)

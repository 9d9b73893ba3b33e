"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; at the end of the block the file is synced and renamed to ``path``.

    After an error, or when the process dies, ``path`` holds what it held before. The temporary name keeps the suffix.

    Raises:
        OSError: the disk is full, the folder is missing, or the like; its ``filename`` is ``path``.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # a full disk names no file
            error.filename = str(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all.

    Raises:
        OSError: as ``atomic_path`` does.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)

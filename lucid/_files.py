"""Atomic file writes."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path to write to; at the end of the block the file is synced and renamed to ``path``.

    If the block raises or the process dies, ``path`` is unchanged. The temporary file has the same suffix.

    Raises:
        OSError: writing failed, e.g. because the disk is full; its ``filename`` is ``path``.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}-{threading.get_ident()}{target.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # no file name if the disk is full
            error.filename = str(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` to ``path`` atomically.

    Raises:
        OSError: as for ``atomic_path``.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)

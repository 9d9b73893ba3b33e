"""Atomic file writes, locks, and reads of files that may be anything."""

import errno
import fcntl
import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # of some network file systems
_MAX_TEXT_BYTES = 64 << 20


def cache_folder() -> Path:
    """The folder for what can be made again: ``LUCID_CACHE``, or ``lucid`` in the system's cache folder.

    Raises:
        FileNotFoundError: The user has no home folder, as in a container that runs under any user id.
    """
    folder = os.environ.get("LUCID_CACHE")
    if folder:
        return Path(folder)
    try:
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "lucid"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lucid"
    except RuntimeError:
        raise FileNotFoundError("this user has no home folder; LUCID_CACHE names a folder for caches") from None


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


class UnusableFileError(OSError):
    """A file is something else than expected: a link, a pipe, a device, or another user's."""


def open_unlinked(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading and appending, and create it if it does not exist. Links are not followed.

    Raises:
        UnusableFileError: it is a link, or no regular file.
        OSError: it cannot be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnusableFileError(f"{os.fspath(path)} is a link") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnusableFileError(f"{os.fspath(path)} is not a regular file")
    return os.fdopen(descriptor, "ab")


def is_open_as(file: BinaryIO, path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is still the file that is open: another process may have renamed or removed it."""
    return _is_open_as(file.fileno(), path)


def _is_open_as(descriptor: int, path: str | os.PathLike[str]) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


class FileLock:
    """A file that is locked, and exists, until ``release`` or until the object is gone."""

    def __init__(self, path: str | os.PathLike[str], file: BinaryIO) -> None:
        # A descriptor, because garbage collection may close a file object of a cycle before __del__ is called.
        self._path, self._descriptor, self._process = path, os.dup(file.fileno()), os.getpid()

    def release(self) -> None:
        if self._descriptor >= 0:
            try:
                # A forked process has the descriptor too; the file stays its parent's.
                if self._process == os.getpid() and _is_open_as(self._descriptor, self._path):
                    os.unlink(self._path)
            finally:
                os.close(self._descriptor)
                self._descriptor = -1

    def __del__(self) -> None:
        with suppress(OSError):
            self.release()


def lock_file(path: str | os.PathLike[str], content: bytes) -> FileLock | None:
    """Lock a file that exists only while it is locked; None if another process, or other code in this one, holds it.

    The system releases the lock with the process, however it ends, so what a killed process left behind does not
    block. ``content`` may say who holds it. Where a file system has no locks, nobody is kept out.

    Raises:
        OSError: the file cannot be opened.
    """
    while True:
        with open_unlinked(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
            if is_open_as(file, path):
                file.truncate(0)
                file.write(content)
                return FileLock(path, file)


def read_regular(path: str | os.PathLike[str], max_bytes: int = _MAX_TEXT_BYTES) -> bytes:
    """The content of a file that should be small. A pipe would block and a device never end.

    Raises:
        UnusableFileError: it is no regular file, or larger than ``max_bytes``.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise UnusableFileError(f"{os.fspath(path)} has more than {max_bytes} bytes")
    return content


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading; links are followed.

    Raises:
        UnusableFileError: it is something else, such as a pipe or a device.
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnusableFileError(f"{os.fspath(path)} is not a regular file")
    return os.fdopen(descriptor, "rb")

"""Downloads that survive broken connections and never leave a damaged file under the final name.

Bytes go to ``NAME.part``; a broken transfer leaves it there and the next try asks the server for the rest. Only a
file with the right checksum is renamed to ``NAME``; one with the wrong checksum is removed. Processes that want the
same file wait for each other.
"""

import contextlib
import fcntl
import hashlib
import http.client
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from lucid.data.archive import ArchiveError

CHUNK_BYTES = 1 << 18
TIMEOUT_S = 30.0
TRIES_WITHOUT_PROGRESS = 4
FIRST_WAIT_S = 1.0

_RETRIED_STATUS = {408, 425, 429, 500, 502, 503, 504}


def md5_of(path: Path) -> str:
    """The MD5 checksum of a file, in hexadecimal. It finds damage; it is no proof against forgery."""
    return _digest(path, hashlib.md5(usedforsecurity=False))


def sha256_of(path: Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal."""
    return _digest(path, hashlib.sha256())


def _digest(path: Path, digest: Any) -> str:
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def fetch_file(url: str, path: Path, md5: str | None = None, sha256: str | None = None) -> None:
    """Download ``url`` to ``path``, whole and checked, going on with what an earlier try left.

    ``sha256`` may be its beginning only.

    Raises:
        ArchiveError: the server cannot be reached, refuses, keeps breaking off, or sends bytes with another checksum.
        ValueError: ``url`` is not http or https.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"download: url must start with http:// or https://, got {url!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with locked(part) as file:
        if path.exists() and _difference(path, md5, sha256) is None:  # another process was faster
            part.unlink()
            return
        left_over = file.seek(0, os.SEEK_END) > 0
        _transfer_patiently(url, file, part)
        difference = _difference(part, md5, sha256)
        if left_over and difference:
            file.truncate(0)  # the left-over was no beginning of this file
            _transfer_patiently(url, file, part)
            difference = _difference(part, md5, sha256)
        if difference:
            size = part.stat().st_size
            part.unlink()
            raise ArchiveError(f"{url} sent {size} bytes with {difference}; nothing was kept")
        os.fsync(file.fileno())
        os.replace(part, path)


def _difference(path: Path, md5: str | None, sha256: str | None) -> str | None:
    """In what the file's checksum differs from the one expected."""
    for name, expected, checksum in (("md5", md5, md5_of), ("sha256", sha256, sha256_of)):
        if expected is not None and not (received := checksum(path)).startswith(expected):
            return f"{name} {received}, expected {name} {expected}"
    return None


@contextlib.contextmanager
def locked(part: Path) -> Iterator[BinaryIO]:
    """``part`` opened for appending, by this process alone."""
    while True:
        file = open(part, "ab")  # noqa: SIM115 - closed below, after the lock was tried
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            # While this process waited, the one before may have renamed or removed the file that is locked now.
            if _is_open_as(file, part):
                yield file
                return
        finally:
            file.close()


def _is_open_as(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _transfer_patiently(url: str, file: BinaryIO, part: Path) -> None:
    """``_transfer``, tried again while there is hope: after the first bytes came, or when the server asks to wait."""
    failures = 0
    connected = False
    while True:
        before = file.seek(0, os.SEEK_END)
        try:
            _transfer(url, file)
            return
        except (OSError, http.client.HTTPException) as error:
            file.flush()
            have = file.seek(0, os.SEEK_END)
            failures = 1 if have > before else failures + 1
            status = error.code if isinstance(error, urllib.error.HTTPError) else None
            # urlopen's own error is one of connecting. Without a network nobody should wait for four of them.
            unreachable = isinstance(error, urllib.error.URLError) and status is None and not connected
            refused = status is not None and status not in _RETRIED_STATUS
            connected = connected or not unreachable
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            if unreachable or refused or failures >= TRIES_WITHOUT_PROGRESS:
                kept = f"; {have} bytes are kept in {part} and the next try goes on from there" if have else ""
                if not have:
                    part.unlink(missing_ok=True)
                raise ArchiveError(f"cannot download {url}: {_reason(error)}{kept}") from error
            time.sleep(FIRST_WAIT_S * 2 ** (failures - 1))


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error) or type(error).__name__


def _transfer(url: str, file: BinaryIO) -> None:
    """Append what is missing of ``url`` to ``file``; start over where the server cannot send a part."""
    have = file.seek(0, os.SEEK_END)
    request = urllib.request.Request(url, headers={"User-Agent": "lucid", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing lies beyond what is here
            error.close()
            if _total_of(error.headers) == have:
                return
            file.truncate(0)
            _transfer(url, file)
            return
        raise
    with response:
        total = _total_of(response.headers)
        if have and not (response.status == 206 and _start_of(response.headers) == have):
            if response.status == 206:
                raise http.client.HTTPException(f"the server sent another range than bytes {have}-")
            file.truncate(0)
            have = 0
        with _progress(url.rsplit("/", 1)[-1], have, total) as advance:
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                have += len(chunk)
                advance(len(chunk))
    file.flush()
    if total is not None and have < total:
        raise ConnectionError(f"the connection broke after {have} of {total} bytes")


def _start_of(headers: Any) -> int | None:
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _total_of(headers: Any) -> int | None:
    """The size of the whole file, from Content-Range where there is one."""
    if "Content-Range" in headers:
        found = re.search(r"/(\d+)$", headers["Content-Range"])
        return int(found[1]) if found else None
    length = headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


@contextlib.contextmanager
def _progress(name: str, have: int, total: int | None) -> Iterator[Any]:
    """A function to call with the number of bytes received: a bar with tqdm, a line every few seconds without."""
    try:
        from tqdm import tqdm
    except ImportError:
        yield _line_printer(name, have, total)
        return
    with tqdm(desc=name, initial=have, total=total, unit="B", unit_scale=True, unit_divisor=1024) as bar:
        yield bar.update


def _line_printer(name: str, have: int, total: int | None) -> Any:
    every_s = 5.0
    printed = time.monotonic()

    def advance(count: int) -> None:
        nonlocal have, printed
        have += count
        if time.monotonic() - printed > every_s or have == total:
            printed = time.monotonic()
            of = f" of {total / 2**20:.0f}" if total else ""
            print(f"{name}: {have / 2**20:.0f}{of} MiB", file=sys.stderr)

    return advance

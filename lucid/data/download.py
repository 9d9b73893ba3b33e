"""Downloads that resume, are checked, and never leave a damaged file under the final name.

Bytes go to ``NAME.part``. An interrupted download keeps this file, and the next attempt asks the server for the rest.
Only a file with the right checksum is renamed to ``NAME``; one with a wrong checksum is removed. Processes that
download the same file wait for each other.

``fetch`` is the only retry loop. How bytes are requested is up to its caller, who passes a ``Request``: ``fetch_file``
uses urllib, model weights use huggingface_hub's session, because huggingface_hub's own download discards partial files.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lucid.data.archive import ArchiveError

CHUNK_BYTES = 1 << 18
TIMEOUT_S = 30.0
TRIES_WITHOUT_PROGRESS = 4
FIRST_WAIT_S = 1.0
TEMPORARY_STATUS = {408, 425, 429, 500, 502, 503, 504}


class RequestError(Exception):
    """A request failed, or its connection broke.

    ``permanent``: the server refused, so another attempt is pointless. ``unreachable``: there was no connection.
    """

    def __init__(self, reason: str, *, permanent: bool = False, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.unreachable = unreachable


@dataclass
class Response:
    """The bytes of a file from ``start`` to its end. ``total`` is the size of the whole file, if known."""

    start: int
    total: int | None
    chunks: Iterator[bytes]


# Requests the bytes from a position on. The server may send the whole file instead. Any exception, from the call or
# from the chunks, counts as a broken connection; a RequestError says more about it.
Request = Callable[[int], AbstractContextManager[Response]]
# Shows the progress of a download with a title, bytes received before, and total size; gives a function to call with
# the number of bytes received.
Progress = Callable[[str, int, int | None], AbstractContextManager[Callable[[int], Any]]]


def md5_of(path: Path) -> str:
    """The MD5 checksum of a file in hexadecimal. It detects damage, not forgery."""
    return _digest(path, hashlib.md5(usedforsecurity=False))


def sha256_of(path: Path) -> str:
    """The SHA-256 checksum of a file in hexadecimal."""
    return _digest(path, hashlib.sha256())


def _digest(path: Path, digest: Any) -> str:
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def fetch_file(url: str, path: Path, md5: str | None = None, sha256: str | None = None) -> None:
    """Download ``url`` to ``path`` and check it. An interrupted download resumes.

    ``sha256`` may be just the first digits.

    Raises:
        ArchiveError: The server cannot be reached or refuses, the connection keeps breaking, or the checksum is wrong.
        ValueError: ``url`` is not http or https.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"download: url must start with http:// or https://, got {url!r}")
    fetch(url, path, functools.partial(_request, url), md5=md5, sha256=sha256)


def fetch(
    url: str,
    path: Path,
    request: Request,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    size: int | None = None,
    part_suffix: str = ".part",
    title: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Download a file with ``request`` and check it. An interrupted download resumes, also in another process.

    Args:
        url: For messages.
        path: Where the file goes.
        request: Requests a range of bytes.
        md5: Checksum of the file, if known.
        sha256: Checksum of the file, or its first digits.
        size: Size of the file in bytes, if known.
        part_suffix: Appended to the name of the file until it is complete.
        title: For the progress bar; defaults to the last part of ``url``.
        progress: Shows the progress; defaults to a bar with tqdm, lines without.

    Raises:
        ArchiveError: As for ``fetch_file``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + part_suffix)
    download = _Download(url, request, size, title or url.rsplit("/", 1)[-1], progress or _progress)
    with locked(part) as file:
        if path.exists() and _difference(path, md5, sha256) is None:  # another process was faster
            part.unlink()
            return
        resumed = file.seek(0, os.SEEK_END) > 0
        download.receive(file, part)
        difference = _difference(part, md5, sha256)
        if resumed and difference:
            file.truncate(0)  # what was there was not the beginning of this file
            download.receive(file, part)
            difference = _difference(part, md5, sha256)
        if difference:
            received = part.stat().st_size
            part.unlink()
            raise ArchiveError(f"{url}: received {received} bytes with {difference}; nothing was kept")
        os.fsync(file.fileno())
        os.replace(part, path)


@dataclass
class _Download:
    url: str
    request: Request
    size: int | None
    title: str
    progress: Progress

    def receive(self, file: BinaryIO, part: Path) -> None:
        """Append the missing bytes to ``file``, retrying as long as attempts make progress.

        If the server cannot be reached at the first attempt, it does not retry: there is probably no network.
        """
        failures, connected = 0, False
        while True:
            before = file.seek(0, os.SEEK_END)
            try:
                self._receive_once(file, before)
                return
            except (RequestError, OSError) as error:
                with contextlib.suppress(OSError):  # a full disk, which is the error being handled
                    file.flush()
                have = os.fstat(file.fileno()).st_size
                failures = 1 if have > before else failures + 1
                permanent = not isinstance(error, RequestError) or error.permanent  # an OSError comes from writing
                unreachable = isinstance(error, RequestError) and error.unreachable
                if permanent or (unreachable and not connected) or failures >= TRIES_WITHOUT_PROGRESS:
                    kept = f"; {have} bytes are kept in {part}, and the next attempt resumes there" if have else ""
                    if not have:
                        part.unlink(missing_ok=True)
                    raise ArchiveError(f"cannot download {self.url}: {error}{kept}") from error
                connected = connected or not unreachable
                time.sleep(FIRST_WAIT_S * 2 ** (failures - 1))

    def _receive_once(self, file: BinaryIO, have: int) -> None:
        if self.size is not None and have > self.size:
            have = file.truncate(0)
        if have == self.size:
            return
        with contextlib.ExitStack() as stack:
            with _as_request_error():
                response = stack.enter_context(self.request(have))
            if response.start != have:  # the server sends the whole file
                have = file.truncate(response.start)
            total = self.size if response.total is None else response.total
            advance = stack.enter_context(self.progress(self.title, have, total))
            while True:
                with _as_request_error():
                    chunk = next(response.chunks, None)
                if chunk is None:
                    break
                file.write(chunk)
                have += len(chunk)
                advance(len(chunk))
        file.flush()
        if total is not None and have < total:
            raise RequestError(f"the connection broke after {have} of {total} bytes")


@contextlib.contextmanager
def _as_request_error() -> Iterator[None]:
    try:
        yield
    except RequestError:
        raise
    except Exception as error:  # each HTTP library has its own
        raise RequestError(reason_of(error)) from error


def reason_of(error: Exception) -> str:
    """The first line of an error's message, or its type if it has none."""
    return str(getattr(error, "reason", None) or error).partition("\n")[0] or type(error).__name__


def _difference(path: Path, md5: str | None, sha256: str | None) -> str | None:
    """How the checksum of a file differs from the expected one, or None."""
    for name, expected, checksum in (("md5", md5, md5_of), ("sha256", sha256, sha256_of)):
        if expected is not None and not (received := checksum(path)).startswith(expected):
            return f"{name} {received}, expected {name} {expected}"
    return None


@contextlib.contextmanager
def locked(part: Path) -> Iterator[BinaryIO]:
    """Open ``part`` for appending, with an exclusive lock."""
    while True:
        file = open(part, "ab")  # noqa: SIM115 - closed below
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            # While this process waited, another one may have renamed or removed the file that is locked now.
            if _is_open_as(file, part):
                yield file
                return
        finally:
            with contextlib.suppress(OSError):  # a full disk, which writing has reported
                file.close()


def _is_open_as(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _request(url: str, start: int) -> Iterator[Response]:
    """Request the bytes of ``url`` from ``start`` on, with urllib."""
    request = urllib.request.Request(url, headers={"User-Agent": "lucid", **range_headers(start)})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 416 or not start:
                raise RequestError(reason_of(error), permanent=error.code not in TEMPORARY_STATUS) from error
            total = _total_of(error.headers)  # there is nothing after start
        if total == start:
            yield Response(start, total, iter(()))
        else:
            with _request(url, 0) as whole:
                yield whole
        return
    except urllib.error.URLError as error:
        raise RequestError(reason_of(error), unreachable=True) from error
    with response:
        yield response_of(start, response.status, response.headers, iter(lambda: response.read(CHUNK_BYTES), b""))


def range_headers(start: int) -> dict[str, str]:
    """Headers that request the bytes from ``start`` on, without compression."""
    return {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}


def response_of(start: int, status: int, headers: Any, chunks: Iterator[bytes]) -> Response:
    """The response to a request with ``range_headers(start)``.

    Raises:
        RequestError: The server sent a different range.
    """
    if status != 206:
        return Response(0, _total_of(headers), chunks)
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    if found is None or int(found[1]) != start:
        raise RequestError(f"the server sent a different range than bytes {start}-")
    return Response(start, _total_of(headers), chunks)


def _total_of(headers: Any) -> int | None:
    """The size of the whole file, from Content-Range if present."""
    if "Content-Range" in headers:
        found = re.search(r"/(\d+)$", headers["Content-Range"])
        return int(found[1]) if found else None
    length = headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


@contextlib.contextmanager
def _progress(title: str, have: int, total: int | None) -> Iterator[Callable[[int], Any]]:
    """A bar with tqdm, a line every few seconds without."""
    try:
        from tqdm import tqdm
    except ImportError:
        yield _line_printer(title, have, total)
        return
    with tqdm(desc=title, initial=have, total=total, unit="B", unit_scale=True, unit_divisor=1024) as bar:
        yield bar.update


def _line_printer(title: str, have: int, total: int | None) -> Callable[[int], None]:
    every_s = 5.0
    printed = time.monotonic()

    def advance(count: int) -> None:
        nonlocal have, printed
        have += count
        if time.monotonic() - printed > every_s or have == total:
            printed = time.monotonic()
            of = f" of {total / 2**20:.0f}" if total else ""
            print(f"{title}: {have / 2**20:.0f}{of} MiB", file=sys.stderr)

    return advance

"""Downloads that resume, are checked, and never leave a damaged file under the final name.

Bytes go to ``NAME.part``. An interrupted download keeps this file, and the next attempt asks the server for the rest.
Only a file with the right checksum is renamed to ``NAME``; one with a wrong checksum is removed. Processes that
download the same file wait for each other.

Servers and folders are not trusted: a response larger than announced, a redirect from https to http and a partial file
that is a link are rejected. Error messages contain no passwords and tokens.

``fetch`` is the only retry loop. How bytes are requested is up to its caller, who passes a ``Request``: ``fetch_file``
uses urllib, model weights use huggingface_hub's session, because huggingface_hub's own download discards partial files.
"""

import base64
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

from lucid._files import UnusableFileError, is_open_as, open_unlinked
from lucid.data.archive import ArchiveError

CHUNK_BYTES = 1 << 18
TIMEOUT_S = 30.0
TRIES_WITHOUT_PROGRESS = 4
FIRST_WAIT_S = 1.0
UNANNOUNCED_BYTES = 16 << 30  # at most, from a server that announces no size
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

    ``sha256`` may be just the first digits. ``http://user:password@host/...`` logs in.

    Raises:
        ArchiveError: The server cannot be reached or refuses, the connection keeps breaking, the size or the checksum
            is wrong, or the partial file is a link or another user's.
        ValueError: ``url`` is not http or https.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"download: url must start with http:// or https://, got {without_secrets(url)!r}")
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
    url = without_secrets(url)
    title = title or urllib.parse.urlsplit(url).path.rsplit("/", 1)[-1]
    download = _Download(url, request, size, title, progress or _progress)
    with locked(part) as file:
        if path.is_file() and _difference(path, md5, sha256) is None:  # another process was faster
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
                    # The error of an HTTP library may show the whole URL.
                    raise ArchiveError(f"cannot download {self.url}: {error}{kept}") from None
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
            if self.size not in (None, total):
                raise RequestError(f"the server announces {total} bytes instead of {self.size}", permanent=True)
            advance = stack.enter_context(self.progress(self.title, have, total))
            while True:
                with _as_request_error():
                    chunk = next(response.chunks, None)
                if chunk is None:
                    break
                have += len(chunk)
                if have > (UNANNOUNCED_BYTES if total is None else total):
                    file.truncate(0)
                    announced = (
                        f"more than {UNANNOUNCED_BYTES}" if total is None else f"more than the announced {total}"
                    )
                    raise RequestError(f"the server sends {announced} bytes", permanent=True)
                file.write(chunk)
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
    """The first line of an error's message, without secrets, or its type if it has none."""
    first = str(getattr(error, "reason", None) or error).partition("\n")[0]
    return without_secrets(first) or type(error).__name__


_URL = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?:[^\s/?#'\"<>]*@)?(?P<place>[^\s?#'\"<>]*)(?:[?#][^\s'\"<>]*)?", re.I
)


def without_secrets(text: str) -> str:
    """``text`` with its URLs cut to scheme, host and path: passwords stand before the host, tokens in the query."""
    return _URL.sub(r"\g<scheme>\g<place>", text)


def refuse_downgrade(url: str, target: str) -> None:
    """Raise if a redirect leads from https to something else, where others could read and change what is sent.

    Raises:
        RequestError: It does.
    """
    if url.lower().startswith("https://") and not target.lower().startswith("https://"):
        raise RequestError(f"the server redirects from https to {without_secrets(target)}", permanent=True)


def _difference(path: Path, md5: str | None, sha256: str | None) -> str | None:
    """How the checksum of a file differs from the expected one, or None."""
    for name, expected, checksum in (("md5", md5, md5_of), ("sha256", sha256, sha256_of)):
        if expected is not None and not (received := checksum(path)).startswith(expected):
            return f"{name} {received}, expected {name} {expected}"
    return None


@contextlib.contextmanager
def locked(part: Path) -> Iterator[BinaryIO]:
    """Open ``part`` for appending, with an exclusive lock.

    Raises:
        ArchiveError: It is a link, no regular file, or belongs to another user.
    """
    while True:
        file = _open_own(part)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            # While this process waited, another one may have renamed or removed the file that is locked now.
            if is_open_as(file, part):
                yield file
                return
        finally:
            with contextlib.suppress(OSError):  # a full disk, which writing has reported
                file.close()


def _open_own(part: Path) -> BinaryIO:
    try:
        file = open_unlinked(part)
    except UnusableFileError as error:
        raise ArchiveError(f"{error}; delete it to download the file") from None
    status = os.fstat(file.fileno())
    if status.st_uid != os.geteuid() or status.st_nlink > 1:
        file.close()
        raise ArchiveError(f"{part} is another user's, or another name of a file; delete it to download the file")
    return file


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects to http and https, but never from https to http. A password goes to the first server only."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        with contextlib.ExitStack() as stack:
            stack.callback(fp.close)
            refuse_downgrade(req.full_url, newurl)
            if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
                raise RequestError(f"the server redirects to {without_secrets(newurl)}", permanent=True)
            stack.pop_all()
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextlib.contextmanager
def _request(url: str, start: int) -> Iterator[Response]:
    """Request the bytes of ``url`` from ``start`` on, with urllib."""
    parts = urllib.parse.urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(
        parts._replace(netloc=host).geturl(), headers={"User-Agent": "lucid", **range_headers(start)}
    )
    if login:
        encoded = base64.b64encode(urllib.parse.unquote_to_bytes(login)).decode()
        request.add_unredirected_header("Authorization", f"Basic {encoded}")
    try:
        response = urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT_S)
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

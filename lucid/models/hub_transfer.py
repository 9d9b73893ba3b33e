"""One file from the hub, whole and checked, going on where an earlier try broke off.

huggingface_hub's own download checks the size only and throws away what it has when it gives up. This one takes its
session (proxies, certificates, tokens) and its progress bar, and writes where its cache expects the file.
"""

import os
import time
from pathlib import Path
from typing import BinaryIO

from lucid.data.download import locked, sha256_of

TRIES_WITHOUT_PROGRESS = 4
FIRST_WAIT_S = 1.0

_RETRIED_STATUS = {408, 425, 429, 500, 502, 503, 504}


class TransferError(RuntimeError):
    """A file did not arrive, or with another checksum."""


def fetch_blob(url: str, size: int | None, blob: Path, title: str) -> None:
    """Download ``url`` to ``blob``, whose name is the SHA-256 of the content, as in the cache of huggingface_hub.

    Processes that want the same file wait for each other. ``title`` stands before the progress bar.

    Raises:
        TransferError: the connection keeps breaking off, the server refuses, or the checksum is another one.
    """
    blob.parent.mkdir(parents=True, exist_ok=True)
    part = blob.with_name(f"{blob.name}.lucid.incomplete")
    with locked(part) as file:
        if blob.exists():  # another process was faster
            part.unlink()
            return
        left_over = file.seek(0, os.SEEK_END) > 0
        _receive_patiently(url, size, file, part, title)
        if left_over and sha256_of(part) != blob.name:
            file.truncate(0)  # the left-over was no beginning of this file
            _receive_patiently(url, size, file, part, title)
        if (received := sha256_of(part)) != blob.name:
            got = part.stat().st_size
            part.unlink()
            raise TransferError(
                f"{url} sent {got} bytes with sha256 {received}, expected {blob.name}; nothing was kept"
            )
        os.fsync(file.fileno())
        os.replace(part, blob)


def _receive_patiently(url: str, size: int | None, file: BinaryIO, part: Path, title: str) -> None:
    """``_receive``, tried again as long as bytes arrive now and then."""
    from huggingface_hub.errors import HfHubHTTPError

    failures = 0
    while True:
        have = file.seek(0, os.SEEK_END)
        if size is not None and have > size:
            have = file.truncate(0)
        if have == size:
            return
        try:
            _receive(url, size, have, file, title)
            file.flush()
            return
        # The HTTP library, and with it the errors of connections, is another one in each version of huggingface_hub.
        except Exception as error:
            file.flush()
            kept = file.seek(0, os.SEEK_END)
            failures = 1 if kept > have else failures + 1
            if isinstance(error, HfHubHTTPError):
                hopeless = error.response.status_code not in _RETRIED_STATUS
            else:
                hopeless = isinstance(error, OSError)  # the disk is full
            if hopeless or failures >= TRIES_WITHOUT_PROGRESS:
                more = f"; {kept} bytes are kept in {part} and the next try goes on from there" if kept else ""
                if not kept:
                    part.unlink(missing_ok=True)
                reason = str(error).partition("\n")[0] or type(error).__name__
                raise TransferError(f"cannot download {url}: {reason}{more}") from error
            time.sleep(FIRST_WAIT_S * 2 ** (failures - 1))


def _receive(url: str, size: int | None, have: int, file: BinaryIO, title: str) -> None:
    """Append what is missing of ``url`` to ``file``; start over where the server cannot send a part."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, tqdm

    headers = {**build_hf_headers(library_name="lucid"), "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    timeout_s = constants.HF_HUB_DOWNLOAD_TIMEOUT
    # On the way to another host, the storage, the session drops the token.
    with get_session().stream("GET", url, headers=headers, follow_redirects=True, timeout=timeout_s) as response:
        hf_raise_for_status(response)
        if have and response.status_code != 206:
            have = file.truncate(0)
        title = f"{title}/{url.rpartition('/')[2]}"
        with tqdm(desc=title, initial=have, total=size, unit="B", unit_scale=True, unit_divisor=1024) as bar:
            for piece in response.iter_bytes():
                file.write(piece)
                bar.update(len(piece))

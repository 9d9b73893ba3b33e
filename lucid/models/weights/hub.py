"""Weights from the network, out of the caches they share with huggingface_hub and torch.hub, or downloaded into them.

A file under its final name is whole and has the right checksum: huggingface_hub names large files in its cache by
their SHA-256, so the name is given only once it fits. A transfer that breaks off goes on where it broke, also in
another process. ``HF_HOME``, ``HF_ENDPOINT``, ``HF_HUB_OFFLINE`` and ``TORCH_HOME`` mean what they mean elsewhere.
"""

import os
import re
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from lucid import _checks
from lucid.data.archive import ArchiveError
from lucid.data.download import fetch_file, locked, sha256_of
from lucid.models.weights.tags import Tag

TRIES_WITHOUT_PROGRESS = 4
FIRST_WAIT_S = 1.0

_RETRIED_STATUS = {408, 425, 429, 500, 502, 503, 504}

FILES = ("model.safetensors", "pytorch_model.bin")  # in a repository; the first that is there


class DownloadError(RuntimeError):
    """Weights are not there, cannot be downloaded, or came damaged. The message says which and what to do."""


class NonCommercialLicenceWarning(UserWarning):
    """The weights that are about to be downloaded may not be used commercially."""


def download(tag: Tag) -> Path:
    """The file with the weights of a tag: from the cache if it is there, whatever the network, else downloaded.

    Raises:
        DownloadError: there is no network or no such file, the network is switched off, the checksum is wrong, the
            cache cannot be written, ...
        ImportError: the tag lies on the hub, and huggingface_hub is not installed.
    """
    try:
        return _from_web(tag) if "://" in tag.location else _from_hub(tag)
    except OSError as error:
        raise DownloadError(f"{tag.name}: cannot write to the cache: {error}") from error


def _from_web(tag: Tag) -> Path:
    name = tag.location.rpartition("/")[2]
    path = _torch_cache() / name
    if path.is_file():
        return path
    if _is_offline():
        raise DownloadError(f"{tag.name}: {path} is not there, and HF_HUB_OFFLINE forbids to download it")
    _tell_licence(tag)
    digits = re.search(r"-([0-9a-f]{8,64})\.", name)  # torch.hub's convention; the authors publish no checksums
    try:
        fetch_file(tag.location, path, sha256=digits[1] if digits else None)
    except ArchiveError as error:
        raise DownloadError(f"{tag.name}: {error}") from error
    return path


def _torch_cache() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def _from_hub(tag: Tag) -> Path:
    hub = _huggingface_hub()
    for file in FILES:
        cached = hub.try_to_load_from_cache(tag.location, file, revision=tag.revision)
        if isinstance(cached, str):
            return Path(cached)
    if _is_offline() or hub.constants.HF_HUB_OFFLINE:
        raise DownloadError(
            f"{tag.name} is not in the cache {hub.constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE forbids to download it"
        )
    file, url, metadata = _find(hub, tag)
    _tell_licence(tag)
    if metadata.etag and re.fullmatch("[0-9a-f]{64}", metadata.etag):
        _fetch_blob(hub, tag, url, metadata)
    try:
        # Finds the blob in the cache and gives it its name in the snapshot.
        return Path(hub.hf_hub_download(tag.location, file, revision=tag.revision))
    except Exception as error:
        raise DownloadError(f"{tag.name}: {_reason(error)}") from error


def _find(hub: ModuleType, tag: Tag) -> tuple[str, str, Any]:
    """Which of ``FILES`` the repository has, at what URL, and what the hub says of it."""
    from huggingface_hub import errors

    endpoint = hub.constants.ENDPOINT
    for file in FILES:
        url = hub.hf_hub_url(tag.location, file, revision=tag.revision)
        try:
            return file, url, hub.get_hf_file_metadata(url)
        except errors.EntryNotFoundError:
            continue
        except errors.GatedRepoError as error:
            fix = f"accept its conditions at {endpoint}/{tag.location} and log in with: hf auth login"
            raise DownloadError(f"{tag.name}: the repository is gated; {fix}") from error
        except errors.RevisionNotFoundError as error:
            raise DownloadError(f"{tag.name}: {tag.location} has no revision {tag.revision!r}") from error
        except errors.RepositoryNotFoundError as error:
            fix = "if it is private, log in with: hf auth login"
            raise DownloadError(f"{tag.name}: {endpoint} has no repository {tag.location}; {fix}") from error
        except errors.HfHubHTTPError as error:
            status = getattr(error.response, "status_code", None)
            if status == 404:
                continue
            raise DownloadError(f"{tag.name}: {endpoint} answers with status {status}") from error
        except Exception as error:  # of the HTTP library, which is another one in each version of huggingface_hub
            cache = f"and the cache {hub.constants.HF_HUB_CACHE} does not have it"
            raise DownloadError(f"{tag.name}: cannot reach {endpoint} ({_reason(error)}), {cache}") from error
    raise DownloadError(f"{tag.name}: {tag.location} at {endpoint} has none of {', '.join(FILES)}")


def _fetch_blob(hub: ModuleType, tag: Tag, url: str, metadata: Any) -> None:
    """Put the file into huggingface_hub's cache, which ``hf_hub_download`` alone would do unchecked and in one go."""
    repository = "models--" + tag.location.replace("/", "--")
    blob = Path(hub.constants.HF_HUB_CACHE, repository, "blobs", metadata.etag)
    try:
        fetch_blob(url, metadata.size, blob, tag.variant)
    except TransferError as error:
        raise DownloadError(f"{tag.name}: {error}") from error


def _tell_licence(tag: Tag) -> None:
    if tag.non_commercial:
        warnings.warn(
            f"{tag.name}: these weights are licensed under {tag.licence}, for non-commercial use only",
            NonCommercialLicenceWarning,
            stacklevel=_checks.level_of_user(),
        )


def _is_offline() -> bool:
    words = (os.environ.get("HF_HUB_OFFLINE"), os.environ.get("TRANSFORMERS_OFFLINE"))
    return any(word is not None and word.upper() in ("1", "ON", "YES", "TRUE") for word in words)


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _huggingface_hub() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.constants
    except ImportError:
        raise ImportError('pretrained weights come from the hub; pip install "lucid-mlx[hub]"') from None
    return huggingface_hub


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

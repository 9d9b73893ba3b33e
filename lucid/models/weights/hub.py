"""Downloads of published weights, in the caches of huggingface_hub and torch.hub.

Files are checked before they get their final names: huggingface_hub names large files in its cache by their SHA-256.
Interrupted downloads resume, also in another process. ``HF_HOME``, ``HF_ENDPOINT``, ``HF_HUB_OFFLINE`` and
``TORCH_HOME`` have their usual meaning.
"""

import contextlib
import functools
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from lucid import _checks
from lucid.data.archive import ArchiveError
from lucid.data.download import (
    TEMPORARY_STATUS,
    RequestError,
    Response,
    fetch,
    fetch_file,
    range_headers,
    reason_of,
    response_of,
)  # fmt: skip
from lucid.models.weights.tags import Tag

FILES = ("model.safetensors", "pytorch_model.bin")  # in a repository, the first that exists


class DownloadError(RuntimeError):
    """Weights cannot be downloaded, or arrived damaged. The message gives the reason and the fix.

    Example:
        >>> try:
        ...     models.from_checkpoint("convnext_tiny.fb_in1k")  # doctest: +SKIP
        ... except models.DownloadError as error:
        ...     print(error)
        ...
    """


class NonCommercialLicenseWarning(UserWarning):
    """The weights to be downloaded are not licensed for commercial use.

    Example:
        >>> import warnings
        >>> warnings.simplefilter("ignore", models.NonCommercialLicenseWarning)  # once you have read the license
    """


def download(tag: Tag) -> Path:
    """The path of the weights of a tag. They are downloaded unless the cache has them.

    Raises:
        DownloadError: There is no network or no such file, downloads are turned off, the checksum is wrong, or the
            cache cannot be written.
        ImportError: The weights are on the hub, and huggingface_hub is not installed.
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
        raise DownloadError(f"{tag.name}: {path} does not exist, and HF_HUB_OFFLINE forbids downloading it")
    _warn_about_license(tag)
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
            f"{tag.name} is not in the cache {hub.constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE forbids downloading it"
        )
    file, url, metadata = _find_file(hub, tag)
    _warn_about_license(tag)
    if metadata.etag and re.fullmatch("[0-9a-f]{64}", metadata.etag):
        _fetch_blob(hub, tag, url, metadata)
    try:
        # Finds the blob in the cache and links it into the snapshot.
        return Path(hub.hf_hub_download(tag.location, file, revision=tag.revision))
    except Exception as error:
        raise DownloadError(f"{tag.name}: {reason_of(error)}") from error


def _find_file(hub: ModuleType, tag: Tag) -> tuple[str, str, Any]:
    """The first of ``FILES`` that the repository has, its URL, and its metadata."""
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
        except Exception as error:  # the HTTP library differs between versions of huggingface_hub
            cache = f"and the cache {hub.constants.HF_HUB_CACHE} does not have it"
            raise DownloadError(f"{tag.name}: cannot reach {endpoint} ({reason_of(error)}), {cache}") from error
    raise DownloadError(f"{tag.name}: {tag.location} at {endpoint} has none of {', '.join(FILES)}")


def _fetch_blob(hub: ModuleType, tag: Tag, url: str, metadata: Any) -> None:
    """Download the file into huggingface_hub's cache. ``hf_hub_download`` would neither check it nor resume."""
    repository = "models--" + tag.location.replace("/", "--")
    blob = Path(hub.constants.HF_HUB_CACHE, repository, "blobs", metadata.etag)
    title = f"{tag.variant}/{url.rpartition('/')[2]}"
    try:
        fetch(
            url, blob, functools.partial(_request, url), sha256=blob.name, size=metadata.size,
            part_suffix=".lucid.incomplete", title=title, progress=_progress,
        )  # fmt: skip
    except ArchiveError as error:
        raise DownloadError(f"{tag.name}: {error}") from error


def _warn_about_license(tag: Tag) -> None:
    if tag.non_commercial:
        warnings.warn(
            f"{tag.name}: these weights are licensed under {tag.license}, for non-commercial use only",
            NonCommercialLicenseWarning,
            stacklevel=_checks.level_of_user(),
        )


def _is_offline() -> bool:
    words = (os.environ.get("HF_HUB_OFFLINE"), os.environ.get("TRANSFORMERS_OFFLINE"))
    return any(word is not None and word.upper() in ("1", "ON", "YES", "TRUE") for word in words)


def _huggingface_hub() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.constants
    except ImportError:
        raise ImportError('pretrained weights need huggingface_hub; pip install "lucid-mlx[hub]"') from None
    return huggingface_hub


@contextlib.contextmanager
def _request(url: str, start: int) -> Iterator[Response]:
    """Request the bytes of ``url`` from ``start`` on, with huggingface_hub's session: proxies, certificates, tokens."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    headers = {**build_hf_headers(library_name="lucid"), **range_headers(start)}
    timeout_s = constants.HF_HUB_DOWNLOAD_TIMEOUT
    # The session drops the token when it is redirected to another host, the storage.
    with get_session().stream("GET", url, headers=headers, follow_redirects=True, timeout=timeout_s) as response:
        try:
            hf_raise_for_status(response)
        except HfHubHTTPError as error:
            permanent = error.response.status_code not in TEMPORARY_STATUS
            raise RequestError(reason_of(error), permanent=permanent) from error
        yield response_of(start, response.status_code, response.headers, response.iter_bytes())


@contextlib.contextmanager
def _progress(title: str, have: int, total: int | None) -> Iterator[Callable[[int], Any]]:
    from huggingface_hub.utils import tqdm

    with tqdm(desc=title, initial=have, total=total, unit="B", unit_scale=True, unit_divisor=1024) as bar:
        yield bar.update

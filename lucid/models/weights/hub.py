"""Downloads of published weights, in the caches of huggingface_hub and torch.hub.

Files are checked before they get their final names, and again when they are loaded: huggingface_hub names large files
in its cache by their SHA-256, torch.hub puts its first digits into the name. What a server answers becomes part of a
path only if it is a checksum or a commit. Interrupted downloads resume, also in another process. ``HF_HOME``,
``HF_ENDPOINT``, ``HF_HUB_OFFLINE`` and ``TORCH_HOME`` have their usual meaning.
"""

import contextlib
import functools
import os
import re
import shlex
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urljoin

from lucid import _checks
from lucid._files import write_atomically
from lucid.data.archive import ArchiveError
from lucid.data.download import (
    TEMPORARY_STATUS,
    RequestError,
    Response,
    fetch,
    fetch_file,
    range_headers,
    reason_of,
    refuse_downgrade,
    response_of,
    sha256_of,
    without_secrets,
)  # fmt: skip
from lucid.models.weights.tags import Tag

MAX_REDIRECTS = 10
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
            cache is damaged or cannot be written.
        ValueError: The revision is not a name that git allows.
        ImportError: The weights are on the hub, and huggingface_hub is not installed.
    """
    if tag.revision is not None and not _is_revision(tag.revision):
        raise ValueError(f"pretrained: {tag.revision!r} is not a branch, tag or commit")
    try:
        return _from_web(tag) if "://" in tag.location else _from_hub(tag)
    except OSError as error:
        raise DownloadError(f"{tag.name}: cannot write to the cache: {error}") from error


def _is_revision(name: str) -> bool:
    """Whether git allows the name; ``../..`` would lead out of the cache."""
    parts = name.split("/")
    return ".." not in name and all(re.fullmatch(r"[\w+@=#%-][\w.+@=#%-]*", part) for part in parts)


def _from_web(tag: Tag) -> Path:
    name = tag.location.rpartition("/")[2]
    path = _torch_cache() / name
    digits = re.search(r"-([0-9a-f]{8,64})\.", name)  # torch.hub's convention
    note = path.with_name(f"{name}.sha256")  # the authors publish no checksums, so that of the first download counts
    if path.is_file():
        return _verified(tag, path, path, digits[1] if digits else _noted_sha256(note))
    if _is_offline():
        raise DownloadError(f"{tag.name}: {path} does not exist, and HF_HUB_OFFLINE forbids downloading it")
    _warn_about_license(tag)
    try:
        fetch_file(tag.location, path, sha256=digits[1] if digits else None)
    except ArchiveError as error:
        raise DownloadError(f"{tag.name}: {error}") from None
    if not digits:
        write_atomically(note, f"{sha256_of(path)}  {name}\n".encode())  # sha256sum --check reads it
    return path


def _noted_sha256(note: Path) -> str:
    """The checksum noted in a file, or an empty string."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        found = re.match("[0-9a-f]{64} ", note.read_text("ascii")) if note.is_file() else None
        return found[0].strip() if found else ""
    return ""


def _verified(tag: Tag, path: Path, file: Path, sha256: str) -> Path:
    """``path``, a cached file stored as ``file``, after its checksum."""
    status = file.stat()
    if sha256:
        found = _cached_sha256(str(file), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if not found.startswith(sha256):
            raise DownloadError(
                f"{tag.name}: {path} is damaged: it has sha256 {found}, expected {sha256}; delete it, and it will be "
                f"downloaded again: rm {shlex.quote(str(file))}"
            )
    return path


@functools.lru_cache(maxsize=64)
def _cached_sha256(path: str, *identity: int) -> str:
    return sha256_of(Path(path))


def _torch_cache() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def _from_hub(tag: Tag) -> Path:
    hub = _huggingface_hub()
    for file in FILES:
        cached = hub.try_to_load_from_cache(tag.location, file, revision=tag.revision)
        if isinstance(cached, str):
            blob = Path(cached).resolve()
            is_named = blob.parent.name == "blobs" and re.fullmatch("[0-9a-f]{64}", blob.name)
            return _verified(tag, Path(cached), blob, blob.name if is_named else "")
    if _is_offline() or hub.constants.HF_HUB_OFFLINE:
        raise DownloadError(
            f"{tag.name} is not in the cache {hub.constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE forbids downloading it"
        )
    file, url, metadata = _find_file(hub, tag)
    _check_metadata(hub, tag, metadata)
    _warn_about_license(tag)
    _fetch_blob(hub, tag, url, metadata)
    return _link_snapshot(_repository(hub, tag), tag.revision or "main", file, metadata)


def _check_metadata(hub: ModuleType, tag: Tag, metadata: Any) -> None:
    """Both become names of files and folders in the cache.

    Raises:
        DownloadError: One of them is something else.
    """
    endpoint = without_secrets(hub.constants.ENDPOINT)
    for header, digits, value in (("X-Repo-Commit", 40, metadata.commit_hash), ("X-Linked-ETag", 64, metadata.etag)):
        if not re.fullmatch(f"[0-9a-f]{{{digits}}}", value or ""):
            what = f"{header} must be a checksum of {digits} hexadecimal digits, got {value!r:.80}"
            raise DownloadError(f"{tag.name}: the answer of {endpoint} cannot be trusted: {what}")


def _repository(hub: ModuleType, tag: Tag) -> Path:
    """The folder of a repository in huggingface_hub's cache."""
    return Path(hub.constants.HF_HUB_CACHE, "models--" + tag.location.replace("/", "--"))


def _link_snapshot(repository: Path, revision: str, file: str, metadata: Any) -> Path:
    """The path of a blob in the cache by its revision and name, as huggingface_hub would store it."""
    path = repository / "snapshots" / metadata.commit_hash / file
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{file}.{os.getpid()}.{threading.get_ident()}")
    try:
        os.symlink(Path("..", "..", "blobs", metadata.etag), temporary)
        os.replace(temporary, path)
    except OSError:  # a file system without links
        shutil.move(repository / "blobs" / metadata.etag, path)
    if revision != metadata.commit_hash:
        reference = repository / "refs" / revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(reference, metadata.commit_hash.encode())
    return path


def _find_file(hub: ModuleType, tag: Tag) -> tuple[str, str, Any]:
    """The first of ``FILES`` that the repository has, its URL, and its metadata."""
    from huggingface_hub import errors

    endpoint = without_secrets(hub.constants.ENDPOINT)
    for file in FILES:
        url = hub.hf_hub_url(tag.location, file, revision=tag.revision)
        try:
            metadata = hub.get_hf_file_metadata(url)
            refuse_downgrade(url, urljoin(url, metadata.location))
            return file, url, metadata
        except errors.EntryNotFoundError:
            continue
        except errors.GatedRepoError:
            fix = f"accept its conditions at {endpoint}/{tag.location} and log in with: hf auth login"
            raise DownloadError(f"{tag.name}: the repository is gated; {fix}") from None
        except errors.RevisionNotFoundError:
            raise DownloadError(f"{tag.name}: {tag.location} has no revision {tag.revision!r}") from None
        except errors.RepositoryNotFoundError:
            fix = "if it is private, log in with: hf auth login"
            raise DownloadError(f"{tag.name}: {endpoint} has no repository {tag.location}; {fix}") from None
        except errors.HfHubHTTPError as error:
            status = getattr(error.response, "status_code", None)
            if status == 404:
                continue
            raise DownloadError(f"{tag.name}: {endpoint} answers with status {status}") from None
        except Exception as error:  # the HTTP library differs between versions of huggingface_hub
            cache = f"and the cache {hub.constants.HF_HUB_CACHE} does not have it"
            raise DownloadError(f"{tag.name}: cannot reach {endpoint} ({reason_of(error)}), {cache}") from None
    raise DownloadError(f"{tag.name}: {tag.location} at {endpoint} has none of {', '.join(FILES)}")


def _fetch_blob(hub: ModuleType, tag: Tag, url: str, metadata: Any) -> None:
    """Download the file into huggingface_hub's cache. ``hf_hub_download`` would neither check it nor resume."""
    blob = _repository(hub, tag) / "blobs" / metadata.etag
    title = f"{tag.variant}/{url.rpartition('/')[2]}"
    try:
        fetch(
            url, blob, functools.partial(_request, url), sha256=blob.name, size=metadata.size,
            part_suffix=".lucid.incomplete", title=title, progress=_progress,
        )  # fmt: skip
    except ArchiveError as error:
        raise DownloadError(f"{tag.name}: {error}") from None


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
    client = get_session()
    request = client.build_request("GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT)
    for _ in range(MAX_REDIRECTS):
        response = client.send(request, stream=True, follow_redirects=False)
        with contextlib.closing(response):
            if response.next_request is None:
                try:
                    hf_raise_for_status(response)
                except HfHubHTTPError as error:
                    permanent = error.response.status_code not in TEMPORARY_STATUS
                    raise RequestError(reason_of(error), permanent=permanent) from error
                yield response_of(start, response.status_code, response.headers, response.iter_bytes())
                return
        request = response.next_request  # without the token if it goes to another host, the storage
        refuse_downgrade(url, str(request.url))
    raise RequestError(f"more than {MAX_REDIRECTS} redirects", permanent=True)


@contextlib.contextmanager
def _progress(title: str, have: int, total: int | None) -> Iterator[Callable[[int], Any]]:
    from huggingface_hub.utils import tqdm

    with tqdm(desc=title, initial=have, total=total, unit="B", unit_scale=True, unit_divisor=1024) as bar:
        yield bar.update

"""Downloads of published weights and of other repositories, in the caches of huggingface_hub and torch.hub.

Files are checked before they get their final names, and again when they are loaded: huggingface_hub names large files
in its cache by their SHA-256, torch.hub puts its first digits into the name. What a server answers becomes part of a
path only if it is a checksum or a commit. Interrupted downloads resume, also in another process. ``HF_HOME``,
``HF_ENDPOINT``, ``HF_HUB_OFFLINE`` and ``TORCH_HOME`` have their usual meaning.
"""

import contextlib
import functools
import hashlib
import os
import re
import shlex
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
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
from lucid.serialization.checkpoint_folder import read_index

MAX_REDIRECTS = 10
FILES = ("model.safetensors", "pytorch_model.bin")  # in a repository, the first that exists
INDEX = "model.safetensors.index.json"
_CONFIGS = ("config.json", "preprocessor_config.json")
_OPEN_CLIP = ("open_clip_config.json", "open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_MAX_TEXT_BYTES = 1 << 26


class DownloadError(RuntimeError):
    """Weights cannot be downloaded, or arrived damaged. The message gives the reason and the fix.

    Example:
        >>> try:
        ...     models.from_checkpoint("convnext_tiny.fb_in1k")  # doctest: +SKIP
        ... except models.DownloadError as error:
        ...     print(error)
        ...
    """


class _UnreachableError(DownloadError):
    """There is no network, or the hub is out of order."""


class _MissingFileError(DownloadError):
    """The repository does not have the file."""


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


def download_repository(name: str, revision: str | None = None, *, weights: bool = True) -> Path:
    """The folder with the files of a repository that describe its model, and with its weights.

    The hub is asked for the current commit, of which all files are taken; those that changed are downloaded. Without a
    network, it is the commit that the cache has.

    Args:
        name: Such as "user/name".
        revision: A branch, tag or commit; None for the main branch.
        weights: Download the weights too: ``model.safetensors``, the shards in its index, ``pytorch_model.bin``, or
            the files of these kinds that OpenCLIP writes.

    Raises:
        DownloadError: As for ``download``.
        ValueError: ``name`` or ``revision`` cannot be those of a repository.
        ImportError: huggingface_hub is not installed.
    """
    display = f"hf-hub:{name}" + (f"@{revision}" if revision else "")
    if not is_repository(name):
        raise ValueError(f"{display}: {name!r} is not the name of a repository; expected user/name")
    if revision is not None and not _is_revision(revision):
        raise ValueError(f"{display}: {revision!r} is not a branch, tag or commit")
    hub = import_hub()
    tag = Tag(display, name.partition("/")[2], "hub", name, "", 0, 224, 1.0, revision=revision)
    try:
        commit, is_online = _current_commit(hub, tag)
        pinned = replace(tag, revision=commit)
        found = [_from_snapshot(hub, pinned, (file,), is_online) for file in _CONFIGS]
        is_open_clip = found[0] is None and _from_snapshot(hub, pinned, _OPEN_CLIP[:1], is_online) is not None
        if weights:
            index = _from_snapshot(hub, pinned, (INDEX,), is_online)
            single = FILES + (_OPEN_CLIP[1:] if is_open_clip else ())
            for files in [(one.name,) for one in read_index(index)] if index else [single]:
                if _from_snapshot(hub, pinned, files, is_online) is None:
                    what = f"{name} has none of {', '.join(files)}"
                    raise DownloadError(f"{display}: {what}" + ("" if is_online else " in the cache"))
        if is_online and tag.revision != commit:
            _write_reference(_repository(hub, tag), tag.revision or "main", commit)
    except OSError as error:
        raise DownloadError(f"{display}: cannot write to the cache: {error}") from error
    return _repository(hub, tag) / "snapshots" / commit


def _current_commit(hub: ModuleType, tag: Tag) -> tuple[str, bool]:
    """The commit of a repository, and whether the hub said so, instead of the cache."""
    repository, revision = _repository(hub, tag), tag.revision or "main"
    reference = repository / "refs" / revision
    cached = revision if re.fullmatch("[0-9a-f]{40}", revision) else None
    if cached is None and reference.is_file():
        cached = reference.read_bytes()[:40].decode("ascii", "replace")
    if cached is not None and not (
        re.fullmatch("[0-9a-f]{40}", cached) and (repository / "snapshots" / cached).is_dir()
    ):
        cached = None
    if is_offline() or hub.constants.HF_HUB_OFFLINE:
        if cached is None:
            raise _offline_error(hub, tag)
        return cached, False
    try:
        *_, metadata = _find_file(hub, tag, (*_CONFIGS, INDEX, *FILES, _OPEN_CLIP[0]))
    except _UnreachableError:
        if cached is None:
            raise
        return cached, False
    _check_metadata(hub, tag, metadata, (40, 64))
    return metadata.commit_hash, True


def _from_snapshot(hub: ModuleType, tag: Tag, files: Sequence[str], is_online: bool) -> Path | None:
    """The first of ``files`` that a repository has at the commit ``tag.revision``, or None."""
    repository, commit = _repository(hub, tag), str(tag.revision)
    for file in files:
        path = repository / "snapshots" / commit / file
        if path.is_file():
            return _verified_blob(tag, path)
    if not is_online:
        return None
    try:
        file, url, metadata = _find_file(hub, tag, files)
    except _MissingFileError:
        return None
    _check_metadata(hub, tag, metadata, (40, 64))
    if metadata.commit_hash != commit:
        raise DownloadError(f"{tag.name}: asked for commit {commit}, the hub sent {metadata.commit_hash}")
    if len(metadata.etag) == 64:
        _fetch_blob(hub, tag, url, metadata)
    else:
        _fetch_text(hub, tag, url, metadata)
    return _link_snapshot(repository, commit, file, metadata)


def _fetch_text(hub: ModuleType, tag: Tag, url: str, metadata: Any) -> None:
    """Download a small file, which the hub names by the checksum that git has for it."""
    content = b""
    try:
        with _request(url, 0) as response:
            for chunk in response.chunks:
                content += chunk
                if len(content) > _MAX_TEXT_BYTES:
                    raise DownloadError(f"{tag.name}: {url} has more than {_MAX_TEXT_BYTES >> 20} MiB")
    except DownloadError:
        raise
    except Exception as error:  # the HTTP library differs between versions of huggingface_hub
        raise DownloadError(f"{tag.name}: cannot download {without_secrets(url)}: {reason_of(error)}") from None
    found = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    if found != metadata.etag:
        raise DownloadError(
            f"{tag.name}: received {len(content)} bytes of {without_secrets(url)} with git's checksum {found}, "
            f"expected {metadata.etag}; nothing was kept"
        )
    blob = _repository(hub, tag) / "blobs" / metadata.etag
    blob.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(blob, content)


def is_repository(name: str) -> bool:
    """Whether the hub allows the name ``user/name``, which becomes that of a folder in the cache."""
    is_name = re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", name, re.ASCII) is not None
    return is_name and ".." not in name and "--" not in name and not name.endswith(".git")


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
    if is_offline():
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
    hub = import_hub()
    for file in FILES:
        cached = hub.try_to_load_from_cache(tag.location, file, revision=tag.revision)
        if isinstance(cached, str):
            return _verified_blob(tag, Path(cached))
    if is_offline() or hub.constants.HF_HUB_OFFLINE:
        raise _offline_error(hub, tag)
    file, url, metadata = _find_file(hub, tag, FILES)
    _check_metadata(hub, tag, metadata)
    _warn_about_license(tag)
    _fetch_blob(hub, tag, url, metadata)
    return _link_snapshot(_repository(hub, tag), tag.revision or "main", file, metadata)


def _verified_blob(tag: Tag, path: Path) -> Path:
    """``path`` in huggingface_hub's cache, after its checksum if its file is named by one."""
    blob = path.resolve()
    is_named = blob.parent.name == "blobs" and re.fullmatch("[0-9a-f]{64}", blob.name)
    return _verified(tag, path, blob, blob.name if is_named else "")


def _offline_error(hub: ModuleType, tag: Tag) -> DownloadError:
    cache = hub.constants.HF_HUB_CACHE
    return DownloadError(f"{tag.name} is not in the cache {cache}, and HF_HUB_OFFLINE forbids downloading it")


def _check_metadata(hub: ModuleType, tag: Tag, metadata: Any, lengths: tuple[int, ...] = (64,)) -> None:
    """Both become names of files and folders in the cache. ``lengths`` are those of the file's checksum.

    Raises:
        DownloadError: One of them is something else.
    """
    endpoint = without_secrets(hub.constants.ENDPOINT)
    headers = (("X-Repo-Commit", (40,), metadata.commit_hash), ("X-Linked-ETag", lengths, metadata.etag))
    for header, possible, value in headers:
        if len(value or "") not in possible or not re.fullmatch("[0-9a-f]+", value):
            digits = " or ".join(map(str, possible))
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
        _write_reference(repository, revision, metadata.commit_hash)
    return path


def _write_reference(repository: Path, revision: str, commit: str) -> None:
    reference = repository / "refs" / revision
    reference.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(reference, commit.encode())


def _find_file(hub: ModuleType, tag: Tag, files: Sequence[str]) -> tuple[str, str, Any]:
    """The first of ``files`` that the repository has, its URL, and its metadata."""
    from huggingface_hub import errors

    endpoint = without_secrets(hub.constants.ENDPOINT)
    for file in files:
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
            kind = _UnreachableError if status in TEMPORARY_STATUS else DownloadError
            raise kind(f"{tag.name}: {endpoint} answers with status {status}") from None
        except Exception as error:  # the HTTP library differs between versions of huggingface_hub
            cache = f"and the cache {hub.constants.HF_HUB_CACHE} does not have it"
            raise _UnreachableError(f"{tag.name}: cannot reach {endpoint} ({reason_of(error)}), {cache}") from None
    raise _MissingFileError(f"{tag.name}: {tag.location} at {endpoint} has none of {', '.join(files)}")


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


def is_offline() -> bool:
    words = (os.environ.get("HF_HUB_OFFLINE"), os.environ.get("TRANSFORMERS_OFFLINE"))
    return any(word is not None and word.upper() in ("1", "ON", "YES", "TRUE") for word in words)


def import_hub(purpose: str = "pretrained weights need") -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.constants
    except ImportError:
        raise ImportError(f'{purpose} huggingface_hub; pip install "lucid-mlx[hub]"') from None
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

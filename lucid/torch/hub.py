"""``torch.hub``: models of a local folder, and files from the internet."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse as urlparse

from lucid.data.download import fetch_file, sha256_of
from lucid.serialization import load as _load

try:
    from tqdm import tqdm
except ImportError:

    class tqdm:  # type: ignore[no-redef]
        """Stands for the progress bars of the package tqdm, which is not installed: shows nothing."""

        def __init__(self, iterable: Any = (), **options: Any) -> None:
            self._iterable = iterable

        def __iter__(self) -> Any:
            return iter(self._iterable)

        def update(self, n: int = 1) -> None:
            pass

        def close(self) -> None:
            pass

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *error: object) -> None:
            pass


HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
_folder: str | None = None


def _get_torch_home() -> str:
    home = os.environ.get("TORCH_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "torch")
    return os.path.expanduser(home)


def get_dir() -> str:
    """The folder of downloaded files: TORCH_HOME/hub."""
    return _folder or os.path.join(_get_torch_home(), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Set the folder of downloaded files."""
    global _folder
    _folder = os.path.expanduser(os.fspath(d))


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Download ``url`` to the file ``dst``. An interrupted download resumes.

    Raises:
        RuntimeError: the SHA-256 of the file does not start with ``hash_prefix``; the file is removed.
        OSError: the download failed.
    """
    target = Path(dst)
    target.parent.mkdir(parents=True, exist_ok=True)
    fetch_file(url, target)
    found = sha256_of(target)
    if hash_prefix is not None and not found.startswith(hash_prefix):
        target.unlink()
        raise RuntimeError(f"torch.hub: {url} has the SHA-256 {found}, which should start with {hash_prefix}")


def load_state_dict_from_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True, check_hash: bool = False,
    file_name: str | None = None, weights_only: bool = False,
) -> Any:  # fmt: skip
    """Download a file of weights, unless it is there already, and load it.

    Args:
        url: The address of the file.
        model_dir: The folder to keep it in, by default ``checkpoints`` of ``get_dir()``.
        map_location: As in ``torch.load``.
        progress: Has no effect: a terminal shows the progress.
        check_hash: Whether the name of the file contains the start of its SHA-256.
        file_name: The name to keep it under, by default the last part of the address.
        weights_only: Has no effect: nothing is unpickled.
    """
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(model_dir or os.path.join(get_dir(), "checkpoints"), name)
    if not os.path.exists(path):
        prefix = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, path, prefix.group(1) if prefix else None)
    return _load(path, map_location)


def load(
    repo_or_dir: str, model: str, *args: Any, source: str = "github", trust_repo: Any = None,
    force_reload: bool = False, verbose: bool = True, skip_validation: bool = False, **kwargs: Any,
) -> Any:  # fmt: skip
    """Call the function ``model`` of ``hubconf.py`` in a local folder: ``load(folder, "resnet18", source="local")``.

    Raises:
        RuntimeError: ``source`` is not "local": Lucid does not download and run programs.
        FileNotFoundError: there is no ``hubconf.py``.
    """
    return getattr(_hubconf("load", repo_or_dir, source), model)(*args, **kwargs)


def list(github: str, force_reload: bool = False, skip_validation: bool = False, source: str = "local") -> Any:
    """The names of the functions of ``hubconf.py`` in a local folder."""
    found = vars(_hubconf("list", github, source))
    return [name for name, value in found.items() if callable(value) and not name.startswith("_")]


def help(github: str, model: str, force_reload: bool = False, source: str = "local") -> str | None:
    """The docstring of a function of ``hubconf.py`` in a local folder."""
    return getattr(_hubconf("help", github, source), model).__doc__


def _hubconf(caller: str, folder: str, source: str) -> ModuleType:
    if source != "local":
        raise RuntimeError(
            f"torch.hub.{caller}: Lucid does not download and run programs; clone {folder} with git and pass its "
            "folder with source='local'"
        )
    path = os.path.join(folder, "hubconf.py")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"torch.hub.{caller}: there is no file {path}")
    spec = importlib.util.spec_from_file_location("hubconf", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module

"""Where a model is: ``local-dir:path``, ``hf-hub:user/name@revision``, a folder, or a name of the registry."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from lucid.models.weights.hub import download_repository
from lucid.models.weights.tags import find_tag

_LOCAL = "local-dir:"
_HUB = ("hf-hub:", "hf_hub:")


def names_repository(name: Any) -> bool:
    """Whether ``name`` is a repository of the hub that is not one of the published checkpoints."""
    if not isinstance(name, str) or not name.startswith(_HUB):
        return False
    with suppress(ValueError):
        find_tag(name)
        return False
    return True


def is_location(name: str) -> bool:
    """Whether ``name`` is a folder or repository with a prefix that says so."""
    return name.startswith(_LOCAL) or names_repository(name)


def find_folder(caller: str, name: Any, *, weights: bool = True) -> Path | None:
    """The folder that ``name`` stands for, None if it is something else. Repositories are downloaded.

    Args:
        caller: For messages.
        name: A path or a name.
        weights: Download the weights of a repository, besides its configuration.

    Raises:
        FileNotFoundError: ``local-dir:`` is followed by something else than a folder.
        DownloadError: The repository cannot be downloaded.
        ValueError: ``hf-hub:`` is followed by something that cannot be a repository.
    """
    if isinstance(name, str) and name.startswith(_LOCAL):
        folder = Path(name.removeprefix(_LOCAL))
        if not name.removeprefix(_LOCAL) or not folder.is_dir():
            raise FileNotFoundError(f"{caller}: there is no folder {name.removeprefix(_LOCAL)!r}")
        return folder
    if names_repository(name):
        repository, _, revision = name[len(_HUB[0]) :].partition("@")
        return download_repository(repository, revision or None, weights=weights)
    if isinstance(name, str | os.PathLike) and str(name) and Path(name).is_dir():
        return Path(name)
    return None

"""``install``: makes ``import torch`` import ``lucid.torch`` in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, DistributionFinder
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any

from lucid.torch import _safetensors
from lucid.torch.version import __version__

_PACKAGE = "lucid.torch"
_INTERNAL = (
    "__main__", "_compiled", "_functions", "_install", "_modules", "_names", "_ops", "_rendezvous", "_safetensors",
    "_saving",
)  # fmt: skip


def install() -> ModuleType:
    """Make ``import torch`` and ``import torch.nn`` import ``lucid.torch`` from here on, in this process only.

    ``python -m lucid.torch train.py`` does it before it runs the script. Packages on top of PyTorch that are pure
    Python, such as timm, then compute with Lucid.

    Returns:
        ``lucid.torch``.

    Raises:
        RuntimeError: PyTorch is imported already.
    """
    package = sys.modules[_PACKAGE]
    imported = sys.modules.get("torch")
    if imported is package:
        return package
    if imported is not None:
        raise RuntimeError(
            "lucid.torch.install: PyTorch is already imported in this process; call install() before anything imports "
            "torch, or start the program with python -m lucid.torch"
        )
    for name, module in list(sys.modules.items()):
        if name == _PACKAGE or (name.startswith(f"{_PACKAGE}.") and not _is_internal(name)):
            sys.modules[name.removeprefix("lucid.")] = module
    sys.modules.setdefault("safetensors.torch", _safetensors)
    sys.meta_path.insert(0, _Finder())
    return package


def _is_internal(name: str) -> bool:
    """Whether this is a module of the implementation, and none that PyTorch has."""
    return name.rpartition(".")[2] in _INTERNAL


class _Finder(MetaPathFinder):
    """Explains which modules of ``torch`` are missing, and tells ``importlib.metadata`` the version of the others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("torch."):
            return None
        raise ModuleNotFoundError(
            f"No module named {fullname!r} in lucid.torch: Lucid does not have it; remove the import, or run this "
            "program with PyTorch (docs/pytorch.md says what runs)",
            name=fullname,
        )

    def find_distributions(self, context: Any = None) -> Iterable[Distribution]:
        name = getattr(context or DistributionFinder.Context(), "name", None)
        return [_Torch()] if name is not None and name.lower() == "torch" else []


class _Torch(Distribution):
    """What ``importlib.metadata.version("torch")`` reads."""

    def read_text(self, filename: Any) -> str | None:
        return f"Metadata-Version: 2.1\nName: torch\nVersion: {__version__}\n" if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return PurePosixPath(path)

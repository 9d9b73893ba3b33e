"""Which code is the user's, and which is taken to be constant: Lucid, installed packages, the standard library."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

_LUCID = str(Path(__file__).parents[1]) + os.sep
_STDLIB = str(Path(sysconfig.get_path("stdlib"))) + os.sep
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Foreign:
    """Tells foreign code from the user's, to which the package of ``function`` belongs even if it is installed."""

    def __init__(self, function: Any) -> None:
        module = getattr(function, "__module__", None) or type(function).__module__
        top = sys.modules.get(module.split(".")[0])
        file = getattr(top, "__file__", None) or ""
        self._own = "\0"
        if any(folder in file for folder in _PACKAGES) and not file.startswith(_LUCID):
            self._own = os.path.dirname(file) + os.sep if hasattr(top, "__path__") else file
        self._kinds: dict[type, bool] = {}

    def file(self, file: str) -> bool:
        if file.startswith(self._own):
            return False
        return file.startswith((_LUCID, _STDLIB, "<frozen")) or any(folder in file for folder in _PACKAGES)

    def kind(self, kind: type) -> bool:
        found = self._kinds.get(kind)
        if found is None:
            file = _file_of(kind)
            found = self._kinds[kind] = self.file(file) if file else kind.__module__ != "__main__"
        return found


def is_lucids(kind: type) -> bool:
    return _file_of(kind).startswith(_LUCID)


def _file_of(kind: type) -> str:
    return getattr(sys.modules.get(kind.__module__), "__file__", None) or ""

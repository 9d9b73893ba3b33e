"""``torch.ops``: operators of PyTorch's dispatcher by name. Lucid has no dispatcher, so every name is an error."""

from __future__ import annotations

from typing import Any

REASON = "Lucid has no operators of PyTorch's dispatcher, and loads no C++ extensions of PyTorch"


class _Namespace:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"torch.ops.{self._name}.{name}: {REASON}", name=name)


class _Ops:
    """``torch.ops``."""

    def load_library(self, path: Any) -> None:
        """Raises an OSError, as for a library that cannot be loaded."""
        raise OSError(f"torch.ops.load_library: {path}: {REASON}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Namespace(name)


ops = _Ops()

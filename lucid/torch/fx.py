"""``torch.fx``, which Lucid does not have: its decorators do nothing, so that packages that mark functions import."""

from __future__ import annotations

from typing import Any

REASON = "Lucid has no symbolic tracing; forward hooks and timm's features_only=True read intermediate results"


class Proxy:
    """A value of a symbolic trace, which never exists: ``isinstance(x, torch.fx.Proxy)`` is False."""


def wrap(fn_or_name: Any) -> Any:
    """The argument itself."""
    return fn_or_name


class _Absent:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"torch.fx.{type(self).__name__}: {REASON}")


class Tracer(_Absent):
    """Raises NotImplementedError when it is made."""


class GraphModule(_Absent):
    """Raises NotImplementedError when it is made; nothing is an instance."""


class Graph(_Absent):
    """Raises NotImplementedError when it is made."""


class Node(_Absent):
    """Raises NotImplementedError when it is made; nothing is an instance."""


class Interpreter(_Absent):
    """Raises NotImplementedError when it is made."""


def symbolic_trace(root: Any, concrete_args: Any = None) -> Any:
    """Raises NotImplementedError."""
    raise NotImplementedError(f"torch.fx.symbolic_trace: {REASON}")

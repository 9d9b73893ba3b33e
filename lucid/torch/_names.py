"""Where the modules of ``lucid.torch`` find their names: in Lucid's modules, or in an error that says what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_WAY_OUT = (
    "Lucid does not have it. Write it with what dir({module}) lists, or run this program with PyTorch; docs/pytorch.md "
    "says what runs"
)
_HELPERS = ("Any", "annotations", "fallback", "mx")  # that files here import


def fallback(
    module: str, *sources: ModuleType, hidden: Collection[str] = (), absent: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module: a name that it lacks is looked up in ``sources``.

    Args:
        module: The full name of the module.
        sources: Modules of Lucid, the first one first.
        hidden: Names of ``sources`` that PyTorch does not have.
        absent: What an error says about a name, instead of the general way out.
    """
    shown = module.removeprefix("lucid.")

    def find(name: str) -> Any:
        if name == "__all__":
            own = [one for one in vars(sys.modules[module]) if not one.startswith("_")]
            found = {*own, *(one for source in sources for one in public_names(source))}
            return sorted(found - {*hidden, *_HELPERS})
        if not name.startswith("__") and name not in hidden:
            for source in sources:
                try:
                    found = getattr(source, name)
                except AttributeError:
                    continue
                vars(sys.modules[module])[name] = found
                return found
        reason = (absent or {}).get(name) or _WAY_OUT.format(module=shown)
        raise AttributeError(f"module {shown!r} has no attribute {name!r}: {reason}", name=name)

    vars(sys.modules[module])["__dir__"] = lambda: sorted({*vars(sys.modules[module]), *find("__all__")})
    return find


def public_names(module: ModuleType) -> Iterable[str]:
    return getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]


class Mirror(ModuleType):
    """A module of PyTorch without a file of its own, which offers the names of Lucid's modules."""

    def __init__(
        self, name: str, *sources: ModuleType, own: Mapping[str, Any] | None = None, reason: str | None = None
    ) -> None:
        super().__init__(name, f"The names of ``{name.removeprefix('lucid.')}``.")
        self.__spec__ = ModuleSpec(name, None, is_package=True)
        self.__path__: list[str] = []
        self.__package__ = name
        vars(self).update(own or {})
        self._reason = reason
        sys.modules[name] = self
        self._find = fallback(name, *sources)

    def __getattr__(self, name: str) -> Any:
        if self._reason is not None and not name.startswith("__"):
            raise AttributeError(f"{self.__name__.removeprefix('lucid.')}.{name}: {self._reason}", name=name)
        return self._find(name)

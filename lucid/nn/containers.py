"""Containers of modules: ``Sequential``, ``ModuleList`` and ``ModuleDict``; those of parameters have their own file."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

from lucid import _checks
from lucid.nn.module import Module

T = TypeVar("T", bound="_IndexedContainer")


class _IndexedContainer(Module):
    """Base class of containers whose children are ordered, by default with the names "0", "1", ..."""

    def _position(self, index: Any, end: int) -> int:
        """``index``, which must be below ``end``, as a non-negative position."""
        where = type(self).__name__
        try:
            position = operator.index(index)
        except TypeError:
            raise TypeError(f"{where}: index must be an integer or a slice, got {index!r}") from None
        if not -len(self) <= position < end:
            raise IndexError(f"{where}: index {position} is out of range for {len(self)} modules")
        return position % len(self) if position < 0 else position

    def _name_at(self, index: Any) -> str:
        return list(self._modules)[self._position(index, len(self))]

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self: T, index: slice) -> T: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            new = type(self).__new__(type(self))
            Module.__init__(new)
            for name, module in list(self._modules.items())[index]:
                new.add_module(name, module)
            new._renumber()
            return new
        return self._modules[self._name_at(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name_at(index), module)

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)[index] if isinstance(index, slice) else [self._name_at(index)]
        for name in names:
            del self._modules[name]
        self._renumber()

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def append(self: T, module: Module) -> T:
        """Append ``module``, and return the container."""
        name = len(self)
        while str(name) in self._modules:  # possible after deleting a module whose name is not a number
            name += 1
        self.add_module(str(name), module)
        return self

    def extend(self: T, modules: Iterable[Module]) -> T:
        """Append ``modules``, and return the container."""
        if not isinstance(modules, Iterable):
            raise TypeError(f"{type(self).__name__}.extend: modules must be iterable, got {type(modules).__name__}")
        for module in list(modules):
            self.append(module)
        return self

    def insert(self: T, index: int, module: Module) -> T:
        """Insert ``module`` before position ``index``, and return the container."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}.insert: expected a Module, got {type(module).__name__}")
        position = self._position(index, len(self) + 1)
        self.append(module)
        entries = list(self._modules.items())
        entries.insert(position, entries.pop())
        self._modules.clear()
        self._modules.update(entries)
        self._renumber()
        return self

    def pop(self, key: int | slice = -1) -> Any:
        """Remove and return the module at position ``key``."""
        module = self[key]
        del self[key]
        return module

    def _renumber(self) -> None:
        """Rename the modules to their positions if all names are numbers."""
        if all(name.isdecimal() for name in self._modules):
            modules = list(self._modules.values())
            self._modules.clear()
            self._modules.update((str(i), one) for i, one in enumerate(modules))


class Container(Module):
    """A module with the given children, deprecated: derive from ``Module`` instead.

    Args:
        kwargs: The children by name.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     model = nn.Container(first=nn.Linear(2, 2))
        ...
        >>> [name for name, _ in model.named_children()]
        ['first']
    """

    def __init__(self, **kwargs: Module) -> None:
        message = "nn.Container is deprecated; derive from nn.Module instead, which does all that it did"
        warnings.warn(message, FutureWarning, stacklevel=_checks.level_of_user())
        super().__init__()
        for name, module in kwargs.items():
            self.add_module(name, module)


class Sequential(_IndexedContainer):
    """Calls modules in order: ``Sequential(Linear(2, 3), ReLU())``, or a dict of names to modules.

    A slice is a ``Sequential`` of the same modules.

    Args:
        *modules: Modules, or a single mapping of names to modules.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
        >>> model(lucid.randn(4, 8)).shape
        (4, 2)
        >>> model[:2]
        Sequential(  # 144 parameters
          (0): Linear(in_features=8, out_features=16, bias=True)  # 144 parameters
          (1): ReLU()
        )
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            for i, one in enumerate(modules):
                self.add_module(str(i), one)  # type: ignore[arg-type]

    def extend(self, sequential: Iterable[Module]) -> Sequential:
        """Append the modules of ``sequential``, and return the container."""
        return super().extend(sequential)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input


class ModuleList(_IndexedContainer):
    """A list of modules, which registers their parameters. It has no ``forward``.

    Args:
        modules: The modules.

    Example:
        >>> layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        >>> x = lucid.randn(4, 8)
        >>> for layer in layers:
        ...     x = layer(x)
        ...
        >>> len(list(layers.parameters()))
        6
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)


class ModuleDict(Module):
    """A dict of modules, which registers their parameters. It has no ``forward``.

    Args:
        modules: A mapping of names to modules, or (name, module) pairs.

    Example:
        >>> heads = nn.ModuleDict({"color": nn.Linear(8, 3), "shape": nn.Linear(8, 5)})
        >>> heads["shape"](lucid.randn(4, 8)).shape
        (4, 5)
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, name: str) -> Any:
        return self._modules[self._check_name_exists(name)]

    def _check_name_exists(self, name: str) -> str:
        if name not in self._modules:
            raise KeyError(f"ModuleDict: no module {name!r}; available: {', '.join(self._modules) or 'none'}")
        return name

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        del self._modules[self._check_name_exists(name)]

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def keys(self) -> Iterable[str]:
        """The names of the modules."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """The (name, module) pairs."""
        return self._modules.items()

    def update(self, modules: Mapping[str, Module] | ModuleDict | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules from a mapping, a ``ModuleDict`` or pairs of name and module."""
        if not isinstance(modules, Iterable):
            raise TypeError(f"ModuleDict.update: modules must be a mapping or pairs, got {type(modules).__name__}")
        for pair in modules.items() if isinstance(modules, Mapping | ModuleDict) else modules:
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise TypeError(f"ModuleDict.update: modules must be a mapping or pairs, got {pair!r:.60} among them")
            self.add_module(*pair)

    def pop(self, key: str) -> Any:
        """Remove and return the module ``key``."""
        return self._modules.pop(self._check_name_exists(key))

    def clear(self) -> None:
        """Remove all modules."""
        self._modules.clear()

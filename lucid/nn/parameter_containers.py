"""Containers of parameters: ``ParameterList`` and ``ParameterDict``. Other values are kept as they are."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lucid._tensor import Tensor
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter


def _kept(value: Any) -> Any:
    """Tensors become parameters."""
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _line(name: Any, value: Any) -> str:
    if isinstance(value, Tensor):
        return f"({name}): {type(value).__name__} of shape {value.shape}"
    return f"({name}): {type(value).__name__}"


class ParameterList(Module):
    """A list of parameters, which registers them under the names "0", "1", ... Tensors become parameters.

    Args:
        values: The parameters.

    Example:
        >>> weights = nn.ParameterList([lucid.ones(2), nn.Parameter(lucid.zeros(3))])
        >>> [name for name, _ in weights.named_parameters()]
        ['0', '1']
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _name_at(self, index: Any) -> str:
        try:
            position = operator.index(index)
        except TypeError:
            raise TypeError(f"ParameterList: index must be an integer or a slice, got {index!r}") from None
        if not -self._size <= position < self._size:
            raise IndexError(f"ParameterList: index {position} is out of range for {self._size} values")
        return str(position % self._size)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)([self[i] for i in range(*index.indices(self._size))])
        return getattr(self, self._name_at(index))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._name_at(index), _kept(value))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(self._size)])

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def append(self, value: Any) -> ParameterList:
        """Append ``value``, and return the list."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Append ``values``, and return the list."""
        if not isinstance(values, Iterable) or isinstance(values, Tensor):
            raise TypeError(f"ParameterList: values must be an iterable of tensors, got {type(values).__name__}")
        for value in list(values):
            self.append(value)
        return self

    def pop(self, index: int = -1) -> Any:
        """Remove and return the value at ``index``."""
        value = self[index]
        rest = [one for i, one in enumerate(self) if str(i) != self._name_at(index)]
        for i in range(self._size):
            delattr(self, str(i))
        self._size = 0
        self.extend(rest)
        return value

    def extra_repr(self) -> str:
        return ", ".join(_line(i, one) for i, one in enumerate(self))


class ParameterDict(Module):
    """A dict of parameters, which registers them. Tensors become parameters.

    Args:
        parameters: A mapping of names to parameters, or (name, parameter) pairs.

    Example:
        >>> weights = nn.ParameterDict({"left": lucid.ones(2), "right": lucid.zeros(3)})
        >>> sorted(name for name, _ in weights.named_parameters())
        ['left', 'right']
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def _known(self, key: str) -> str:
        if key not in self._keys:
            raise KeyError(f"ParameterDict: no value {key!r}; available: {', '.join(self._keys) or 'none'}")
        return key

    def __getitem__(self, key: str) -> Any:
        return getattr(self, self._known(key))

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"ParameterDict: keys must be strings, got {type(key).__name__}")
        self._keys[key] = None
        setattr(self, key, _kept(value))

    def __delitem__(self, key: str) -> None:
        delattr(self, self._known(key))
        del self._keys[key]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._keys))

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __or__(self, other: ParameterDict) -> ParameterDict:
        found = self.copy()
        found.update(other)
        return found

    def __ior__(self, other: ParameterDict) -> ParameterDict:
        self.update(other)
        return self

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._keys.keys()

    def values(self) -> Iterable[Any]:
        """The values."""
        return [self[key] for key in self._keys]

    def items(self) -> Iterable[tuple[str, Any]]:
        """The (name, value) pairs."""
        return [(key, self[key]) for key in self._keys]

    def get(self, key: str, default: Any = None) -> Any:
        """The value ``key``, or ``default``."""
        return self[key] if key in self._keys else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value ``key``, which is set to ``default`` before if there is none."""
        if key not in self._keys:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Remove and return the value ``key``."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove and return the last pair."""
        key = next(reversed(self))
        return key, self.pop(key)

    def clear(self) -> None:
        """Remove all values."""
        for key in list(self._keys):
            del self[key]

    def copy(self) -> ParameterDict:
        """A new dict with the same values."""
        return type(self)(self.items())

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A new dict with ``default`` for each of ``keys``."""
        return type(self)((key, default) for key in keys)

    def update(self, parameters: Any) -> None:
        """Add or replace values from a mapping, a ``ParameterDict`` or pairs of name and value."""
        if not isinstance(parameters, Iterable):
            raise TypeError(f"ParameterDict: expected a mapping or pairs, got {type(parameters).__name__}")
        for pair in parameters.items() if isinstance(parameters, Mapping | ParameterDict) else list(parameters):
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise TypeError(f"ParameterDict: expected a mapping or pairs, got {pair!r:.60} among them")
            self[pair[0]] = pair[1]

    def extra_repr(self) -> str:
        return ", ".join(_line(key, one) for key, one in self.items())

"""Converts the nodes of a PyTorch pickle to tensors and plain containers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from lucid._tensor import Tensor
from lucid.serialization.pickle_reader import Call, Global, KeyChecker, Persistent, Unknown
from lucid.serialization.placeholder import Placeholder
from lucid.serialization.pytorch_tensors import DTYPES, STORAGES, Storages, UnsupportedTensor

_MAX_DEPTH = 100  # containers in containers
_MAX_VALUES = 10_000_000  # shared values count repeatedly: forty nested pairs of lists stand for a trillion
_MAX_ARGUMENTS = 4  # of a call that does not create a tensor
_MAX_COPIED = 1_000_000  # total values in all such calls
_TENSOR_CALLS = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3")
_PARAMETER_CALLS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
_TYPED_CALL = "torch._tensor._rebuild_from_type_v2"  # of a tensor with attributes, or of a subclass

NAMES = frozenset(
    {
        *STORAGES,
        *DTYPES,
        *_TENSOR_CALLS,
        *_PARAMETER_CALLS,
        _TYPED_CALL,
        *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "complex")),
        "_codecs.encode",
        "collections.Counter",
        "torch.Size",
        "torch.device",
    }
)
"""The globals that ``ObjectBuilder`` interprets. All others become placeholders."""


class ObjectBuilder:
    """Builds tensors from ``storages``, and the containers around them."""

    def __init__(self, storages: Storages) -> None:
        self._storages = storages
        self._made: dict[int, tuple[Any, int]] = {}  # by node id: the object, and the number of values it stands for
        self._open: set[int] = set()  # nodes under construction, each nested in the previous one
        self._keys = KeyChecker()
        self._copied = 0  # values passed to calls, counting repetitions

    def make(self, node: Any) -> Any:
        """The object that ``node`` describes, with the same sharing of values.

        Raises:
            ValueError: a container contains itself, is too deep or stands for too many values; a tensor exceeds its
                storage; or a call has unexpected arguments.
        """
        return self._make(node)[0]

    def _make(self, node: Any) -> tuple[Any, int]:
        if node is None or isinstance(node, str | int | float | bytes):
            return node, 1
        if isinstance(node, Global):
            return DTYPES.get(node.name) or Placeholder(node.name), 1
        if isinstance(node, Persistent):
            return Placeholder("a bare storage"), 1
        if id(node) in self._made:
            return self._made[id(node)]
        if id(node) in self._open:
            raise ValueError(f"it holds a {type(node).__name__} that contains itself")
        if len(self._open) >= _MAX_DEPTH:
            raise ValueError(f"its containers are nested deeper than {_MAX_DEPTH}")
        self._open.add(id(node))
        if isinstance(node, Call):
            value, count = self._call(node)
        elif isinstance(node, Unknown) and node.items is None:
            value, count = Placeholder(node.name), 1
        else:
            value, count = self._container(node.items if isinstance(node, Unknown) else node)
        if count > _MAX_VALUES:
            raise ValueError(f"its containers stand for more than {_MAX_VALUES:,} values")
        self._open.remove(id(node))
        self._made[id(node)] = value, count
        return value, count

    def _container(self, node: Any) -> tuple[Any, int]:
        if isinstance(node, set):
            return set(map(_key, node)), 1 + len(node)
        if isinstance(node, dict):
            values, count = self._all(node.values())
            return type(node)(zip(map(_key, node), values, strict=True)), count + len(node)
        values, count = self._all(node)
        return type(node)(values), count

    def _all(self, nodes: Iterable[Any]) -> tuple[list[Any], int]:
        made = [self._make(node) for node in nodes]
        return [value for value, _ in made], 1 + sum(count for _, count in made)

    def _call(self, node: Call) -> tuple[Any, int]:
        try:
            if node.name in (*_TENSOR_CALLS, *_PARAMETER_CALLS, _TYPED_CALL):
                return self._tensor(node.name, node.arguments), 1
            arguments, count = self._all(node.arguments[: _MAX_ARGUMENTS + 1])
            self._copied += count
            if self._copied > _MAX_COPIED:
                raise ValueError(f"it creates sets, sizes and counters of more than {_MAX_COPIED:,} values")
            return self._value(node.name.rpartition(".")[2], *arguments), count
        except TypeError:
            raise ValueError(f"it calls {node.name} with unexpected arguments") from None

    def _tensor(self, name: str, arguments: Any) -> Any:
        """The tensor, or its placeholder, that a call gives. Raises TypeError for unexpected arguments."""
        if not isinstance(arguments, tuple) or not arguments:
            raise TypeError
        if name in _TENSOR_CALLS:
            try:
                return self._storages.tensor(arguments, typed=name.endswith("v3"))
            except UnsupportedTensor as error:
                return Placeholder(str(error))
        if name in _PARAMETER_CALLS:  # the other arguments are requires_grad, hooks and attributes
            made, _ = self._make(arguments[0])
            if not isinstance(made, Tensor | Placeholder):
                raise TypeError
            return made
        function, _kind, inner, *_state = arguments  # of a subclass, or with attributes, which are dropped
        if isinstance(function, Unknown):
            return Placeholder(function.name)
        if not isinstance(function, Global) or function.name not in (*_TENSOR_CALLS, *_PARAMETER_CALLS):
            raise TypeError
        return self._tensor(function.name, inner)

    def _value(self, name: str, first: Any, *rest: Any) -> Any:
        """The result of a call that needs no storage. Raises TypeError for unexpected arguments."""
        if name == "device" and all(isinstance(one, str | int) for one in (first, *rest)):
            return ":".join(str(one) for one in (first, *rest))
        if name == "complex" and [type(one) for one in (first, *rest)] == [float, float]:
            return complex(first, *rest)
        if name == "set" and isinstance(first, list) and not rest:
            return set(map(self._keys.checked, first))
        if name == "Size" and isinstance(first, tuple) and not rest:
            return first
        if name == "Counter" and isinstance(first, dict) and not rest:
            return Counter(first)
        if name == "encode" and isinstance(first, str) and rest == ("latin1",):  # bytes in protocol 2
            return first.encode("latin1")
        raise TypeError


def _key(node: Any) -> Any:
    return Placeholder(node.name) if isinstance(node, Unknown) else node

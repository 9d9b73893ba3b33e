"""The Python values that a function can read besides its arguments: one walk, at every call.

The principle of ``lucid.compile``: what a trace has read is part of its key, or an input of the graph, or named in an
error. Python does not report reads of variables and of foreign objects, so everything that *could* be read is walked:
the function's cells, globals and defaults by the names in its code (``bytecode.py``), from there through containers,
the user's functions and classes, and the attributes whose names occur in that code.

- Values (numbers, strings, dtypes), and the contents of containers and small NumPy arrays are part of the key.
- Tensors that are not state are inputs of the graph, so new values need no retrace.
- Modules, optimizers and other owners of tensors have to be state. Iterators, generators of random numbers and large
  arrays cannot be compared. An error names where each was found, and the way out.
- Lucid, installed packages and the standard library are taken to be constant, except for the attributes of instances.
"""

from __future__ import annotations

import argparse
import collections
import functools
import io
import random as python_random
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import mlx.core as mx
import numpy as np

from lucid._compile.bytecode import Attributes, Names, merge, names_in
from lucid._compile.foreign import Foreign, is_lucids
from lucid._compile.places import Refusal, Root, path_of, words
from lucid._compile.state import Plan, is_plain
from lucid._compile.values import VALUES, Values, View
from lucid._tensor import Tensor
from lucid.nn.module import Module
from lucid.optim.lr_scheduler import LRScheduler
from lucid.optim.optimizer import Optimizer

_RECORDS = (argparse.Namespace, types.SimpleNamespace)
_RANDOM = (python_random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)
_SKIPPED = frozenset(
    ("_parameters", "_buffers", "_modules", "_non_persistent", "_forward_pre_hooks", "_forward_hooks",
     "_backward_hooks", "training", "__class__", "__dict__", "__init__", "__new__", "__repr__", "__str__", "__hash__",
     "__del__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__init_subclass__")
)  # fmt: skip
_OF_OPTIMIZERS = frozenset(("param_groups", "state", "defaults", "_step_calls", "_is_stepping", "_arrays"))


class World(Values):
    """Everything that ``function`` can read."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._attributes: Attributes = {}  # read on values of unknown origin, in all code met so far
        self._all_names: set[str] = {"forward"}  # these, and those read on variables
        self._open = False
        self._codes: dict[int, tuple[CodeType, Names | None]] = {}
        self._kinds: dict[type, Callable[..., None]] = {}
        self._grown = False
        self.reads_values = False  # whether tensors that are not state are constants, because their values are read
        self._watched: tuple[Any, ...] = (None, 0, [], [])
        self._foreign = Foreign(function)

    def look(
        self, plan: Plan, arguments: Iterable[tuple[str, Any]], collect: bool = False
    ) -> View:  # fmt: skip
        """Walk everything.

        Args:
            plan: The state.
            arguments: Pairs of a name and a Python value: arguments and hooks of parameters.
            collect: Whether to also collect words, containers and cells.
        """
        while True:
            self._grown = False
            self._view = view = View(collect)
            self._tensors, self._objects = plan.places, plan.objects
            self._seen: dict[int, int] = {}
            self._read: dict[int, set[str]] = {}
            try:
                self._root(self._function)
                self._modules(plan)
                for name, value in arguments:
                    self._walk(value, Root(name), {})
            except RecursionError:
                raise Refusal(
                    Root("a variable"), "is nested too deeply to be compared", "pass it as an argument"
                ) from None
            if not self._grown:
                view.key = tuple(view.key)
                return view

    # The parts ------------------------------------------------------------------------------------------------------

    def _root(self, function: Any) -> None:
        if isinstance(function, Module):  # it is state
            return
        if isinstance(function, FunctionType):
            self._function_(function, Root(function.__name__), {}, own=True)
        elif isinstance(function, MethodType) and isinstance(function.__func__, FunctionType):
            self._function_(function.__func__, Root(function.__name__), {}, own=True)
            owner = Root(type(function.__self__).__name__, function.__func__, True)
            self._walk(function.__self__, owner, {})
        else:
            call = vars(type(function)).get("__call__")
            self._walk(function, Root(type(function).__name__, call, True), {})
            if call is not None:
                self._walk(call, Root(type(function).__name__), {})

    def _modules(self, plan: Plan) -> None:
        """Attributes and hooks of the state's modules; plain values are in the plan already."""
        view = self._view
        if self._watched[0] is not plan or self._watched[1] != len(self._all_names):
            self._watched = (plan, len(self._all_names), *self._watch(plan))
        for kind in self._watched[3]:
            if self._foreign.kind(kind):
                view.key.append(id(kind.forward))
                view.keep.append(kind.forward)
            else:
                self._class(kind, Root(kind.__name__), self._all_names)
        for place, value in self._watched[2]:
            self._walk(value, place, {})
        hooks = [one for one in plan.hooks if one[1]]
        hooks += [(f"the hooks of {plan.leaf_names[i]}", p._hooks) for i, p in enumerate(plan.leaves) if p._hooks]
        for name, one in hooks:
            if view.found is not None:
                view.found[name] = f"{len(one)} hooks"
            self._walk(one, Root(name), {})

    def _watch(self, plan: Plan) -> tuple[list[tuple[Any, Any]], list[type]]:
        found, kinds = [], {}
        for name, module in plan.modules:
            kinds[type(module)] = True
            for key, value in vars(module).items():
                if key in _SKIPPED or isinstance(value, Tensor) or is_plain(value):
                    continue
                if self._open or key in self._all_names:
                    found.append(((Root(name), ".", key), value))
        return found, list(kinds)

    # One value ------------------------------------------------------------------------------------------------------

    def _walk(self, value: Any, place: Any, names: Attributes) -> None:
        kind = type(value)
        method = self._kinds.get(kind)
        if method is None:
            method = self._kinds[kind] = self._kind_of(kind)
        method(value, place, names)

    def _kind_of(self, kind: type) -> Callable[..., None]:
        table: list[tuple[Any, Callable[..., None]]] = [
            (VALUES, self._value), ((float, complex, np.generic, slice), self._number), (Tensor, self._tensor),
            (Module, self._module), (Optimizer, self._owner), (mx.array, self._mlx), (np.ndarray, self._numpy),
            (dict, self._dict), ((list, tuple, collections.deque), self._list), ((set, frozenset), self._set),
            (types.MappingProxyType, self._dict), (functools.partial, self._partial), (MethodType, self._method),
            (FunctionType, self._function_), (ModuleType, self._python_module), (type, self._type),
            (types.BuiltinMethodType, self._builtin), (_RANDOM, self._random),
            ((bytearray, memoryview), self._bytes), (property, self._property),
            ((staticmethod, classmethod), self._static),
            (functools.cached_property, self._cached_property), (_RECORDS, self._record), (LRScheduler, self._record),
        ]  # fmt: skip
        for kinds, method in table:
            if issubclass(kind, kinds):
                return method
        if kind.__module__ == "lucid._compile.function":
            return self._compiled
        if hasattr(kind, "state_tensors"):
            return self._owner
        if issubclass(kind, io.IOBase):
            return self._file
        if hasattr(kind, "__next__"):
            return self._iterator
        if not self._foreign.kind(kind):
            return self._instance
        if is_lucids(kind):
            return self._instance if kind.__module__.startswith("lucid.training") else self._record
        if hasattr(kind, "__wrapped__") or issubclass(kind, type(functools.lru_cache(int))):
            return self._wrapper
        return self._weak if issubclass(kind, weakref.ref) else self._record

    def _tensor(self, value: Tensor, place: Any, names: Attributes) -> None:
        at = self._tensors.get(id(value))
        if at is not None:
            self._add(("state", at), place, "state")
        elif not self._again(value):
            array = value._array
            if self.reads_values and not value.requires_grad:
                self._view.keep.append(array)
                self._add(id(array), place, f"a constant tensor, value {id(array):x}")
                return
            self._view.tensors.append(value)
            self._view.places.append(place)
            entry = array.shape, array.dtype, value._requires_grad, value._node is None
            self._add(entry, place, f"a tensor of shape {array.shape} and {array.dtype}")

    def _module(self, value: Module, place: Any, names: Attributes) -> None:
        name = self._objects.get(id(value))
        if name is not None:
            self._add(("state", name), place, f"{name} of the state")
        elif not self._again(value):
            if next(value.parameters(), None) is None and next(value.buffers(), None) is None:
                self._view.losses.append((path_of(place)[1].rpartition(".")[2] or path_of(place)[0].text, value))
            else:
                self._view.strangers.append((value, place))

    def _owner(self, value: Any, place: Any, names: Attributes) -> None:
        """An optimizer, or an object with ``state_tensors()``."""
        name = self._objects.get(id(value))
        if name is None and not self._seen.get(id(value)) and (isinstance(value, Optimizer) or value.state_tensors()):
            self._view.strangers.append((value, place))
            return
        self._add(("state", name or "empty"), place, f"{name} of the state")
        if not self._foreign.kind(type(value)):
            self._instance(value, place, names, _OF_OPTIMIZERS if isinstance(value, Optimizer) else frozenset())

    def _partial(self, value: Any, place: Any, names: Attributes) -> None:
        if not self._again(value):
            self._walk(value.func, place, {})
            for i, one in enumerate(value.args):
                self._walk(one, Root(f"argument {i} of the partial"), {})
            for name, one in value.keywords.items():
                self._walk(one, Root(f"argument {name!r} of the partial"), {})

    def _method(self, value: MethodType, place: Any, names: Attributes) -> None:
        self._walk(value.__func__, place, {})
        self._walk(value.__self__, Root(type(value.__self__).__name__, value.__func__, True), {})

    def _function_(self, f: FunctionType, place: Any, names: Attributes, own: bool = False) -> None:
        if self._again(f):
            return
        view, code = self._view, f.__code__
        known = self._codes.get(id(code))
        if known is None:
            known = self._codes[id(code)] = self._learn(code, own)
        inside = known[1]
        view.key.append((id(code), id(f.__globals__)) if inside else id(f))
        view.keep.append(f)
        if view.found is not None:
            text = f"{f.__module__}.{f.__qualname__}, line {code.co_firstlineno} of {code.co_filename}"
            view.found[words(place)] = text
        variables = inside.variables if inside else {}
        for name, cell in zip(code.co_freevars, f.__closure__ or (), strict=False):
            try:
                value = cell.cell_contents
            except ValueError:
                view.key.append("unassigned")
                continue
            if view.found is not None:
                view.cells.append((cell, "", value))
            self._walk(value, Root(name, f), variables.get(name, {}))
        for i, value in enumerate(f.__defaults__ or ()):
            self._walk(
                value,
                Root(f"the default of {code.co_varnames[code.co_argcount - len(f.__defaults__ or ()) + i]!r}"),
                {},
            )
        for name, value in (f.__kwdefaults__ or {}).items():
            self._walk(value, Root(f"the default of {name!r}"), {})
        if f.__dict__:
            for name, value in f.__dict__.items():
                if name == "__wrapped__" or (inside and (self._open or name in self._all_names)):
                    self._walk(value, (place, ".", name), {})
        if inside is None:
            return
        own_globals = f.__globals__
        for name, tree in variables.items():
            if name in own_globals and name not in code.co_freevars:
                value = own_globals[name]
                if view.found is not None:
                    view.cells.append((own_globals, name, value))
                view.key.append(name)
                self._walk(value, Root(name, f), tree)
        for name in inside.imports:
            module = sys.modules.get(name)
            if module is not None:
                self._walk(module, Root(name, f), {})

    def _learn(self, code: CodeType, own: bool) -> tuple[CodeType, Names | None]:
        """The names in the user's code; None for code that is taken to be constant."""
        if not own and self._foreign.file(code.co_filename):
            return code, None
        names = names_in(code)
        before = len(self._all_names), self._open
        self._grown |= merge(self._attributes, names.attributes)
        self._open |= names.open
        for tree in (names.attributes, *names.variables.values()):
            _flatten(tree, self._all_names)
        self._grown |= before != (len(self._all_names), self._open)
        return code, names

    def _python_module(self, value: ModuleType, place: Any, names: Attributes) -> None:
        self._view.key.append(id(value))
        self._view.keep.append(value)
        file = getattr(value, "__file__", None)
        if value.__name__ in sys.builtin_module_names or (file is not None and self._foreign.file(file)):
            return
        self._attributes_of(value, vars(value), place, names, frozenset())

    def _type(self, value: type, place: Any, names: Attributes) -> None:
        self._class(value, place, {*self._attributes, *names}, called=True)

    def _class(self, kind: type, place: Any, names: Iterable[str], called: bool = False) -> None:
        """Attributes and methods of a class of the user's; special methods run without being named."""
        view, read = self._view, self._read.setdefault(id(kind), set())
        if not read:
            view.key.append(id(kind))
            view.keep.append(kind)
        if self._foreign.kind(kind):
            read.add("")
            return
        wanted = {*names, "", *(("__init__", "__new__", "__post_init__") if called else ())} - read
        if not wanted:
            return
        first = not read
        read |= wanted
        for base in kind.__mro__:
            if self._foreign.kind(base):
                continue
            for name, value in list(vars(base).items()):
                special = first and name.startswith("__") and isinstance(value, FunctionType) and name not in _SKIPPED
                special = special and value.__code__.co_filename != "<string>"  # a dataclass's, which read every field
                if name == "__call__" and isinstance(place, Root) and place.is_owner:  # its methods are what is called
                    special = False
                if special or name in wanted:
                    view.key.append(name)
                    self._walk(value, (Root(base.__name__), ".", name), {})

    def _instance(
        self, value: Any, place: Any, names: Attributes, skipped: frozenset[str] = frozenset()
    ) -> None:  # fmt: skip
        kind = type(value)
        self._class(kind, place, {*self._attributes, *names})
        attributes = getattr(value, "__dict__", None)
        if attributes is None or hasattr(kind, "__slots__"):
            slots = [n for base in kind.__mro__ for n in _slots(base) if hasattr(value, n)]
            attributes = {**(attributes or {}), **{name: getattr(value, name) for name in slots}}
        elif self._view.found is not None:
            self._view.containers.append(attributes)
        self._attributes_of(value, attributes, place, names, skipped)

    def _attributes_of(
        self, value: Any, attributes: Mapping[str, Any], place: Any, names: Attributes, skipped: frozenset[str]
    ) -> None:
        free, read = self._attributes, self._read.setdefault(id(value), set())
        for name in list(attributes):
            if not (name in free or name in names or self._open) or name in read or name in skipped:
                continue
            read.add(name)
            tree = names.get(name, {})
            if name in free:
                tree = {**tree, **free[name]} if tree else free[name]
            self._view.key.append(name)
            self._walk(attributes[name], (place, ".", name), tree)

    def _record(self, value: Any, place: Any, names: Attributes) -> None:
        """An object whose own code is not followed: all its plain values, and what is named."""
        if self._again(value):
            return
        kind, view = type(value), self._view
        view.key.append(id(kind))
        attributes = getattr(value, "__dict__", None)
        if attributes is None:
            self._add(id(value), place)
            view.keep.append(value)
            return
        if view.found is not None:
            view.containers.append(attributes)
        for name, one in list(attributes.items()):
            if (
                isinstance(one, (float, *VALUES))
                or isinstance(value, _RECORDS)
                or name in self._all_names
                or self._open
            ):
                view.key.append(name)
                self._walk(one, (place, ".", name), names.get(name, {}))

    def _compiled(self, value: Any, place: Any, names: Attributes) -> None:
        if self._again(value) or not hasattr(value, "_state"):
            return
        self._walk(value._function, place, {})
        for one in value._state.objects():
            if id(one) not in self._objects:
                self._walk(one, place, {})

    def _property(self, value: property, place: Any, names: Attributes) -> None:
        for one in (value.fget, value.fset):
            if one is not None:
                self._walk(one, place, {})

    def _static(self, value: Any, place: Any, names: Attributes) -> None:
        self._walk(value.__func__, place, {})

    def _cached_property(self, value: Any, place: Any, names: Attributes) -> None:
        self._walk(value.func, place, {})

    def _wrapper(self, value: Any, place: Any, names: Attributes) -> None:
        if not self._again(value) and hasattr(value, "__wrapped__"):
            self._walk(value.__wrapped__, place, {})

    def _builtin(self, value: Any, place: Any, names: Attributes) -> None:
        owner = value.__self__
        if owner is None or isinstance(owner, ModuleType):
            self._opaque(value, place, names)
        else:
            self._view.key.append(value.__name__)
            self._walk(owner, place, {})


def _slots(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ())
    names = [slots] if isinstance(slots, str) else list(slots)
    return [
        f"_{kind.__name__.lstrip('_')}{n}" if n.startswith("__") and not n.endswith("__") else n
        for n in names
        if n not in ("__dict__", "__weakref__")
    ]


def _flatten(tree: Attributes, into: set[str]) -> None:
    for name, inner in tree.items():
        into.add(name)
        _flatten(inner, into)

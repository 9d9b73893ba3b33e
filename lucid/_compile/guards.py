"""Checks that nothing outside the arguments and the state is silently frozen into a graph.

MLX sees arrays only. A Python number that the function reads from a variable becomes a constant of the graph, and a
tensor that it changes behind the graph's back would change once, during the trace, and never again. Everything that
inspects live objects, closures or bytecode to find such values is in this file:

- ``CapturedVariables`` watches the values that a function takes from closures, globals and the attributes of ``self``.
  Closures and globals do not report reads, so the names come from the bytecode.
- ``Snapshot`` records every live tensor, optimizer and scheduler before a trace, to detect changes and to undo them.
  Tensors do not know who holds them, so they come from Python's garbage collector. That takes a few milliseconds per
  trace and adds nothing to the code being watched.
- The checks at the end compare the two with the listed state and raise errors that name the object, the reason and the
  fix.
"""

from __future__ import annotations

import dis
import functools
import gc
import itertools
import operator
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _grad_mode, _precision, random, tape
from lucid._compile.state import PLAIN, State
from lucid._tensor import Tensor
from lucid.nn.module import Module
from lucid.optim.lr_scheduler import LRScheduler
from lucid.optim.optimizer import Optimizer

# Variables ----------------------------------------------------------------------------------------------------------


_PACKAGE = str(Path(__file__).parents[1]) + os.sep
LearningRates = list[tuple[str, Any, Tensor]]  # per parameter group: optimizer name, group["lr"], group.lr_tensor
_DEPTH = 4  # how far to follow functions that call functions


class _Variable(NamedTuple):
    name: str
    home: Any  # a closure cell, a module's globals, or the attributes of a method's object

    def value(self) -> Any:
        """The current value, or ``_Variable`` if it has not been assigned yet."""
        if isinstance(self.home, dict):
            return self.home.get(self.name, _Variable)
        try:
            return self.home.cell_contents
        except ValueError:
            return _Variable


class CapturedVariables:
    """Python values and unlisted tensors that a function reads from variables; they are constants of its graphs."""

    def __init__(self, function: Callable[..., Any], state: Mapping[int, int]) -> None:
        used = {(one.name, id(one.home)): one for one in _walk_captures(function) if isinstance(one, _Variable)}
        self._variables = [one for one in used.values() if _is_built_in(one.value(), state)]
        self._arrays: dict[int, tuple[Any, int]] = {}  # by tensor id: the current array, and how often it has changed

    def key(self, state: Mapping[int, int]) -> tuple[Any, ...]:
        """Equal while the values are equal and the tensors that are not state hold the same arrays."""
        return tuple([self._key_of(one.value(), state) for one in self._variables])

    def _key_of(self, value: Any, state: Mapping[int, int]) -> Any:
        if isinstance(value, PLAIN):
            return type(value), value
        if not isinstance(value, Tensor) or id(value) in state:
            return None
        array, count = self._arrays.get(id(value), (None, 0))
        if array is not value._array:
            count += 1
            self._arrays[id(value)] = value._array, count
        return "tensor", count

    def describe(self, state: Mapping[int, int]) -> dict[str, str]:
        """The key of every variable in words."""
        found = {}
        for one in self._variables:
            kind, value = self._key_of(one.value(), state) or ("", "")
            words = f"a tensor that is not state, its value number {value}" if kind == "tensor" else repr(value)
            found[f"the variable {one.name!r}"] = words
        return found

    def ignore(self, name: str) -> None:
        """Stop watching a variable that the function itself changes."""
        self._variables = [one for one in self._variables if f"the variable {one.name!r}" != name]


def _is_built_in(value: Any, state: Mapping[int, int]) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, Tensor) and id(value) not in state)


def captured_variables(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """The outside variables that ``function`` and the functions it calls use by name."""
    for one in _walk_captures(function):
        if isinstance(one, _Variable):
            if (value := one.value()) is not _Variable:
                yield one.name, value
        else:
            yield "self", one


def _walk_captures(function: Callable[..., Any]) -> Iterator[Any]:
    """Variables, and the objects bound to methods and partials."""
    seen: set[int] = set()
    stack: list[tuple[Any, int]] = [(function, _DEPTH)]
    while stack:
        one, left = stack.pop()
        if isinstance(one, functools.partial):
            yield from (*one.args, *one.keywords.values())
            stack.append((one.func, left))
            continue
        if not isinstance(one, FunctionType | MethodType | Module):
            one = one.__call__  # a callable object: inspect its method
        if isinstance(one, MethodType):
            yield one.__self__
            attributes = getattr(one.__self__, "__dict__", {})
            one = one.__func__
            names = _attributes_used(one.__code__) if isinstance(one, FunctionType) else ()
            yield from (_Variable(name, attributes) for name in names if name in attributes)
        if isinstance(one, Module):
            stack += [(kind.forward, left) for kind in {type(module) for module in one.modules()}]
            continue
        one = getattr(one, "__wrapped__", one)
        if not isinstance(one, FunctionType) or id(one) in seen or one.__code__.co_filename.startswith(_PACKAGE):
            continue
        seen.add(id(one))
        for variable in _used(one):
            yield variable
            value = variable.value()
            if left and isinstance(value, FunctionType | MethodType | Module):
                stack.append((value, left - 1))


def _attributes_used(code: CodeType) -> list[str]:
    """Attribute names read from local variables: ``name`` in ``self.name``, not in ``x.y.name`` or ``module.name``."""
    pairs = itertools.pairwise(dis.get_instructions(code))
    taken = ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR")
    return sorted(
        {i.argval for before, i in pairs if i.opname in taken and before.opname not in (*taken, "LOAD_GLOBAL")}
    )


def _used(function: FunctionType) -> Iterator[_Variable]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield _Variable(name, cell)
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [one for one in code.co_consts if isinstance(one, CodeType)]
        for name in sorted({i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}):
            if name in function.__globals__:
                yield _Variable(name, function.__globals__)


def name_of(thing: Any, function: Callable[..., Any]) -> str:
    """The user's name for ``thing``: its variable, or its place in the object that holds it; "" if there is none."""
    for name, value in captured_variables(function):
        if value is thing:
            return f"{name!r}"
        if isinstance(value, list | tuple) and any(one is thing for one in value):
            return f"an item of {name!r}"
        if isinstance(value, dict) and any(one is thing for one in value.values()):
            return f"an item of {name!r}"
    for holder in gc.get_objects():
        if issubclass(type(holder), Module):
            for key, value in (*holder._parameters.items(), *holder._buffers.items()):
                if value is thing:
                    return f"{key!r} of a {type(holder).__name__}"
    for holder in gc.get_referrers(thing):
        owners = gc.get_referrers(holder) if isinstance(holder, dict) else [holder]
        for owner in owners:
            held = getattr(owner, "__dict__", None)
            if isinstance(held, dict) and not isinstance(owner, type | ModuleType | FunctionType):
                key = next((key for key, value in held.items() if value is thing), None)
                if key is not None:
                    return f"{key!r} of a {type(owner).__name__}"
    return ""


# Snapshots ---------------------------------------------------------------------------------------------------------


class Snapshot:
    """The contents of every live tensor, module, optimizer and scheduler, and the attributes of ``things``.

    ``things`` are listed explicitly because ``gc.freeze()`` hides objects from the collector.
    """

    def __init__(self, things: Iterable[Any]) -> None:
        self._tensors: list[tuple[Any, ...]] = []
        self._optimizers: list[tuple[Optimizer, int]] = []
        self._schedulers: list[tuple[LRScheduler, int]] = []
        containers: list[Any] = []
        things = list(things)
        listed = {id(one) for one in things}
        for thing in chain(things, (one for one in gc.get_objects() if id(one) not in listed)):
            kind = type(thing)  # isinstance() would call __class__, which proxies of other libraries override
            if issubclass(kind, tape.TensorBase):
                if hasattr(thing, "_requires_grad"):  # not set if the constructor failed
                    self._tensors.append((thing, *_fields(thing)))
                    if thing._hooks:
                        containers.append(thing._hooks)
            elif issubclass(kind, Optimizer) and "_step_calls" in vars(thing):
                self._optimizers.append((thing, thing._step_calls))
                containers += [vars(thing), thing.param_groups, *thing.param_groups, thing.state, *thing.state.values()]
            elif issubclass(kind, LRScheduler) and "last_epoch" in vars(thing):
                self._schedulers.append((thing, thing.last_epoch))
                containers.append(vars(thing))
            elif issubclass(kind, Module) and "_modules" in vars(thing):
                containers += [vars(thing), thing._parameters, thing._buffers, thing._modules]
                containers += [thing._forward_pre_hooks, thing._forward_hooks, thing._backward_hooks]
            elif id(thing) in listed and hasattr(thing, "__dict__"):
                containers.append(vars(thing))
        self._known = {id(entry[0]) for entry in self._tensors}
        self._containers = [(one, dict(one) if isinstance(one, dict) else list(one)) for one in containers]
        self._key, self._seed = random._state._array, random._state.seed
        self._modes = _grad_mode.mode.recording, _precision.autocast_state.dtype

    def restore(self) -> None:
        """Restore every tensor and the random state."""
        for tensor, array, grad, node, index, requires_grad, hooks in self._tensors:
            if tensor._array is not array:
                tensor._array = array
            if tensor.grad is not grad:
                tensor.grad = grad
            if tensor._node is not node:
                tensor._node, tensor._index = node, index
            tensor._requires_grad, tensor._hooks = requires_grad, hooks
        random._state._array = self._key

    def restore_containers(self) -> None:
        """Restore every container."""
        for one, content in self._containers:
            if isinstance(one, dict):
                if list(one) != list(content) or any(one[key] is not content[key] for key in content):
                    dict.clear(one)
                    dict.update(one, content)
            elif len(one) != len(content) or any(map(operator.is_not, one, content)):
                one[:] = content
        random._state.seed = self._seed
        _grad_mode.mode.recording, _precision.autocast_state.dtype = self._modes

    def changed(self, expected: set[int]) -> Iterator[tuple[Any, str]]:
        """Tensors that changed though not ``expected`` to, each with what changed: value, gradient or requires_grad."""
        for tensor, array, grad, node, _, requires_grad, _ in self._tensors:
            if id(tensor) in expected:
                continue
            if tensor._array is not array or tensor._node is not node:
                yield tensor, "value"
            elif tensor.grad is not grad:
                yield tensor, "gradient"
            elif tensor._requires_grad != requires_grad:
                yield tensor, "requires_grad"

    def stepped(self) -> Iterator[Optimizer | LRScheduler]:
        """Optimizers and schedulers that took a step."""
        yield from (one for one, calls in self._optimizers if one._step_calls != calls)
        yield from (one for one, epoch in self._schedulers if one.last_epoch != epoch)

    def leaked(self, expected: set[int]) -> Iterator[Any]:
        """Tensors created since the snapshot and still referenced whose value exists only inside the trace."""
        gc.collect()
        for thing in gc.get_objects():
            if issubclass(type(thing), tape.TensorBase) and id(thing) not in self._known and id(thing) not in expected:
                try:
                    mx.eval(thing._array)
                except (RuntimeError, ValueError):
                    yield thing


def _fields(tensor: Any) -> tuple[Any, ...]:
    return tensor._array, tensor.grad, tensor._node, tensor._index, tensor._requires_grad, tensor._hooks


# Checks ------------------------------------------------------------------------------------------------------------


def check_captured_state(caller: str, function: Callable[..., Any], state: State) -> None:
    """Refuse stateful objects that the function uses by name but that are not listed as state.

    Raises:
        RuntimeError: the function uses such a module, optimizer or metric.
    """
    known = {id(one) for one in state.objects()}
    for name, one in _captured_values(function):
        stateful = isinstance(one, Module | Optimizer) or _has_state_tensors(one)
        if stateful and id(one) not in known:
            what = "its parameters" if isinstance(one, Module) else "its state"
            raise RuntimeError(
                f"{caller}: the function uses {name!r} ({type(one).__name__}), which is not in state, so {what} "
                f"would be frozen; list it: lucid.compile(function, state=[{name}])"
            )


def stateless_modules(function: Callable[..., Any]) -> Iterator[tuple[str, Module]]:
    """Modules without tensors, such as losses, that the function uses by name; they need not be listed."""
    for name, one in _captured_values(function):
        if isinstance(one, Module) and next(one.parameters(), None) is None and next(one.buffers(), None) is None:
            yield name, one


def _captured_values(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """The variables that the function uses, and the items of those that are containers."""
    for name, value in captured_variables(function):
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        for one in (value, *inside):
            yield name, one


def _has_state_tensors(thing: Any) -> bool:
    # A class has the method too, but no state.
    return not isinstance(thing, type) and callable(getattr(thing, "state_tensors", None)) and thing.state_tensors()


def _describe_object(thing: Any, function: Callable[..., Any]) -> str:
    name = name_of(thing, function)
    if isinstance(thing, Tensor):
        return f"{name or 'a tensor'} (shape {thing.shape})"
    return f"{name} ({type(thing).__name__})" if name else type(thing).__name__


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdigit()


def learning_rates(state: State) -> LearningRates:
    """The learning rates of all listed optimizers."""
    return [
        (name, group["lr"], group.lr_tensor)
        for name, optimizer in state.optimizers.items()
        for group in optimizer.param_groups
    ]


def check_changes(
    caller: str, function: Callable[..., Any], state: State, before: Snapshot, rates: LearningRates, expected: set[int]
) -> None:
    """Refuse steps of schedulers and unlisted optimizers, assigned learning rates, and changes of unlisted tensors.

    Raises:
        RuntimeError: the function did one of these.
    """
    for one in before.stepped():
        if not isinstance(one, Optimizer):
            raise RuntimeError(
                f"{caller}: {type(one).__name__}.step() was called inside, so the learning rate would be frozen; "
                "call it after the compiled function: the new learning rate needs no retrace"
            )
        if not any(one is other for other in state.optimizers.values()):
            raise RuntimeError(
                f"{caller}: {_describe_object(one, function)} took a step inside but is not in state, so its state "
                "would be frozen; list it: lucid.compile(function, state=[..., optimizer])"
            )
    for (name, was, rate), (_, now, tensor) in zip(rates, learning_rates(state), strict=False):
        if tensor is not rate or (isinstance(was, float) and now != was):
            raise RuntimeError(
                f"{caller}: the learning rate of {name} was set inside, from {was} to {now}, and would be frozen; "
                "set it after the compiled function: the new learning rate needs no retrace"
            )
    for tensor, what in before.changed(expected):
        raise RuntimeError(
            f"{caller}: the {what} of {_describe_object(tensor, function)} was changed inside but is not in state, so "
            "it would be frozen; list what it belongs to: lucid.compile(function, state=[...]), or return the new "
            "value"
        )


def check_leaked_tensors(caller: str, function: Callable[..., Any], before: Snapshot, expected: set[int]) -> None:
    """Refuse tensors that were computed inside and outlive the trace.

    Raises:
        RuntimeError: something still refers to such a tensor; the message names it.
    """
    for tensor in before.leaked(expected):
        raise RuntimeError(
            f"{caller}: {_describe_object(tensor, function)} was computed inside and stored, but has no value outside; "
            "return it instead"
        )


def changed_counters(caller: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """Warn about Python numbers that the function has changed, and yield the name of each."""
    for name, was in before.items():
        now = after.get(name, was)
        if now != was and _is_number(was) and _is_number(now):
            warnings.warn(
                f"{caller}: {name} changed from {was} to {now} inside; the Python code of a compiled function runs "
                "only during tracing, so it will not change again: make it a buffer or a tensor in state, or update "
                "it outside",
                UserWarning,
                stacklevel=2,
            )
            yield name

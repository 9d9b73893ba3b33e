"""Checks that nothing outside the arguments and the state changes while a function is traced, and ways to undo it.

MLX sees arrays only. A tensor that the function changes behind the graph's back would change once, during the trace,
and never again.

- ``Snapshot`` records every live tensor, optimizer and scheduler before a trace, to detect changes and to undo them.
  Tensors do not know who holds them, so they come from Python's garbage collector. That takes a few milliseconds per
  trace and adds nothing to the code being watched.
- The checks compare it with the listed state and raise errors that name the object, the reason and the fix.
"""

from __future__ import annotations

import copy
import gc
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from types import FunctionType, ModuleType
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _aliases, _deferred, _grad_mode, _precision, random, tape
from lucid._compile.places import Refusal, expression, line, path_of, words
from lucid._compile.random_numbers import RandomNumbers
from lucid._compile.state import State
from lucid._compile.values import View
from lucid._tensor import Tensor
from lucid.nn.module import Module
from lucid.optim.lr_scheduler import LRScheduler
from lucid.optim.optimizer import Optimizer

# Of each parameter group: the name of the optimizer, group["lr"], group.lr_tensor and its value.
LearningRates = list[tuple[str, Any, Tensor, mx.array]]


def name_of(thing: Any, view: View | None = None) -> str:
    """The user's name for ``thing``: its variable, or its place in the object that holds it; "" if there is none."""
    for tensor, place in zip(view.tensors, view.places, strict=True) if view is not None else ():
        if tensor is thing:
            root, steps = path_of(place)
            return expression(place) if not steps.startswith("[") else f"an item of {root.text!r}"
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

    def __init__(self, things: Iterable[Any], view: View | None = None) -> None:
        self._numbers = RandomNumbers()
        self._cells = [] if view is None else view.cells
        self._arrays = (
            [] if view is None else [(one, one.copy()) for one in view.containers if isinstance(one, np.ndarray)]
        )
        self._tensors: list[tuple[Any, ...]] = []
        self._optimizers: list[tuple[Optimizer, int]] = []
        self._schedulers: list[tuple[LRScheduler, int]] = []
        containers: list[Any] = []
        things = list(things)
        listed = {id(one) for one in things}
        for thing in chain(things, (one for one in _live() if id(one) not in listed)):
            kind = _kind_of(type(thing))
            if kind is tape.TensorBase:
                if hasattr(thing, "_requires_grad"):  # set last, and not if the constructor failed
                    self._tensors.append((thing, *_fields(thing)))
                    if thing._hooks:
                        containers.append(thing._hooks)
            elif kind is Optimizer and {"param_groups", "state"} <= vars(thing).keys():
                self._optimizers.append((thing, thing._step_calls))
                containers += [vars(thing), thing.param_groups, *thing.param_groups, thing.state, *thing.state.values()]
                containers += map(vars, thing.param_groups)
            elif kind is LRScheduler and "last_epoch" in vars(thing):
                self._schedulers.append((thing, thing.last_epoch))
                containers.append(vars(thing))
            elif kind is Module and "_backward_hooks" in vars(thing):
                containers += [vars(thing), thing._parameters, thing._buffers, thing._modules]
                containers += [thing._forward_pre_hooks, thing._forward_hooks, thing._backward_hooks]
            elif id(thing) in listed and hasattr(thing, "__dict__"):
                containers.append(vars(thing))
        self._known = {id(entry[0]) for entry in self._tensors}
        cells = {id(entry[7].cell): entry[7].cell for entry in self._tensors if entry[7] is not None}
        self._cells_of_tensors = [(cell, cell._array) for cell in cells.values()]
        containers += [] if view is None else [one for one in view.containers if not isinstance(one, np.ndarray)]
        self._containers = [(one, copy_of(one)) for one in containers]
        self._key, self._seed = random._state._array, random._state.seed
        self._modes = _grad_mode.mode.recording, _precision.autocast_state.dtype

    def restore(self) -> None:
        """Restore every tensor and the random state."""
        for tensor, array, grad, node, index, requires_grad, hooks, place in self._tensors:
            tensor._place = place
            if array is None or node is _STALE:
                _aliases.make_stale(tensor)
            if array is not None and _slot("_array", tensor) is not array:
                tensor._array = array
            if tensor.grad is not grad:
                tensor.grad = grad
            if node is not _STALE and _slot("_node", tensor) is not node:
                tensor._node, tensor._index = node, index
            tensor._requires_grad, tensor._hooks = requires_grad, hooks
        for cell, array in self._cells_of_tensors:
            cell._array = array
        random._state._array = self._key

    def now(self) -> Snapshot:
        """The present contents of the same containers and variables."""
        other = copy.copy(self)
        other._numbers = RandomNumbers()
        other._arrays = [(one, one.copy()) for one, _ in self._arrays]
        other._containers = [(one, copy_of(one)) for one, _ in self._containers]
        other._cells = [
            (home, name, home.get(name) if isinstance(home, dict) else _content(home)) for home, name, _ in self._cells
        ]
        return other

    def restore_containers(self) -> None:
        """Restore every container."""
        for one, content in self._containers:
            if isinstance(one, dict):
                if list(one) != list(content) or any(one[key] is not content[key] for key in content):
                    dict.clear(one)
                    dict.update(one, content)
            elif isinstance(one, set):
                if one != content:
                    one.clear()
                    one.update(content)
            elif len(one) != len(content) or any(map(operator.is_not, one, content)):
                one.clear()
                one.extend(content)
        for array, values in self._arrays:
            if array.flags.writeable and not np.array_equal(array, values):
                array[...] = values
        for home, name, value in self._cells:
            if isinstance(home, dict):
                if home.get(name) is not value:
                    home[name] = value
            elif _content(home) is not value:
                home.cell_contents = value
        self._numbers.restore()
        random._state.seed = self._seed
        _grad_mode.mode.recording, _precision.autocast_state.dtype = self._modes

    def gradients(self) -> dict[int, Any]:
        return {id(entry[0]): entry[2] for entry in self._tensors}

    def requires_grad(self, tensor: Tensor) -> bool:
        entry = next(entry for entry in self._tensors if entry[0] is tensor)
        return bool(entry[5] or entry[3] is not None)

    def check_random_numbers(self, caller: str) -> None:
        self._numbers.check_unused(caller)

    def changed(self, expected: set[int]) -> Iterator[tuple[Any, str]]:
        """Tensors that changed though not ``expected`` to, each with what changed: value, gradient or requires_grad."""
        for tensor, array, grad, node, _, requires_grad, _, _ in self._tensors:
            if id(tensor) in expected:
                continue
            if array is None:  # it was stale, and has been read since, perhaps
                continue
            if _slot("_array", tensor) is not array or _slot("_node", tensor) is not node:
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
        for thing in _live():
            is_tensor = _kind_of(type(thing)) is tape.TensorBase
            if is_tensor and id(thing) not in self._known and id(thing) not in expected:
                try:
                    _deferred.wait(thing._array)
                except AttributeError:  # another thread has just begun to make it
                    continue
                except (RuntimeError, ValueError):
                    yield thing


def _live() -> list[Any]:
    """All tensors, modules, optimizers and schedulers that the garbage collector knows."""
    kinds: dict[type, Any] = {}  # looking a type up is faster than issubclass(), for some 100,000 objects
    found = []
    for thing in gc.get_objects():
        kind = type(thing)  # isinstance() would call __class__, which proxies of other libraries override
        wanted = kinds.get(kind, kinds)
        if wanted is kinds:
            wanted = kinds[kind] = _kind_of(kind)
        if wanted is not None:
            found.append(thing)
    return found


def _kind_of(kind: type) -> Any:
    return next((one for one in (tape.TensorBase, Module, Optimizer, LRScheduler) if issubclass(kind, one)), None)


def copy_of(container: Any) -> Any:
    return (
        dict(container)
        if isinstance(container, dict)
        else set(container)
        if isinstance(container, set)
        else list(container)
    )


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return copy_of  # no value yet


_STALE = object()


def _slot(name: str, tensor: Any) -> Any:
    """An attribute of a tensor; of a stale alias, which must not be computed here, None for its value or _STALE."""
    try:
        return vars(tape.TensorBase)[name].__get__(tensor)
    except AttributeError:
        return None if name == "_array" else _STALE


def _fields(tensor: Any) -> tuple[Any, ...]:
    return (
        _slot("_array", tensor), tensor.grad, _slot("_node", tensor), _slot("_index", tensor), tensor._requires_grad,
        tensor._hooks, tensor._place,
    )  # fmt: skip


# Checks ------------------------------------------------------------------------------------------------------------


def refuse_stranger(caller: str, stranger: Any, place: Any) -> RuntimeError:
    """The error for an owner of tensors that the function can read and that is not state."""
    root, steps = path_of(place)
    what = "its parameters" if isinstance(stranger, Module) else "its state"
    listed = f"state=[{root.text}{steps}]" if root.function is not None and not root.is_owner else "state=[...]"
    return RuntimeError(
        f"{caller}: {line(place)}the function uses {expression(place)} ({type(stranger).__name__}), which is not in "
        f"state, so {what} would be frozen; list it: lucid.compile(function, {listed})"
    )


def refuse(caller: str, refusal: Refusal) -> RuntimeError:
    """The error for a value that can be read but not compared."""
    return RuntimeError(f"{caller}: {line(refusal.place)}{words(refusal.place)} {refusal.problem}; {refusal.fix}")


def _describe_object(thing: Any, view: View | None) -> str:
    name = name_of(thing, view)
    if isinstance(thing, Tensor):
        return f"{name or 'a tensor'} (shape {thing.shape})"
    return f"{name} ({type(thing).__name__})" if name else type(thing).__name__


def learning_rates(state: State) -> LearningRates:
    """The learning rates of all listed optimizers."""
    return [
        (name, group["lr"], group.lr_tensor, group.lr_tensor._array)
        for name, optimizer in state.optimizers.items()
        for group in optimizer.param_groups
        if group.lr_tensor is not None
    ]


def refused_step(caller: str, view: View, state: State, before: Snapshot) -> RuntimeError | None:
    """The error for a step of a scheduler or of an unlisted optimizer, if there was one."""
    for one in before.stepped():
        if not isinstance(one, Optimizer):
            return RuntimeError(
                f"{caller}: {type(one).__name__}.step() was called inside, so the learning rate would be frozen; "
                "call it after the compiled function: the new learning rate needs no retrace"
            )
        if not any(one is other for other in state.optimizers.values()):
            return RuntimeError(
                f"{caller}: {_describe_object(one, view)} took a step inside but is not in state, so its state "
                "would be frozen; list it: lucid.compile(function, state=[..., optimizer])"
            )
    return None


def check_changes(
    caller: str, view: View, state: State, before: Snapshot, rates: LearningRates, expected: set[int]
) -> None:
    """Refuse steps of schedulers and unlisted optimizers, assigned learning rates, and changes of unlisted tensors.

    Raises:
        RuntimeError: the function did one of these.
    """
    error = refused_step(caller, view, state, before)
    if error is not None:
        raise error
    for (name, was, rate, array), (_, now, tensor, value) in zip(rates, learning_rates(state), strict=False):
        if tensor is not rate or (isinstance(was, float) and (now != was or value is not array)):
            raise RuntimeError(
                f"{caller}: the learning rate of {name} was set inside, from {was} to {now}, and would be frozen; "
                "set it after the compiled function: the new learning rate needs no retrace"
            )
    # Sorted, because the garbage collector lists tensors in any order.
    if changed := sorted(f"{what} of {_describe_object(tensor, view)}" for tensor, what in before.changed(expected)):
        raise RuntimeError(
            f"{caller}: the {changed[0]} was changed inside but is not in state, so it would be frozen; list what it "
            "belongs to: lucid.compile(function, state=[...]), or return the new value"
        )


def check_read_only(caller: str, view: View, before: Snapshot, written: list[bool]) -> None:
    """Refuse changes of the tensors that the function can read but that are not state. ``written`` have a new value.

    Raises:
        RuntimeError: the function changed one.
    """
    former = before.gradients()
    for tensor, place, is_new in zip(view.tensors, view.places, written, strict=True):
        what = "value" if is_new else "gradient" if tensor.grad is not former[id(tensor)] else ""
        if tensor._requires_grad != before.requires_grad(tensor):
            what = "requires_grad"
        if what:
            raise RuntimeError(
                f"{caller}: {line(place)}the {what} of {expression(place)} (shape {tensor.shape}) was changed inside "
                "but is not in state, so it would be frozen; list what it belongs to: lucid.compile(function, "
                "state=[...]), or return the new value"
            )


def check_leaked_tensors(caller: str, look: Callable[[], View | None], before: Snapshot, expected: set[int]) -> None:
    """Refuse tensors that were computed inside and outlive the trace.

    Raises:
        RuntimeError: something still refers to such a tensor; the message names it.
    """
    for tensor in before.leaked(expected):
        raise RuntimeError(
            f"{caller}: {_describe_object(tensor, look())} was computed inside and stored, but has no value outside; "
            "return it instead"
        )


def changed_values(before: Mapping[str, str], after: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """The Python values that the function has changed: name, former and present value in words.

    New keys and attributes are not counted: a value that is computed once and kept is the same at every call.
    """
    return [
        (name, was, after[name])
        for name, was in before.items()
        if name in after and after[name] != was and not name.startswith("the keys of ")
    ]


def warn_of_changes(caller: str, changes: list[tuple[str, str, str]], state: State) -> None:
    """Warn about Python values that the function has changed, which happens in a trace only.

    Raises:
        RuntimeError: an optimizer computes with such a value.
    """
    owned = tuple(f"{name}." for name in state.optimizers)
    for name, was, now in changes:
        if name.startswith(owned):
            raise RuntimeError(
                f"{caller}: {name} changed from {was} to {now} in the optimizer's step, which would not change it "
                "again, because the Python code of a compiled function runs only during tracing; keep it as a tensor, "
                'such as state["step"] = lucid.tensor(0.0), or call step() outside of the function'
            )
    what = "; ".join([f"{name} changed from {was} to {now} inside" for name, was, now in changes[:3]])
    warnings.warn(
        f"{caller}: {what}; the Python code of a compiled function runs only during tracing, so it will not change "
        "again: make it a buffer or a tensor in state, or update it outside",
        UserWarning,
        stacklevel=7,
    )

"""All tensors as they were before a trace: to find what it changed beside its state, and to put everything back.

Every live tensor is looked at, found by Python's garbage collector. That takes some milliseconds, once per trace, and
nothing at all in the code that is watched.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import mlx.core as mx

from lucid import random, tape
from lucid.nn.module import Module
from lucid.optim.lr_scheduler import LRScheduler
from lucid.optim.optimizer import Optimizer


class Snapshot:
    """What every tensor, module, optimizer and scheduler that lives now holds, and the attributes of ``things``.

    ``things`` are looked at in any case: ``gc.freeze()`` hides objects from the collector.
    """

    def __init__(self, things: Iterable[Any]) -> None:
        self._tensors: list[tuple[Any, ...]] = []
        self._optimizers: list[tuple[Optimizer, int]] = []
        self._schedulers: list[tuple[LRScheduler, int]] = []
        containers: list[Any] = []
        things = list(things)
        listed = {id(one) for one in things}
        for thing in chain(things, (one for one in gc.get_objects() if id(one) not in listed)):
            kind = type(thing)  # not isinstance(): that asks the object, and proxies of other libraries answer
            if issubclass(kind, tape.TensorBase):
                if hasattr(thing, "_requires_grad"):  # one whose constructor has failed has no fields
                    self._tensors.append((thing, *_fields(thing)))
            elif issubclass(kind, Optimizer) and "_step_calls" in vars(thing):
                self._optimizers.append((thing, thing._step_calls))
                containers += [vars(thing), thing.param_groups, *thing.param_groups, thing.state, *thing.state.values()]
            elif issubclass(kind, LRScheduler) and "last_epoch" in vars(thing):
                self._schedulers.append((thing, thing.last_epoch))
                containers.append(vars(thing))
            elif issubclass(kind, Module) and "_modules" in vars(thing):
                containers += [vars(thing), thing._parameters, thing._buffers, thing._modules]
            elif id(thing) in listed and hasattr(thing, "__dict__"):
                containers.append(vars(thing))
        self._known = {id(entry[0]) for entry in self._tensors}
        self._containers = [(one, dict(one) if isinstance(one, dict) else list(one)) for one in containers]
        self._key, self._seed = random._state._array, random._state.seed

    def restore(self) -> None:
        """Give every tensor what it had."""
        for tensor, array, grad, node, index, requires_grad in self._tensors:
            if tensor._array is not array:
                tensor._array = array
            if tensor.grad is not grad:
                tensor.grad = grad
            if tensor._node is not node:
                tensor._node, tensor._index = node, index
            tensor._requires_grad = requires_grad
        random._state._array = self._key

    def restore_containers(self) -> None:
        """Give every container what was in it."""
        for one, content in self._containers:
            if isinstance(one, dict):
                if list(one) != list(content) or any(one[key] is not content[key] for key in content):
                    dict.clear(one)
                    dict.update(one, content)
            elif len(one) != len(content):
                one[:] = content
        random._state.seed = self._seed

    def changed(self, expected: set[int]) -> Iterator[tuple[Any, str]]:
        """The tensors that are not ``expected`` to change and have changed, and what of them did."""
        for tensor, array, grad, node, _, requires_grad in self._tensors:
            if id(tensor) in expected:
                continue
            if tensor._array is not array or tensor._node is not node:
                yield tensor, "value"
            elif tensor.grad is not grad:
                yield tensor, "gradient"
            elif tensor._requires_grad != requires_grad:
                yield tensor, "requires_grad"

    def stepped(self) -> Iterator[Optimizer | LRScheduler]:
        """The optimizers and schedulers that took a step."""
        yield from (one for one, calls in self._optimizers if one._step_calls != calls)
        yield from (one for one, epoch in self._schedulers if one.last_epoch != epoch)

    def kept(self, expected: set[int]) -> Iterator[Any]:
        """Tensors made since, still held by something, whose value is only a place in the graph of the trace."""
        gc.collect()
        for thing in gc.get_objects():
            if issubclass(type(thing), tape.TensorBase) and id(thing) not in self._known and id(thing) not in expected:
                try:
                    mx.eval(thing._array)
                except (RuntimeError, ValueError):
                    yield thing


def _fields(tensor: Any) -> tuple[Any, ...]:
    return tensor._array, tensor.grad, tensor._node, tensor._index, tensor._requires_grad

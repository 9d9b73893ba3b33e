"""One graph of a compiled function: how its inputs are put in place, and what becomes of its outputs.

``Recipe.run`` is what ``mx.compile`` traces, once. It takes arrays and gives arrays: the state, the gradients, the
arguments and the random key go in; whatever of them has changed, and the result, come out. While it runs, the tensors
of the state hold the tracer's arrays; before it returns they hold again what they held.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx

from lucid import _deferred, _grad_mode, _precision, random, tape
from lucid._compile.arguments import Place, Shape, rebuilt
from lucid._compile.closure import Outside
from lucid._compile.refusals import check_changes, check_kept, counters, rates_of
from lucid._compile.state import Plan, State
from lucid._compile.watch import Snapshot
from lucid._tensor import Tensor
from lucid.nn.module import Module


class Outgrown(Exception):
    """The state has taken another shape or dtype: this graph does not fit any more."""


class Recipe:
    """``writes``, ``gradients``, ``made``, ``key`` and ``result`` say which output goes where."""

    def __init__(
        self, where: str, function: Callable[..., Any], state: State, outside: Outside, plan: Plan, shape: Shape,
        grads: list[Any], requires: list[bool], leaves: list[int],
    ) -> None:  # fmt: skip
        self.where, self.function, self.state, self.outside = where, function, state, outside
        self.plan = plan  # emptied after the trace, so that tensors which are replaced later are not held
        self.shape = shape
        self.present = [grad is not None for grad in grads]  # which leaves come with a gradient
        self.requires = requires  # which argument tensors require one
        self.argument_leaves = leaves  # which of them collect one
        self.low = _precision.autocast_dtype()
        self.done = False
        self.writes: list[tuple[int, int]] = []  # tensor, output
        self.gradients: list[tuple[int, int, bool]] = []  # leaf, output or -1 for none, whether in place
        self.made: list[tuple[Tensor, int]] = []  # state that the function made, such as moments
        self.modes: list[tuple[Module, bool]] = []  # what the function set with train() and eval()
        self.key = -1
        self.result: Any = None
        self.tracked: list[int] = []  # outputs that can be differentiated further ...
        self.sources: list[int] = []  # ... with respect to these tensors, state first
        self.count_of_last = 0  # inputs behind those of state and gradients: the arguments and the key
        self.pull: Callable[..., list[mx.array]] | None = None
        self.on_call: list[Callable[[], None]] = []  # what the function wants done at every call: ``_deferred.on_call``
        self.changes = False
        self.starts = False  # whether other processes wait for something inside, whoever reads the results here
        self.ignored = False  # whether the function has changed Python numbers

    def run(self, inputs: list[mx.array]) -> list[mx.array]:
        """Call the function on ``inputs``, and note what has changed.

        Raises:
            RuntimeError: something changed that is not state, or cannot be part of a graph.
        """
        if self.done:
            raise Outgrown
        slots = {(id(home), key): tensor for _, tensor, home, key in self.state.slots() if home is not None}
        modes = [(module, module.training) for module in self.state.all_modules()]
        rates = rates_of(self.state)
        variables = self.outside.described(self.plan.places)
        before = Snapshot([*self.plan.tensors, *self.state.objects()])
        try:
            try:
                outputs, fresh = self._outputs(inputs, before, slots, rates)
                self.modes = [(one, one.training) for one, mode in modes if one.training != mode]
                after = self.state.facts() | self.outside.described(self.plan.places)
                for name in counters(self.where, self.plan.facts | variables, after):
                    self.ignored = True
                    self.state.ignore(name)
                    self.outside.ignore(name)
            finally:
                before.restore()
            check_kept(self.where, self.function, before, fresh)
        except BaseException:
            before.restore_containers()
            raise
        self.done = True
        return outputs

    def _outputs(
        self, inputs: list[mx.array], before: Snapshot, slots: Any, rates: Any
    ) -> tuple[list[mx.array], set[int]]:
        given, leaves, grads, arrays = self._put(inputs)
        args, kwargs = self.shape.filled(state=self.plan.tensors, tensor=given, array=arrays)
        with _deferred.collecting():
            result = self.function(*args, **kwargs)
            memo = _deferred.memo() or {}
            self.on_call = memo.get("on call", [])
            self.starts = "collective" in memo
        outputs: list[mx.array] = []
        places: dict[int, int] = {}

        def out(array: mx.array) -> int:
            if id(array) not in places:
                places[id(array)] = len(outputs)
                outputs.append(array)
            return places[id(array)]

        replaced = self._replaced(slots)
        check_changes(self.where, self.function, self.state, before, rates, set(self.plan.places))
        tensors = [*self.plan.tensors, *given]
        self.count_of_last = len(given) + len(arrays) + 1
        starts = inputs[: len(self.plan.tensors)] + inputs[len(inputs) - self.count_of_last :]
        for i, tensor in enumerate(tensors):
            array = replaced.get(i, tensor)._array
            if array is not starts[i]:
                self.writes.append((i, out(array)))
        for i, (leaf, grad) in enumerate(zip(leaves, grads, strict=True)):
            now = leaf.grad
            if now is None:
                if grad is not None:
                    self.gradients.append((i, -1, False))
            elif grad is None or now is not grad[0] or now._array is not grad[1]:
                self.gradients.append((i, out(now._array), grad is not None and now is grad[0]))
        for tensor, requires in zip(given, self.requires, strict=True):
            if requires and tensor.grad is not None and not any(tensor is leaf for leaf in leaves):
                raise RuntimeError(
                    f"{self.where}: backward() reached an argument that was computed outside of the function, and "
                    "its graph cannot be followed from inside; pass tensor.detach(), or compute it inside"
                )
        self.made = [(tensor, out(tensor._array)) for tensor in self._made]
        if random._state._array is not inputs[-1]:
            assert random._state._array is not None
            self.key = out(random._state._array)
        self.changes = bool(self.writes or self.gradients or self.made or self.key >= 0)
        identities = {id(t): Place("state", i) for i, t in enumerate(tensors)}

        def emptied(value: Any) -> Any:
            if isinstance(value, Tensor):
                if id(value) in identities:
                    return identities[id(value)]
                at = out(value._array)
                if value._node is not None and value._node.edges is not None and at not in self.tracked:
                    self.tracked.append(at)
                    roots.append(value._node)
                return Place("tensor", at)
            if isinstance(value, mx.array):
                return Place("array", out(value))
            return rebuilt(value, emptied)

        roots: list[tape.Node] = []
        self.result = emptied(result)
        if roots:
            reached = _leaves_below(roots)
            self.sources = [i for i, tensor in enumerate(tensors) if id(tensor) in reached]
        return outputs, {id(tensor) for tensor, _ in self.made}

    def _put(self, inputs: list[mx.array]) -> tuple[list[Tensor], list[Tensor], list[Any], list[mx.array]]:
        """Give the tensors their inputs: stand-ins of the arguments, all leaves, their gradients, the arrays."""
        source = iter(inputs)
        for tensor in self.plan.tensors:
            tensor._array = next(source)
        found = [next(source) if present else None for present in self.present]
        given = []
        for requires in self.requires:
            tensor = tape.wrap(next(source))
            tensor._requires_grad = requires
            given.append(tensor)
        *arrays, random._state._array = source
        leaves = [*self.plan.leaves, *(given[i] for i in self.argument_leaves)]
        grads: list[Any] = []
        for leaf, array in zip(leaves, found, strict=True):
            leaf.grad = None if array is None else tape.wrap(array)
            grads.append(None if array is None else (leaf.grad, array))
        return given, leaves, grads, arrays

    _made: tuple[Tensor, ...] = ()

    def _replaced(self, slots: dict[Any, Tensor]) -> dict[int, Tensor]:
        """Tensors that took the place of others: these get their value and keep their place. The rest is new state."""
        now = list(self.state.slots())
        present = {id(tensor) for _, tensor, _, _ in now}
        replaced: dict[int, Tensor] = {}
        made: list[Tensor] = []
        for _, tensor, home, key in now:
            if id(tensor) in self.plan.places:
                continue
            former = slots.get((id(home), key))
            if home is not None and former is not None and id(former) not in present:
                replaced[self.plan.places[id(former)]] = tensor
                home[key] = former
            elif not any(tensor is one for one in made):
                made.append(tensor)
        self._made = tuple(made)
        return replaced

    # Differentiating further -----------------------------------------------------------------------------------------

    def values(self, plan: Plan, inputs: list[mx.array]) -> list[mx.array]:
        """The outputs in ``tracked`` once more, for ``mx.vjp``; nothing else changes."""
        before = Snapshot(plan.tensors)
        self.plan = plan
        try:
            given, _, _, arrays = self._put(inputs)
            args, kwargs = self.shape.filled(state=plan.tensors, tensor=given, array=arrays)
            with _grad_mode.replaying(), _precision.autocasting(self.low), _deferred.collecting():
                result = self.function(*args, **kwargs)
            found: dict[int, mx.array] = {}
            _match(self.result, result, found)
            return [found[at] for at in self.tracked]
        finally:
            before.restore()


def _leaves_below(nodes: list[tape.Node]) -> set[int]:
    seen: set[tape.Node] = set()
    found = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for edge in node.edges or ():
            if isinstance(edge, tuple):
                stack.append(edge[0])
            else:
                found.add(id(edge))
    return found


def _match(shape: Any, value: Any, found: dict[int, mx.array]) -> None:
    """The arrays of a result by their outputs, given the result of the trace with its places."""
    if isinstance(shape, Place):
        if shape.kind == "tensor":
            found[shape.at] = value._array
    elif isinstance(shape, list | tuple):
        for one, item in zip(shape, value, strict=True):
            _match(one, item, found)
    elif isinstance(shape, dict):
        for name, one in shape.items():
            _match(one, value[name], found)

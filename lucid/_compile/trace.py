"""One graph of a compiled function: how inputs are bound to tensors, and where each output goes.

``Trace.run`` is what ``mx.compile`` traces, once. It maps arrays to arrays: state, gradients, arguments and the random
key in; those that changed, and the result, out. While it runs, the state's tensors hold the tracer's arrays; they are
restored before it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

from lucid import _deferred, _grad_mode, _precision, _threads, random, tape
from lucid._aliases import Cell
from lucid._backward import run_backward
from lucid._compile.aliases import Binding, Outline
from lucid._compile.arguments import Structure
from lucid._compile.guards import Snapshot, check_changes, check_leaked_tensors, check_read_only, learning_rates
from lucid._compile.state import EMPTY_PLAN, Plan, State
from lucid._compile.values import EMPTY_VIEW, View
from lucid._tensor import Tensor
from lucid.nn.module import Module


class StaleTrace(Exception):
    """The state changed its shape or dtype, so this graph no longer fits."""


class Trace:
    """``writes``, ``gradients``, ``created``, ``key`` and ``result`` map outputs to their destinations."""

    def __init__(
        self, caller: str, function: Callable[..., Any], state: State, plan: Plan, view: View,
        look: Callable[[], View | None], shape: Structure, grads: list[Any], requires: list[bool], leaves: list[int],
        before: Snapshot, binding: Binding,
    ) -> None:  # fmt: skip
        self.caller, self.function, self.state = caller, function, state
        self.plan = plan  # cleared after the trace, so that tensors replaced later are not kept alive
        self.view, self.look = view, look  # what the function can read, and a way to find it again; cleared, too
        self.shape = shape
        self.binding = binding  # which inputs share their values
        self.before: Snapshot | None = before  # cleared after the trace, too
        self.present = [grad is not None for grad in grads]  # which leaves have a gradient
        self.requires = requires  # which argument tensors require a gradient
        self.argument_leaves = leaves  # which argument tensors accumulate a gradient
        self.autocast_dtype = _precision.autocast_dtype()
        self.done = False  # whether MLX, not the function, fails from now on
        self.writes: list[tuple[int, int, bool]] = []  # tensor, output, whether it was replaced by another one
        self.recorded_writes: set[int] = set()  # the tensors among them that have a graph after the call
        self.cells: list[tuple[int, int]] = []  # the number of a shared cell, output
        self.gradients: list[tuple[int, int, bool]] = []  # leaf, output or -1 for None, whether in place
        self.switched: list[tuple[int, bool, int]] = []  # argument, its new requires_grad, output of its gradient or -1
        self.created: list[tuple[Tensor, int]] = []  # state that the function created, such as moments
        self.modes: list[tuple[Module, bool]] = []  # changed by train() and eval()
        self.key = -1
        self.result: Any = None
        self.tracked: list[int] = []  # outputs that require grad, of the tensors in the result with these numbers ...
        self.tracked_numbers: list[int] = []
        self.sources: list[int] = []  # ... with respect to these tensors, state first
        self._origins: dict[int, Tensor] = {}  # of arguments computed outside, where their gradients arrive
        self._nodes: dict[int, tape.Node] = {}  # of tensors when the function starts
        self.num_trailing = 0  # inputs after state and gradients: the arguments and the key
        self.isolate = False  # whether the inputs of each gradient are kept apart, see ``Compiled._trace``
        self.on_call: list[Callable[[], None]] = []  # callbacks to run at every call, see ``_deferred.on_call``
        self.changes = False
        self.has_collectives = False  # if so it runs even if nobody reads the result, as other ranks wait for it

    def run(self, inputs: list[mx.array]) -> list[mx.array]:
        """Call the function on ``inputs`` and record what it changed.

        Raises:
            RuntimeError: something changed that is not state, or that cannot be part of a graph.
        """
        if self.done:
            raise StaleTrace
        slots = {(id(home), key): tensor for _, tensor, home, key in self.state.slots() if home is not None}
        modes = [(module, module.training) for module in self.state.all_modules()]
        before = self.before
        assert before is not None
        try:
            outputs, fresh = self._call_function(inputs, before, slots)
            self.modes = [(one, one.training) for one, mode in modes if one.training != mode]
            for module, mode in modes:  # set again at every call
                if module.training != mode:
                    module.training = mode
        finally:
            before.restore()
            self._origins, self._nodes = {}, {}
        check_leaked_tensors(self.caller, self.look, before, fresh)
        before.check_random_numbers(self.caller)
        self.done = True
        return outputs

    def _call_function(self, inputs: list[mx.array], before: Snapshot, slots: Any) -> tuple[list[mx.array], set[int]]:
        given, leaves, grads, arrays, cells = self._bind_inputs(inputs)
        rates = learning_rates(self.state)
        args, kwargs = self.shape.fill(state=self.plan.tensors, tensor=given, array=arrays)
        with self._collecting() as memo, rates_as_tensors(self.state):
            result = self.function(*args, **kwargs)
            self.shape.check_unchanged(self.caller)
            self.on_call = memo.get("on call", [])
            self.has_collectives = "collective" in memo
            data_replaced = memo.get("replaced", {})
        outputs: list[mx.array] = []
        places: dict[int, int] = {}

        def out(array: mx.array) -> int:
            if id(array) not in places:
                places[id(array)] = len(outputs)
                outputs.append(array)
            return places[id(array)]

        replaced = self._replaced(slots)
        expected = {*self.plan.places, *map(id, self.view.tensors)}
        check_changes(self.caller, self.view, self.state, before, rates, expected)
        tensors = [*self.plan.tensors, *self.view.tensors, *given]
        self.num_trailing = len(self.view.tensors) + len(given) + len(cells) + len(arrays) + 1
        starts = inputs[: len(self.plan.tensors)] + inputs[len(inputs) - self.num_trailing :]
        first = len(self.plan.tensors) + len(self.view.tensors) + len(given)
        shared = set(self.binding.members)
        for number, cell in enumerate(cells):
            if cell._array is not starts[first + number]:
                self.cells.append((number, out(cell._array)))
            else:
                shared -= self.binding.members_of(number)  # nothing was written
        for i, tensor in enumerate(tensors):
            if i in replaced:
                self.writes.append((i, out(replaced[i]._array), True))
            elif id(tensor) in data_replaced:
                self._check_alone(tensor)
                self.writes.append((i, out(tensor._array), True))
            elif i not in self.binding.members and tensor._array is not starts[i]:
                self.writes.append((i, out(tensor._array), False))
        check_read_only(self.caller, self.view, before, self._changed_views(starts, shared))
        for i, (leaf, grad) in enumerate(zip(leaves, grads, strict=True)):
            now = leaf.grad
            if now is None:
                if grad is not None:
                    self.gradients.append((i, -1, False))
            elif grad is None or now is not grad[0] or now._array is not grad[1]:
                self.gradients.append((i, out(now._array), grad is not None and now is grad[0]))
        self.switched = [
            (i, one._requires_grad, -1 if was or one.grad is None else out(one.grad._array))
            for i, (one, was) in enumerate(zip(given, self.requires, strict=True), len(tensors) - len(given))
            if one._node is None and one._requires_grad != was
        ]
        for tensor in self._origins.values():
            if tensor.grad is not None:
                raise RuntimeError(
                    f"{self.caller}: backward() reached an argument that was computed outside the function, and its "
                    "graph cannot be followed from inside; pass tensor.detach(), or compute it inside"
                )
        self.created = [(tensor, out(tensor._array)) for tensor in self._created]
        if random._state._array is not inputs[-1]:
            assert random._state._array is not None
            self.key = out(random._state._array)
        self.changes = bool(self.writes or self.cells or self.gradients or self.created or self.key >= 0)
        outline = Outline(result, {id(tensor): i for i, tensor in enumerate(tensors)}, tensors, out)
        self.result, roots = outline.shape, []
        for number, at in outline.computed:
            node = outline.tensors[number]._node
            if node is not None and node.edges is not None and at not in self.tracked:
                self.tracked.append(at)
                self.tracked_numbers.append(number)
                roots.append(node)
        for i, at, _ in self.writes:
            node = tensors[i]._node
            if i not in replaced and node is not None and node.edges is not None:
                self._check_recorded_write(i)
                if at not in self.tracked:
                    self.tracked.append(at)
                    self.tracked_numbers.append(~i)
                    roots.append(node)
                self.recorded_writes.add(i)
        for number, _ in self.cells:
            for i in self.binding.members_of(number):
                if tensors[i]._node is not None and tensors[i]._node is not self._nodes.get(i):
                    self._check_recorded_write(-1)
        if roots:
            reached = _reachable_leaves(roots)
            self.sources = [i for i, tensor in enumerate(self._with_origins(tensors)) if id(tensor) in reached]
        return outputs, {id(tensor) for tensor, _ in self.created}

    def _with_origins(self, tensors: list[Tensor]) -> list[Tensor]:
        first = len(tensors) - len(self.requires)
        return [self._origins.get(i - first, tensor) for i, tensor in enumerate(tensors)]

    def _check_recorded_write(self, number: int) -> None:
        """Refuse values with a graph in a tensor that cannot have one after the call, by the number of the tensor."""
        if number < len(self.plan.tensors) + len(self.view.tensors):
            name = self.plan.names[number] if 0 <= number < len(self.plan.names) else "a tensor with aliases"
            raise RuntimeError(
                f"{self.caller}: values that require grad were written to {name}, whose graph would be lost after the "
                "call; write value.detach(), or return the result"
            )

    def _check_alone(self, tensor: Tensor) -> None:
        if tensor._place is not None and len(tensor._place.cell.alive()) > 1:
            raise RuntimeError(
                f"{self.caller}: .data of a tensor (shape {tensor.shape}) was assigned a tensor that is used elsewhere "
                "and would not share its values after the call; use copy_() under no_grad, or assign a clone()"
            )

    def _changed_views(self, starts: list[mx.array], written: set[int]) -> list[bool]:
        """Which tensors of the view have a new value. Of those in a shared cell, ``written`` lists the changed ones."""
        first = len(self.plan.tensors)
        last = first + len(self.view.tensors)
        allowed = {
            i for group in self.binding.groups if any(not first <= one < last for one in group) for i in group
        }  # state or an argument was written, and they follow
        return [
            i in written - allowed if i in self.binding.members else tensor._array is not starts[i]
            for i, tensor in enumerate(self.view.tensors, first)
        ]

    def _bind_inputs(
        self, inputs: list[mx.array]
    ) -> tuple[list[Tensor], list[Tensor], list[Any], list[mx.array], list[Cell]]:
        """Bind the inputs to tensors.

        Returns:
            The argument tensors, all leaves, their gradients, the argument arrays, and the cells that inputs share.
        """
        source = iter(inputs)
        for tensor in self.plan.tensors:
            tensor._array = next(source)
        found = [next(source) if present else None for present in self.present]
        for tensor in self.view.tensors:
            tensor._array = next(source)
            if tensor._node is not None:  # computed outside: the gradient goes on there
                tensor._node, tensor._index, tensor._requires_grad = None, 0, True
        given = []
        self._origins = {}
        for i, requires in enumerate(self.requires):
            tensor = tape.wrap(next(source))
            tensor._requires_grad = requires
            if requires and i not in self.argument_leaves:
                self._origins[i] = tensor
                tensor = tape.alias(tensor._array, tensor)
            given.append(tensor)
        values = [next(source) for _ in self.binding.groups]
        tensors = [*self.plan.tensors, *self.view.tensors, *given]
        cells = self.binding.bind(tensors, values)
        self._nodes = {i: tensor._node for i, tensor in enumerate(tensors) if tensor._node is not None}
        *arrays, random._state._array = source
        leaves = [*self.plan.leaves, *(given[i] for i in self.argument_leaves)]
        grads: list[Any] = []
        for leaf, array in zip(leaves, found, strict=True):
            leaf.grad = None if array is None else tape.wrap(array)
            grads.append(None if array is None else (leaf.grad, array))
        return given, leaves, grads, arrays, cells

    _created: tuple[Tensor, ...] = ()

    def _replaced(self, slots: dict[Any, Tensor]) -> dict[int, Tensor]:
        """New tensors that replaced a tensor of the state, by its index, with the old tensor put back in its place.

        The old tensor receives the new one's value as an output. Other new tensors are newly created state.
        """
        now = list(self.state.slots())
        present = {id(tensor) for _, tensor, _, _ in now}
        replaced: dict[int, Tensor] = {}
        made: list[Tensor] = []
        for name, tensor, home, key in now:
            if id(tensor) in self.plan.places:
                continue
            former = slots.get((id(home), key))
            if home is not None and former is not None and id(former) not in present:
                if tensor._node is not None and tensor._node.edges is not None:
                    raise RuntimeError(
                        f"{self.caller}: {name} was assigned a tensor with a graph, which would be lost; assign its "
                        ".detach()"
                    )
                replaced[self.plan.places[id(former)]] = tensor
                home[key] = former
            elif home is not None and "_parameters" in home:  # a new attribute of a module: not its state
                continue
            elif not any(tensor is one for one in made):
                made.append(tensor)
        self._created = tuple(made)
        return replaced

    # Differentiation from outside -----------------------------------------------------------------------------------

    @_threads.tracing()
    def pull_back(
        self, plan: Plan, view: View, inputs: list[mx.array], cotangents: list[mx.array]
    ) -> list[mx.array | None]:
        """The gradients of ``sources``: the function once more, recorded, and then the tape's own backward pass.

        It has no side effects. Hooks of the sources run outside, once the gradient is complete.
        """
        before = Snapshot([*plan.tensors, *self.state.objects()], view)
        self.plan, self.view, self.done = plan, view, False
        try:
            given, _, _, arrays, _ = self._bind_inputs(inputs)
            tensors = [*plan.tensors, *view.tensors, *given]
            origins = self._with_origins(tensors)
            sources = [origins[i] for i in self.sources]
            args, kwargs = self.shape.fill(state=plan.tensors, tensor=given, array=arrays)
            with (
                _grad_mode.replaying(), _grad_mode.set_recording(True), _precision.autocasting(self.autocast_dtype),
                self._collecting(), without_hooks(sources), rates_as_tensors(self.state),
            ):  # fmt: skip
                result = self.function(*args, **kwargs)
                found = Outline(result, {id(one): i for i, one in enumerate(tensors)}, tensors, lambda array: 0).tensors
                roots = [found[number] if number >= 0 else tensors[~number] for number in self.tracked_numbers]
                pairs = [(root, tape.wrap(one)) for root, one in zip(roots, cotangents, strict=True)]
                pairs = [(root, cotangent) for root, cotangent in pairs if root.requires_grad]
                gradients = run_backward([root for root, _ in pairs], [one for _, one in pairs], sources)
        finally:
            self.plan, self.view, self._origins, self._nodes = EMPTY_PLAN, EMPTY_VIEW, {}, {}
            self.shape.made.clear()
            before.restore()
            before.restore_containers()
        self.done = True
        return [None if one is None else one._array for one in gradients]

    @contextmanager
    def _collecting(self) -> Iterator[dict[str, Any]]:
        with _deferred.collecting():
            memo = _deferred.memo()
            assert memo is not None
            memo["operations"] = {}
            if self.isolate:
                memo["isolate"] = True
            yield memo


@contextmanager
def rates_as_tensors(state: State) -> Iterator[None]:
    """Have ``group["lr"]`` give the tensor of the learning rate, an input of the graph, instead of a number."""
    groups = [group for one in state.optimizers.values() for group in one.param_groups]
    replaced = [(group, group["lr"], group.lr_tensor) for group in groups if isinstance(group.get("lr"), float)]
    try:
        for group, _, tensor in replaced:
            dict.__setitem__(group, "lr", tensor)
        yield
    finally:
        for group, number, tensor in replaced:
            if group.get("lr") is tensor:  # otherwise the function has set it
                dict.__setitem__(group, "lr", number)


@contextmanager
def without_hooks(tensors: list[Tensor]) -> Iterator[None]:
    before = [one._hooks for one in tensors]
    try:
        for one in tensors:
            one._hooks = None
        yield
    finally:
        for one, hooks in zip(tensors, before, strict=True):
            one._hooks = hooks


def _reachable_leaves(nodes: list[tape.Node]) -> set[int]:
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

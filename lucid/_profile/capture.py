"""Trace a step the way ``lucid.compile`` does, and hand its graph on instead of running it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import mlx.core as mx

from lucid import _deferred, _threads, random
from lucid._compile.aliases import Binding, shared_cells
from lucid._compile.arguments import Arguments, Placeholder, Structure, map_container
from lucid._compile.function import Compiled
from lucid._compile.guards import Snapshot
from lucid._compile.trace import Trace
from lucid._compile.values import View
from lucid._profile import graph as graphs
from lucid._profile.marks import Observer, observing, set_fused
from lucid._tensor import Tensor


class _Trace(Trace):
    """A trace with marks; in eager mode, one that merges no equal operations."""

    observer: Observer
    compiled: bool

    @contextmanager
    def _collecting(self) -> Iterator[dict[str, Any]]:
        with super()._collecting() as memo:
            set_fused(self.observer, self.compiled)
            yield memo


def capture(
    program: Compiled[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], compiled: bool, device: str
) -> tuple[graphs.Graph, int | None]:
    """The graph of a call in the steady state, and the array that the forward pass computes: the first result.

    The first trace creates gradients and moments and is thrown away. Afterwards everything is as it was before.
    """
    with _threads.lock, _threads.tracing(), ExitStack() as stack:
        before = Snapshot([*program._state.plan().tensors, *program._state.objects()])
        stack.callback(before.restore_containers)
        stack.callback(before.restore)
        graph, trace = _trace_once(program, args, kwargs, compiled, device)
        if trace.created:
            for tensor, _ in trace.created:
                tensor._array = mx.zeros(tensor._array.shape, tensor._array.dtype)
            graph, trace = _trace_once(program, args, kwargs, compiled, device)
        results = _arrays_of(trace.result)
    return graph, graph.outputs[results[0]] if results else None


def capture_arrays(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], compiled: bool, device: str
) -> tuple[graphs.Graph, int | None]:
    """As ``capture``, for a function of ``mx.array``s that uses MLX alone, such as a step in mlx.nn."""
    inputs: list[mx.array] = []

    def collect(value: Any) -> Any:
        if isinstance(value, mx.array):
            inputs.append(value)
            return Placeholder("array", len(inputs) - 1)
        return map_container(value, collect)

    def arrays_of(value: Any) -> list[mx.array]:
        found: list[mx.array] = []

        def visit(one: Any) -> Any:
            if isinstance(one, Tensor):
                found.append(one._array)
            elif isinstance(one, mx.array):
                found.append(one)
            else:
                map_container(one, visit)
            return one

        visit(value)
        return found

    given, named = collect(list(args)), collect(kwargs)
    observer = Observer({})

    def run(*arrays: mx.array) -> list[mx.array]:
        def fill(value: Any) -> Any:
            return arrays[value.at] if isinstance(value, Placeholder) else map_container(value, fill)

        with _deferred.collecting():
            set_fused(observer, compiled)
            return arrays_of(function(*fill(given), **fill(named)))

    with _threads.lock, ExitStack() as stack:
        before = Snapshot([])
        stack.callback(before.restore_containers)
        stack.callback(before.restore)
        with observing(observer, device):
            shapes = [mx.zeros(one.shape, one.dtype) for one in inputs]
            graph = graphs.trace(run, shapes, observer.labels, observer.calls)
    return graph, graph.outputs[0] if graph.outputs else None


def _trace_once(
    program: Compiled[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], compiled: bool, device: str
) -> tuple[graphs.Graph, Trace]:
    plan = program._state.plan()
    arguments = Arguments(program._caller, args, kwargs, plan.places)
    view = program._look(plan, arguments, args, kwargs, collect=True)
    if view.losses:  # modules without tensors need not be listed
        program._state.add_modules(view.losses)
        return _trace_once(program, args, kwargs, compiled, device)
    leaves = plan.leaves + arguments.leaves
    grads = [leaf.grad for leaf in leaves]
    inputs = [tensor._array for tensor in plan.tensors]
    inputs += [grad._array for grad in grads if grad is not None]
    inputs += [tensor._array for tensor in view.tensors]
    inputs += [tensor._array for tensor in arguments.tensors]
    tensors = [*plan.tensors, *view.tensors, *arguments.tensors]
    shared, _ = shared_cells(tensors)
    inputs += [one.cell._array for one in shared]
    inputs += arguments.arrays
    inputs.append(random._current())
    places = [i for i, tensor in enumerate(arguments.tensors) if tensor._requires_grad]
    before = Snapshot([*plan.tensors, *view.tensors, *program._state.objects()], view)

    def look_again() -> View:
        return program._look(program._state.plan(), arguments, args, kwargs, collect=True)

    trace = _Trace(
        program._caller, program._function, program._state, plan, view, look_again,
        Structure.of(args, kwargs, plan.places), grads, [tensor.requires_grad for tensor in arguments.tensors], places,
        before, Binding(tensors, shared),
    )  # fmt: skip
    names = {id(module): name for root in program._state.modules.values() for name, module in root.named_modules()}
    trace.observer, trace.compiled = Observer(names), compiled
    shapes = [mx.zeros(one.shape, one.dtype) for one in inputs]  # of their own, in case the function reaches them too
    with observing(trace.observer, device):
        graph = graphs.trace(
            lambda *arrays: trace.run(list(arrays)), shapes, trace.observer.labels, trace.observer.calls
        )
    return graph, trace


def _arrays_of(result: Any) -> list[int]:
    """The outputs that are part of a result."""
    if isinstance(result, Placeholder):
        return [] if result.kind == "state" else [result.at]
    found: list[int] = []
    map_container(result, lambda one: found.extend(_arrays_of(one)))
    return found

"""``lucid.compile``: run a function, usually a whole training step, as one graph."""

from __future__ import annotations

import copy
import functools
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

import mlx.core as mx

from lucid import _aliases, _bounds, _deferred, _grad_mode, _precision, _threads, random, tape
from lucid._checks import dtype_name
from lucid._compile.aliases import Binding, Shared, build_result, shared_cells
from lucid._compile.arguments import Arguments, Structure, describe, names_of_values, parameter_names
from lucid._compile.differentiable import CompiledNode, Pullback
from lucid._compile.guards import (
    Snapshot,
    changed_values,
    refuse,
    refuse_stranger,
    refused_step,
    warn_of_changes,
)
from lucid._compile.messages import reading_inside
from lucid._compile.places import Refusal
from lucid._compile.random_numbers import DrewNumbers, RandomNumbers, watching
from lucid._compile.retraces import Retraces, is_expected
from lucid._compile.state import EMPTY_PLAN, Plan, State
from lucid._compile.trace import StaleTrace, Trace
from lucid._compile.values import EMPTY_VIEW, View
from lucid._compile.world import World
from lucid._tensor import Tensor
from lucid.nn.module import Module

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=Module)
_Own = TypeVar("_Own", bound="Compiled[..., Any]")
_Rest = ParamSpec("_Rest")

_MAX_GRAPHS = 32  # per function and thread; the least recently used is dropped
_WARN_AFTER = 4  # retraces; the next warning comes after twice as many


@dataclass
class _Graph:
    call: Callable[[list[mx.array]], list[mx.array]]
    trace: Trace
    pullback: Pullback | None  # if the result can be differentiated
    keep: list[Any]  # what the key identifies by id
    last_use: int = 0


class _ReadsValue(Exception):
    """The function reads a value, which only constants have."""


class _Graphs(threading.local):
    """The graphs of one thread: what MLX compiles serves only the thread that traced it."""

    def __init__(self) -> None:
        self.by_key: dict[Any, _Graph] = {}
        self.last_description: dict[str, str] = {}


class Compiled(Generic[P, R]):
    """A compiled function, called like the original. ``retraces`` counts and explains its retraces."""

    def __init__(self, function: Callable[P, R], state: Any) -> None:
        name = type(function).__name__ if isinstance(function, Module) else getattr(function, "__name__", "function")
        self._caller = f"compile({name})"
        self._function, self._given_state = function, state
        self._state = State(self._caller, [function, state] if isinstance(function, Module) else state)
        self._world = World(function)
        self._graphs = _Graphs()
        self._calls = 0
        self._reported: set[str] = set()  # Python values that the function changes
        self._next_warning = _WARN_AFTER
        self.retraces = Retraces()
        functools.update_wrapper(self, function.forward if isinstance(function, Module) else function, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if not _deferred.evaluating():  # inside another compiled function: becomes part of its graph
            return self._function(*args, **kwargs)
        with _threads.lock:
            return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        plan = self._state.plan()
        arguments = Arguments(self._caller, args, kwargs, plan.places)
        if _bounds.mode.checks:  # run eagerly, with values to check
            given = Structure.of(args, kwargs, plan.places)
            filled: Any = given.fill(state=plan.tensors, tensor=arguments.tensors, array=arguments.arrays)
            return self._function(*filled[0], **filled[1])
        view = self._look(plan, arguments, args, kwargs)
        if view.losses:  # modules without tensors need not be listed
            self._state.add_modules(view.losses)
            return self._call(args, kwargs)
        leaves = plan.leaves + arguments.leaves if arguments.leaves else plan.leaves
        grads = [leaf.grad for leaf in leaves]
        tensors = plan.tensors + view.tensors + arguments.tensors
        shared, sharing = shared_cells(tensors)
        key = (
            plan.number,
            view.key,
            arguments.key,
            tuple([grad is None for grad in grads]),
            tuple([leaf._requires_grad for leaf in plan.leaves]),
            _grad_mode.is_recording(),
            _precision.autocast_dtype(),
            mx.default_device().type,
            sharing,
        )
        inputs = [tensor._array for tensor in plan.tensors]
        inputs += [grad._array for grad in grads if grad is not None]
        inputs += [tensor._array for tensor in view.tensors]
        inputs += [tensor._array for tensor in arguments.tensors]
        inputs += [one.cell._array for one in shared]
        inputs += arguments.arrays
        inputs.append(random._current())
        graph = self._graphs.by_key.get(key)
        if graph is not None:
            try:
                outputs = graph.call(inputs)
            except StaleTrace:
                del self._graphs.by_key[key]
                graph = None
        if graph is None:
            try:
                graph, outputs = self._traced(key, plan, arguments, args, kwargs, grads, inputs, shared)
            except _ReadsValue:  # of a tensor that is not state, perhaps: again, with these as constants
                self._world.reads_values = True
                return self._call(args, kwargs)
        self._calls = graph.last_use = self._calls + 1
        trace = graph.trace
        for callback in trace.on_call:
            callback()
        node = CompiledNode(graph.pullback, plan, view, tensors, inputs, outputs) if graph.pullback else None
        del inputs, grads  # lets MLX reuse their memory for the outputs
        self._write_back(trace, tensors, shared, leaves, outputs, node)
        result = build_result(trace.result, outputs, tensors, node, trace.tracked)
        if trace.changes or trace.has_collectives:
            _deferred.evaluate(outputs)
        return result

    def _look(self, plan: Plan, arguments: Arguments, args: Any, kwargs: Any, collect: bool = False) -> View:
        """What the function can read now; ``collect`` also finds words and containers.

        Raises:
            RuntimeError: something cannot be compared, or is not in state.
        """
        values = [("an argument", value) for value in arguments.values]
        if collect and values:
            names = names_of_values(args, kwargs, parameter_names(self._function))
            values = list(zip(names, arguments.values, strict=True))
        try:
            view = self._world.look(plan, values, collect)
        except Refusal as refusal:
            if not collect and values:  # find its name
                self._look(plan, arguments, args, kwargs, collect=True)
            raise refuse(self._caller, refusal) from None
        for stranger, place in view.strangers:
            raise refuse_stranger(self._caller, stranger, place)
        return view

    def _write_back(
        self, trace: Trace, tensors: list[Tensor], shared: list[Shared], leaves: list[Tensor], outputs: list[mx.array],
        node: CompiledNode | None,
    ) -> None:  # fmt: skip
        for i, at, _ in trace.writes:
            if i in trace.recorded_writes:  # first, because only this can fail
                with _grad_mode.set_recording(True):
                    tensors[i]._become(tape.wrap(outputs[at], node, trace.tracked.index(at)), self._caller)
        for number, at in trace.cells:
            _aliases.write(shared[number].cell, outputs[at])
        for i, at, is_new in trace.writes:
            if is_new:
                tensors[i]._replace(outputs[at])
            elif i not in trace.recorded_writes:
                tensors[i]._rebind(outputs[at])
        for i, at, in_place in trace.gradients:
            grad = leaves[i].grad
            if at < 0:
                leaves[i].grad = None
            elif in_place and grad is not None:
                grad._rebind(outputs[at])
            else:
                leaves[i].grad = tape.wrap(outputs[at])
        for i, requires, at in trace.switched:  # by requires_grad_() of an argument
            tensor = tensors[i]
            tensor._requires_grad = requires
            if at >= 0:
                tensor.grad = tape.wrap(outputs[at] if tensor.grad is None else tensor.grad._array + outputs[at])
        if trace.key >= 0:
            random._state._array = outputs[trace.key]
        for module, training in trace.modes:
            if module.training != training:
                module.training = training

    # Tracing --------------------------------------------------------------------------------------------------------

    def _traced(self, *call: Any) -> tuple[_Graph, list[mx.array]]:
        """``_trace``; a second time if another thread, such as one of a loader, may have drawn random numbers."""
        numbers = RandomNumbers()
        try:
            with _threads.tracing():
                return self._trace(*call)
        except DrewNumbers as error:
            refused = error
        if threading.active_count() > 1 and sys.getprofile() is None:
            try:
                with watching(), _threads.tracing():
                    return self._trace(*call)
            except DrewNumbers as error:
                refused = error
        numbers.restore(always=True)
        raise RuntimeError(str(refused)) from None

    def _trace(
        self, key: Any, plan: Plan, arguments: Arguments, args: Any, kwargs: Any, grads: list[Any],
        inputs: list[mx.array], shared: list[Shared],
    ) -> tuple[_Graph, list[mx.array]]:  # fmt: skip
        """Trace the function for this call. After any exception everything is as it was before the call.

        MLX merges equal subexpressions while it compiles, and fails with an IndexError if it meets three of one in an
        unfortunate order (``compile_simplify`` in MLX 0.32). The function is then traced again with the inputs of each
        gradient kept apart, so that the forward pass inside ``mx.vjp`` is not merged with the other.
        """
        view = self._look(plan, arguments, args, kwargs, collect=True)
        facts = self._describe_call(plan, view, args, kwargs, grads)
        shape = Structure.of(args, kwargs, plan.places)
        places = [i for i, tensor in enumerate(arguments.tensors) if tensor._requires_grad]
        requires = [tensor.requires_grad for tensor in arguments.tensors]
        before = Snapshot([*plan.tensors, *view.tensors, *self._state.objects()], view)
        binding = Binding([*plan.tensors, *view.tensors, *arguments.tensors], shared)

        def look_again() -> View:
            return self._look(self._state.plan(), arguments, args, kwargs, collect=True)

        def attempt(isolate: bool) -> tuple[_Graph, list[mx.array]] | str:
            trace = Trace(
                self._caller, self._function, self._state, plan, view, look_again, shape, grads, requires, places,
                before, binding,
            )  # fmt: skip
            trace.isolate = isolate
            call = mx.compile(trace.run)
            try:
                outputs = call(inputs)
                pullback = None
                if trace.tracked:  # in the Python world that the function has found, not in the one that it has left
                    after = before.now()
                    before.restore_containers()
                    pullback = Pullback(trace, plan, view, inputs, outputs)
                    after.restore_containers()
            except Exception as error:
                if trace.done and isinstance(error, IndexError):
                    return str(error)  # only the text: the error would keep this trace alive
                explained = reading_inside(self._caller, error)
                if explained is None:
                    raise
                if not self._world.reads_values and not all(tensor.requires_grad for tensor in view.tensors):
                    raise _ReadsValue from None
                self._world.reads_values = False
                raise refused_step(self._caller, view, self._state, before) or explained from None
            trace.plan, trace.view, trace.look, trace.before = EMPTY_PLAN, EMPTY_VIEW, lambda: EMPTY_VIEW, None
            return _Graph(call, trace, pullback, view.keep), outputs

        try:
            found = attempt(isolate=False)
            if isinstance(found, str):
                before.restore_containers()
                found = attempt(isolate=True)
            if isinstance(found, str):
                raise RuntimeError(
                    f"{self._caller}: MLX cannot compile this graph ({found}), in which equal parts are computed "
                    "several times; use the results of one forward pass instead of calling the model again on the same "
                    "input, or run this function eagerly"
                )
            self._record_retrace(facts)
            graph, outputs = found
            if not graph.trace.created:  # else it serves only this call: from the next call on the state exists
                self._store(key, graph, plan, view, arguments, args, kwargs)
        except BaseException:
            before.restore()
            before.restore_containers()
            raise
        for tensor, at in graph.trace.created:  # no placeholders are left when the trace ends
            tensor._array = outputs[at]
        return graph, outputs

    def _store(
        self, key: Any, graph: _Graph, plan: Plan, view: View, arguments: Arguments, args: Any, kwargs: Any
    ) -> None:
        """Keep the graph for calls like this one, with the Python values that the function has left."""
        now = self._state.plan()
        after = self._look(now, arguments, args, kwargs, collect=True)
        found = view.found or {}
        changes = changed_values(plan.constants | found, now.constants | (after.found or {}))
        if changes and not self._reported.issuperset([name for name, _, _ in changes]):
            warn_of_changes(self._caller, changes, self._state)
            self._reported |= {name for name, _, _ in changes}
        if now.number != plan.number or after.key != view.key:
            self._graphs.last_description |= now.constants | (after.found or {})
            if list(map(id, after.tensors)) != list(map(id, view.tensors)):
                return  # it reads other tensors now
            key = (now.number, after.key, *key[2:])
            graph.keep += after.keep
        graphs = self._graphs.by_key
        graphs[key] = graph
        graph.last_use = self._calls + 1
        if len(graphs) > _MAX_GRAPHS:
            del graphs[min(graphs, key=lambda one: graphs[one].last_use)]

    def _describe_call(self, plan: Plan, view: View, args: Any, kwargs: Any, grads: list[Any]) -> dict[str, str]:
        facts = describe(args, kwargs, parameter_names(self._function))
        facts |= plan.constants | (view.found or {})
        facts |= {n: f"state {dtype_name(t.dtype)} {t.shape}" for n, t in zip(plan.names, plan.tensors, strict=True)}
        names = plan.leaf_names
        facts |= {f"the gradient of {n}": "none" if g is None else "there" for n, g in zip(names, grads, strict=False)}
        facts |= {f"{n}.requires_grad": str(p._requires_grad) for n, p in zip(names, plan.leaves, strict=True)}
        return facts | {
            "the recording of gradients": str(_grad_mode.is_recording()),
            "autocast": str(_precision.autocast_dtype()),
            "the device": str(mx.default_device()),
        }

    def _record_retrace(self, facts: dict[str, str]) -> None:
        """Record a retrace and its reason, unless the first calls cause it by creating gradients and moments."""
        before, self._graphs.last_description = self._graphs.last_description, facts
        if not before:
            return
        names = [*before, *(name for name in facts if name not in before)]
        differing = [name for name in names if before.get(name) != facts.get(name)]
        if all(is_expected(name, before.get(name), facts.get(name)) for name in differing):
            return
        changes = [f"{name}: {before.get(name, 'nothing')} -> {facts.get(name, 'nothing')}" for name in differing]
        reason = "; ".join(changes[:3]) + (f"; and {len(changes) - 3} more" if len(changes) > 3 else "")
        self.retraces.reasons.append(reason)
        if self.retraces.count >= self._next_warning:
            self._next_warning *= 2
            self._warn(reason)

    def _warn(self, reason: str) -> None:
        warnings.warn(
            f"{self._caller}: retraced {self.retraces.count} times, most recently for {reason}; every trace costs time "
            "and memory. Pass numbers that change as tensors, keep shapes fixed (DataLoader(..., drop_last=True)), "
            "and see .retraces for all reasons",
            UserWarning,
            stacklevel=7,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        raise TypeError(
            f"{self._caller}: a compiled function cannot be copied, because it would go on using the same model; copy "
            "the model, and compile a function that uses the copy"
        )

    @overload
    def __get__(self: _Own, instance: None, owner: Any = None) -> _Own: ...
    @overload
    def __get__(
        self: Compiled[Concatenate[Any, _Rest], R], instance: object, owner: Any = None
    ) -> Callable[_Rest, R]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<compiled {self._caller[8:-1]}; graphs: {len(self._graphs.by_key)}, retraces: {self.retraces.count}>"


class CompiledModule(Compiled[..., Any]):
    """A module whose calls are compiled. Attributes and methods are the module's."""

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledModule:
        return CompiledModule(copy.deepcopy(self._function, memo), copy.deepcopy(self._given_state, memo))

    def __setattr__(self, name: str, value: Any) -> None:
        if "retraces" in self.__dict__ and name not in self.__dict__ and not name.startswith("__"):
            setattr(self._function, name, value)
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._function, name)

    def train(self, mode: bool = True) -> CompiledModule:
        self._function.train(mode)  # type: ignore[attr-defined]
        return self

    def eval(self) -> CompiledModule:
        return self.train(False)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_function" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._function, name)


class _Compile(Protocol):
    """The decorator that ``compile(state=...)`` returns. A compiled module has the type of the module."""

    @overload
    def __call__(self, function: M, /) -> M: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: Callable[P, R], /) -> Compiled[P, R]: ...


@overload
def compile(function: M, *, state: Any = ()) -> M: ...  # type: ignore[overload-overlap]
@overload
def compile(function: Callable[P, R], *, state: Any = ()) -> Compiled[P, R]: ...
@overload
def compile(function: None = None, *, state: Any = ()) -> _Compile: ...
def compile(function: Callable[..., Any] | None = None, *, state: Any = ()) -> Any:
    """Compile ``function`` into one graph: traced at the first call, then run without executing its Python code.

    ::

        @lucid.compile(state=[model, optimizer])
        def step(images, labels):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            return loss

        for images, labels in loader:
            loss = step(images, labels)
            scheduler.step()

    ``lucid.compile(model)`` compiles the calls of a module, with the module as state.

    What a trace has read is part of the key of its graph, or an input of the graph, or named in an error:

    - Inputs: tensors and arrays among the arguments, in any nesting (NumPy arrays arrive as tensors); the state; other
      tensors that the function can reach. New values need no retrace, nor do learning rates.
    - Key: shapes and dtypes, and all other values that the function can reach: Python arguments, variables, defaults,
      lists, dictionaries, small NumPy arrays, functions, the attributes that its code names, attributes and hooks of
      modules, options of optimizers. If one changes the function is retraced; a graph that was traced before is reused.
      ``retraces`` holds the count and the reasons; the traces in which a training step creates its gradients and
      moments do not count. A smaller last batch costs one more trace, or none with ``DataLoader(..., drop_last=True)``.
    - Error: modules and optimizers that are not in state; iterators, generators of random numbers, open files and large
      arrays. The message names the variable, the line and the way out.

    Lucid, installed packages and the standard library are taken to be constant, and so is what comes from outside of
    Python: time, files, environment variables.

    Tensors have no values while the function is traced: ``item()``, ``print`` and branches on tensors raise an error
    that names the line and the fix. Other Python code runs only in the trace; if it changes a variable, a list or an
    attribute, a warning says so. After an exception everything is as it was before the call. Calls do not wait for
    results: evaluation is scheduled asynchronously.

    Indices and class labels have no values to check either: an index out of range is clamped, and a label out of range
    gives a loss of NaN. ``with lucid.debug():`` runs the function eagerly and checks them.

    Results can be differentiated outside the function, with the tape's own backward pass: whatever stops or changes a
    gradient in eager mode (``detach``, ``no_grad``, hooks, ``autograd.Function``) does so here. That costs a second
    forward pass; call ``backward()`` inside to avoid it.

    On x86-64 CPUs results equal those of the eager run bit for bit, unless a reduction follows fused operations on a
    transposed view, such as the mean of an expression of a convolution's output. A fused kernel writes its result in
    another order in memory, so the sum adds in another order; the difference is in the last digits of float32.

    Args:
        function: The function or module to compile. Without it, ``compile`` returns a decorator.
        state: What the function reads or changes besides its arguments: modules, optimizers, tensors, and objects with
            ``state_tensors()`` (``GradScaler``, ``EMA``, metrics), in any nesting. It covers their parameters, buffers,
            gradients, moments and learning rates, and the tensors in attributes of modules. The random key is always
            state, so dropout draws new masks. Modules without tensors, such as losses, need not be listed. Changing
            another tensor, or storing a computed one, raises an error that names it.

    Raises:
        TypeError: ``function`` is not callable or already compiled, or ``state`` holds an unsupported object.

    Example:
        >>> model = nn.Linear(4, 1)
        >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
        >>> @lucid.compile(state=[model, optimizer])
        ... def step(x, y):
        ...     optimizer.zero_grad()
        ...     loss = F.mse_loss(model(x), y)
        ...     loss.backward()
        ...     optimizer.step()
        ...     return loss
        ...
        >>> losses = [step(lucid.ones(8, 4), lucid.zeros(8, 1)).item() for _ in range(3)]
    """
    if function is None:
        return lambda decorated: compile(decorated, state=state)
    if isinstance(function, Compiled):
        raise TypeError(f"compile: {function!r} is already compiled")
    if not callable(function):
        raise TypeError(f"compile: expected a function or a module, got {type(function).__name__}")
    return (CompiledModule if isinstance(function, Module) else Compiled)(function, state)

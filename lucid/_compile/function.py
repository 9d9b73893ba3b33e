"""``lucid.compile``: run a function, usually a whole training step, as one graph."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MethodType
from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _deferred, _grad_mode, _precision, random, tape
from lucid._checks import dtype_name
from lucid._compile.arguments import Arguments, Placeholder, Structure, describe, map_container
from lucid._compile.differentiable import CompiledNode, Pullback
from lucid._compile.guards import CapturedVariables, Snapshot, check_captured_state, stateless_modules
from lucid._compile.messages import reading_inside
from lucid._compile.state import EMPTY_PLAN, Plan, State
from lucid._compile.trace import StaleTrace, Trace
from lucid._tensor import Tensor
from lucid.nn.module import Module

_MAX_GRAPHS = 32  # per function; the oldest is dropped
_WARN_AFTER = 4  # retraces; the next warning comes after twice as many


@dataclass
class Retraces:
    """The retraces of a compiled function and the reason for each."""

    reasons: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.reasons)

    def __str__(self) -> str:
        return "\n".join(
            ["1 retrace" if self.count == 1 else f"{self.count} retraces", *(f"  {one}" for one in self.reasons)]
        )


class _Graph(NamedTuple):
    call: Callable[[list[mx.array]], list[mx.array]]
    trace: Trace
    pullback: Pullback | None  # if the result can be differentiated


class Compiled:
    """A compiled function, called like the original. ``retraces`` counts and explains its retraces."""

    def __init__(self, function: Callable[..., Any], state: Any) -> None:
        name = type(function).__name__ if isinstance(function, Module) else getattr(function, "__name__", "function")
        self._caller = f"compile({name})"
        self._function = function
        self._state = State(self._caller, [function, state] if isinstance(function, Module) else state)
        self._captured: CapturedVariables | None = None  # found at the first call, once all variables are assigned
        self._graphs: dict[Any, _Graph] = {}
        self._last_description: dict[str, str] = {}
        self._next_warning = _WARN_AFTER
        self.retraces = Retraces()
        functools.update_wrapper(self, function.forward if isinstance(function, Module) else function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not _deferred.evaluating():  # inside another compiled function: becomes part of its graph
            return self._function(*args, **kwargs)
        if self._captured is None:
            self._state.add_modules(stateless_modules(self._function))
            self._captured = CapturedVariables(self._function, self._state.plan().places)
        plan = self._state.plan()
        arguments = Arguments(self._caller, args, kwargs, plan.places)
        leaves = plan.leaves + arguments.leaves if arguments.leaves else plan.leaves
        grads = [leaf.grad for leaf in leaves]
        key = (
            plan.number,
            self._captured.key(plan.places),
            arguments.key,
            tuple([grad is None for grad in grads]),
            tuple([leaf._requires_grad for leaf in plan.leaves]),
            _grad_mode.is_recording(),
            _precision.autocast_dtype(),
        )
        inputs = [tensor._array for tensor in plan.tensors]
        inputs += [grad._array for grad in grads if grad is not None]
        inputs += [tensor._array for tensor in arguments.tensors]
        inputs += arguments.arrays
        inputs.append(random._current())
        graph = self._graphs.get(key)
        if graph is None:
            graph, outputs = self._trace(key, plan, arguments, args, kwargs, grads, inputs)
        else:
            try:
                outputs = graph.call(inputs)
            except StaleTrace:
                del self._graphs[key]
                graph, outputs = self._trace(key, plan, arguments, args, kwargs, grads, inputs)
        trace = graph.trace
        for callback in trace.on_call:
            callback()
        tensors = plan.tensors + arguments.tensors
        node = CompiledNode(graph.pullback, plan, tensors, inputs, outputs) if graph.pullback else None
        del inputs, grads  # lets MLX reuse their memory for the outputs
        self._write_back(trace, len(plan.tensors), tensors, leaves, outputs)
        result = _build_result(trace.result, outputs, tensors, node, trace.tracked)
        if trace.changes or trace.has_collectives:
            _deferred.evaluate(outputs)
        return result

    def _write_back(
        self, trace: Trace, listed: int, tensors: list[Tensor], leaves: list[Tensor], outputs: list[mx.array]
    ) -> None:
        for i, at in trace.writes:
            if i >= listed:  # an argument that was written to, possibly a view; first, because only this can fail
                with _grad_mode.set_recording(tensors[i]._node is not None):
                    tensors[i]._become(tape.wrap(outputs[at]), self._caller)
        for i, at in trace.writes:
            if i < listed:
                tensors[i]._array = outputs[at]
        for i, at, in_place in trace.gradients:
            grad = leaves[i].grad
            if at < 0:
                leaves[i].grad = None
            elif in_place and grad is not None:
                grad._array = outputs[at]
            else:
                leaves[i].grad = tape.wrap(outputs[at])
        for tensor, at in trace.created:
            tensor._array = outputs[at]
        if trace.key >= 0:
            random._state._array = outputs[trace.key]
        for module, training in trace.modes:
            if module.training != training:
                module.training = training

    # Tracing --------------------------------------------------------------------------------------------------------

    def _trace(
        self, key: Any, plan: Plan, arguments: Arguments, args: Any, kwargs: Any, grads: list[Any],
        inputs: list[mx.array],
    ) -> tuple[_Graph, list[mx.array]]:  # fmt: skip
        """Trace the function for this call. After any exception everything is as it was before the call.

        MLX merges equal subexpressions while it compiles, and fails with an IndexError if it meets three of one in an
        unfortunate order (``compile_simplify`` in MLX 0.32). The function is then traced again with the inputs of each
        gradient kept apart, so that the forward pass inside ``mx.vjp`` is not merged with the other.
        """
        captured = self._captured
        assert captured is not None
        check_captured_state(self._caller, self._function, self._state)
        facts = self._describe_call(plan, args, kwargs, grads)
        shape = Structure.of(args, kwargs, plan.places)
        places = [i for i, tensor in enumerate(arguments.tensors) if tensor._requires_grad]
        requires = [tensor.requires_grad for tensor in arguments.tensors]
        before = Snapshot([*plan.tensors, *self._state.objects()])

        def attempt(isolate: bool) -> tuple[_Graph, list[mx.array]] | str:
            trace = Trace(
                self._caller, self._function, self._state, captured, plan, shape, grads, requires, places, before
            )
            trace.isolate = isolate
            call = mx.compile(trace.run)
            try:
                outputs = call(inputs)
                pullback = Pullback(trace, plan, inputs, outputs) if trace.tracked else None
            except Exception as error:
                if trace.done and isinstance(error, IndexError):
                    return str(error)  # only the text: the error would keep this trace alive
                explained = reading_inside(self._caller, error)
                if explained is None:
                    raise
                raise explained from None
            trace.plan, trace.before = EMPTY_PLAN, None
            return _Graph(call, trace, pullback), outputs

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
        except BaseException:
            before.restore()
            before.restore_containers()
            raise
        graph, outputs = found
        trace = graph.trace
        if trace.has_counters:  # the key now has fewer entries
            key = (self._state.plan().number, captured.key(plan.places), *key[2:])
        # A graph that created state serves only this call: from the next call on the state exists.
        if not trace.created:
            self._graphs[key] = graph
            if len(self._graphs) > _MAX_GRAPHS:
                del self._graphs[next(iter(self._graphs))]
        return graph, outputs

    def _describe_call(self, plan: Plan, args: Any, kwargs: Any, grads: list[Any]) -> dict[str, str]:
        facts = describe(args, kwargs, _parameter_names(self._function))
        facts |= plan.constants | (self._captured.describe(plan.places) if self._captured else {})
        facts |= {n: f"state {dtype_name(t.dtype)} {t.shape}" for n, t in zip(plan.names, plan.tensors, strict=True)}
        names = plan.leaf_names
        facts |= {f"the gradient of {n}": "none" if g is None else "there" for n, g in zip(names, grads, strict=False)}
        facts |= {f"{n}.requires_grad": str(p._requires_grad) for n, p in zip(names, plan.leaves, strict=True)}
        return facts | {
            "the recording of gradients": str(_grad_mode.is_recording()),
            "autocast": str(_precision.autocast_dtype()),
        }

    def _record_retrace(self, facts: dict[str, str]) -> None:
        """Record a retrace and its reason, unless the first calls cause it by creating gradients and moments."""
        before, self._last_description = self._last_description, facts
        if not before:
            return
        names = [*before, *(name for name in facts if name not in before)]
        differing = [name for name in names if before.get(name) != facts.get(name) and name not in self._state.ignored]
        if all(_is_expected(name, before.get(name), facts.get(name)) for name in differing):
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
            stacklevel=5,
        )

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<compiled {self._caller[8:-1]}; graphs: {len(self._graphs)}, retraces: {self.retraces.count}>"


class CompiledModule(Compiled):
    """A module whose calls are compiled. Attributes and methods are the module's."""

    def train(self, mode: bool = True) -> CompiledModule:
        self._function.train(mode)  # type: ignore[attr-defined]
        return self

    def eval(self) -> CompiledModule:
        return self.train(False)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_function" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._function, name)


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

    Tensors and arrays among the arguments, in any nesting, are inputs of the graph; NumPy arrays arrive as tensors. All
    other values are constants of the graph: Python arguments, variables that the function uses, attributes of modules,
    options of optimizers. If one of them changes, or the shape or dtype of an input, the function is retraced; a graph
    that was traced before is reused. A smaller last batch therefore costs one more trace, or none with
    ``DataLoader(..., drop_last=True)``. Learning rate schedules never cause a retrace. ``retraces`` holds the count and
    the reasons; the traces in which a training step creates its gradients and moments do not count.

    Tensors have no values while the function is traced: ``item()``, ``print`` and branches on tensors raise an error
    that names the line and the fix. If a trace fails, all state is left unchanged. Calls do not wait for results:
    evaluation is scheduled asynchronously.

    Results can be differentiated outside the function, which costs a second forward pass; call ``backward()`` inside to
    avoid it.

    Args:
        function: The function or module to compile. Without it, ``compile`` returns a decorator.
        state: What the function reads or changes besides its arguments: modules, optimizers, tensors, and objects with
            ``state_tensors()`` (``GradScaler``, ``EMA``, metrics), in any nesting. It covers their parameters, buffers,
            gradients, moments and learning rates. The random key is always state, so dropout draws new masks. Modules
            without tensors, such as losses, need not be listed. Changing or storing anything else raises an error that
            names it.

    Raises:
        TypeError: ``function`` is not callable or already compiled, or ``state`` holds an unsupported object.
    """
    if function is None:
        return lambda decorated: compile(decorated, state=state)
    if isinstance(function, Compiled):
        raise TypeError(f"compile: {function!r} is already compiled")
    if not callable(function):
        raise TypeError(f"compile: expected a function or a module, got {type(function).__name__}")
    return (CompiledModule if isinstance(function, Module) else Compiled)(function, state)


def _build_result(result: Any, outputs: list[mx.array], tensors: list[Tensor], node: Any, tracked: list[int]) -> Any:
    """The result of this call: ``result`` with its placeholders replaced by tensors and arrays."""
    if isinstance(result, Placeholder):
        if result.kind == "state":
            return tensors[result.at]
        if result.kind == "array":
            return outputs[result.at]
        if node is not None and result.at in tracked:
            return tape.wrap(outputs[result.at], node, tracked.index(result.at))
        return tape.wrap(outputs[result.at])
    return map_container(result, lambda one: _build_result(one, outputs, tensors, node, tracked))


def _is_expected(name: str, was: str | None, now: str | None) -> bool:
    """Whether the function's own calls cause this difference: a gradient, or newly created state."""
    return name.startswith("the gradient of ") or (was is None and str(now).startswith("state "))


def _parameter_names(function: Callable[..., Any]) -> list[str]:
    target = function.forward if isinstance(function, Module) else function
    try:
        kinds = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return []
    return [one.name for one in kinds if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]

"""``lucid.compile``: a function, most often a whole training step, as one graph."""

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
from lucid._compile.arguments import Arguments, Place, Shape, described, rebuilt
from lucid._compile.closure import Outside
from lucid._compile.differentiable import CompiledNode
from lucid._compile.messages import reading_inside
from lucid._compile.recipe import Outgrown, Recipe
from lucid._compile.refusals import bare_modules, check_reached
from lucid._compile.state import EMPTY, Plan, State
from lucid._tensor import Tensor
from lucid.nn.module import Module

_KEPT = 32  # graphs; the oldest gives way
_WARN_AFTER = 4  # retraces, and again after twice as many


@dataclass
class Retraces:
    """How often a function was traced again, and for each time why."""

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
    recipe: Recipe


class Compiled:
    """What ``lucid.compile`` returns: called like the function. ``retraces`` tells how often it was traced again."""

    def __init__(self, function: Callable[..., Any], state: Any) -> None:
        name = type(function).__name__ if isinstance(function, Module) else getattr(function, "__name__", "function")
        self._where = f"compile({name})"
        self._function = function
        self._state = State(self._where, [function, state] if isinstance(function, Module) else state)
        self._outside: Outside | None = None  # looked up at the first call, when all variables are there
        self._graphs: dict[Any, _Graph] = {}
        self._facts: dict[str, str] = {}
        self._next_warning = _WARN_AFTER
        self.retraces = Retraces()
        functools.update_wrapper(self, function.forward if isinstance(function, Module) else function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not _deferred.evaluating():  # inside another compiled function: part of its graph
            return self._function(*args, **kwargs)
        if self._outside is None:
            self._state.adopt(bare_modules(self._function))
            self._outside = Outside(self._function, self._state.plan().places)
        plan = self._state.plan()
        arguments = Arguments(self._where, args, kwargs, plan.places)
        leaves = plan.leaves + arguments.leaves if arguments.leaves else plan.leaves
        grads = [leaf.grad for leaf in leaves]
        key = (
            plan.number,
            self._outside.key(plan.places),
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
            except Outgrown:
                del self._graphs[key]
                graph, outputs = self._trace(key, plan, arguments, args, kwargs, grads, inputs)
        recipe = graph.recipe
        for callback in recipe.on_call:
            callback()
        tensors = plan.tensors + arguments.tensors
        track = recipe.tracked and _grad_mode.is_recording()
        node = CompiledNode(recipe, plan, tensors, inputs, outputs) if track else None
        del inputs, grads  # so that MLX can use their memory for the outputs
        self._put_back(recipe, len(plan.tensors), tensors, leaves, outputs)
        result = _built(recipe.result, outputs, tensors, node, recipe.tracked)
        if recipe.changes or recipe.starts:
            _deferred.evaluate(outputs)
        return result

    def _put_back(
        self, recipe: Recipe, listed: int, tensors: list[Tensor], leaves: list[Tensor], outputs: list[mx.array]
    ) -> None:
        for i, at in recipe.writes:
            if i < listed:
                tensors[i]._array = outputs[at]
            else:  # an argument that was written to, and perhaps is a view
                with _grad_mode.set_recording(tensors[i]._node is not None):
                    tensors[i]._become(tape.wrap(outputs[at]), self._where)
        for i, at, in_place in recipe.gradients:
            grad = leaves[i].grad
            if at < 0:
                leaves[i].grad = None
            elif in_place and grad is not None:
                grad._array = outputs[at]
            else:
                leaves[i].grad = tape.wrap(outputs[at])
        for tensor, at in recipe.made:
            tensor._array = outputs[at]
        if recipe.key >= 0:
            random._state._array = outputs[recipe.key]
        for module, training in recipe.modes:
            if module.training != training:
                module.training = training

    # Tracing ---------------------------------------------------------------------------------------------------------

    def _trace(
        self, key: Any, plan: Plan, arguments: Arguments, args: Any, kwargs: Any, grads: list[Any],
        inputs: list[mx.array],
    ) -> tuple[_Graph, list[mx.array]]:  # fmt: skip
        assert self._outside is not None
        check_reached(self._where, self._function, self._state)
        facts = self._facts_of(plan, args, kwargs, grads)
        shape = Shape.of(args, kwargs, plan.places)
        places = [i for i, tensor in enumerate(arguments.tensors) if tensor._requires_grad]
        requires = [tensor.requires_grad for tensor in arguments.tensors]
        recipe = Recipe(self._where, self._function, self._state, self._outside, plan, shape, grads, requires, places)
        call = mx.compile(recipe.run)
        try:
            outputs = call(inputs)
        except Exception as error:
            explained = reading_inside(self._where, error)
            if explained is None:
                raise
            raise explained from None
        recipe.plan = EMPTY
        self._note(facts)
        graph = _Graph(call, recipe)
        if recipe.ignored:  # the key has fewer entries now
            key = (self._state.plan().number, self._outside.key(plan.places), *key[2:])
        # A graph that has made state serves this one call: from now on the state is there.
        if not recipe.made:
            self._graphs[key] = graph
            if len(self._graphs) > _KEPT:
                del self._graphs[next(iter(self._graphs))]
        return graph, outputs

    def _facts_of(self, plan: Plan, args: Any, kwargs: Any, grads: list[Any]) -> dict[str, str]:
        facts = described(args, kwargs, _parameter_names(self._function))
        facts |= plan.facts | (self._outside.described(plan.places) if self._outside else {})
        facts |= {n: f"state {dtype_name(t.dtype)} {t.shape}" for n, t in zip(plan.names, plan.tensors, strict=True)}
        names = plan.leaf_names
        facts |= {f"the gradient of {n}": "none" if g is None else "there" for n, g in zip(names, grads, strict=False)}
        facts |= {f"{n}.requires_grad": str(p._requires_grad) for n, p in zip(names, plan.leaves, strict=True)}
        return facts | {
            "the recording of gradients": str(_grad_mode.is_recording()),
            "autocast": str(_precision.autocast_dtype()),
        }

    def _note(self, facts: dict[str, str]) -> None:
        """Count a retrace and say why, unless the function itself made the difference: gradients and moments."""
        before, self._facts = self._facts, facts
        if not before:
            return
        names = [*before, *(name for name in facts if name not in before)]
        differing = [name for name in names if before.get(name) != facts.get(name) and name not in self._state.ignored]
        if all(_settles(name, before.get(name), facts.get(name)) for name in differing):
            return
        changes = [f"{name}: {before.get(name, 'nothing')} -> {facts.get(name, 'nothing')}" for name in differing]
        reason = "; ".join(changes[:3]) + (f"; and {len(changes) - 3} more" if len(changes) > 3 else "")
        self.retraces.reasons.append(reason)
        if self.retraces.count >= self._next_warning:
            self._next_warning *= 2
            self._warn(reason)

    def _warn(self, reason: str) -> None:
        warnings.warn(
            f"{self._where}: traced again for the {self.retraces.count}th time ({reason}); every trace costs time and "
            "memory. Pass numbers that change as tensors, keep shapes fixed (DataLoader(..., drop_last=True)), and "
            "see .retraces for all reasons",
            UserWarning,
            stacklevel=5,
        )

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<compiled {self._where[8:-1]}; graphs: {len(self._graphs)}, retraces: {self.retraces.count}>"


class CompiledModule(Compiled):
    """A module whose calls are compiled. Its attributes and methods are the module's."""

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
    """``function`` as one graph: traced at the first call, then run without its Python.

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

    ``state`` lists what the function changes or reads beside its arguments: modules, optimizers, tensors, and objects
    with ``state_tensors()`` (a ``GradScaler``, an ``EMA``, metrics), also nested. Parameters, buffers, gradients,
    moments and learning rates belong to them, and the random key always is state: dropout draws new masks. A module
    without tensors, a loss for instance, need not be listed. What else is changed or kept inside raises an error that
    names it. ``lucid.compile(model)`` compiles the calls of a module, with the module as state.

    Tensors and arrays among the arguments, in any nesting, are inputs; NumPy arrays arrive as tensors. All other values
    are built into the graph: arguments, variables that the function uses, attributes of modules, options of
    optimizers. When one changes, the function is traced again, and so it is for another shape: the last batch costs
    one more trace, after which its graph is there, or none with ``DataLoader(..., drop_last=True)``. A schedule of the
    learning rate never traces again. ``retraces`` has the count and the reasons; what the first calls of a step trace
    for themselves, since they make gradients and moments, is not in it.

    Inside, tensors have no values: ``item()``, ``print`` and a branch on a tensor raise an error with the line and the
    way out. A trace that fails leaves all state as it was. Nothing waits for a result: it is scheduled with the state.

    What is returned can be differentiated further, at the price of a second forward pass; put ``backward()`` inside to
    save it.

    Raises:
        TypeError: ``function`` cannot be called or is compiled already, or ``state`` holds something else.
    """
    if function is None:
        return lambda decorated: compile(decorated, state=state)
    if isinstance(function, Compiled):
        raise TypeError(f"compile: {function!r} is compiled already")
    if not callable(function):
        raise TypeError(f"compile: wanted a function or a module, got {type(function).__name__}")
    return (CompiledModule if isinstance(function, Module) else Compiled)(function, state)


def _built(result: Any, outputs: list[mx.array], tensors: list[Tensor], node: Any, tracked: list[int]) -> Any:
    """The result of this call: ``result`` with tensors and arrays in its places."""
    if isinstance(result, Place):
        if result.kind == "state":
            return tensors[result.at]
        if result.kind == "array":
            return outputs[result.at]
        if node is not None and result.at in tracked:
            return tape.wrap(outputs[result.at], node, tracked.index(result.at))
        return tape.wrap(outputs[result.at])
    return rebuilt(result, lambda one: _built(one, outputs, tensors, node, tracked))


def _settles(name: str, was: str | None, now: str | None) -> bool:
    """Whether the calls of a function make this difference by themselves: a gradient, or state that appears."""
    return name.startswith("the gradient of ") or (was is None and str(now).startswith("state "))


def _parameter_names(function: Callable[..., Any]) -> list[str]:
    target = function.forward if isinstance(function, Module) else function
    try:
        kinds = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return []
    return [one.name for one in kinds if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]

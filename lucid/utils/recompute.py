"""Trade time for memory: forget what a function computed inside and compute it again when its gradient is due.

Forward, the function runs as always and its graph is recorded, but only to learn which parameters it reached; then the
graph is dropped and one node takes its place, whose body runs the function again. ``mx.checkpoint`` around that body
makes MLX hold the recomputation back until the cotangents are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import mlx.core as mx

from lucid import _pending, random, tape
from lucid._tensor import Tensor


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool = False, **kwargs: Any) -> Any:
    """``function(*args, **kwargs)``, keeping only its inputs for the backward pass, which computes the rest again.

    The gradients are those of the plain call, also for parameters that the function reaches without taking them as
    arguments, and can be differentiated again. Random numbers are drawn once more from the same key, and autocast is as
    it was. The function must return a tensor or a tuple of tensors. ``use_reentrant`` is accepted for PyTorch's sake.

    Raises:
        TypeError: the function returns something else.
    """
    key, start, low = random.get_state()._array, tape.newest(), tape.autocast_dtype()
    out = function(*args, **kwargs)
    outputs = out if isinstance(out, tuple | list) else (out,)
    for output in outputs:
        if not isinstance(output, Tensor):
            raise TypeError(f"checkpoint: the function must return tensors, got {type(output).__name__}")
    if not tape.is_recording():
        return out
    inputs = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor) and a.requires_grad]
    leaves = _leaves_between(list(outputs), inputs, start)
    if not inputs and not leaves:
        return out

    # The recorded closure holds arrays: a tensor would bring its own record, and live as long as the graph.
    count, places = len(inputs), {id(t): i for i, t in enumerate(inputs)}
    held = [_held(a, places) for a in args]
    held_kwargs = {name: _held(a, places) for name, a in kwargs.items()}

    def run(*arrays: mx.array) -> tuple[mx.array, ...]:
        new_args = [_given(a, arrays) for a in held]
        new_kwargs = {name: _given(a, arrays) for name, a in held_kwargs.items()}
        before = [leaf._array for leaf in leaves]
        try:
            for leaf, array in zip(leaves, arrays[count:], strict=True):
                leaf._array = array
            with tape.replaying(), tape.autocasting(low), _pending.collecting(), random.fork(key):
                again = function(*new_args, **new_kwargs)
        finally:
            for leaf, array in zip(leaves, before, strict=True):
                leaf._array = array
        return tuple(t._array for t in (again if isinstance(again, tuple | list) else (again,)))

    values = tuple(t._array for t in (*inputs, *leaves))
    edges = [tape.edge_of(t) for t in (*inputs, *leaves)]
    node = tape.Node("checkpoint", edges, [(o.shape, o.dtype) for o in outputs])
    node.body, node.args, node.kwargs = mx.checkpoint(run), values, {}
    node.places = [(i,) for i in range(len(values))]
    wrapped = [tape.wrap(o._array, node if o.requires_grad else None, i) for i, o in enumerate(outputs)]
    return wrapped[0] if isinstance(out, Tensor) else type(out)(cast(Any, wrapped))


class _Held(NamedTuple):
    """A tensor among the arguments: its place among the inputs that need a gradient (-1: none), and its value."""

    place: int
    array: mx.array


def _held(value: Any, places: dict[int, int]) -> Any:
    return _Held(places.get(id(value), -1), value._array) if isinstance(value, Tensor) else value


def _given(value: Any, arrays: Sequence[mx.array]) -> Any:
    if not isinstance(value, _Held):
        return value
    return tape.wrap(value.array if value.place < 0 else arrays[value.place])


def _leaves_between(outputs: list[Tensor], inputs: list[Tensor], start: int) -> list[tape.TensorBase]:
    """The leaves that the graph recorded since ``start`` ends in, besides ``inputs``."""
    borders = {tape.edge_of(t) for t in inputs if t._node is not None}
    known = {id(t) for t in inputs}
    leaves: list[tape.TensorBase] = []
    stack = [tape.edge_of(t) for t in outputs if t._node is not None]
    seen: set[tape.Node] = set()
    while stack:
        edge = stack.pop()
        if isinstance(edge, tape.TensorBase):
            if id(edge) not in known:
                known.add(id(edge))
                leaves.append(edge)
        elif edge not in borders and edge[0] not in seen:
            if edge[0].serial < start:
                raise RuntimeError(
                    f"checkpoint: the function uses a tensor that was computed outside by '{edge[0].name}' and "
                    "requires grad; pass it as an argument, so that its gradient is found"
                )
            seen.add(edge[0])
            stack.extend(edge[0].edges or ())
    return leaves

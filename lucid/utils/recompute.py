"""Trade time for memory: forget what a function computed inside and compute it again when its gradient is due.

Forward, the function runs as always and its graph is recorded, but only to learn which parameters it reached; then the
graph is dropped and one node takes its place. Backward, the function runs again on the same values, is recorded, and is
gone through at once. ``mx.depends`` makes MLX hold that back until the cotangents are there.

A gradient that is to be differentiated further (``create_graph``) comes from ``mx.vjp`` of the function, as for any
other operation, with ``mx.checkpoint`` around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import mlx.core as mx

from lucid import _deferred, _grad_mode, _precision, random, tape
from lucid._backward import run_backward
from lucid._tensor import Tensor


class _Checkpoint(tape.Node):
    __slots__ = ("again",)
    again: Callable[[Sequence[mx.array], list[Tensor]], list[Tensor | None]]

    def pullback(self, cotangents: list[Tensor]) -> Sequence[Tensor | None]:
        assert self.args is not None
        if _grad_mode.is_recording() or any(0 in shape for shape, _ in self.outputs):
            return super().pullback(cotangents)
        sent = [one._array for one in cotangents]
        return self.again(mx.depends(list(self.args), sent), cotangents)

    def free(self) -> None:
        super().free()
        del self.again


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool = False, **kwargs: Any) -> Any:
    """``function(*args, **kwargs)``, keeping only its inputs for the backward pass, which computes the rest again.

    The gradients are those of the plain call, also for parameters that the function reaches without taking them as
    arguments, and can be differentiated again. Random numbers are drawn once more from the same key, and autocast is as
    it was. The function must return a tensor or a tuple of tensors. ``use_reentrant`` is accepted for PyTorch's sake.

    Raises:
        TypeError: the function returns something else.
    """
    key, start, low = random.get_state()._array, tape.next_serial(), _precision.autocast_dtype()
    out = function(*args, **kwargs)
    outputs = out if isinstance(out, tuple | list) else (out,)
    for output in outputs:
        if not isinstance(output, Tensor):
            raise TypeError(f"checkpoint: the function must return tensors, got {type(output).__name__}")
    if not _grad_mode.is_recording():
        return out
    inputs = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor) and a.requires_grad]
    leaves = _leaves_between(list(outputs), inputs, start)
    if not inputs and not leaves:
        return out

    # The recorded closure holds arrays: a tensor would bring its own record, and live as long as the graph.
    count, places = len(inputs), {id(t): i for i, t in enumerate(inputs)}
    held = [_held(a, places) for a in args]
    held_kwargs = {name: _held(a, places) for name, a in kwargs.items()}

    def call(given: list[Tensor]) -> list[Tensor]:
        with _precision.autocasting(low), _deferred.collecting(), random.fork(key):
            again = function(
                *(_given(a, given) for a in held), **{name: _given(a, given) for name, a in held_kwargs.items()}
            )
        return list(again) if isinstance(again, tuple | list) else [again]

    def run(*arrays: mx.array) -> tuple[mx.array, ...]:
        with _grad_mode.replaying(), _standing_in(leaves, arrays[count:]):
            return tuple(t._array for t in call([tape.wrap(a) for a in arrays[:count]]))

    def gradients(arrays: Sequence[mx.array], cotangents: list[Tensor]) -> list[Tensor | None]:
        given = [tape.wrap(a) for a in arrays[:count]]
        for tensor in given:
            tensor._requires_grad = True
        with _grad_mode.replaying(), _grad_mode.set_recording(True), _standing_in(leaves, arrays[count:]):
            pairs = [(t, c) for t, c in zip(call(given), cotangents, strict=True) if t.requires_grad]
            return run_backward([t for t, _ in pairs], [c for _, c in pairs], [*given, *leaves])

    values = tuple(t._array for t in (*inputs, *leaves))
    edges = [tape.edge_of(t) for t in (*inputs, *leaves)]
    node = _Checkpoint("checkpoint", edges, [(o.shape, o.dtype) for o in outputs])
    node.again = gradients
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


def _given(value: Any, inputs: Sequence[Tensor]) -> Any:
    if not isinstance(value, _Held):
        return value
    return tape.wrap(value.array) if value.place < 0 else inputs[value.place]


@contextmanager
def _standing_in(leaves: list[tape.TensorBase], arrays: Sequence[mx.array]) -> Iterator[None]:
    """Give the leaves the values that they had, and no hooks: these run when the gradient is complete."""
    before = [(leaf._array, leaf._hooks) for leaf in leaves]
    try:
        for leaf, array in zip(leaves, arrays, strict=True):
            leaf._array, leaf._hooks = array, None
        yield
    finally:
        for leaf, (array, hooks) in zip(leaves, before, strict=True):
            leaf._array, leaf._hooks = array, hooks


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

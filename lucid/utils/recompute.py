"""Trade time for memory: forget what a function computed inside and compute it again when its gradient is due.

Forward, the function runs as always and its graph is recorded, but only to learn which parameters it reached; then the
graph is dropped and one node takes its place, whose body runs the function again. ``mx.checkpoint`` around that body
makes MLX hold the recomputation back until the cotangents are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import mlx.core as mx

from lucid import _pending, random, tape
from lucid._tensor import Tensor


class _Recomputed(tape.Node):
    """A node whose gradients are all there before any of them is used.

    Without that MLX goes on with the gradient of the input, back through the network, and leaves the gradients of the
    parameters for later: what was computed again for them would pile up, and nothing would be saved.
    """

    __slots__ = ()

    def pullback(self, cotangents: list[Tensor]) -> Sequence[Tensor | None]:
        gradients = super().pullback(cotangents)
        if tape.is_recording():  # they have records of their own
            return gradients
        arrays = [gradient._array for gradient in gradients if gradient is not None]
        return [tape.wrap(array) for array in mx.depends(arrays, arrays)]


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool = False, **kwargs: Any) -> Any:
    """``function(*args, **kwargs)``, keeping only its inputs for the backward pass, which computes the rest again.

    The gradients are those of the plain call, also for parameters that the function reaches without taking them as
    arguments, and can be differentiated again. Random numbers are drawn once more from the same key, and autocast is as
    it was. The function must return a tensor or a tuple of tensors. ``use_reentrant`` is accepted for PyTorch's sake.

    Raises:
        TypeError: the function returns something else.
    """
    state, start, low = random.get_state(), tape.newest(), tape.autocast_dtype()
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

    def run(*arrays: mx.array) -> tuple[mx.array, ...]:
        fresh = {id(t): tape.wrap(a) for t, a in zip(inputs, arrays, strict=False)}
        new_args = [fresh.get(id(a), a) for a in args]
        new_kwargs = {key: fresh.get(id(a), a) for key, a in kwargs.items()}
        before = [leaf._array for leaf in leaves]
        try:
            for leaf, array in zip(leaves, arrays[len(inputs) :], strict=True):
                leaf._array = array
            with tape.replaying(), tape.autocasting(low), _pending.collecting(), random.fork(state):
                again = function(*new_args, **new_kwargs)
        finally:
            for leaf, array in zip(leaves, before, strict=True):
                leaf._array = array
        return tuple(t._array for t in (again if isinstance(again, tuple | list) else (again,)))

    values = tuple(t._array for t in (*inputs, *leaves))
    edges = [tape.edge_of(t) for t in (*inputs, *leaves)]
    node = _Recomputed("checkpoint", edges, [(o.shape, o.dtype) for o in outputs])
    node.body, node.args, node.kwargs = mx.checkpoint(run), values, {}
    node.places = [(i,) for i in range(len(values))]
    wrapped = [tape.wrap(o._array, node if o.requires_grad else None, i) for i, o in enumerate(outputs)]
    return wrapped[0] if isinstance(out, Tensor) else type(out)(cast(Any, wrapped))


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

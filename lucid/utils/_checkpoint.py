"""Activation checkpointing: trade compute for memory by recomputing activations in the backward pass.

In the forward pass the function runs and is recorded, but only to find the parameters it uses; the graph is then
dropped and replaced by a single node. In the backward pass the function runs again on the same values, is recorded and
differentiated. ``mx.depends`` delays the recomputation until the cotangents are available.

With ``create_graph`` that recomputation is part of the recorded graph, and continues the graphs of the inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import mlx.core as mx

from lucid import _deferred, _grad_mode, _precision, _threads, random, tape
from lucid._backward import run_backward
from lucid._tensor import Tensor


class _Checkpoint(tape.Node):
    __slots__ = ("recompute",)
    recompute: Callable[[Sequence[mx.array], list[Tensor], list[tape.Edge] | None], list[Tensor | None]]

    def pullback(self, cotangents: list[Tensor]) -> Sequence[Tensor | None]:
        assert self.args is not None
        if _grad_mode.is_recording():
            return self.recompute(self.args, cotangents, self.edges)
        sent = [one._array for one in cotangents]
        if any(one.size == 0 for one in sent):  # MLX may never compute what depends on an empty array
            return self.recompute(self.args, cotangents, None)
        return self.recompute(mx.depends(list(self.args), sent), cotangents, None)

    def free(self) -> None:
        super().free()
        del self.recompute


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, **kwargs: Any) -> Any:
    """Call ``function(*args, **kwargs)``, storing only its inputs; the backward pass recomputes the rest.

    Gradients equal those of a plain call, also for parameters that are not arguments, and can be differentiated again.
    The recomputation draws the same random numbers and uses the same autocast dtype.

    Args:
        function: Returns a tensor or a tuple of tensors.
        *args: Arguments of ``function``.
        use_reentrant: Accepted for compatibility with PyTorch.
        **kwargs: Keyword arguments of ``function``.

    Raises:
        TypeError: ``function`` returns anything but tensors.
        RuntimeError: ``function`` uses a computed tensor that requires gradients but is not an argument.

    Example:
        >>> layer = nn.Linear(64, 64)
        >>> x = lucid.randn(8, 64, requires_grad=True)
        >>> lucid.utils.checkpoint(layer, x).sum().backward()  # recomputes the layer
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
    leaves = _captured_leaves(list(outputs), inputs, start)
    if not inputs and not leaves:
        return out

    # The node holds arrays: tensors would keep their own graph alive.
    count, places = len(inputs), {id(t): i for i, t in enumerate(inputs)}
    held = [_to_array(a, places) for a in args]
    held_kwargs = {name: _to_array(a, places) for name, a in kwargs.items()}

    def call(given: list[Tensor]) -> list[Tensor]:
        with _precision.autocasting(low), _deferred.collecting(), random.fork(key):
            out = function(
                *(_to_tensor(a, given) for a in held), **{name: _to_tensor(a, given) for name, a in held_kwargs.items()}
            )
        return list(out) if isinstance(out, tuple | list) else [out]

    def gradients(
        arrays: Sequence[mx.array], cotangents: list[Tensor], edges: list[tape.Edge] | None
    ) -> list[Tensor | None]:
        given = [tape.wrap(a) for a in arrays[:count]]
        if edges is not None:  # to be differentiated again
            given = [tape.alias(a, edge) for a, edge in zip(arrays[:count], edges[:count], strict=True)]
        else:
            for tensor in given:
                tensor._requires_grad = True
        with _grad_mode.replaying(), _grad_mode.set_recording(True), _substituted(leaves, arrays[count:]):
            pairs = [(t, c) for t, c in zip(call(given), cotangents, strict=True) if t.requires_grad]
            roots, sent = [t for t, _ in pairs], [c for _, c in pairs]
            return run_backward(roots, sent, [*given, *leaves], create_graph=edges is not None)

    values = tuple(t._array for t in (*inputs, *leaves))
    edges = [tape.edge_of(t) for t in (*inputs, *leaves)]
    node = _Checkpoint("checkpoint", edges, [(o.shape, o.dtype) for o in outputs])
    node.recompute = gradients
    node.args = values
    wrapped = [tape.wrap(o._array, node if o.requires_grad else None, i) for i, o in enumerate(outputs)]
    return wrapped[0] if isinstance(out, Tensor) else type(out)(cast(Any, wrapped))


class _HeldTensor(NamedTuple):
    """A tensor argument: its index among the inputs that require gradients (or -1), and its value."""

    place: int
    array: mx.array


def _to_array(value: Any, places: dict[int, int]) -> Any:
    return _HeldTensor(places.get(id(value), -1), value._array) if isinstance(value, Tensor) else value


def _to_tensor(value: Any, inputs: Sequence[Tensor]) -> Any:
    if not isinstance(value, _HeldTensor):
        return value
    return tape.wrap(value.array) if value.place < 0 else inputs[value.place]


@contextmanager
def _substituted(leaves: list[tape.TensorBase], arrays: Sequence[mx.array]) -> Iterator[None]:
    """Temporarily give the leaves their recorded values, without hooks, which run when the gradient is complete."""
    with _threads.lock, _threads.tracing():
        before = [(leaf._array, leaf._hooks) for leaf in leaves]
        try:
            for leaf, array in zip(leaves, arrays, strict=True):
                leaf._array, leaf._hooks = array, None
            yield
        finally:
            for leaf, (array, hooks) in zip(leaves, before, strict=True):
                leaf._array, leaf._hooks = array, hooks


def _captured_leaves(outputs: list[Tensor], inputs: list[Tensor], start: int) -> list[tape.TensorBase]:
    """The leaves, other than ``inputs``, of the graph recorded since ``start``."""
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
                    "requires grad; pass it as an argument, so that it receives its gradient"
                )
            seen.add(edge[0])
            stack.extend(edge[0].edges or ())
    return leaves

"""``vmap``: a function of one sample becomes a function of batches.

The function runs once, inside ``mx.vmap``, on arrays without the batch dimension. Its gradient is ``vmap`` of the
gradient of one sample, with respect to the arguments and to tensors of the outside that the function used. Where MLX
cannot do that (it has no rule for an operation, or the function reads a value, or draws random numbers), the function
runs once per sample.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred, _threads, random, tape
from lucid._backward import run_backward
from lucid._grad_mode import is_recording, set_recording
from lucid._tensor import Tensor
from lucid.autograd._trees import Rebuild, flatten, spread
from lucid.ops import joining, reduction
from lucid.ops import shape as shapes

Flat = Callable[[list[Any]], list[Tensor]]
_TRACED = ("vmap", "during function transformations", "without a primitive")


class _Drew(RuntimeError):
    """Random numbers were drawn where they must not be."""


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """``func`` for batches: it is called on single samples, and the results are stacked.

    Args:
        in_dims: The batch dimension of each argument, ``None`` for arguments that all samples share. A number holds for
            all arguments; containers may have the structure of the arguments. Tensors in keyword arguments have it
            first.
        out_dims: Where the results have the batch dimension.
        randomness: Whether random numbers are drawn "different" or the "same" for each sample, or raise an "error".
        chunk_size: How many samples to compute at once, by default all.

    Raises:
        RuntimeError: ``func`` drew random numbers with ``randomness="error"``.
        ValueError: there is no argument with a batch dimension, the sizes differ, or the result is no tensor.

    Example:
        >>> dot = lucid.vmap(lucid.dot)
        >>> dot(lucid.ones(3, 2), lucid.ones(3, 2)).tolist()
        [2.0, 2.0, 2.0]
    """
    _checks.one_of("vmap", "randomness", randomness, ("error", "different", "same"))
    if chunk_size is not None:
        chunk_size = _checks.integer("vmap", "chunk_size", chunk_size, 1)

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, rebuild = flatten((args, kwargs))
        listed = [in_dims] * len(args) if isinstance(in_dims, int) else in_dims
        if not isinstance(listed, list | tuple) or len(listed) != len(args):
            raise ValueError(f"vmap: in_dims {in_dims!r} does not fit {len(args)} arguments")
        dims = [one for d, value in zip(listed, args, strict=True) for one in spread(d, value, "vmap", "in_dims")]
        dims += [0 if isinstance(one, Tensor) else None for one in flatten(kwargs)[0]]
        dims = [_dim(dim, leaf) for dim, leaf in zip(dims, leaves, strict=True)]
        sizes = {leaf.shape[dim] for dim, leaf in zip(dims, leaves, strict=True) if dim is not None}
        if len(sizes) != 1:
            found = f"got {sorted(sizes)}" if sizes else "no argument has one"
            raise ValueError(f"vmap: batch dimensions must have one size, {found}")
        structure: list[Rebuild] = []

        def flat(values: list[Any]) -> list[Tensor]:
            args, kwargs = rebuild(values)
            outputs, again = flatten(func(*args, **kwargs))
            for one in outputs:
                if not isinstance(one, Tensor):
                    raise ValueError(f"vmap: func must return tensors, got {type(one).__name__}")
            structure[:] = [again]
            return outputs

        outputs = mapped(flat, leaves, dims, sizes.pop(), randomness, chunk_size)
        result = structure[0](outputs)
        places = spread(out_dims, result, "vmap", "out_dims")
        return structure[0](
            [one if d in (0, None) else shapes.movedim(one, 0, d) for one, d in zip(outputs, places, strict=True)]
        )

    return call


def _dim(dim: Any, leaf: Any) -> int | None:
    if dim is None or not isinstance(leaf, Tensor):
        if dim not in (None, 0):
            raise ValueError(f"vmap: in_dims has {dim} for an argument that is no tensor: {type(leaf).__name__}")
        return None
    if not leaf.ndim:
        raise ValueError(f"vmap: in_dims has {dim} for a tensor without dimensions; None shares it")
    return _checks.dim("vmap", dim, leaf.ndim, "in_dims")


def mapped(
    function: Flat, leaves: list[Any], dims: Sequence[int | None], size: int, randomness: str = "error",
    chunk_size: int | None = None,
) -> list[Tensor]:  # fmt: skip
    """The results of ``function`` of single samples, with the batch as their first dimension."""
    if chunk_size is not None and chunk_size < size:
        parts = []
        for start in range(0, size, chunk_size):
            count = min(chunk_size, size - start)
            chunk = [
                leaf if dim is None else shapes.narrow(leaf, dim, start, count)
                for leaf, dim in zip(leaves, dims, strict=True)
            ]
            parts.append(mapped(function, chunk, dims, count, randomness))
        return [joining.cat(list(one)) for one in zip(*parts, strict=True)]
    if randomness == "error" and size:
        try:
            return _traced(function, leaves, dims, size)
        except _Drew:
            raise RuntimeError(
                "vmap: random numbers were drawn, and randomness is 'error'; pass randomness='different' or 'same'"
            ) from None
        except (RuntimeError, ValueError, TypeError) as error:
            if not _is_mlx(error):
                raise
    return _one_by_one(function, leaves, dims, size, randomness)


def _is_mlx(error: BaseException | None) -> bool:
    """Whether MLX could not trace the function."""
    while error is not None:
        text = str(error)
        if not text.startswith("vmap: ") and any(one in text for one in _TRACED):
            return True
        error = error.__cause__
    return False


def _one_by_one(
    function: Flat, leaves: list[Any], dims: Sequence[int | None], size: int, randomness: str
) -> list[Tensor]:
    if not size:
        raise ValueError("vmap: the batch dimension must not be empty")
    state = random.get_state() if randomness == "same" else None
    rows = []
    for i in range(size):
        if state is not None:
            random.set_state(state)
        rows.append(
            function(
                [leaf if dim is None else shapes.select(leaf, dim, i) for leaf, dim in zip(leaves, dims, strict=True)]
            )
        )
    return [joining.stack(list(one)) for one in zip(*rows, strict=True)]


def _traced(function: Flat, leaves: list[Any], dims: Sequence[int | None], size: int) -> list[Tensor]:
    """``mapped`` by ``mx.vmap``, recorded as one operation."""
    inputs = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    live = [i for i in inputs if leaves[i].requires_grad and is_recording()]
    captured: dict[Any, tape.Edge] = {}
    start = tape.next_serial()

    def body(*arrays: mx.array) -> list[mx.array]:
        values = list(leaves)
        own = set()
        for i, array in zip(inputs, arrays, strict=True):
            values[i] = tape.wrap(array)
            if i in live:
                values[i]._requires_grad = True
                own.add(id(values[i]))
        before = random.get_state()._array
        with _deferred.collecting():
            outputs = function(values)
        if random.get_state()._array is not before:
            random.set_state(tape.wrap(before))
            raise _Drew
        for edge in outside(outputs, start):
            if not (isinstance(edge, tape.TensorBase) and id(edge) in own):
                captured[id(edge) if isinstance(edge, tape.TensorBase) else edge] = edge
        recorded[:] = [one.requires_grad for one in outputs]
        return [one._array for one in outputs]

    recorded: list[bool] = []
    with _threads.lock:
        arrays = mx.vmap(body, in_axes=tuple(dims[i] for i in inputs))(*[leaves[i]._array for i in inputs])
    arrays = list(arrays) if isinstance(arrays, list | tuple) else [arrays]
    if not any(recorded):
        return [tape.wrap(one) for one in arrays]
    node = _MappedNode(function, leaves, dims, size, live, list(captured.values()), arrays, recorded)
    return [
        tape.wrap(one, node if needs else None, i) for i, (one, needs) in enumerate(zip(arrays, recorded, strict=True))
    ]


def outside(outputs: Sequence[tape.TensorBase], start: int = 0) -> list[tape.Edge]:
    """Where the graph of ``outputs`` begins: leaves that require gradients, and nodes older than ``start``."""
    found: dict[Any, tape.Edge] = {}
    seen: set[tape.Node] = set()
    edges: list[tape.Edge] = [tape.edge_of(one) for one in outputs if one._node is not None or one._requires_grad]
    while edges:
        edge = edges.pop()
        if isinstance(edge, tape.TensorBase):
            if edge._requires_grad:
                found[id(edge)] = edge
        elif edge[0].serial < start:
            found[edge] = edge
        elif edge[0] not in seen:
            seen.add(edge[0])
            edges.extend(edge[0].edges or ())
    return list(found.values())


class _MappedNode(tape.Node):
    """The recorded call of a vectorized function."""

    __slots__ = ("captured", "dims", "function", "leaves", "live", "recorded", "size")

    def __init__(
        self, function: Flat, leaves: list[Any], dims: Sequence[int | None], size: int, live: list[int],
        captured: list[tape.Edge], arrays: list[mx.array], recorded: list[bool],
    ) -> None:  # fmt: skip
        edges = [tape.edge_of(leaves[i]) for i in live]
        super().__init__("vmap", edges + captured, [(one.shape, one.dtype) for one in arrays])
        self.function, self.dims, self.size, self.live = function, dims, size, live
        self.captured, self.recorded = captured, recorded
        # The values as they are now: a leaf may be written to before the backward pass.
        self.leaves: list[Any] = [one._array if isinstance(one, Tensor) else one for one in leaves]

    def pullback(self, cotangents: list[Tensor]) -> list[Tensor | None]:
        assert self.edges is not None
        create_graph = is_recording()
        values: list[Any] = [tape.wrap(one) if isinstance(one, mx.array) else one for one in self.leaves]
        for i, edge in zip(self.live, self.edges, strict=False):
            values[i] = tape._input_at(self.leaves[i], edge) if create_graph else values[i]
        targets = [_target(edge) for edge in self.captured]
        sent = [one for one, needs in zip(cotangents, self.recorded, strict=True) if needs]
        count = len(values)

        def one_sample(both: list[Any]) -> list[Tensor]:
            with set_recording(True):
                inputs = [connected(one) if i in self.live else one for i, one in enumerate(both[:count])]
                outputs = self.function(inputs)
                roots = [one for one, needs in zip(outputs, self.recorded, strict=True) if needs]
                wanted = [inputs[i] for i in self.live] + targets
                found = run_backward(
                    roots, both[count:], wanted, retain_graph=True, create_graph=create_graph, stops=True
                )
            return [
                tape.wrap(mx.zeros(one.shape, one.dtype)) if gradient is None else gradient
                for gradient, one in zip(found, wanted, strict=True)
            ]

        found = mapped(one_sample, [*values, *sent], [*self.dims, *[0] * len(sent)], self.size)
        results: list[Tensor | None] = []
        for position, gradient in enumerate(found):
            dim = self.dims[self.live[position]] if position < len(self.live) else None
            if dim is None:
                results.append(reduction.sum(gradient, 0))
            else:
                results.append(gradient if dim == 0 else shapes.movedim(gradient, 0, dim))
        return results

    def free(self) -> None:
        super().free()
        self.leaves = []


def _target(edge: tape.Edge) -> Tensor:
    """A tensor whose gradient is that of an edge."""
    if isinstance(edge, tape.TensorBase):
        return edge  # type: ignore[return-value]
    node, index = edge
    return tape.wrap(mx.zeros(*node.outputs[index]), node, index)


def connected(tensor: Tensor) -> Tensor:
    """A tensor of the same value to differentiate with respect to, whose gradient goes on to ``tensor``."""
    if not tensor.requires_grad:
        found = tape.wrap(tensor._array)
        found._requires_grad = True
        return found
    return tape.alias(tensor._array, tape.edge_of(tensor))

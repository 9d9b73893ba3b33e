"""The backward pass: walk the recorded graph from its outputs to its leaves."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import mlx.core as mx

from lucid import _deferred, _overwritten, _threads, tape
from lucid._grad_mode import set_recording
from lucid._precision import autocasting
from lucid.tape import Edge, Node, TensorBase, apply, edge_of, wrap

if TYPE_CHECKING:
    from lucid._tensor import Tensor


def run_backward(
    roots: Sequence[TensorBase],
    cotangents: Sequence[Tensor],
    targets: Sequence[TensorBase] | None = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
    stops: bool = False,
) -> list[Tensor | None]:
    """Propagate ``cotangents`` from ``roots`` back through the graph.

    Without ``targets``, gradients are added to ``.grad`` of every leaf that requires one. With ``targets``, only their
    gradients are computed and returned (``None`` for a target that was not used), and no ``.grad`` changes. ``stops``
    says not to go on through targets: the gradient of one target then leaves out its share through another.

    Raises:
        RuntimeError: the graph was freed by an earlier backward pass.
    """
    target_index: dict[object, int] | None = None
    if targets is not None:
        target_index = {_key(edge_of(t)): i for i, t in reversed(list(enumerate(targets)))}
    needed = _needed_nodes([t._node for t in roots if t._node is not None], target_index, stops)

    # A heap, newest node first: every consumer of a node is newer than the node, so all cotangents have arrived when
    # a node is popped. No recursion, because a deep model would exceed Python's recursion limit.
    results: list[Tensor | None] = [None] * (0 if targets is None else len(targets))
    pending: dict[Node, list[Tensor | None]] = {}
    queue: list[tuple[int, Node]] = []
    leaves: dict[int, tuple[TensorBase, Tensor]] = {}

    def send(edge: Edge, gradient: Tensor) -> None:
        if isinstance(edge, TensorBase):
            before = leaves.get(id(edge))
            leaves[id(edge)] = (edge, gradient if before is None else _add(before[1], gradient))
            return
        node, index = edge
        if node not in needed and (target_index is None or _key(edge) not in target_index):
            return
        slots = pending.get(node)
        if slots is None:
            slots = pending[node] = [None] * len(node.outputs)
            heapq.heappush(queue, (-node.serial, node))
        seen = slots[index]
        slots[index] = gradient if seen is None else _add(seen, gradient)

    # Without autocast: recorded operations carry their casts, and hooks must not depend on where backward is called.
    with set_recording(create_graph), autocasting(None):
        for root, cotangent in zip(roots, cotangents, strict=True):
            send(edge_of(root), cotangent)
        while queue:
            node = heapq.heappop(queue)[1]
            slots = pending.pop(node)
            for index, gradient in enumerate(slots):
                if gradient is None:
                    continue
                if node.hooks and index in node.hooks:
                    gradient = slots[index] = run_hooks(node.hooks[index], gradient)
                if target_index is not None and (position := target_index.get((node, index))) is not None:
                    results[position] = gradient
                    slots[index] = None if stops else gradient
                elif target_index is None and node.retained and index in node.retained:
                    owner = node.retained[index]()
                    if owner is not None:
                        owner.grad = _own(gradient) if owner.grad is None else _add(owner.grad, gradient)
            if node not in needed or (stops and all(one is None for one in slots)):
                continue
            full = [
                wrap(mx.zeros(*node.outputs[i])) if gradient is None and not node.takes_none else gradient
                for i, gradient in enumerate(slots)
            ]
            edges = node.edges
            assert edges is not None
            if _overwritten.entries:
                _overwritten.check(node, full)  # type: ignore[arg-type]
            gradients = node.pullback(full)  # type: ignore[arg-type]
            if tape.watch is not None:
                tape.watch.backward(node, full, gradients)
            if target_index is None and not create_graph:  # otherwise some of them may never be needed
                gradients = _compute_together(edges, gradients)
            for edge, gradient in zip(edges, gradients, strict=True):
                if gradient is not None:
                    send(edge, gradient)
            if not (retain_graph or create_graph):
                node.free()
        if target_index is None:
            # Existing gradients come from an earlier micro-batch. Start their evaluation now, so that accumulating over
            # many micro-batches needs the memory of one at a time.
            _deferred.start([leaf.grad._array for leaf, _ in leaves.values() if leaf.grad is not None])
        for leaf, gradient in leaves.values():
            if leaf._hooks:
                gradient = run_hooks(leaf._hooks, gradient)
            if target_index is not None:
                position = target_index.get(id(leaf))
                if position is not None:
                    results[position] = gradient
            elif leaf._requires_grad:
                with _threads.lock:  # several threads may add to the same gradient
                    _accumulate(leaf, gradient, create_graph)
                run_after(leaf)
    if target_index is not None and targets is not None:  # the same target may be given twice
        results = [results[target_index[_key(edge_of(t))]] for t in targets]
    return results


def backward_into(
    inputs: TensorBase | Sequence[TensorBase],
    roots: Sequence[TensorBase],
    cotangents: Sequence[Tensor],
    *,
    retain_graph: bool,
    create_graph: bool,
) -> None:
    """``run_backward`` that adds the gradients to ``.grad`` of ``inputs`` only, which may be results too.

    Raises:
        RuntimeError: there are no inputs, or one does not require gradients.
        TypeError: an input is not a tensor.
    """
    given = [inputs] if isinstance(inputs, TensorBase) else list(inputs)
    if not given:
        raise RuntimeError("backward: inputs must not be empty")
    for i, one in enumerate(given):
        if not isinstance(one, TensorBase):
            raise TypeError(f"backward: inputs must be tensors, got {type(one).__name__} at position {i}")
        if one._node is None and not one._requires_grad:
            raise RuntimeError(f"backward: input {i} does not require grad")
    targets = list({id(one): one for one in given}.values())
    found = run_backward(roots, cotangents, targets, retain_graph=retain_graph, create_graph=create_graph)
    with set_recording(create_graph), _threads.lock:
        for target, gradient in zip(targets, found, strict=True):
            if gradient is not None:
                _accumulate(target, gradient, create_graph)
                run_after(target)


def _accumulate(leaf: TensorBase, gradient: Tensor, create_graph: bool) -> None:
    """Add ``gradient`` to ``leaf.grad``, in place unless it is recorded, so that what shares its values follows."""
    total = leaf.grad
    if total is None:
        leaf.grad = _own(gradient)
        return
    before, more = total._array, gradient._array
    if create_graph or before.shape != more.shape or before.dtype != more.dtype:
        leaf.grad = _add(total, gradient)
    else:
        total._rebind(mx.add(before, more) if _deferred.operations() is None else _add(total, gradient)._array)
        _deferred.created(total)


def _own(gradient: Tensor) -> Tensor:
    """``gradient`` as a tensor of its own: hooks or the caller of ``backward(gradient)`` may hold the given one."""
    return wrap(gradient._array, gradient._node, gradient._index)


def _compute_together(edges: list[Edge], gradients: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
    """The gradients of a node's inputs, with those of leaves computed before the others are used.

    On its own, MLX walks back through the whole network first and computes the gradients of parameters at the end,
    which keeps everything they are computed from in memory until then.
    """
    leaves = sum(isinstance(edge, TensorBase) for edge in edges)
    if not 0 < leaves < len(edges) or any(gradient is None for gradient in gradients):
        return gradients
    arrays = [gradient._array for gradient in gradients if gradient is not None]
    return [wrap(array) for array in mx.depends(arrays, arrays)]


def _needed_nodes(starts: list[Node], target_index: dict[object, int] | None, stops: bool) -> set[Node]:
    """The nodes reachable from ``starts`` that lead to a target, or all of them without targets."""
    reached: set[Node] = set()
    ends = {key[0] for key in target_index or () if isinstance(key, tuple)} if stops else set()
    stack = list(starts)
    while stack:
        node = stack.pop()
        if node in reached:
            continue
        reached.add(node)
        if node in ends:
            continue
        if node.edges is None:
            if target_index is not None and any(key[0] is node for key in target_index if isinstance(key, tuple)):
                continue
            raise RuntimeError(
                f"backward: the graph through '{node.name}' was freed by an earlier backward pass; "
                "pass retain_graph=True to that backward() to use the graph again"
            )
        stack.extend(edge[0] for edge in node.edges if isinstance(edge, tuple))
    if target_index is None:
        return reached
    needed: set[Node] = set()
    for node in sorted(reached, key=lambda n: n.serial):
        for edge in node.edges or ():
            if _key(edge) in target_index or (isinstance(edge, tuple) and edge[0] in needed):
                needed.add(node)
                break
    return needed


def _key(edge: Edge) -> object:
    return id(edge) if isinstance(edge, TensorBase) else edge


class RemovableHandle:
    """Removes a registered hook: call ``remove()``, or use it as a context manager."""

    _ids = itertools.count()  # never reused, so that removing a hook twice cannot remove another one

    def __init__(self, hooks: dict[int, Any], hook: Any, prepend: bool = False) -> None:
        self._hooks = hooks
        self.id = next(self._ids)
        others = dict(hooks) if prepend else {}
        if prepend:
            hooks.clear()
        hooks[self.id] = hook
        hooks.update(others)

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class AfterAccumulation:
    """A hook that is called with a leaf once its gradient is in ``.grad``."""

    def __init__(self, hook: Callable[[Tensor], None]) -> None:
        self.hook = hook


def run_after(leaf: TensorBase) -> None:
    for one in list((leaf._hooks or {}).values()):
        if isinstance(one, AfterAccumulation):
            one.hook(cast("Tensor", leaf))


def run_hooks(hooks: dict[int, Callable[[Tensor], Any]], gradient: Tensor) -> Tensor:
    for hook in list(hooks.values()):
        if isinstance(hook, AfterAccumulation):
            continue
        changed = hook(gradient)
        if changed is not None:
            if not isinstance(changed, TensorBase) or changed._array.shape != gradient._array.shape:
                raise TypeError(
                    f"register_hook: a hook must return None or a tensor of shape {gradient._array.shape}, "
                    f"got {getattr(changed, 'shape', type(changed).__name__)}"
                )
            gradient = cast("Tensor", changed)
    return gradient


def _add(a: Tensor, b: Tensor) -> Tensor:
    return cast("Tensor", apply(mx.add, (a, b), {}, "add"))

"""Values that were changed through ``.data`` while a graph may still need them.

A graph keeps the arrays that it was recorded with, so its gradients are those of the values at that time. PyTorch saves
tensors: it refuses to differentiate if one of them was modified in place since, but does not notice writes through
``.data``, and then uses the new values. The backward pass asks here whether a gradient depends on that, and raises.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from lucid import _deferred
from lucid.tape import Node, TensorBase

if TYPE_CHECKING:
    from lucid._tensor import Tensor

_Now = Callable[[], "mx.array | None"]

# By the id of the former array: a weak reference to it, and what returns the present value.
entries: dict[int, tuple[weakref.ref[mx.array], _Now]] = {}
views: set[str] = set()  # the names of operations that return a view, which ``view_op`` adds


def note(array: mx.array, now: _Now) -> None:
    """Remember that the value ``array`` was overwritten, as long as it is in use."""
    key = id(array)

    def forget(reference: weakref.ref[mx.array], entries: Any = entries) -> None:  # bound: Python may be exiting
        entry = entries.get(key)
        if entry is not None and entry[0] is reference:
            del entries[key]

    entries[key] = (weakref.ref(array, forget), now)


def note_tensor(tensor: TensorBase) -> None:
    """Remember that the value of ``tensor`` is about to be overwritten."""
    reference = weakref.ref(tensor)

    def now() -> mx.array | None:
        owner = reference()
        return None if owner is None else owner._array

    note(tensor._array, now)


def check(node: Node, cotangents: list[Tensor]) -> None:
    """Refuse a gradient of ``node`` that depends on whether a value was changed through ``.data`` since it was used.

    Raises:
        RuntimeError: it does.
    """
    if node.args is None:
        changed = any(id(one) in entries for one in getattr(node, "_inputs", ()))
        arguments: tuple[Any, ...] = ()
    else:
        assert node.edges is not None
        places = node.places or [(i,) for i in range(len(node.edges))]  # a checkpoint has an edge for each argument
        edges: dict[Any, Any] = dict(zip(places, node.edges, strict=True))
        arguments = tuple([_present(one, edges.get((i,))) for i, one in enumerate(node.args)])
        changed = any(one is not other for one, other in zip(arguments, node.args, strict=True))
    if changed and not _agree(node, arguments, cotangents):
        raise RuntimeError(
            f"backward: a value that '{node.name}' was computed from was changed through .data since, and the gradient "
            "would depend on which of the two values is used; change it after backward(), or use a clone()"
        )


def _present(value: Any, edge: Any = None) -> Any:
    """``value`` with the present values in place of those that were overwritten; itself if there are none."""
    if isinstance(value, list | tuple):
        items = [_present(one) for one in value]
        same = all(one is other for one, other in zip(items, value, strict=True))
        return value if same or hasattr(value, "_fields") else type(value)(items)
    if not isinstance(value, mx.array):
        return value
    entry = entries.get(id(value))
    if entry is not None and entry[0]() is value:
        return entry[1]()
    source = edge[0] if isinstance(edge, tuple) else None
    if source is not None and source.name in views and source.args and source.kwargs is not None:
        whole = _present(source.args[0], source.edges[0])  # a view that nobody holds any more
        if whole is not source.args[0]:
            out = source.body(whole, *source.args[1:], **source.kwargs)
            return out[edge[1]] if isinstance(out, tuple) else out
    return value


def _agree(node: Node, arguments: Sequence[Any], cotangents: list[Tensor]) -> bool:
    """Whether the gradients of ``node`` would be the same with other ``arguments``."""
    if node.args is None or _deferred.memo() is not None:
        return False
    args = node.args
    before = node.pullback(cotangents)
    try:
        node.args = tuple(arguments)
        after = node.pullback(cotangents)
    except (ValueError, RuntimeError, TypeError):  # of another shape or dtype, or unknown
        return False
    finally:
        node.args = args
    pairs = [
        (one._array, other._array)
        for one, other in zip(before, after, strict=True)
        if one is not None and other is not None
    ]
    return all(
        one.shape == other.shape and _deferred.item(mx.array_equal(one, other, equal_nan=True)) for one, other in pairs
    )

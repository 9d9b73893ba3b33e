"""The recorded graph: hooks for what functions save for the backward pass, and gradient edges."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import mlx.core as mx

from lucid import tape
from lucid._tensor import Tensor

Node = tape.Node
__all__ = [
    "GradientEdge", "disable_saved_tensors_hooks", "get_gradient_edge", "register_multi_grad_hook", "save_on_cpu",
    "saved_tensors_hooks",
]  # fmt: skip


class _Hooks(threading.local):
    def __init__(self) -> None:
        self.stack: list[tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]] = []
        self.refused: list[str] = []


_hooks = _Hooks()


class saved_tensors_hooks:
    """Context manager whose ``pack_hook`` stores what the graph saves, and whose ``unpack_hook`` returns it.

    That is every tensor that a recorded operation takes, and what an ``autograd.Function`` gives to
    ``ctx.save_for_backward``. PyTorch's operations save less where their gradient needs less, or save their result
    instead, so that the hooks are called for other tensors there.

    Example:
        >>> x = lucid.ones(3, requires_grad=True)
        >>> with lucid.autograd.graph.saved_tensors_hooks(lambda saved: saved.numpy(), lucid.tensor):
        ...     y = (x * x).sum()
        ...
        >>> y.backward()
        >>> assert x.grad is not None
        >>> x.grad.tolist()
        [2.0, 2.0, 2.0]
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self._pair = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if _hooks.refused:
            raise RuntimeError(f"saved_tensors_hooks: {_hooks.refused[-1]}")
        _hooks.stack.append(self._pair)
        _packing.count(1)

    def __exit__(self, *exc: object) -> None:
        _hooks.stack.pop()
        _packing.count(-1)


class save_on_cpu(contextlib.AbstractContextManager[None]):
    """Context manager without effect: memory is unified, so there is nothing to move."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Context manager in which ``saved_tensors_hooks`` raises a RuntimeError with this message."""
    _hooks.refused.append(error_message)
    try:
        yield
    finally:
        _hooks.refused.pop()


def pack(context: Any) -> None:
    """Pass what a function has saved through the hooks."""
    if _hooks.stack:
        store, restore = _hooks.stack[-1]
        context._saved = tuple(store(one) if isinstance(one, Tensor) else one for one in context._saved)
        context._packed = restore


class _Packed(NamedTuple):
    """What stands for an array in the arguments of a recorded operation."""

    stored: Any
    restore: Callable[[Any], Tensor]
    shape: tuple[int, ...]

    def array(self) -> mx.array:
        found = self.restore(self.stored)
        if not isinstance(found, Tensor):
            raise TypeError(f"saved_tensors_hooks: unpack_hook must return a tensor, got {type(found).__name__}")
        if found.shape != self.shape:
            raise ValueError(
                f"saved_tensors_hooks: unpack_hook must return the shape {self.shape} that was saved, got {found.shape}"
            )
        return found._array


class _PackedNode(tape.Node):
    """A recorded operation whose arguments are unpacked for the backward pass."""

    __slots__ = ()

    def pullback(self, cotangents: list[Tensor]) -> Sequence[Tensor | None]:
        packed = self.args, self.kwargs
        self.args, self.kwargs = (_replaced(one, _Packed, _Packed.array) for one in packed)
        try:
            return super().pullback(cotangents)
        finally:
            self.args, self.kwargs = packed


def _replaced(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """``value`` with the objects of a class in it changed."""
    if isinstance(value, kind):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)(_replaced(one, kind, change) for one in value)
    return {key: _replaced(one, kind, change) for key, one in value.items()} if type(value) is dict else value


class _Packing:
    """What the tape calls for each operation while hooks are there; it passes the call on to anomaly mode's watch."""

    def __init__(self) -> None:
        self.inner: Any = None
        self._users, self._lock = 0, threading.Lock()

    def count(self, change: int) -> None:
        with self._lock:
            self._users += change
            tape.watch = self if self._users else self.inner

    def forward(self, name: str, args: Any, kwargs: dict[str, Any], out: Any, node: tape.Node | None) -> None:
        if self.inner is not None:
            self.inner.forward(name, args, kwargs, out, node)
        if node is None or not _hooks.stack:
            return
        store, restore = _hooks.stack[-1]
        before, _hooks.stack = _hooks.stack, []  # what the hook itself computes is not packed
        try:
            node.args, node.kwargs = (
                _replaced(one, mx.array, lambda array: _Packed(store(tape.wrap(array)), restore, array.shape))
                for one in (node.args, node.kwargs)
            )
        finally:
            _hooks.stack = before
        node.__class__ = _PackedNode

    def backward(self, node: tape.Node, cotangents: Any, gradients: Any) -> None:
        if self.inner is not None:
            self.inner.backward(node, cotangents, gradients)


_packing = _Packing()


def watch(inner: Any) -> None:
    """Have the tape call ``inner`` for each operation, or nothing for None; anomaly mode does this."""
    _packing.inner = inner
    _packing.count(0)


class GradientEdge(NamedTuple):
    """Output number ``output_nr`` of a recorded operation."""

    node: tape.Node
    output_nr: int


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge of a computed tensor.

    Raises:
        RuntimeError: the tensor was not computed from one that requires gradients.
    """
    if tensor._node is None:
        raise RuntimeError("get_gradient_edge: the tensor was not computed from one that requires grad")
    return GradientEdge(tensor._node, tensor._index)


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[..., None], *, mode: str = "all"
) -> contextlib.AbstractContextManager[Any]:
    """Call ``fn`` once in a backward pass: with all gradients of ``tensors``, or with ``mode="any"`` with the first.

    Returns:
        A handle with ``remove()``.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"register_multi_grad_hook: mode must be 'all' or 'any', got {mode!r:.60}")
    found: dict[int, Tensor] = {}

    def note(position: int) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            if mode == "any":
                if not found:
                    found[position] = gradient
                    fn(gradient)
                if position == len(tensors) - 1:
                    found.clear()
                return
            found[position] = gradient
            if len(found) == len(tensors):
                gradients = [found[i] for i in range(len(tensors))]
                found.clear()
                fn(gradients)

        return hook

    handles = [one.register_hook(note(i)) for i, one in enumerate(tensors)]
    return _Handles(handles)


class _Handles(contextlib.AbstractContextManager[None]):
    def __init__(self, handles: list[Any]) -> None:
        self._handles = handles

    def remove(self) -> None:
        for one in self._handles:
            one.remove()

    def __exit__(self, *exc: object) -> None:
        self.remove()

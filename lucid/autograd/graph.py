"""The recorded graph: hooks for what functions save for the backward pass, and gradient edges."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

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
    """Context manager whose ``pack_hook`` stores what functions save, and whose ``unpack_hook`` returns it.

    It applies to what an ``autograd.Function`` gives to ``ctx.save_for_backward``. Lucid's own operations save nothing:
    their graph holds arrays, which it shares with the tensors.
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self._pair = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if _hooks.refused:
            raise RuntimeError(f"saved_tensors_hooks: {_hooks.refused[-1]}")
        _hooks.stack.append(self._pair)

    def __exit__(self, *exc: object) -> None:
        _hooks.stack.pop()


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

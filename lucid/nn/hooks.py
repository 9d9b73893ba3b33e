"""Hooks of modules: what they may return, and how a backward hook gets its place on the tape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lucid import _grad_mode, tape
from lucid._tensor import Tensor

if TYPE_CHECKING:
    from lucid.nn.module import Module


def checked_arguments(changed: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that a hook returned in place of those of a call."""
    if (
        isinstance(changed, tuple)
        and len(changed) == 2
        and isinstance(changed[0], tuple)
        and isinstance(changed[1], dict)
    ):
        return changed
    raise RuntimeError(
        "register_forward_pre_hook: a hook with_kwargs must return None or (args, kwargs), a tuple and a dict, "
        f"got {type(changed).__name__}"
    )


class BackwardHooks:
    """One call of a module with backward hooks: its inputs and outputs pass through nodes that watch the gradients."""

    def __init__(self, module: Module, hooks: Iterable[Callable[..., Any]]) -> None:
        self._module = module
        self._hooks = list(hooks)
        self._grad_output: tuple[Tensor | None, ...] = ()
        self._inputs: list[int] = []  # positions of the arguments whose gradients are known in the end
        self._count = 0

    def around_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self._count = len(args)
        if not _grad_mode.is_recording():
            return args
        self._inputs = [i for i, arg in enumerate(args) if isinstance(arg, Tensor) and arg.requires_grad]
        passed = dict(zip(self._inputs, self._through([args[i] for i in self._inputs], self._run), strict=True))
        return tuple(passed.get(i, arg) for i, arg in enumerate(args))

    def around_outputs(self, result: Any) -> Any:
        outputs = list(result) if isinstance(result, tuple | list) else [result]
        live = [i for i, one in enumerate(outputs) if isinstance(one, Tensor) and one.requires_grad]
        if not _grad_mode.is_recording() or not live:
            return result

        def arrived(gradients: list[Tensor]) -> list[Tensor]:
            known = dict(zip(live, gradients, strict=True))
            self._grad_output = tuple(known.get(i) for i in range(len(outputs)))
            if not self._inputs:  # nothing behind the module waits for a gradient
                self._run([])
            return gradients

        passed = dict(zip(live, self._through([outputs[i] for i in live], arrived), strict=True))
        changed = [passed.get(i, one) for i, one in enumerate(outputs)]
        if not isinstance(result, tuple | list):
            return changed[0]
        return type(result)(*changed) if hasattr(result, "_fields") else type(result)(changed)

    def _run(self, gradients: list[Tensor]) -> list[Tensor]:
        known = dict(zip(self._inputs, gradients, strict=True))
        grad_input: tuple[Tensor | None, ...] = tuple(known.get(i) for i in range(self._count))
        for hook in self._hooks:
            changed = hook(self._module, grad_input, self._grad_output)
            if changed is not None:
                changed = changed if isinstance(changed, tuple) else (changed,)
                if len(changed) != self._count:
                    raise RuntimeError(
                        f"register_full_backward_hook: the hook must return {self._count} gradients, got {len(changed)}"
                    )
                self._check(grad_input, changed)
                grad_input = changed
        return [grad_input[i] for i in self._inputs]  # type: ignore[misc]

    @staticmethod
    def _check(former: tuple[Tensor | None, ...], changed: tuple[Any, ...]) -> None:
        for old, new in zip(former, changed, strict=True):
            if old is not None and getattr(new, "shape", None) != old.shape:
                raise TypeError(
                    "register_full_backward_hook: a hook must return tensors of the shape of grad_input, "
                    f"{old.shape}, got {getattr(new, 'shape', type(new).__name__)}"
                )

    @staticmethod
    def _through(tensors: list[Tensor], watch: Callable[[list[Tensor]], list[Tensor]]) -> list[Tensor]:
        """The same values behind one node, which hands the gradients of all of them to ``watch``."""
        if not tensors:
            return []
        outputs = [(one._array.shape, one._array.dtype) for one in tensors]
        node = _Watcher("module hook", [tape.edge_of(one) for one in tensors], outputs)
        node.watch = watch
        return [tape.wrap(one._array, node, i) for i, one in enumerate(tensors)]


class _Watcher(tape.Node):
    """The identity, whose gradients pass through a function."""

    __slots__ = ("watch",)
    watch: Callable[[list[Tensor]], list[Tensor]]

    def pullback(self, cotangents: list[Tensor]) -> Sequence[Tensor | None]:
        return self.watch(cotangents)

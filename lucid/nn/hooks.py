"""Module hooks: the call of a module that has some, and the graph nodes that run backward hooks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lucid import _checks, _grad_mode, tape
from lucid._tensor import Tensor

if TYPE_CHECKING:
    from lucid.nn.module import Module


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``module.forward(*args, **kwargs)`` with the module's hooks."""
    called: set[int] = set()
    result = None
    try:
        for hook, with_kwargs in list(module._forward_pre_hooks.values()):
            changed = hook(module, args, kwargs) if with_kwargs else hook(module, args)
            if changed is None:
                continue
            if with_kwargs:
                args, kwargs = _check_arguments(changed)
            else:
                args = changed if isinstance(changed, tuple) else (changed,)
        backward = BackwardHooks(module, module._backward_hooks.values()) if module._backward_hooks else None
        if backward is not None:
            args = backward.wrap_inputs(args)
        result = module.forward(*args, **kwargs)
        for number, (hook, with_kwargs, _) in list(module._forward_hooks.items()):
            called.add(number)
            changed = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
            if changed is not None:
                result = changed
        return result if backward is None else backward.wrap_outputs(result)
    except Exception:
        for number, (hook, with_kwargs, always_call) in list(module._forward_hooks.items()):
            if always_call and number not in called:
                _call_after_error(hook, (module, args, kwargs, result) if with_kwargs else (module, args, result))
        raise


def _call_after_error(hook: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Call a hook registered with ``always_call``. Its own error is a warning, because another one is raised."""
    try:
        hook(*arguments)
    except Exception as error:
        warnings.warn(
            f"register_forward_hook: a hook with always_call=True raised {error!r} after another error",
            stacklevel=_checks.level_of_user(),
        )


def _check_arguments(changed: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that a forward pre-hook returned, checked."""
    if (
        isinstance(changed, tuple)
        and len(changed) == 2
        and isinstance(changed[0], tuple)
        and isinstance(changed[1], dict)
    ):
        return changed
    raise RuntimeError(
        "register_forward_pre_hook: a hook with with_kwargs=True must return None or (args, kwargs), "
        f"got {type(changed).__name__}"
    )


class BackwardHooks:
    """One call of a module with backward hooks: nodes around its inputs and outputs receive the gradients."""

    def __init__(self, module: Module, hooks: Iterable[Callable[..., Any]]) -> None:
        self._module = module
        self._hooks = list(hooks)
        self._grad_output: tuple[Tensor | None, ...] = ()
        self._inputs: list[int] = []  # positions of the arguments that get gradients
        self._count = 0

    def wrap_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self._count = len(args)
        if not _grad_mode.is_recording():
            return args
        self._inputs = [i for i, arg in enumerate(args) if isinstance(arg, Tensor) and arg.requires_grad]
        passed = dict(zip(self._inputs, self._attach_node([args[i] for i in self._inputs], self._run), strict=True))
        return tuple(passed.get(i, arg) for i, arg in enumerate(args))

    def wrap_outputs(self, result: Any) -> Any:
        outputs = list(result) if isinstance(result, tuple | list) else [result]
        live = [i for i, one in enumerate(outputs) if isinstance(one, Tensor) and one.requires_grad]
        if not _grad_mode.is_recording() or not live:
            return result

        def arrived(gradients: list[Tensor]) -> list[Tensor]:
            known = dict(zip(live, gradients, strict=True))
            self._grad_output = tuple(known.get(i) for i in range(len(outputs)))
            if not self._inputs:  # no input needs a gradient, so the input node never runs
                self._run([])
            return gradients

        passed = dict(zip(live, self._attach_node([outputs[i] for i in live], arrived), strict=True))
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
                        f"register_full_backward_hook: a hook must return {self._count} gradients, got {len(changed)}"
                    )
                self._check(grad_input, changed)
                grad_input = changed
        return [grad_input[i] for i in self._inputs]  # type: ignore[misc]

    @staticmethod
    def _check(previous: tuple[Tensor | None, ...], changed: tuple[Any, ...]) -> None:
        for old, new in zip(previous, changed, strict=True):
            if old is not None and getattr(new, "shape", None) != old.shape:
                raise TypeError(
                    "register_full_backward_hook: a hook must return tensors in the shapes of grad_input, "
                    f"expected {old.shape}, got {getattr(new, 'shape', type(new).__name__)}"
                )

    @staticmethod
    def _attach_node(tensors: list[Tensor], on_gradients: Callable[[list[Tensor]], list[Tensor]]) -> list[Tensor]:
        """The same values as outputs of one node, which passes their gradients to ``on_gradients``."""
        if not tensors:
            return []
        outputs = [(one._array.shape, one._array.dtype) for one in tensors]
        node = _HookNode("module hook", [tape.edge_of(one) for one in tensors], outputs)
        node.on_gradients = on_gradients
        return [tape.wrap(one._array, node, i) for i, one in enumerate(tensors)]


class _HookNode(tape.Node):
    """An identity node whose gradients pass through a function."""

    __slots__ = ("on_gradients",)
    on_gradients: Callable[[list[Tensor]], list[Tensor]]

    def pullback(self, cotangents: list[Tensor]) -> Sequence[Tensor | None]:
        return self.on_gradients(cotangents)

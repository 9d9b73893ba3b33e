"""Differentiable functions of one's own, with ``forward`` and ``backward``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import mlx.core as mx

from lucid import _grad_mode, tape
from lucid._tensor import Tensor
from lucid.autograd import graph


class Context:
    """The context of a ``Function``, which ``forward`` passes to ``backward``."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._saved: tuple[Any, ...] = ()
        self._packed: Callable[[Any], Any] | None = None
        self._not_differentiable: tuple[Any, ...] = ()
        self._dirty: tuple[Any, ...] = ()
        self._materialize = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Save tensors for ``backward``, where they are in ``saved_tensors``."""
        self._saved = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Accepted for compatibility with PyTorch: forward-mode gradients are made of backward passes."""

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The arguments of ``save_for_backward``."""
        if self._packed is None:
            return self._saved
        return tuple(None if one is None else self._packed(one) for one in self._saved)

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Mark outputs as not differentiable."""
        self._not_differentiable = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Mark inputs that ``forward`` changed in place and returns."""
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether ``backward`` gets zeros for outputs without a gradient, which is the default, or ``None``."""
        self._materialize = bool(value)


class _FunctionNode(tape.Node):
    __slots__ = ("context", "count", "function", "shapes", "slots")

    def __init__(self, function: type[Function], context: Context, inputs: tuple[Any, ...], outputs: list[Any]) -> None:
        self.slots = [i for i, t in enumerate(inputs) if isinstance(t, Tensor) and t.requires_grad]
        self.shapes = [inputs[i].shape for i in self.slots]
        super().__init__(
            function.__name__, [tape.edge_of(inputs[i]) for i in self.slots], [(o.shape, o.dtype) for o in outputs]
        )
        self.function, self.context, self.count = function, context, len(inputs)
        self.takes_none = not context._materialize

    def pullback(self, cotangents: list[Tensor]) -> list[Tensor | None]:
        out = self.function.backward(self.context, *cotangents)
        grads = list(out) if isinstance(out, tuple | list) else [out]
        extra = grads[self.count :]
        if len(grads) < self.count or any(one is not None for one in extra):
            raise RuntimeError(
                f"{self.name}.backward: expected one gradient for each of the {self.count} inputs of forward, "
                f"got {len(grads)}"
            )
        for i, shape in zip(self.slots, self.shapes, strict=True):
            if grads[i] is not None and (not isinstance(grads[i], Tensor) or grads[i].shape != shape):
                got = grads[i].shape if isinstance(grads[i], Tensor) else type(grads[i]).__name__
                raise RuntimeError(
                    f"{self.name}.backward: the gradient of input {i} must be None or a tensor of shape {shape}, "
                    f"got {got}"
                )
        return [grads[i] for i in self.slots]

    def free(self) -> None:
        super().free()
        self.context._saved = ()


class Function:
    """A custom differentiable function, as in PyTorch: subclass it and call ``apply``.

    ``backward`` returns one gradient for each argument of ``forward``, or ``None``. If it uses Lucid operations, it can
    be differentiated again. With a static method ``setup_context(ctx, inputs, output)``, ``forward`` takes no ``ctx``.
    Static methods ``jvp`` and ``vmap`` are not called: both follow from ``forward`` and ``backward``.

    Example:
        >>> class Cube(lucid.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x**3
        ...
        ...     @staticmethod
        ...     def backward(ctx, gradient):
        ...         (x,) = ctx.saved_tensors
        ...         return 3 * x**2 * gradient
        >>> x = lucid.tensor(2.0, requires_grad=True)
        >>> Cube.apply(x).backward()
        >>> print(x.grad)
        tensor(12.)
    """

    generate_vmap_rule = False

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """The outputs; subclasses define it."""
        raise NotImplementedError("Function: define a static method forward(ctx, ...)")

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The gradient of each argument of ``forward``, from those of its outputs; subclasses define it."""
        raise NotImplementedError("Function: define a static method backward(ctx, ...)")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call ``forward``, and record ``backward`` as its derivative."""
        needs = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        context = Context(needs)
        setup = getattr(cls, "setup_context", None)
        # Written in place, an input would be its own input on the tape: these are the inputs as they were.
        before = tuple(tape.wrap(a._array, a._node, a._index) if _is_computed(a) else a for a in args)
        with _grad_mode.set_recording(False):
            out = cls.forward(*args, **kwargs) if setup else cls.forward(context, *args, **kwargs)
            if setup:
                setup(context, args, out)
        outputs = list(out) if isinstance(out, tuple | list) else [out]
        for i, output in enumerate(outputs):
            if output is not None and not isinstance(output, Tensor):
                raise TypeError(f"{cls.__name__}.forward: output {i} must be a tensor, got {type(output).__name__}")
        tensors = [one for one in outputs if one is not None]
        dirty = {id(one) for one in context._dirty}
        given = {id(one) for one in args} - dirty
        if any(needs) and _grad_mode.is_recording():
            constant = [id(t) for t in context._not_differentiable]
            node = _FunctionNode(cls, context, before if dirty else args, tensors)
            wrapped = [
                tape.wrap(o.mlx, node if mx.issubdtype(o.dtype, mx.inexact) and id(o) not in constant else None, i)
                for i, o in enumerate(tensors)
            ]
            for i, output in enumerate(tensors):
                if id(output) in dirty:
                    wrapped[i] = output._become(wrapped[i], cls.__name__)
            # Replace saved outputs by the recorded tensors, so that second derivatives flow through them.
            twins = {id(o): w for o, w in zip(tensors, wrapped, strict=True)}
            context._saved = tuple(s if id(s) in given else twins.get(id(s), s) for s in context._saved)
            graph.pack(context)
            tensors = wrapped
        remaining = iter(tensors)
        results = [None if one is None else next(remaining) for one in outputs]
        return tuple(results) if isinstance(out, tuple | list) else results[0]


def _is_computed(value: Any) -> bool:
    return isinstance(value, Tensor) and value._node is not None


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of ``Function.backward`` that makes its result a constant: it cannot be differentiated again."""

    @functools.wraps(backward)
    def call(ctx: Any, *gradients: Any) -> Any:
        with _grad_mode.set_recording(False):
            return backward(ctx, *gradients)

    return call

"""Automatic differentiation: ``grad``, ``no_grad`` and its relatives, custom functions, and ``gradcheck``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

import mlx.core as mx
import numpy as np

from lucid import _checks, _grad_mode, tape
from lucid._backward import backward_into, run_backward
from lucid._tensor import Tensor, cotangent_for, tensor
from lucid.ops import joining
from lucid.ops._types import TensorLike

_T = TypeVar("_T")
is_grad_enabled = _grad_mode.is_recording


class _Toggle(_grad_mode.set_recording):
    """A grad mode that is also a decorator, with or without parentheses: ``@no_grad`` and ``@no_grad()``."""

    _value: bool

    @overload
    def __new__(cls: type[_T], function: None = None) -> _T: ...
    @overload
    def __new__(cls, function: _grad_mode.F) -> _grad_mode.F: ...  # type: ignore[misc]
    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return super().__new__(cls) if function is None else _grad_mode.set_recording(cls._value)(function)

    def __init__(self, function: None = None) -> None:
        super().__init__(self._value)


class no_grad(_Toggle):
    """Context manager and decorator that disables gradients: results computed inside do not require them.

    Example:
        >>> weight = nn.Parameter([1.0, 2.0])
        >>> with lucid.no_grad():
        ...     print((weight * 2).requires_grad)
        ...
        False
    """

    _value = False


class enable_grad(_Toggle):
    """Context manager and decorator that enables gradients again inside ``no_grad``.

    Example:
        >>> x = lucid.tensor(3.0, requires_grad=True)
        >>> with lucid.no_grad(), lucid.enable_grad():
        ...     print((x * 2).requires_grad)
        ...
        True
    """

    _value = True


class inference_mode(_grad_mode.set_recording):
    """``no_grad``; with ``mode=False``, without effect. Results are ordinary tensors.

    Example:
        >>> weight = nn.Parameter([1.0, 2.0])
        >>> with lucid.inference_mode():
        ...     print((weight * 2).requires_grad)
        ...
        False
    """

    @overload
    def __new__(cls: type[_T], mode: bool = True) -> _T: ...
    @overload
    def __new__(cls, mode: _grad_mode.F) -> _grad_mode.F: ...  # type: ignore[misc]
    def __new__(cls, mode: Any = True) -> Any:
        return super().__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: Any = True) -> None:
        self._disables = bool(mode)
        super().__init__(False)

    def __enter__(self) -> None:
        if not self._disables:
            self._recording = _grad_mode.mode.recording
        super().__enter__()

    def __call__(self, function: _grad_mode.F) -> _grad_mode.F:
        return super().__call__(function) if self._disables else function


class set_grad_enabled(_grad_mode.set_recording):
    """Enable or disable gradients: immediately as a function, or as a context manager or decorator."""

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        self._outside = _grad_mode.is_recording()
        _grad_mode.mode.recording = self._recording

    def __enter__(self) -> None:
        self._before.append(self._outside)
        _grad_mode.mode.recording = self._recording

    def __call__(self, function: _grad_mode.F) -> _grad_mode.F:
        _grad_mode.mode.recording = self._outside
        return super().__call__(function)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: TensorLike | Sequence[TensorLike] = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: TensorLike | Sequence[TensorLike] = None,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Compute the gradient of the sum of ``tensors`` and add it to ``.grad`` of their leaves.

    See ``Tensor.backward``. ``grad_variables`` is an old name of ``grad_tensors``.
    """
    if grad_variables is not None:
        if grad_tensors is not None:
            raise RuntimeError("backward: grad_tensors and grad_variables are mutually exclusive")
        grad_tensors = grad_variables
    roots, cotangents = _roots(tensors, grad_tensors, "backward")
    keep = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        run_backward(roots, cotangents, retain_graph=keep, create_graph=create_graph)
    else:
        backward_into(inputs, roots, cotangents, retain_graph=keep, create_graph=create_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: TensorLike | Sequence[TensorLike] = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of the sum of ``outputs`` with respect to ``inputs``. No ``.grad`` changes.

    Args:
        grad_outputs: The gradients with respect to ``outputs``; optional for outputs with a single element.
        retain_graph: Whether to keep the graph for another backward pass, by default ``create_graph``.
        create_graph: Whether to record the backward pass, so that it can be differentiated again.
        only_inputs: Accepted for compatibility with PyTorch, which ignores it.
        allow_unused: Return ``None`` for inputs that ``outputs`` do not depend on, instead of raising.
        is_grads_batched: Whether ``grad_outputs`` have an additional first dimension; the result has it too, with the
            gradients for each of its entries.
        materialize_grads: Return zeros for inputs that ``outputs`` do not depend on.

    Raises:
        RuntimeError: an input does not require gradients or was not used, or the graph was freed.
        ValueError: an entry of ``grad_outputs`` has the wrong shape.

    Example:
        >>> x = lucid.tensor(3.0, requires_grad=True)
        >>> (dx,) = lucid.autograd.grad(x**2, x)
        >>> dx.item()
        6.0
    """
    if is_grads_batched:
        options = {"allow_unused": allow_unused, "materialize_grads": materialize_grads}
        return _batched_grad(outputs, inputs, grad_outputs, retain_graph, create_graph, options)
    roots, cotangents = _roots(outputs, grad_outputs, "grad")
    targets = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for i, target in enumerate(targets):
        if not target.requires_grad:
            raise RuntimeError(f"grad: input {i} does not require grad")
    keep = create_graph if retain_graph is None else retain_graph
    found: list[Any] = list(run_backward(roots, cotangents, targets, retain_graph=keep, create_graph=create_graph))
    for i, gradient in enumerate(found):
        if gradient is not None:
            continue
        if materialize_grads:
            found[i] = tape.wrap(mx.zeros(targets[i].shape, targets[i].dtype))
        elif not allow_unused:
            raise RuntimeError(
                f"grad: input {i} was not used to compute the outputs; pass allow_unused=True to get None for it"
            )
    return tuple(found)


def _batched_grad(
    outputs: Any, inputs: Any, grad_outputs: Any, retain_graph: bool | None, create_graph: bool, options: dict[str, Any]
) -> tuple[Any, ...]:
    rows = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs or ())
    if not rows or not all(isinstance(row, Tensor) and row.ndim for row in rows):
        raise _checks.ArgumentError("grad: grad_outputs must be tensors with a first dimension if is_grads_batched")
    lengths = {row.shape[0] for row in rows}
    if len(lengths) != 1 or lengths == {0}:
        raise _checks.ArgumentError(
            f"grad: grad_outputs must have first dimensions of one size, at least 1, got {sorted(lengths)}"
        )
    count = lengths.pop()
    found: list[tuple[Any, ...]] = []
    for i in range(count):
        keep = i < count - 1 or (create_graph if retain_graph is None else retain_graph)
        found.append(grad(outputs, inputs, [row[i] for row in rows], keep, create_graph, **options))
    return tuple(None if one[0] is None else joining.stack(one) for one in zip(*found, strict=True))


def _roots(outputs: Any, gradients: Any, caller: str) -> tuple[list[Tensor], list[Tensor]]:
    roots = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    if gradients is None:
        gradients = [None] * len(roots)
    elif isinstance(outputs, Tensor) and not (isinstance(gradients, list | tuple) and len(gradients) == 1):
        gradients = [gradients]
    if len(gradients) != len(roots):
        raise _checks.ArgumentError(f"{caller}: {len(roots)} outputs but {len(gradients)} gradients")
    for i, root in enumerate(roots):
        if not root.requires_grad:
            raise RuntimeError(
                f"{caller}: output {i} does not require grad and was not computed from a tensor that does"
            )
    return roots, [cotangent_for(r, g, caller) for r, g in zip(roots, gradients, strict=True)]


class Context:
    """The context of a ``Function``, which ``forward`` passes to ``backward``."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._saved: tuple[Any, ...] = ()
        self._not_differentiable: tuple[Any, ...] = ()
        self._materialize = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Save tensors for ``backward``, where they are in ``saved_tensors``."""
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The arguments of ``save_for_backward``."""
        return self._saved

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Mark outputs as not differentiable."""
        self._not_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Accepted for compatibility with PyTorch; missing gradients are always passed to ``backward`` as zeros."""
        self._materialize = value


class _FunctionNode(tape.Node):
    __slots__ = ("context", "count", "function", "shapes", "slots")

    def __init__(self, function: type[Function], context: Context, inputs: tuple[Any, ...], outputs: list[Any]) -> None:
        self.slots = [i for i, t in enumerate(inputs) if isinstance(t, Tensor) and t.requires_grad]
        self.shapes = [inputs[i].shape for i in self.slots]
        super().__init__(
            function.__name__, [tape.edge_of(inputs[i]) for i in self.slots], [(o.shape, o.dtype) for o in outputs]
        )
        self.function, self.context, self.count = function, context, len(inputs)

    def pullback(self, cotangents: list[Tensor]) -> list[Tensor | None]:
        out = self.function.backward(self.context, *cotangents)
        grads = list(out) if isinstance(out, tuple | list) else [out]
        if len(grads) != self.count:
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
    be differentiated again.

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
        with _grad_mode.set_recording(False):
            out = cls.forward(*args, **kwargs) if setup else cls.forward(context, *args, **kwargs)
            if setup:
                setup(context, args, out)
        outputs = list(out) if isinstance(out, tuple | list) else [out]
        for i, output in enumerate(outputs):
            if not isinstance(output, Tensor):
                raise TypeError(f"{cls.__name__}.forward: output {i} must be a tensor, got {type(output).__name__}")
        if any(needs) and _grad_mode.is_recording():
            constant = [id(t) for t in context._not_differentiable]
            node = _FunctionNode(cls, context, args, outputs)
            wrapped = [
                tape.wrap(o.mlx, node if o.is_floating_point() and id(o) not in constant else None, i)
                for i, o in enumerate(outputs)
            ]
            # Replace saved outputs by the recorded tensors, so that second derivatives flow through them.
            twins = {id(o): w for o, w in zip(outputs, wrapped, strict=True)}
            given = {id(a) for a in args}
            context._saved = tuple(s if id(s) in given else twins.get(id(s), s) for s in context._saved)
            outputs = wrapped
        return tuple(outputs) if isinstance(out, tuple | list) else outputs[0]


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of ``func`` agree with central differences.

    Perturbs every element of every input that requires gradients. The other arguments of PyTorch's function are
    accepted and have no effect, except that checks of what Lucid does not have raise.

    Args:
        eps: The step of the differences: by default 1e-6 if all inputs that require gradients are float64, else 1e-2.
        atol: The absolute tolerance: by default 1e-5, or 1e-2.
        rtol: The relative tolerance: by default 1e-3, or 1e-2.
        raise_exception: Whether to raise instead of returning False.

    Raises:
        ValueError: no input requires gradients.
        NotImplementedError: ``check_forward_ad`` or ``check_batched_forward_grad`` is true.
        RuntimeError: a gradient differs and ``raise_exception`` is true; the message names the input and the element.

    Example:
        >>> x = lucid.tensor([0.5, 1.5], dtype=lucid.float64, requires_grad=True)
        >>> with lucid.device("cpu"):  # float64 runs on the CPU
        ...     print(lucid.autograd.gradcheck(lucid.sin, (x,)))
        ...
        True
    """
    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    chosen = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    if not chosen:
        raise ValueError("gradcheck: at least one input must require grad")
    if check_forward_ad or check_batched_forward_grad:
        raise NotImplementedError("gradcheck: forward-mode gradients are not supported; pass check_forward_ad=False")
    defaults = (1e-6, 1e-5, 1e-3) if all(args[i].dtype == mx.float64 for i in chosen) else (1e-2, 1e-2, 1e-2)
    eps, atol, rtol = (
        default if one is None else one for one, default in zip((eps, atol, rtol), defaults, strict=True)
    )
    leaves = [a.detach().requires_grad_() if i in chosen else a for i, a in enumerate(args)]
    outputs = _floating_outputs(func(*leaves))
    rng = np.random.default_rng(0)
    cotangents = [rng.uniform(0.5, 1.5, o.shape).astype(np.float32) for o in outputs]
    live = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
    targets = [leaves[i] for i in chosen]
    if live:
        analytic = grad([o for o, _ in live], targets, [c for _, c in live], materialize_grads=True)
    else:
        analytic = tuple(tape.wrap(mx.zeros(t.shape, t.dtype)) for t in targets)

    def weighted_sum(values: list[Any]) -> float:
        with _grad_mode.set_recording(True):
            results = _floating_outputs(func(*values))
        pairs = zip(results, cotangents, strict=True)
        return float(sum(np.sum(r.detach().numpy().astype(np.float64) * c) for r, c in pairs))

    for slot, gradient in zip(chosen, analytic, strict=True):
        base = leaves[slot].detach().numpy()
        for index in np.ndindex(base.shape):
            sides = []
            for sign in (1, -1):
                moved = base.copy()
                moved[index] += sign * eps
                sides.append((weighted_sum([*leaves[:slot], _leaf(moved), *leaves[slot + 1 :]]), float(moved[index])))
            numeric = (sides[0][0] - sides[1][0]) / (sides[0][1] - sides[1][1])
            ours = float(gradient.detach().numpy()[index])
            if not abs(ours - numeric) <= atol + rtol * abs(numeric):
                if raise_exception:
                    raise RuntimeError(
                        f"gradcheck: input {slot}, element {index}: the gradient is {ours:.6g}, "
                        f"but central differences give {numeric:.6g}"
                    )
                return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    gen_non_contig_grad_outputs: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    **kwargs: Any,
) -> bool:
    """Whether the second derivatives of ``func`` agree with central differences of its gradient.

    Args:
        grad_outputs: The gradients with respect to the outputs of ``func``, random by default.
        **kwargs: Arguments of ``gradcheck``.
    """
    if check_fwd_over_rev:
        raise NotImplementedError("gradgradcheck: forward-mode gradients are not supported")
    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    chosen = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    shapes = [o.shape for o in _floating_outputs(func(*args))]
    rng = np.random.default_rng(1)
    if grad_outputs is None:
        weights = [tape.wrap(mx.array(rng.uniform(0.5, 1.5, s).astype(np.float32))) for s in shapes]
    else:
        weights = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)

    def first(*values: Any) -> tuple[Tensor, ...]:
        outputs = _floating_outputs(func(*values))
        live = [(o, w) for o, w in zip(outputs, weights, strict=True) if o.requires_grad]
        targets = [values[i] for i in chosen]
        return grad([o for o, _ in live], targets, [w for _, w in live], create_graph=True, materialize_grads=True)

    return gradcheck(first, args, **kwargs)


def _leaf(values: np.ndarray) -> Tensor:
    return tensor(values, dtype=_checks.dtype("gradcheck", values.dtype), requires_grad=True)


def _floating_outputs(out: Any) -> list[Tensor]:
    outputs = list(out) if isinstance(out, tuple | list) else [out]
    return [o for o in outputs if isinstance(o, Tensor) and o.is_floating_point()]

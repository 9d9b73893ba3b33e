"""``backward`` and ``grad`` of several tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from lucid import _checks, tape
from lucid._backward import backward_into, run_backward
from lucid._tensor import Tensor, cotangent_for
from lucid.ops import joining
from lucid.ops._types import TensorLike


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

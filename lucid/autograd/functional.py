"""Jacobians, Hessians and products with them, as in ``torch.autograd.functional``.

Inputs and outputs are tensors or tuples of tensors. Results are detached, unless ``create_graph`` is true. With
``strict``, an output that does not depend on an input raises; else its derivative is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx

from lucid import tape
from lucid._grad_mode import set_recording
from lucid._tensor import Tensor
from lucid.autograd.gradients import grad
from lucid.autograd.vectorizing import connected, mapped
from lucid.ops import joining

Tensors = Tensor | tuple[Tensor, ...]


def _listed(caller: str, value: Any, name: str) -> tuple[list[Tensor], bool]:
    """Tensors as a list, and whether they were a tuple."""
    is_tuple = isinstance(value, tuple | list)
    found = list(value) if is_tuple else [value]
    for one in found:
        if not isinstance(one, Tensor):
            raise TypeError(f"{caller}: {name} must be a tensor or a tuple of tensors, got {type(one).__name__}")
    return found, is_tuple


def _prepared(tensors: list[Tensor], create_graph: bool) -> list[Tensor]:
    return [connected(one if create_graph else tape.wrap(one._array)) for one in tensors]


def _finished(tensors: Sequence[Tensor], is_tuple: bool, create_graph: bool) -> Any:
    found = tuple(one if create_graph else tape.wrap(one._array) for one in tensors)
    return found if is_tuple else found[0]


def _gradients(
    caller: str, outputs: list[Tensor], inputs: list[Tensor], cotangents: list[Tensor] | None, strict: bool,
    create_graph: bool,
) -> list[Tensor]:  # fmt: skip
    """The gradients of ``inputs``, 0 where nothing depends on them."""
    live = [i for i, one in enumerate(outputs) if one.requires_grad]
    if strict and len(live) < len(outputs):
        raise RuntimeError(f"{caller}: an output does not depend on the inputs, which strict=True does not allow")
    if not live:
        return [tape.wrap(mx.zeros(one.shape, one.dtype)) for one in inputs]
    sent = None if cotangents is None else [cotangents[i] for i in live]
    found = grad([outputs[i] for i in live], inputs, sent, True, create_graph, allow_unused=True)
    if strict and any(one is None for one in found):
        at = [one is None for one in found].index(True)
        raise RuntimeError(f"{caller}: the outputs do not depend on input {at}, which strict=True does not allow")
    return [
        tape.wrap(mx.zeros(one.shape, one.dtype)) if gradient is None else gradient
        for gradient, one in zip(found, inputs, strict=True)
    ]


def _vector(caller: str, v: Any, like: list[Tensor], is_tuple: bool) -> list[Tensor]:
    """``v`` in the shapes of ``like``; by default 1 for a single element."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(f"{caller}: v can only be omitted for a single tensor with one element")
        return [tape.wrap(mx.ones(like[0].shape, like[0].dtype))]
    found, _ = _listed(caller, v, "v")
    if [one.shape for one in found] != [one.shape for one in like]:
        shapes = [one.shape for one in like], [one.shape for one in found]
        raise RuntimeError(f"{caller}: v must have the shapes {shapes[0]}, got {shapes[1]}")
    return found


def vjp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs of ``func``, and the product of ``v``, in their shapes, with the Jacobian.

    Example:
        >>> lucid.autograd.functional.vjp(lambda x: x**2, lucid.tensor([3.0]), lucid.tensor([1.0]))[1].tolist()
        [6.0]
    """
    with set_recording(True):
        given, is_tuple = _listed("vjp", inputs, "inputs")
        fresh = _prepared(given, create_graph)
        outputs, several = _listed("vjp", func(*fresh), "the outputs of func")
        sent = _vector("vjp", v, outputs, several)
        found = _gradients("vjp", outputs, fresh, sent, strict, create_graph)
    return _finished(outputs, several, create_graph), _finished(found, is_tuple, create_graph)


def jvp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs of ``func``, and the product of the Jacobian with ``v``, in the shapes of ``inputs``."""
    with set_recording(True):
        given, is_tuple = _listed("jvp", inputs, "inputs")
        fresh = _prepared(given, create_graph)
        direction = _vector("jvp", v, fresh, is_tuple)
        outputs, several = _listed("jvp", func(*fresh), "the outputs of func")
        seeds = [connected(tape.wrap(mx.zeros(one.shape, one.dtype))) for one in outputs]
        pulled = _gradients("jvp", outputs, fresh, seeds, strict, True)
        found = _gradients("jvp", pulled, seeds, direction, False, create_graph)
    return _finished(outputs, several, create_graph), _finished(found, several, create_graph)


def _scalar(caller: str, value: Any) -> Tensor:
    outputs, several = _listed(caller, value, "the output of func")
    if several or outputs[0].numel() != 1:
        raise RuntimeError(f"{caller}: func must return a tensor with a single element")
    return outputs[0]


def vhp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The output of ``func``, a single element, and the product of ``v`` with its second derivatives."""
    with set_recording(True):
        given, is_tuple = _listed("vhp", inputs, "inputs")
        fresh = _prepared(given, create_graph)
        direction = _vector("vhp", v, fresh, is_tuple)
        output = _scalar("vhp", func(*fresh))
        first = _gradients("vhp", [output], fresh, None, strict, True)
        found = _gradients("vhp", first, fresh, direction, strict, create_graph)
    return _finished([output], False, create_graph), _finished(found, is_tuple, create_graph)


def hvp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """``vhp``: second derivatives are symmetric, and this is the faster product."""
    return vhp(func, inputs, v, create_graph, strict)


def jacobian(
    func: Callable[..., Any],
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian of ``func``, of shape (*output, *input).

    If there are several outputs or inputs, a tuple of the outputs, each a tuple of the inputs.

    Args:
        create_graph: Whether the result can be differentiated.
        strict: Whether an output that does not depend on an input raises.
        vectorize: Whether all rows are computed at once.
        strategy: "reverse-mode" or "forward-mode", which give the same.

    Example:
        >>> lucid.autograd.functional.jacobian(lambda x: x**2, lucid.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ValueError(f"jacobian: strategy must be 'reverse-mode' or 'forward-mode', got {strategy!r:.60}")
    with set_recording(True):
        given, is_tuple = _listed("jacobian", inputs, "inputs")
        fresh = _prepared(given, create_graph)
        outputs, several = _listed("jacobian", func(*fresh), "the outputs of func")
        rows = [_rows(one, fresh, strict, vectorize, create_graph) for one in outputs]
    found = tuple(_finished(row, is_tuple, create_graph) for row in rows)
    return found if several else found[0]


def _rows(output: Tensor, inputs: list[Tensor], strict: bool, vectorize: bool, create_graph: bool) -> list[Tensor]:
    count = output.numel()
    basis = tape.wrap(mx.eye(count, dtype=output.dtype).reshape(count, *output.shape))

    def row(values: list[Any]) -> list[Tensor]:
        return _gradients("jacobian", [output], inputs, [values[0]], strict, create_graph)

    if not count:
        found = [tape.wrap(mx.zeros((0, *one.shape), one.dtype)) for one in inputs]
    elif vectorize:
        with set_recording(create_graph):
            found = mapped(row, [basis], [0], count)
    else:
        listed = [row([basis[i]]) for i in range(count)]
        found = [joining.stack(list(one)) for one in zip(*listed, strict=True)]
    return [one.reshape((*output.shape, *x.shape)) for one, x in zip(found, inputs, strict=True)]


def hessian(
    func: Callable[..., Any],
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of ``func``, which returns a single element, of shape (*input, *input).

    For several inputs, a tuple of tuples. The arguments are those of ``jacobian``.
    """

    def first(*values: Tensor) -> Any:
        output = _scalar("hessian", func(*values))
        found = _gradients("hessian", [output], list(values), None, strict, True)
        return tuple(found) if isinstance(inputs, tuple | list) else found[0]

    return jacobian(first, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)

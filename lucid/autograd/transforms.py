"""Functions of functions: gradients, Jacobians and products with them, as in ``torch.func``.

They can be nested. Results are part of a graph if they depend on tensors that require gradients, apart from the
arguments themselves.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx

from lucid import _checks, tape
from lucid._grad_mode import set_recording
from lucid._tensor import Tensor
from lucid.autograd._trees import flatten
from lucid.autograd.gradients import grad as gradients
from lucid.autograd.vectorizing import connected, mapped, outside

ArgNums = int | tuple[int, ...]


def tensors_only(caller: str, values: list[Any], name: str) -> list[Tensor]:
    for one in values:
        if not isinstance(one, Tensor):
            raise ValueError(f"{caller}: {name} must be tensors, got {type(one).__name__}")
    return values


class Call:
    """A call of a function with respect to some of its arguments, recorded apart from the graph outside."""

    def __init__(
        self, caller: str, func: Callable[..., Any], args: Any, kwargs: Any, argnums: Any, has_aux: bool
    ) -> None:
        self.caller = caller
        numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        for number in numbers:
            if not -len(args) <= _checks.integer(caller, "argnums", number) < len(args):
                raise RuntimeError(f"{caller}: argnums has {number}, but there are {len(args)} positional arguments")
        wanted = [args[number] for number in numbers]
        leaves, self.rebuild = flatten(wanted[0] if isinstance(argnums, int) else tuple(wanted))
        self.inputs = [connected(one) for one in tensors_only(caller, leaves, "the arguments to differentiate")]
        fresh = self.rebuild(self.inputs)
        new_args = list(args)
        for number, value in zip(numbers, (fresh,) if isinstance(argnums, int) else fresh, strict=True):
            new_args[number] = value
        with set_recording(True):
            result = func(*new_args, **kwargs)
        self.aux: Any = None
        if has_aux:
            if not isinstance(result, tuple) or len(result) != 2:
                raise RuntimeError(f"{caller}: with has_aux=True func must return (output, aux)")
            result, self.aux = result
        outputs, self.rebuild_outputs = flatten(result)
        self.outputs = tensors_only(caller, outputs, "the outputs of func")
        self.again = depends_on_others(self.outputs, self.inputs)
        self.aux = self._shown(self.aux)

    def _shown(self, value: Any) -> Any:
        leaves, rebuild = flatten(value)
        return rebuild([self.outer(one) if isinstance(one, Tensor) else one for one in leaves])

    def outer(self, tensor: Tensor) -> Tensor:
        """``tensor`` as a part of the graph outside only."""
        return tensor if depends_on_others([tensor], self.inputs) else tape.wrap(tensor._array)

    @property
    def result(self) -> Any:
        """What the function returned."""
        return self.rebuild_outputs([self.outer(one) for one in self.outputs])

    def pull(
        self, cotangents: Sequence[Tensor], *, retain: bool = True, create_graph: bool | None = None
    ) -> list[Tensor]:
        """The gradients of the inputs."""
        pairs = [(o, c) for o, c in zip(self.outputs, cotangents, strict=True) if o.requires_grad]
        if not pairs:
            return [tape.wrap(mx.zeros(one.shape, one.dtype)) for one in self.inputs]
        roots, sent = zip(*pairs, strict=True)
        again = self.again if create_graph is None else create_graph
        again = again or any(one.requires_grad for one in sent)
        with set_recording(again):
            found = gradients(roots, self.inputs, list(sent), retain, again, materialize_grads=True)
        return list(found)

    def jacobian(self, chunk_size: int | None) -> list[list[Tensor]]:
        """For each output, the derivative with respect to each input, of shape (*output, *input)."""
        rows = []
        for position, output in enumerate(self.outputs):
            count = output.numel()
            basis = tape.wrap(mx.eye(count, dtype=output.dtype).reshape(count, *output.shape))

            def row(values: list[Any], position: int = position) -> list[Tensor]:
                cotangents = [tape.wrap(mx.zeros(one.shape, one.dtype)) for one in self.outputs]
                cotangents[position] = values[0]
                return self.pull(cotangents)

            with set_recording(self.again):
                if count:
                    found = mapped(row, [basis], [0], count, chunk_size=chunk_size)
                else:
                    found = [tape.wrap(mx.zeros((0, *one.shape), one.dtype)) for one in self.inputs]
                rows.append([one.reshape((*output.shape, *x.shape)) for one, x in zip(found, self.inputs, strict=True)])
        return rows


def depends_on_others(tensors: Sequence[Tensor], own: Sequence[Tensor]) -> bool:
    """Whether the graph of ``tensors`` has leaves that require gradients, other than ``own``."""
    known = {id(one) for one in own}
    return any(not isinstance(edge, tape.TensorBase) or id(edge) not in known for edge in outside(tensors))


def grad_and_value(func: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of ``func``, and its value or (value, aux).

    See ``grad``. ``lucid.func.value_and_grad`` of other libraries has the two in the other order.
    """

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        made = Call("grad", func, args, kwargs, argnums, has_aux)
        if len(made.outputs) != 1 or made.outputs[0].ndim:
            shown = [one.shape for one in made.outputs]
            raise RuntimeError(f"grad: func must return a tensor without dimensions, got shapes {shown}")
        one = tape.wrap(mx.ones((), made.outputs[0].dtype))
        found = made.rebuild(made.pull([one], retain=made.again))
        value = made.result
        return (found, (value, made.aux)) if has_aux else (found, value)

    return call


def grad(func: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of ``func``, which returns a tensor without dimensions.

    Args:
        argnums: The argument to differentiate with respect to, or several: the result is a tuple then. Arguments may be
            nested containers of tensors.
        has_aux: Whether ``func`` returns (output, aux); the result is (gradient, aux) then.

    Raises:
        RuntimeError: ``func`` returns something else, or ``argnums`` is out of range.

    Example:
        >>> lucid.func.grad(lambda x: x**3)(lucid.tensor(2.0)).item()
        12.0
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return call


def value_and_grad(func: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the value of ``func``, or (value, aux), and its gradient, as in MLX and JAX."""
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return value, found

    return call


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The outputs of ``func``, and a function from gradients of the outputs to those of ``primals``.

    The function returns a tuple, or one gradient if there is one primal. With ``has_aux``, ``func`` returns (output,
    aux), and aux is the third result.

    Example:
        >>> output, pull = lucid.func.vjp(lucid.sin, lucid.tensor([0.0]))
        >>> pull(lucid.tensor([2.0]))[0].tolist()
        [2.0]
    """
    made = Call("vjp", func, primals, {}, tuple(range(len(primals))), has_aux)

    def pull(*cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        sent = tensors_only("vjp", flatten(given)[0], "gradients of the outputs")
        if [one.shape for one in sent] != [one.shape for one in made.outputs]:
            shapes = [one.shape for one in made.outputs], [one.shape for one in sent]
            raise RuntimeError(f"vjp: the gradients must have the shapes of the outputs, {shapes[0]}, got {shapes[1]}")
        return made.rebuild(made.pull(sent, retain=retain_graph))

    return (made.result, pull, made.aux) if has_aux else (made.result, pull)


def _push(made: Call, caller: str) -> Callable[[Sequence[Tensor]], list[Tensor]]:
    """The product of the Jacobian with tangents: the gradient of the product with its transpose, which is linear."""
    seeds = [tape.wrap(mx.zeros(one.shape, one.dtype)) for one in made.outputs]
    for one in seeds:
        one._requires_grad = True
    with set_recording(True):
        pulled = made.pull(seeds, create_graph=True)

    def push(tangents: Sequence[Tensor]) -> list[Tensor]:
        if [one.shape for one in tangents] != [one.shape for one in made.inputs]:
            shapes = [one.shape for one in made.inputs], [one.shape for one in tangents]
            raise RuntimeError(f"{caller}: tangents must have the shapes of primals, {shapes[0]}, got {shapes[1]}")
        pairs = [(g, t) for g, t in zip(pulled, tangents, strict=True) if g.requires_grad]
        if not pairs:
            return [tape.wrap(mx.zeros(one.shape, one.dtype)) for one in seeds]
        roots, sent = zip(*pairs, strict=True)
        again = made.again or any(one.requires_grad for one in sent)
        with set_recording(again):
            return list(gradients(roots, seeds, list(sent), True, again, materialize_grads=True))

    return push


def jvp(
    func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...], *, strict: bool = False,
    has_aux: bool = False,
) -> Any:  # fmt: skip
    """The outputs of ``func``, and the product of its Jacobian with ``tangents``.

    Computed by two backward passes. With ``has_aux``, ``func`` returns (output, aux), and aux is the third result.

    Example:
        >>> lucid.func.jvp(lucid.sin, (lucid.tensor(0.0),), (lucid.tensor(3.0),))[1].item()
        3.0
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple) or len(primals) != len(tangents):
        raise RuntimeError("jvp: primals and tangents must be tuples of the same length")
    made = Call("jvp", func, primals, {}, tuple(range(len(primals))), has_aux)
    found = _push(made, "jvp")(tensors_only("jvp", flatten(tangents)[0], "tangents"))
    result = made.rebuild_outputs(found)
    return (made.result, result, made.aux) if has_aux else (made.result, result)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The outputs of ``func``, and a function from tangents to the product with its Jacobian at ``primals``."""
    made = Call("linearize", func, primals, {}, tuple(range(len(primals))), False)
    push = _push(made, "linearize")

    def call(*tangents: Any) -> Any:
        return made.rebuild_outputs(push(tensors_only("linearize", flatten(tangents)[0], "tangents")))

    return made.result, call


def jacrev(
    func: Callable[..., Any],
    argnums: ArgNums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """A function that returns the Jacobian of ``func``, of shape (*output, *input).

    For several outputs or inputs, the containers of the inputs are nested in those of the outputs.

    Args:
        argnums: As in ``grad``.
        has_aux: Whether ``func`` returns (output, aux); the result is (Jacobian, aux) then.
        chunk_size: How many rows to compute at once, by default all.

    Example:
        >>> lucid.func.jacrev(lambda x: x**2)(lucid.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        made = Call("jacrev", func, args, kwargs, argnums, has_aux)
        rows = [made.rebuild(row) for row in made.jacobian(chunk_size)]
        result = made.rebuild_outputs(rows)
        return (result, made.aux) if has_aux else result

    return call


def jacfwd(
    func: Callable[..., Any],
    argnums: ArgNums = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
    randomness: str = "error",
) -> Callable[..., Any]:
    """``jacrev``: the same Jacobian, also computed by backward passes."""
    return jacrev(func, argnums, has_aux=has_aux, chunk_size=chunk_size)


def hessian(func: Callable[..., Any], argnums: ArgNums = 0) -> Callable[..., Any]:
    """A function that returns the second derivatives of ``func``, of shape (*output, *input, *input).

    Example:
        >>> lucid.func.hessian(lambda x: (x**3).sum())(lucid.tensor([1.0, 2.0])).tolist()
        [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacrev(jacrev(func, argnums), argnums)

"""The tape: record operations on tensors so that they can be differentiated.

An operation is a pure function of ``mx.array``s, its *body*. ``op`` lifts a body to tensors: it unwraps the tensors
among the arguments, calls the body, wraps the result, and attaches a ``Node`` to it if an input requires a gradient::

    @op
    def multiply(x, other):          # x and other are mx.arrays (or plain numbers) here ...
        return mx.multiply(x, other)

    multiply(tensor, 2.0)            # ... and tensors here

A ``Node`` holds the body, its arguments and its *edges*: for each input that needs a gradient, the leaf tensor or the
node it came from. The backward pass (``lucid/_backward.py``) visits each node once, newest first, and takes ``mx.vjp``
of its body. Operations therefore need no derivative of their own, but two rules follow:

* Bodies are pure, because ``mx.vjp`` runs them again (lazily: what the gradient does not use is never computed).
* Arrays are rebound and never changed in place, because the graph holds them.

An operation whose ``mx.vjp`` costs more than the mathematics requires declares its gradient where it is defined::

    @op(vjp=_gelu_vjp)               # _gelu_vjp(cotangent, x, approximate) returns (gradient of x,)
    def gelu(x, approximate="none"): ...

A backward pass that is not recorded calls that function directly, not inside ``mx.vjp``, where MLX fuses nothing. In
all other cases (``create_graph``, the gradient of a compiled function) MLX differentiates the body, unless the function
has the attribute ``selects``. The body thus has to be differentiable: kernels declare the same gradient to MLX with
``lucid.kernels.custom_vjp``. A test compares each declared gradient with the plain formula.

A body whose last parameter is ``inplace: bool = False`` ignores it: the lifted function writes its result to the first
argument if it is true (``write_to``). With ``create_graph=True``, the pullbacks are recorded as operations too.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, cast, overload

import mlx.core as mx

from lucid import _checks, _deferred, _errors, _threads
from lucid._argument_names import TRANSLATED, parameters_of, translated
from lucid._grad_mode import mode
from lucid._precision import Policy, autocast_body, autocast_state

if TYPE_CHECKING:
    from lucid import _aliases
    from lucid._tensor import Tensor

P = ParamSpec("P")
VJP = Callable[..., Sequence[mx.array] | None]  # a declared gradient, see op
_FLOATING = frozenset((mx.float32, mx.float16, mx.bfloat16, mx.float64, mx.complex64))
_serial = itertools.count()
watch: Any = None  # what anomaly mode calls for each operation, see lucid/autograd/anomaly.py


class TensorBase:
    """The state that the tape needs of a tensor; ``lucid.Tensor`` adds the public interface."""

    __slots__ = ("__weakref__", "_array", "_hooks", "_index", "_node", "_place", "_requires_grad", "grad")

    _facade: type[TensorBase]  # the class that operations return, set by lucid/_tensor.py

    _array: mx.array
    _requires_grad: bool
    _node: Node | None
    _index: int
    _place: _aliases.Place | None
    _hooks: dict[int, Callable[[Tensor], Any]] | None
    grad: Tensor | None


class Node:
    """One recorded operation: how to run it again, and where its inputs came from."""

    __slots__ = (
        "__weakref__", "args", "body", "edges", "hooks", "kwargs", "line", "name", "outputs", "places", "retained",
        "serial", "takes_none", "vjp",
    )  # fmt: skip

    def __init__(self, name: str, edges: list[Edge], outputs: list[tuple[tuple[int, ...], mx.Dtype]]) -> None:
        self.name = name
        self.edges: list[Edge] | None = edges
        self.outputs = outputs  # shape and dtype of every output; outputs without a cotangent get zeros
        self.serial = next(_serial)
        self.line: str | None = None  # that called the operation, in anomaly mode
        self.takes_none = False  # whether pullback takes None for an output without a cotangent, in place of zeros
        self.hooks: dict[int, dict[int, Callable[[Tensor], Any]]] | None = None
        self.retained: dict[int, weakref.ref[TensorBase]] | None = None
        self.body: Callable[..., Any] | None = None
        self.args: tuple[Any, ...] | None = None
        self.kwargs: dict[str, Any] | None = None
        self.places: list[_Place] | None = None
        self.vjp: _DeclaredVJP | None = None

    def pullback(self, cotangents: list[Tensor]) -> Sequence[Tensor | None]:
        """Gradients of the inputs that have an edge, given the cotangents of all outputs."""
        assert self.edges is not None and self.args is not None and self.places is not None
        assert self.body is not None and self.kwargs is not None
        body, args, kwargs, places = self.body, self.args, self.kwargs, self.places
        floating = [i for i, (_, dtype) in enumerate(self.outputs) if dtype in _FLOATING]
        single = len(self.outputs) == 1

        def forward(*primals: mx.array) -> Any:
            new_args, new_kwargs = _substitute(args, kwargs, places, primals)
            out = body(*new_args, **new_kwargs)
            return out if isinstance(out, mx.array) else _distinct([out[i] for i in floating])

        def forward_single(*primals: mx.array) -> Any:  # the common case, without the cost of the general one
            values = list(args)
            for place, primal in zip(places, primals, strict=True):
                values[cast(int, place[0])] = primal
            out = body(*values)
            return out if isinstance(out, mx.array) else out[0]

        call = forward_single if single and not kwargs and all(len(place) == 1 for place in places) else forward

        count = len(floating)
        isolated = "isolate" in (_deferred.memo() or ())
        primals = [_argument_at(args, kwargs, place) for place in places]
        if all(0 in shape for shape, _ in self.outputs):
            # All outputs are empty, so the gradients are zero. MLX's CPU backend leaves some empty sums unwritten.
            return [wrap(mx.zeros_like(primal)) for primal in primals]

        declared = self.vjp

        def pull(*values: mx.array) -> Any:
            inputs = list(values[count:])
            if declared is not None and getattr(declared.function, "selects", False):
                found = declared.gradients(values[:count], args, kwargs, places, inputs)
                if found is not None:
                    return found
            if isolated:  # see ``Compiled._trace``
                inputs = [mx.contiguous(one) for one in inputs]
            with _threads.lock:  # mx.vjp reads the graph of its arguments, which an evaluation frees
                return tuple(mx.vjp(call, inputs, list(values[:count]))[1])

        sent = [cotangents[i] for i in floating]
        if not any(t._array.size for t in sent):
            # Empty cotangents contribute nothing, and MLX's sums over empty arrays may never return.
            return [wrap(mx.zeros_like(primal)) for primal in primals]
        if not mode.recording:
            if declared is not None:
                found = declared.gradients([one._array for one in sent], args, kwargs, places, primals)
                if found is not None:
                    return list(map(wrap, found))
            return [wrap(g) for g in pull(*(t._array for t in sent), *primals)]
        inputs = [_input_at(primal, edge) for primal, edge in zip(primals, self.edges, strict=True)]
        out = apply(pull, (*sent, *inputs), {}, f"{self.name} backward")
        return cast("Sequence[Tensor]", out)

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The operations that the inputs came from, with the number of their output; (None, 0) for leaves."""
        return tuple(edge if isinstance(edge, tuple) else (None, 0) for edge in self.edges or ())

    def hooks_of(self, index: int) -> dict[int, Callable[[Tensor], Any]]:
        if self.hooks is None:
            self.hooks = {}
        return self.hooks.setdefault(index, {})

    def retain(self, tensor: TensorBase) -> None:
        """Have the backward pass store the gradient of ``tensor``, an output of this node, in ``tensor.grad``."""
        if self.retained is None:
            self.retained = {}
        self.retained[tensor._index] = weakref.ref(tensor)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def free(self) -> None:
        """Release the arrays, so that their memory can be reused."""
        self.edges = self.args = self.kwargs = self.body = self.places = self.vjp = None


# Where an input comes from: a leaf tensor, or output number ``index`` of a node.
Edge = TensorBase | tuple[Node, int]
# Where an input is in a call: (position or keyword,), followed by the index if it is inside a list or tuple.
_Place = tuple[int | str] | tuple[int | str, int]


class _DeclaredVJP(NamedTuple):
    """The gradient that an operation declares, and the parameters of its body."""

    function: VJP
    parameters: tuple[str, ...]

    def gradients(
        self, sent: Sequence[mx.array], args: Any, kwargs: Any, places: list[_Place], primals: Sequence[mx.array]
    ) -> tuple[mx.array, ...] | None:
        """The gradients of the arguments at ``places``, with the values ``primals``; None leaves them to ``mx.vjp``."""
        args, kwargs = _substitute(args, kwargs, places, primals)
        found = self.function(sent[0] if len(sent) == 1 else tuple(sent), *args, **kwargs)
        at = [one[0] if isinstance(one[0], int) else self.parameters.index(one[0]) for one in places]
        return None if found is None else tuple([found[i].astype(x.dtype) for i, x in zip(at, primals, strict=True)])


def next_serial() -> int:
    """A serial number larger than that of every node so far; nodes recorded later have larger ones."""
    return next(_serial)


def wrap(array: mx.array, node: Node | None = None, index: int = 0) -> Tensor:
    """A tensor that holds ``array``: a constant, or output number ``index`` of ``node``."""
    facade = TensorBase._facade
    tensor = facade.__new__(facade)
    tensor._array = array
    tensor._node = node
    tensor._index = index
    tensor._place = None
    tensor._hooks = None
    tensor.grad = None
    tensor._requires_grad = False  # last: from then on a trace in another thread regards it as complete
    return cast("Tensor", tensor)


def unwrap(value: Any) -> Any:
    """The array of a tensor; any other value unchanged."""
    return _threads.value_of(value) if isinstance(value, TensorBase) else value


def edge_of(tensor: TensorBase) -> Edge:
    return tensor if tensor._node is None else (tensor._node, tensor._index)


class Lift(Protocol):
    """What ``op`` does to a body: ``Tensor`` takes the place of ``mx.array`` in the result."""

    @overload
    def __call__(self, body: Callable[P, mx.array], /) -> Callable[P, Tensor]: ...
    @overload
    def __call__(self, body: Callable[P, tuple[mx.array, ...]], /) -> Callable[P, tuple[Tensor, ...]]: ...


# Not more overloads: where two fit the same body, mypy gives up and says Any. See also lucid/ops/_common.py.
@overload
def op(body: Callable[P, mx.array], /) -> Callable[P, Tensor]: ...
@overload
def op(body: Callable[P, tuple[mx.array, ...]], /) -> Callable[P, tuple[Tensor, ...]]: ...
@overload
def op(*, autocast: Policy | None = None, vjp: VJP | None = None) -> Lift: ...
def op(
    body: Callable[..., Any] | None = None,
    /,
    *,
    autocast: Policy | None = None,
    vjp: VJP | None = None,
) -> Any:
    """Lift a pure function of arrays to tensors.

    Any argument may be a tensor, or a list or tuple that contains tensors. The body returns an array or a tuple of
    arrays; the lifted function returns tensors in their place.

    Args:
        autocast: "half" or "float32", the precision of the operation under autocast, see ``lucid._precision``.
            Without it the operation follows its inputs.
        vjp: a gradient that is cheaper than ``mx.vjp`` of the body. ``vjp(cotangent, *args, **kwargs)`` takes the
            arguments of the body; the cotangent is a tuple if that has several outputs. It returns the gradients of
            the first parameters, in their order, or ``None`` to leave a call to ``mx.vjp``.
    """
    if body is None:
        return functools.partial(_lift, autocast=autocast, vjp=vjp)
    return _lift(body, autocast, vjp)


def _lift(body: Callable[..., Any], autocast: Policy | None, vjp: VJP | None) -> Callable[..., Any]:
    name = body.__name__.rstrip("_")
    declared = None if vjp is None else _DeclaredVJP(vjp, parameters_of(body))
    if autocast is None:

        def call(*args: Any, **kwargs: Any) -> Any:
            return apply(body, args, kwargs, name, declared)
    else:

        def call(*args: Any, **kwargs: Any) -> Any:
            dtype = autocast_state.dtype
            if dtype is None:
                return apply(body, args, kwargs, name, declared)
            casting = declared and declared._replace(function=autocast_body(declared.function, autocast, dtype))
            return apply(autocast_body(body, autocast, dtype), args, kwargs, name, casting)

    if "inplace" in parameters_of(body):
        call = _with_inplace(call, body)
    resemble(call, body)
    call.autocast, call.vjp = autocast, vjp  # type: ignore[attr-defined]
    return call


def _with_inplace(call: Callable[..., Any], body: Callable[..., Any]) -> Callable[..., Any]:
    """``call``, which also writes its result to the first argument if ``inplace``, the last parameter, is true."""
    first, *_, last = parameters = parameters_of(body)
    position = len(parameters) - 1
    if last != "inplace":
        raise TypeError(f"op: inplace must be the last parameter of {body.__name__}, which ends with {last}")

    def call_or_write(*args: Any, **kwargs: Any) -> Any:
        inplace = kwargs.pop("inplace", False)
        if len(args) == position + 1:
            *args, inplace = args  # type: ignore[assignment]
        if inplace is False:
            return call(*args, **kwargs)
        is_written = _checks.flag(body.__name__, "inplace", inplace)
        out = call(*args, **kwargs)
        return write_to(args[0] if args else kwargs[first], out, body.__name__) if is_written else out

    return call_or_write


def write_to(target: Any, result: Tensor, caller: str) -> Tensor:
    """``target`` with ``result`` written to it in place, for functions with ``inplace=True``.

    Raises:
        TypeError: ``target`` is not a tensor.
        RuntimeError: ``target`` is a leaf that requires grad.
    """
    if not isinstance(target, TensorBase):
        raise TypeError(f"{caller}: inplace=True needs a tensor to write to, got {type(target).__name__}")
    return cast("Tensor", target)._become(result, caller)


def resemble(lifted: Callable[..., Any], body: Callable[..., Any]) -> None:
    """Give ``lifted`` the name, documentation and signature of ``body``, with tensors in place of arrays."""
    # In the body too, because inspect.signature() reads it there. Type checkers read the source.
    for one in (inspect.unwrap(body), body):
        one.__annotations__ = {key: _of_tensors(value) for key, value in one.__annotations__.items()}
    functools.update_wrapper(lifted, body)


def _of_tensors(annotation: Any) -> Any:
    """``annotation`` with ``Tensor`` in place of ``mx.array``."""
    if not isinstance(annotation, str):
        if "mlx.core.array" not in str(annotation):
            return annotation
        annotation = inspect.formatannotation(annotation)
    return annotation.replace("mlx.core.array", "Tensor").replace("mx.array", "Tensor")


def apply(
    body: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    name: str,
    vjp: _DeclaredVJP | None = None,
) -> Any:
    """Call ``body`` on arrays in place of the tensors among its arguments, and record it if one requires a gradient."""
    arrays: list[Any] = []
    places: list[_Place] = []
    edges: list[Edge] = []
    recording, given, traces = mode.recording, kwargs, _threads.traces
    for i, value in enumerate(args):
        if isinstance(value, TensorBase):
            arrays.append(value._array)
            if recording and (value._node is not None or value._requires_grad):
                places.append((i,))
                edges.append(value if value._node is None else (value._node, value._index))
        elif isinstance(value, list | tuple):
            arrays.append(_unwrap_sequence(value, i, places, edges) if recording else _unwrap_items(value))
        else:
            arrays.append(value)
    if kwargs:
        if not TRANSLATED.isdisjoint(kwargs):
            kwargs = translated(body, name, len(args), kwargs)
        unwrapped = {}
        for key, value in kwargs.items():
            if isinstance(value, TensorBase):
                unwrapped[key] = value._array
                if recording and (value._node is not None or value._requires_grad):
                    places.append((key,))
                    edges.append(edge_of(value))
            elif isinstance(value, list | tuple):
                unwrapped[key] = _unwrap_sequence(value, key, places, edges) if recording else _unwrap_items(value)
            else:
                unwrapped[key] = value
        kwargs = unwrapped
    if (traces & 1 or traces != _threads.traces) and _threads.disturbed(traces):
        with _threads.lock:  # read everything again, after the trace in another thread
            return apply(body, args, given, name, vjp)

    known = _deferred.operations()
    try:
        out = body(*arrays, **kwargs) if known is None else _call_once(known, body, arrays, kwargs)
    except Exception as error:
        explained = _errors.explained(name, error, arrays, kwargs)
        if explained is error:
            raise
        raise explained from error

    if not edges:
        if watch is not None:
            watch.forward(name, arrays, kwargs, out, None)
        result: Any = wrap(out) if isinstance(out, mx.array) else _wrap_all(out, None)
        for one in (result,) if isinstance(out, mx.array) else result:
            _deferred.created(one)
        return result
    if isinstance(out, mx.array):
        if out.dtype not in _FLOATING:
            return wrap(out)
        node = Node(name, edges, [(out.shape, out.dtype)])
        result = wrap(out, node)
    else:
        node = Node(name, edges, [(a.shape, a.dtype) for a in out])
        result = _wrap_all(out, node)
    node.body, node.args, node.kwargs, node.places, node.vjp = body, tuple(arrays), kwargs, places, vjp
    if watch is not None:
        watch.forward(name, arrays, kwargs, out, node)
    return result


def _call_once(known: dict[Any, Any], body: Callable[..., Any], arrays: list[Any], kwargs: dict[str, Any]) -> Any:
    """In a trace: the outputs of an equal earlier call, which are the same values because bodies are pure.

    Otherwise MLX has to merge the two, and fails if it finds three, as when a model is called again after its backward
    pass (IndexError: _Map_base::at).
    """
    which = (body.func, body.args) if isinstance(body, functools.partial) else body
    key = which, tuple(map(_identity, arrays)), tuple([(name, _identity(value)) for name, value in kwargs.items()])
    try:
        found = known.get(key)
    except TypeError:  # an argument without a hash
        return body(*arrays, **kwargs)
    if found is None:
        found = known[key] = body(*arrays, **kwargs), arrays, kwargs  # keeps the arrays, so that no id is used again
    return found[0]


def _identity(value: Any) -> Any:
    """Equal for values that an operation cannot tell apart."""
    if isinstance(value, mx.array):
        return "array", id(value)
    if isinstance(value, list | tuple):
        return type(value), tuple(map(_identity, value))
    return type(value), repr(value) if isinstance(value, float) else value  # 0.0 == -0.0


def _wrap_all(out: Any, node: Node | None) -> Any:
    wrapped = (wrap(a, node if a.dtype in _FLOATING else None, i) for i, a in enumerate(out))
    return type(out)(*wrapped) if hasattr(out, "_fields") else tuple(wrapped)


def _unwrap_items(value: Any) -> Any:
    if not any(isinstance(v, TensorBase) for v in value):
        return value
    return type(value)([unwrap(v) for v in value])


def _unwrap_sequence(value: Any, key: int | str, places: list[_Place], edges: list[Edge]) -> Any:
    for j, item in enumerate(value):
        if isinstance(item, TensorBase) and (item._node is not None or item._requires_grad):
            places.append((key, j))
            edges.append(edge_of(item))
    return _unwrap_items(value)


def _argument_at(args: tuple[Any, ...], kwargs: dict[str, Any], place: _Place) -> mx.array:
    value = kwargs[place[0]] if isinstance(place[0], str) else args[place[0]]
    return value if len(place) == 1 else value[place[1]]


def _substitute(
    args: tuple[Any, ...], kwargs: dict[str, Any], places: list[_Place], values: Sequence[mx.array]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments with ``values`` at ``places``. Lists are copied, not modified."""
    new_args, new_kwargs = list(args), dict(kwargs)
    for place, value in zip(places, values, strict=True):
        container: Any = new_kwargs if isinstance(place[0], str) else new_args
        if len(place) == 1:
            container[place[0]] = value
        else:
            items = list(container[place[0]])
            items[place[1]] = value
            container[place[0]] = type(container[place[0]])(items)
    return new_args, new_kwargs


def _distinct(outputs: list[mx.array]) -> list[mx.array]:
    """The outputs as distinct arrays: of one that is there twice (gradients of ``x + y``) ``mx.vjp`` uses the first."""
    return [outputs[0], *(mx.array(one) for one in outputs[1:])]


def _input_at(array: mx.array, edge: Edge) -> Tensor:
    """The recorded value of an input as a tensor that can be differentiated through ``edge``."""
    if isinstance(edge, TensorBase):
        return cast("Tensor", edge) if edge._array is array else alias(array, edge)
    return wrap(array, *edge)


def alias(array: mx.array, edge: Edge) -> Tensor:
    """A tensor of the value ``array`` whose gradient goes on along ``edge``.

    For a leaf that has a new value by now (after an optimizer step, say), when the graph keeps the old one.
    """
    node = Node("input", [edge], [(array.shape, array.dtype)])
    node.body, node.args, node.kwargs, node.places = (lambda x: x), (array,), {}, [(0,)]
    return wrap(array, node)

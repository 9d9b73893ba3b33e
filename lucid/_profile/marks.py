"""Marks in a trace: which call of the user's code asked for a primitive, and what runs as one kernel in eager mode.

MLX's traces do not say where a primitive came from. So while ``profile`` traces, the arrays that enter an operation
pass through a *mark*, a custom kernel that is never run. The number of its label is the first size of its grid, which
the trace shows. ``lucid._profile.graph`` removes the marks again and gives each primitive the newest label among its
inputs. Marks have another purpose in eager mode: MLX merges equal primitives in every trace, which an eager run does
not, and does not merge what different marks lead to.

``observing`` also puts stand-ins in place of MLX's fused layers (``mx.fast``), which have a primitive of their own on
GPUs only.
"""

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

from lucid import _backward, _deferred, _device, tape
from lucid._profile.labels import MARK, STAND_IN, Label
from lucid._profile.opaque import Calls
from lucid._profile.places import place_of_call
from lucid.kernels.custom_vjp import custom_vjp, replacing
from lucid.optim.optimizer import Optimizer

_ADD_GRADIENTS = _backward._add.__code__
_MARKED = (mx.float32, mx.float16, mx.bfloat16, mx.int32, mx.int64, mx.uint32, mx.uint8)


class Observer:
    """The labels of one trace, by number, starting with 1."""

    def __init__(self, names: dict[int, str]) -> None:
        self.labels: list[Label] = []
        self.calls = Calls()
        self._names = names  # paths of modules, by id
        self._groups = 0
        self._open: list[Label] = []  # the operations that are running
        self._recorded: dict[Any, Label] = {}  # by body and arguments, for the backward pass
        self._wrapped: dict[Any, Callable[..., Any]] = {}
        self._last = "", ""  # place of the operation that the backward pass has reached

    def add(self, label: Label) -> int:
        self.labels.append(label)
        return len(self.labels)

    def operation(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """``tape._call_once``, with the arguments of every body marked."""

        def call(known: Any, body: Any, arrays: list[Any], kwargs: dict[str, Any]) -> Any:
            which = _identity(body)
            try:
                wrapped = self._wrapped.get(which)
            except TypeError:  # not hashable
                return body(*arrays, **kwargs)
            if wrapped is None:
                wrapped = self._wrapped[which] = functools.partial(self._run, body)
            merges = not isinstance(known, Everything)
            if not merges:
                return wrapped(*arrays, **kwargs)
            return original(known, _Same(wrapped, which), arrays, kwargs)

        return call

    def _run(self, body: Any, *arrays: Any, **kwargs: Any) -> Any:
        name = _name_of(body)
        if self.calls.depth:
            return body(*arrays, **kwargs)
        if name == "add" and _is_sum_of_gradients():
            label = Label("sum of gradients", "backward", *self._last)
        else:
            label = Label(name, "forward", *place_of_call(self._names))
        self._recorded[_identity(body), tuple(map(id, arrays))] = label
        return self._inside(label, body, arrays, kwargs)

    def _inside(self, label: Label, function: Any, arrays: Any, kwargs: dict[str, Any]) -> Any:
        number = self.add(label)
        self._open.append(label)
        try:
            return function(*(marked(one, number) for one in arrays), **kwargs)
        finally:
            self._open.pop()

    def pullback(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """``Node.pullback``, with the arguments of the node and the cotangents marked."""

        def pullback(node: tape.Node, cotangents: list[Any]) -> Any:
            if tape.mode.recording or node.args is None or self.calls.depth:
                return original(node, cotangents)
            try:
                found = self._recorded.get((_identity(node.body), tuple(map(id, node.args))))
            except TypeError:
                found = None
            self._last = module, line = (found.module, found.line) if found else ("", "")
            label = Label(node.name, "backward", module, line)

            def run(*args: Any) -> Any:
                kept, node.args = node.args, args[len(cotangents) :]
                try:
                    return original(node, list(args[: len(cotangents)]))
                finally:
                    node.args = kept

            return self._inside(label, run, (*cotangents, *node.args), {})

        return pullback

    def step(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """``Optimizer.step``, with the gradients marked."""

        def step(optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
            number = self.add(Label(f"{type(optimizer).__name__}.step", "optimizer", *place_of_call(self._names)))
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.grad._array = marked(parameter.grad._array, number)
            return original(optimizer, *args, **kwargs)

        return step

    def fused(self, function: Callable[..., Any], arrays: tuple[Any, ...]) -> Any:
        """Call a function that runs as a compiled function of its own in eager mode, see ``lucid.kernels.fusion``."""
        if self.calls.depth or any(label.group for label in self._open):
            return function(*arrays)
        around = self._open[-1] if self._open else Label(function.__name__, "forward", *place_of_call(self._names))
        self._groups += 1
        label = Label(around.operation, around.direction, around.module, around.line, self._groups)
        result = self._inside(label, function, arrays, {})
        number = self.add(around)
        if isinstance(result, mx.array):
            return marked(result, number)
        return type(result)(marked(one, number) for one in result)


def _identity(body: Any) -> Any:
    """Equal for equal bodies, of which autocast makes a new one for every call."""
    return (body.func, body.args) if isinstance(body, functools.partial) else body


def _name_of(body: Any) -> str:
    while isinstance(body, functools.partial):  # autocast's casts around a body are one
        body = next((one for one in body.args if callable(one) and hasattr(one, "__name__")), body.func)
    return str(getattr(body, "__name__", type(body).__name__)).strip("_")


def _with_own_step(kind: type[Optimizer]) -> Iterator[type[Optimizer]]:
    if "step" in vars(kind):
        yield kind
    for one in kind.__subclasses__():
        yield from _with_own_step(one)


def _is_sum_of_gradients() -> bool:
    """Whether the backward pass itself adds, of a tensor with several users."""
    frame: Any = sys._getframe(2)
    for _ in range(8):
        if frame is None:
            return False
        if frame.f_code is _ADD_GRADIENTS:
            return True
        frame = frame.f_back
    return False


class Everything(dict[Any, Any]):
    """Given to the tape as the operations of a trace so far, has it pass every operation to ``Observer``."""


class _Same:
    """``body`` for the tape's key of equal calls, which compares hashes."""

    def __init__(self, body: Callable[..., Any], key: Any) -> None:
        self._body, self._key = body, key

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._body(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def marked(value: Any, number: int) -> Any:
    """``value``, with the arrays and tensors in it passed through a mark."""
    if isinstance(value, mx.array):
        if value.size == 0 or value.dtype not in _MARKED:
            return value
        return _kernel(MARK, 1)([value], [value.shape], [value.dtype], number)[0]
    if isinstance(value, tape.TensorBase):
        return tape.wrap(marked(value._array, number))
    if isinstance(value, list | tuple) and any(isinstance(one, mx.array) for one in value):
        return type(value)([marked(one, number) for one in value])
    return value


@functools.cache
def _kernel(name: str, inputs: int, outputs: int = 1) -> Callable[..., list[mx.array]]:
    source = "y0[0] = 0;"  # never compiled
    kernel: Any = mx.fast.metal_kernel(
        name, [f"x{i}" for i in range(inputs)], [f"y{i}" for i in range(outputs)], source
    )

    def call(arrays: list[mx.array], shapes: list[Any], dtypes: list[mx.Dtype], number: int = 1) -> list[mx.array]:
        found: list[mx.array] = kernel(
            inputs=arrays, output_shapes=shapes, output_dtypes=dtypes, grid=(number, 1, 1), threadgroup=(1, 1, 1)
        )
        return found

    return call


# Stand-ins for MLX's fused layers: primitives of their own on GPUs, formulas on the CPU ------------------------------


def _layer_norm(
    x: mx.array, weight: mx.array | None, bias: mx.array | None, eps: float, *, stream: Any = None
) -> mx.array:
    operands = [one for one in (x, weight, bias) if one is not None]
    dtype = mx.result_type(*operands) if weight is not None else x.dtype
    scale = mx.array(1, dtype) if weight is None else weight.astype(dtype)
    shift = mx.array(0, dtype) if bias is None else bias.astype(dtype)
    return _fast("LayerNorm", eps)(x.astype(dtype), scale, shift)


def _rms_norm(x: mx.array, weight: mx.array | None, eps: float, *, stream: Any = None) -> mx.array:
    dtype = x.dtype if weight is None else mx.result_type(x, weight)
    return _fast("RMSNorm", eps)(x.astype(dtype), mx.array(1, dtype) if weight is None else weight.astype(dtype))


def _contiguous(x: mx.array, allow_col_major: bool = False, *, stream: Any = None) -> mx.array:
    """``mx.contiguous``, which MLX cannot export."""
    return _contiguous_kernel(allow_col_major)(x) if x.dtype in _MARKED and x.size else x


@functools.cache
def _contiguous_kernel(allow_columns: bool) -> Callable[..., mx.array]:
    def forward(x: mx.array) -> mx.array:
        return _kernel(f"{STAND_IN}_Contiguous_{int(allow_columns)}_", 1)([x], [x.shape], [x.dtype])[0]

    found: Callable[..., mx.array] = custom_vjp(forward, lambda cotangent, x: (cotangent,))
    return found


@functools.cache
def _fast(name: str, eps: float) -> Callable[..., mx.array]:
    """The primitive ``name`` of MLX, with a gradient as MLX has it: the primitive ``name`` + "VJP"."""
    digits = f"{eps:.0e}".replace("-", "m").replace("+", "p")

    def forward(*arrays: mx.array) -> mx.array:
        run = _kernel(f"{STAND_IN}_{name}_{digits}_", len(arrays))
        return run(list(arrays), [arrays[0].shape], [arrays[0].dtype])[0]

    def backward(cotangent: mx.array, *arrays: mx.array) -> list[mx.array]:
        run = _kernel(f"{STAND_IN}_{name}VJP_{digits}_", len(arrays) + 1, len(arrays))
        return run([*arrays, cotangent], [one.shape for one in arrays], [one.dtype for one in arrays])

    found: Callable[..., mx.array] = custom_vjp(forward, backward)
    return found


def _in_this_thread(function: Callable[..., Any], usual: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, and ``usual`` in other threads."""
    owner = threading.get_ident()

    def call(*args: Any, **kwargs: Any) -> Any:
        return (function if threading.get_ident() == owner else usual)(*args, **kwargs)

    return call


@contextmanager
def observing(observer: Observer, device: str) -> Iterator[None]:
    """Trace as on ``device``, with marks."""

    def deeper(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            observer.calls.depth += 1
            try:
                return function(*args, **kwargs)
            finally:
                observer.calls.depth -= 1

        return call

    def deeper_result(transform: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: deeper(transform(*args, **kwargs))

    replaced: list[tuple[Any, str, Any]] = [
        (tape, "_call_once", observer.operation(tape._call_once)),
        (tape.Node, "pullback", observer.pullback(tape.Node.pullback)),
        *((one, "step", observer.step(vars(one)["step"])) for one in _with_own_step(Optimizer)),
        (mx, "vjp", deeper(mx.vjp)),
        (mx, "grad", deeper_result(mx.grad)),
        (mx, "value_and_grad", deeper_result(mx.value_and_grad)),
        (mx.fast, "layer_norm", _layer_norm),
        (mx.fast, "rms_norm", _rms_norm),
        (mx, "contiguous", _contiguous),
    ]
    kept = [(owner, name, vars(owner)[name]) for owner, name, _ in replaced]
    with _device.assuming(device), replacing(observer.calls.call):
        try:
            for (owner, name, value), (_, _, usual) in zip(replaced, kept, strict=True):
                setattr(owner, name, _in_this_thread(value, usual))
            yield
        finally:
            for owner, name, value in kept:
                setattr(owner, name, value)


def set_fused(observer: Observer, compiled: bool) -> None:
    """In the current trace, have the tape pass its operations to the observer, and note what eager mode fuses."""
    memo = _deferred.memo()
    assert memo is not None
    if not compiled:
        memo["operations"] = Everything()
        memo["fused"] = observer.fused

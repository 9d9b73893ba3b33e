"""One recording: what ``forward`` computes for inputs of one size, while MLX traces it.

MLX's tracer gives arrays without values, so nothing is computed, and reading a value is an error, which becomes one
that names the user's line. Operations are seen where the tape calls their bodies inside a trace
(``tape._call_once``); a call outside of a recording passes none of this code.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _deferred, _grad_mode, _precision, _threads, _views, kernels, nn, random, tape
from lucid._compile.guards import Snapshot
from lucid._compile.messages import line_that_reads
from lucid._profile.places import place_of_call
from lucid._tensor import Tensor
from lucid.export._errors import ExportError
from lucid.export._graph.values import described

_NO_VALUE = "during function transformations", "without a primitive"
# Bodies without a name of their own.
_NAMES = {id(_views._RESHAPE.body): "reshape", id(_views._EXPAND.body): "expand"}


@dataclass(frozen=True)
class Ref:
    """A value of a recording: output ``index`` of a call, or input ``index`` of the graph if ``call`` is -1."""

    call: int
    index: int


@dataclass(eq=False)
class Constant:
    """An array that does not depend on the inputs, and what computed it, for messages."""

    array: mx.array
    name: str = ""
    origin: str = ""


@dataclass(eq=False)
class Call:
    """One call of an operation; tensors among ``arguments`` are ``Ref`` or ``Constant``."""

    operation: str
    arguments: dict[str, Any]
    shapes: list[tuple[int, ...]]
    dtypes: list[mx.Dtype]
    module: str
    line: str

    def __str__(self) -> str:
        return described(self.operation, self.module, self.line)


@dataclass(eq=False)
class Recording:
    """``result`` is what ``forward`` returned, with a ``Ref`` or ``Constant`` for each tensor."""

    inputs: list[tuple[int, ...]]
    dtypes: list[mx.Dtype]
    calls: list[Call] = field(default_factory=list)
    result: Any = None


class _Done(Exception):
    """Ends a trace before MLX compiles it."""


class _Everything(dict[Any, Any]):
    """Given to the tape as the operations of a trace, has it call the recorder."""


class _Recorder:
    def __init__(self, model: nn.Module, recording: Recording) -> None:
        self.recording = recording
        self.depth = 0
        self.key = random._current()
        self.refs: dict[int, Ref | Constant] = {}  # by the id of an array
        self.alive: list[mx.array] = []  # so that no id is used again
        self.modules = {id(module): name for name, module in model.named_modules()}
        self.names: dict[int, str] = {}
        for name, tensor in state_of(model):
            self.names.setdefault(id(tensor._array), name)
            self.alive.append(tensor._array)

    def know(self, array: mx.array, ref: Ref | Constant) -> None:
        self.refs[id(array)] = ref
        self.alive.append(array)

    def call(self, known: Any, body: Any, arrays: list[Any], kwargs: dict[str, Any]) -> Any:
        """``tape._call_once``: call the body and record it."""
        if self.depth:
            return body(*arrays, **kwargs)
        where = place_of_call(self.modules, record_once.__code__)
        if isinstance(body, functools.partial) and body.func is _precision._cast_and_call:
            body, sources, target = body.args
            arrays = [self._cast(one, sources, target, where) for one in arrays]
            kwargs = {name: self._cast(one, sources, target, where) for name, one in kwargs.items()}
        name = _NAMES.get(id(body)) or inspect.unwrap(body).__name__.rstrip("_")
        if random._current() is not self.key:
            raise ExportError(
                f"{described(name, *where)} draws random numbers, and a file has none; call model.eval(), or remove it "
                "from forward"
            )
        self.depth += 1
        try:
            out = body(*arrays, **kwargs)
        finally:
            self.depth -= 1
        results = [out] if isinstance(out, mx.array) else list(out)
        given = [*arrays, *kwargs.values()]
        if any(self._depends(one) for one in given):
            call = Call(name, {}, [one.shape for one in results], [one.dtype for one in results], *where)
            call.arguments = {
                key: self._argument(value, f"{call}, argument {key}")
                for key, value in bound(body, tuple(arrays), kwargs).items()
            }
            number = len(self.recording.calls)
            self.recording.calls.append(call)
            for index, one in enumerate(results):
                self.know(one, Ref(number, index))
        else:
            for one in results:
                if id(one) not in self.names:
                    self.know(one, Constant(one, origin=described(name, *where)))
        return out

    def _cast(self, value: Any, sources: frozenset[mx.Dtype], target: mx.Dtype, where: tuple[str, str]) -> Any:
        """``value`` as autocast converts it, with the conversion recorded."""
        if isinstance(value, list | tuple) and any(isinstance(one, mx.array) for one in value):
            return type(value)([self._cast(one, sources, target, where) for one in value])
        if not isinstance(value, mx.array) or value.dtype not in sources or value.dtype == target:
            return value
        out = value.astype(target)
        if self._depends(value):
            arguments = {"input": self._argument(value, "astype"), "dtype": target}
            self.recording.calls.append(Call("astype", arguments, [out.shape], [target], *where))
            self.know(out, Ref(len(self.recording.calls) - 1, 0))
        return out

    def _depends(self, value: Any) -> bool:
        """Whether a value depends on the inputs."""
        if isinstance(value, mx.array):
            found = self.refs.get(id(value))
            return isinstance(found, Ref) or (found is None and id(value) not in self.names and not has_value(value))
        return isinstance(value, list | tuple) and any(self._depends(one) for one in value)

    def _argument(self, value: Any, where: str) -> Any:
        """An argument of an operation, with a ``Ref`` or ``Constant`` for each array."""
        if isinstance(value, mx.array):
            return self.ref(value, where)
        if isinstance(value, np.ndarray):
            return Constant(mx.array(value.astype(np.float32) if value.dtype == np.float64 else value))
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, tape.TensorBase):  # in a slice or a nested list
            return self.ref(value._array, where)
        if isinstance(value, list | tuple):
            return tuple(self._argument(one, where) for one in value)
        if isinstance(value, slice):
            return slice(*(self._argument(one, where) for one in (value.start, value.stop, value.step)))
        return value

    def ref(self, array: mx.array, where: str) -> Ref | Constant:
        found = self.refs.get(id(array))
        if found is not None:
            return found
        if not has_value(array):
            raise ExportError(
                f"{where}: this tensor was computed from the inputs without an operation of Lucid: by MLX from "
                "tensor.mlx, or by a write to a view of it; use Lucid's functions, and clone() before the write"
            )
        constant = Constant(array, self.names.get(id(array), ""))
        self.know(array, constant)
        return constant


def structure(value: Any, leaf: Callable[[mx.array], Any]) -> Any:
    """What ``forward`` returned as tuples and dictionaries, with ``leaf(array)`` for each tensor.

    Raises:
        ExportError: it returned something else than tensors in tuples, lists, dictionaries and dataclasses.
    """
    if isinstance(value, tape.TensorBase):
        return leaf(value._array)
    if isinstance(value, Mapping):
        return {str(key): structure(one, leaf) for key, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {key: structure(getattr(value, key), leaf) for key in value._fields}
    if isinstance(value, list | tuple):
        return tuple(structure(one, leaf) for one in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        return {key: structure(one, leaf) for key, one in fields.items() if one is not None}
    raise ExportError(
        f"forward returned a {type(value).__name__}; only tensors, in tuples, lists, dictionaries and dataclasses, can "
        "be exported"
    )


def state_of(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers, with the names of the state dict."""
    yield from model.named_parameters()
    yield from model.named_buffers()


def has_value(array: mx.array) -> bool:
    """Whether an array has a value, which arrays of a trace do not. Waits for it."""
    try:
        _deferred.wait([array])
    except (ValueError, RuntimeError) as error:
        if any(text in str(error) for text in _NO_VALUE):
            return False
        raise
    return True


def bound(body: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by parameter name, with defaults."""
    if getattr(body, "takes_varargs", False) and len(args) >= 3:
        args = args[0], args[1:]
    found = inspect.signature(inspect.unwrap(body)).bind(*args, **kwargs)
    found.apply_defaults()
    return dict(found.arguments)


def record_once(model: nn.Module, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[mx.Dtype]) -> Recording:
    """Record ``model.forward`` for inputs of these shapes, inside ``preserving``.

    Raises:
        ExportError: something cannot be part of a file: a value that Python reads, randomness, or a changed buffer.
    """
    recording = Recording(list(shapes), list(dtypes))
    before = {name: tensor._array for name, tensor in state_of(model)}

    def run(*arrays: mx.array) -> list[mx.array]:
        with _deferred.collecting():
            memo = _deferred.memo()
            assert memo is not None
            memo["operations"] = _Everything()
            for index, one in enumerate(arrays):
                recorder.know(one, Ref(-1, index))
            result = model(*map(tape.wrap, arrays))
            recording.result = structure(result, lambda one: recorder.ref(one, "an output of forward"))
        raise _Done

    recorder = _Recorder(model, recording)
    with _calling(recorder.call):
        inputs = [mx.zeros(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
        try:
            mx.compile(run)(*inputs)
        except _Done:
            pass
        except Exception as error:
            found = line_that_reads(error)
            if found is None:
                raise
            raise ExportError(
                f"{found.file}, line {found.line}: {found.what}, which a file cannot do, as it has no values yet\n"
                f"    {found.text}"
            ) from error
    if random._current() is not recorder.key:
        raise ExportError("forward draws random numbers, and a file has none; call model.eval(), or remove them")
    for name, tensor in state_of(model):
        if before.get(name) is not tensor._array:
            raise ExportError(f"forward changes {name!r}, and a file keeps no state; call model.eval()")
    return recording


@contextmanager
def preserving(model: nn.Module) -> Iterator[None]:
    """Record inside: kernels are plain operations, nothing is differentiated, and afterwards all is as it was.

    Raises:
        ExportError: random numbers of Python or NumPy were drawn.
    """
    with _threads.lock, _threads.tracing(), ExitStack() as stack:
        snapshot = Snapshot([*model.modules(), *(tensor for _, tensor in state_of(model))])
        stack.callback(snapshot.restore_containers)
        stack.callback(snapshot.restore)
        stack.enter_context(_precision.autocasting(None))
        stack.enter_context(_grad_mode.set_recording(False))
        stack.enter_context(kernels.use_reference())
        yield
        try:
            snapshot.check_random_numbers("forward")
        except RuntimeError as error:
            raise ExportError(str(error)) from error


@contextmanager
def _calling(call: Callable[..., Any]) -> Iterator[None]:
    """Have the tape give the operations of this thread's traces to ``call``."""
    module: Any = tape
    usual, owner = tape._call_once, threading.get_ident()

    def choose(known: Any, *args: Any) -> Any:
        mine = threading.get_ident() == owner and isinstance(known, _Everything)
        return (call if mine else usual)(known, *args)

    module._call_once = choose
    try:
        yield
    finally:
        module._call_once = usual

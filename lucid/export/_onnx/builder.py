"""Builds the nodes and the initializers of an ONNX graph.

Tensors of ONNX are known by name. ``Builder.name`` gives that of a value of the recorded graph, ``Builder.add`` adds a
node and gives the name of its result. With ``half``, whatever is float32 in the recorded graph is float16 in the file,
but for sums over many values, which are computed in float32: ``wide`` and ``narrow`` convert.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _deferred
from lucid.export._errors import ExportError
from lucid.export._graph import Constant, Expanded, Filled, Graph, Node, Size, Value

OPSET = 21
FLOAT, FLOAT16, INT64, BOOL = 1, 10, 7, 9
_ELEMENTS = {
    mx.float32: FLOAT, mx.float16: FLOAT16, mx.float64: 11, mx.uint8: 2, mx.int8: 3, mx.uint16: 4, mx.int16: 5,
    mx.int32: 6, mx.int64: INT64, mx.bool_: BOOL, mx.uint32: 12, mx.uint64: 13,
}  # fmt: skip
_NUMPY = {
    1: np.float32, 10: np.float16, 11: np.float64, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32,
    7: np.int64, 9: np.bool_, 12: np.uint32, 13: np.uint64,
}  # fmt: skip
_HALF_MAX = float(np.finfo(np.float16).max)


class Builder:
    """``nodes`` and ``initializers`` are those of the file; ``onnx`` is the library."""

    def __init__(self, onnx: Any, graph: Graph, half: bool = False) -> None:
        self.onnx, self.graph, self.half = onnx, graph, half
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._names: dict[int, str] = {}  # of values, by id
        self._taken: set[str] = set()
        self._constants: dict[Any, str] = {}  # by what they hold
        self._elements: dict[str, int] = {}
        self._channels_first: dict[str, str] = {}  # names of the same tensors with their channels first
        self._node: Node | None = None  # that is being translated

    # Nodes -----------------------------------------------------------------------------------------------------------

    def add(self, kind: str, *inputs: str, count: int = 1, **attributes: Any) -> Any:
        """Add a node, and return the name of its result, or of its first ``count`` results."""
        prefix = self._prefix()
        outputs = [self.unique(f"{prefix}{kind}" if i == 0 else f"{prefix}{kind}.{i}") for i in range(count)]
        node = self.onnx.helper.make_node(kind, list(inputs), outputs, name=outputs[0], **attributes)
        self.nodes.append(node)
        return outputs[0] if count == 1 else outputs

    def _prefix(self) -> str:
        node = self._node
        return "" if node is None else f"{node.module}/{node.operation}/" if node.module else f"{node.operation}/"

    def unique(self, name: str) -> str:
        """``name``, with a number if it is taken."""
        found, number = name, 1
        while found in self._taken:
            number += 1
            found = f"{name}_{number}"
        self._taken.add(found)
        return found

    def start(self, node: Node) -> None:
        """Translate this node from now on."""
        self._node = node

    def refuse(self, why: str) -> ExportError:
        """An error that says that the node at hand cannot be translated."""
        return ExportError(f"{self._node}: {why}")

    # Values ----------------------------------------------------------------------------------------------------------

    def name(self, value: Value) -> str:
        """The name of the tensor that holds ``value``, in the element type that ``element`` gives for its dtype."""
        if isinstance(value, Filled):
            return self._filled(value)
        if isinstance(value, Expanded):
            return self.add("Expand", self._initializer(value, self.element(value.dtype)), self.sizes(value.shape))
        if isinstance(value, Constant) and id(value) not in self._names:
            return self._initializer(value, self.element(value.dtype))
        return self._names[id(value)]

    def set(self, value: Value, name: str) -> None:
        """Say which tensor holds ``value``."""
        self._names[id(value)] = name

    def element(self, dtype: mx.Dtype) -> int:
        """The element type of ONNX for a dtype."""
        found = _ELEMENTS.get(dtype)
        if found is None:
            raise self.refuse(f"{str(dtype).rpartition('.')[2]} is not supported")
        return FLOAT16 if self.half and found == FLOAT else found

    def _initializer(self, value: Constant, element: int) -> str:
        key = id(value), element
        if key not in self._constants:
            array = value.array.astype(mx.float32) if value.array.dtype == mx.bfloat16 else value.array
            name = value.name or f"{self._prefix()}constant"
            if value.name and name in self._taken:  # a second copy, in another element type
                name = f"{name}.{'float32' if element == FLOAT else 'float16'}"
            self._constants[key] = self._store(_deferred.to_numpy(array), element, name)
        return self._constants[key]

    def _store(self, array: np.ndarray, element: int, name: str) -> str:
        name = self.unique(name)
        if element == FLOAT16:
            array = np.where(np.isfinite(array), np.clip(array, -_HALF_MAX, _HALF_MAX), array)
        array = np.ascontiguousarray(array.astype(_NUMPY[element])).reshape(array.shape)
        self.initializers.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def _filled(self, value: Filled) -> str:
        assert self._node is not None
        element = self.element(value.dtype)
        shape = self.sizes(value.shape)
        if not value.step:
            return self.add("Expand", self.constant(value.start, element), shape)
        count = next(size for size in value.shape if isinstance(size, Size))
        last = self.add("Squeeze", self.sizes([count]), self.ints([0]))
        line = self.add("Range", self.constant(0, INT64), last, self.constant(1, INT64))
        line = self.add("Cast", line, to=element)
        line = self.add("Mul", line, self.constant(value.step, element))
        return self.add("Reshape", self.add("Add", line, self.constant(value.start, element)), shape)

    # Constants -------------------------------------------------------------------------------------------------------

    def constant(self, value: Any, element: int) -> str:
        """A constant of this element type: a number, a list or an array."""
        array = np.asarray(value)
        if element != BOOL and array.dtype == np.bool_:
            array = array.astype(np.int64)
        key = element, array.shape, array.astype(np.float64).tobytes() if array.dtype.kind == "f" else array.tobytes()
        if key not in self._constants:
            self._constants[key] = self._store(array, element, "constant")
        return self._constants[key]

    def ints(self, values: Sequence[int]) -> str:
        """A vector of integers, such as shapes and axes are."""
        return self.constant(np.array(values, np.int64), INT64)

    def number(self, value: float, like: Value) -> str:
        """A number in the element type of a value."""
        return self.constant(value, self.element(like.dtype))

    # Sizes -----------------------------------------------------------------------------------------------------------

    def sizes(self, values: Sequence[Any]) -> str:
        """A vector of integers, some of which depend on the sizes of the inputs."""
        if not any(isinstance(one, Size) for one in values):
            return self.ints(list(values))
        parts = [self._size(one) for one in values]
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=0)

    def _size(self, size: Any) -> str:
        assert self._node is not None
        if not isinstance(size, Size):
            return self.ints([size])
        found = self.graph.expression(size, self._node)
        parts = [self.add("Shape", self.name(value), start=dim, end=dim + 1) for value, dim in found.axes]
        total = parts[0]
        for one in parts[1:]:
            total = self.add("Mul", total, one)
        for kind, number, neutral in (("Mul", found.multiply, 1), ("Add", found.add, 0), ("Div", found.divide, 1)):
            if number != neutral:
                total = self.add(kind, total, self.ints([number]))
        return total

    def reshape(self, name: str, shape: Sequence[Any], before: Sequence[Any] = ()) -> str:
        """A tensor in another shape. ``before`` is its shape so far, if known."""
        wanted = list(shape)
        for i, size in enumerate(wanted):
            if isinstance(size, Size) and i < len(before) and before[i] == size:
                wanted[i] = 0  # ONNX takes the size from the input
        left = [i for i, size in enumerate(wanted) if isinstance(size, Size)]
        if len(left) == 1 and not any(size == 0 and shape[i] == 0 for i, size in enumerate(wanted)):
            wanted[left[0]] = -1
        return self.add("Reshape", name, self.sizes(wanted))

    # Element types ---------------------------------------------------------------------------------------------------

    def cast(self, name: str, before: int, after: int) -> str:
        return name if before == after else self.add("Cast", name, to=after)

    def as_element(self, value: Any, element: int) -> str:
        """A value or a number in this element type."""
        if isinstance(value, Size):
            return self.cast(self._size(value), INT64, element)
        if not isinstance(value, Value):
            return self.constant(value, element)
        if isinstance(value, Constant) and not isinstance(value, Filled | Expanded) and element in (FLOAT, FLOAT16):
            return self._initializer(value, element)
        return self.cast(self.name(value), self.element(value.dtype), element)

    def wide(self, value: Value) -> str:
        """A value in an element type for sums over many values: float32 if it is float16."""
        element = self.element(value.dtype)
        return self.as_element(value, FLOAT if element == FLOAT16 else element)

    def narrow(self, name: str, value: Value, is_sum: bool = True) -> str:
        """What was computed from ``wide`` values, in the element type of ``value``, the result."""
        element = self.element(value.dtype)
        return self.cast(name, FLOAT, element) if element == FLOAT16 and is_sum else name

    # Layout ----------------------------------------------------------------------------------------------------------

    def channels_first(self, name: str, ndim: int) -> str:
        """A tensor (N, ..., C) as (N, C, ...)."""
        if name not in self._channels_first:
            order = [0, ndim - 1, *range(1, ndim - 1)]
            self._channels_first[name] = self.add("Transpose", name, perm=order)
        return self._channels_first[name]

    def channels_last(self, name: str, ndim: int) -> str:
        """A tensor (N, C, ...) as (N, ..., C)."""
        found: str = self.add("Transpose", name, perm=[0, *range(2, ndim), 1])
        self._channels_first[found] = name
        return found

    def note_channels_last(self, name: str, channels_first: str) -> None:
        """Say that ``name`` is ``channels_first`` with its channels last."""
        self._channels_first.setdefault(name, channels_first)

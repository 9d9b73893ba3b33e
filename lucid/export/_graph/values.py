"""The parts of a recorded graph, see ``lucid.export._graph``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import mlx.core as mx


@dataclass(frozen=True)
class Size:
    """An integer that depends on the sizes of the inputs: its value in each of the recordings, the example first."""

    values: tuple[int, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, dict.fromkeys(self.values)))


Shape = tuple[int | Size, ...]


@dataclass(eq=False)
class Value:
    """A tensor in the graph: an input, or an output of ``node``.

    ``shape`` has a ``Size`` for each dimension that depends on the sizes of the inputs.
    """

    shape: Shape
    dtype: mx.Dtype
    node: Node | None = None
    index: int = 0  # among the outputs of ``node``, or among the inputs of the graph

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def example(self) -> tuple[int, ...]:
        """The shape in the recording of the example."""
        return tuple(one.values[0] if isinstance(one, Size) else one for one in self.shape)

    @property
    def is_fixed(self) -> bool:
        """Whether the shape is the same for all inputs."""
        return not any(isinstance(one, Size) for one in self.shape)


@dataclass(eq=False)
class Constant(Value):
    """A tensor that does not depend on the inputs: a parameter, a buffer, or what was computed from them alone.

    ``name`` is that in the model's state dict, or "" for other tensors. ``array`` is the value, in the recording of the
    example.
    """

    array: mx.array = field(default_factory=lambda: mx.array(0.0))
    name: str = ""


@dataclass(eq=False)
class Filled(Constant):
    """A constant whose shape depends on the sizes of the inputs: ``start + step * position`` in every element.

    ``step`` is 0 for a tensor of equal elements. Otherwise all dimensions but one have size 1.
    """

    start: float = 0
    step: float = 0


@dataclass(eq=False)
class Expanded(Constant):
    """A constant that is repeated along the dimensions whose sizes depend on the inputs, where ``array`` has size 1."""


@dataclass(eq=False)
class Node:
    """One operation.

    ``operation`` is the name of Lucid's function. ``arguments`` has its arguments by parameter name, defaults included:
    a ``Value`` for a tensor, a ``Size`` for an integer that depends on the sizes of the inputs, any other argument as
    it is; the same inside of lists, tuples and slices.
    """

    operation: str
    arguments: dict[str, Any]
    outputs: list[Value] = field(default_factory=list)
    module: str = ""  # path of the innermost module, such as "stages.0.1"
    line: str = ""  # of the user's code, such as "net.py:12"

    @property
    def output(self) -> Value:
        """The first output, of most operations the only one."""
        return self.outputs[0]

    def inputs(self) -> list[Value]:
        """The tensors among the arguments, in order."""
        return list(values_in(list(self.arguments.values())))

    def __str__(self) -> str:
        """The operation and where it was called, for messages."""
        return described(self.operation, self.module, self.line)


def described(operation: str, module: str, line: str) -> str:
    inside = f" in {module!r}" if module else ""
    return f"{operation}{inside}{f' ({line})' if line else ''}"


class Axis(NamedTuple):
    """The size of one dimension of a value."""

    value: Value
    dim: int


class Expression(NamedTuple):
    """How to compute a ``Size``: ``(product of axes * multiply + add) // divide``."""

    axes: tuple[Axis, ...]
    multiply: int = 1
    add: int = 0
    divide: int = 1

    def at(self, recording: int) -> int:
        """The value in a recording."""
        product = math.prod(size_at(axis.value.shape[axis.dim], recording) for axis in self.axes)
        return (product * self.multiply + self.add) // self.divide


def size_at(size: int | Size, recording: int) -> int:
    return size.values[recording] if isinstance(size, Size) else size


def values_in(argument: Any) -> Iterator[Value]:
    """The values in an argument, in order."""
    if isinstance(argument, Value):
        yield argument
    elif isinstance(argument, list | tuple):
        for one in argument:
            yield from values_in(one)


def sizes_in(argument: Any) -> Iterator[Size]:
    """The sizes in an argument, in order."""
    if isinstance(argument, Size):
        yield argument
    elif isinstance(argument, slice):
        yield from sizes_in((argument.start, argument.stop, argument.step))
    elif isinstance(argument, list | tuple):
        for one in argument:
            yield from sizes_in(one)

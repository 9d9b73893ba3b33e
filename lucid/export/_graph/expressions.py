"""Find out how a size follows from the sizes of other tensors.

The recordings show the value of a size for several sizes of the inputs. An expression that gives these values in all of
them is taken for the one that the model computes: first the size of a dimension itself, of a tensor close by if
possible, then what follows from one by a factor, an addition or a division, and products of two or three.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lucid.export._errors import ExportError
from lucid.export._graph.values import Axis, Expression, Node, Size, Value, size_at

if TYPE_CHECKING:
    from lucid.export._graph.graph import Graph

_Values = tuple[int, ...]
_DIVISORS = (2, 3, 4, 6, 7, 8, 14, 16, 32)


def find(graph: Graph, size: int | Size, node: Node) -> Expression:
    """See ``Graph.expression``."""
    if isinstance(size, int):
        return Expression((), add=size, multiply=0)
    axes: dict[_Values, Axis] = {}
    for axis in _axes(graph, node):
        found = axis.value.shape[axis.dim]
        assert isinstance(found, Size)
        axes.setdefault(found.values, axis)
    expression = _find(size.values, axes)
    if expression is None:
        raise ExportError(
            f"{node}: it is not known how the size {size} follows from the sizes of the inputs; "
            "export the model for a fixed size"
        )
    return expression


def _axes(graph: Graph, node: Node) -> Iterator[Axis]:
    """The dimensions that vary, of the inputs of the node, of the graph, and of all that is computed before."""
    before = itertools.takewhile(lambda one: one is not node, graph.nodes)
    values = [*node.inputs(), *graph.inputs, *(value for one in before for value in one.outputs)]
    for value in values:
        if value.node is not None or value in graph.inputs:
            yield from _varying(value)


def _varying(value: Value) -> Iterator[Axis]:
    for dim, size in enumerate(value.shape):
        if isinstance(size, Size):
            yield Axis(value, dim)


def _find(wanted: _Values, axes: dict[_Values, Axis]) -> Expression | None:
    if wanted in axes:
        return Expression((axes[wanted],))
    for values, axis in axes.items():
        found = _linear(wanted, values, (axis,)) or _divided(wanted, values, axis)
        if found is not None:
            return found
    for count in (2, 3):
        for chosen in itertools.combinations_with_replacement(axes.items(), count):
            product = tuple(_product(one) for one in zip(*(values for values, _ in chosen), strict=True))
            found = _linear(wanted, product, tuple(axis for _, axis in chosen), proportional=True)
            if found is not None:
                return found
    return None


def _linear(wanted: _Values, values: _Values, axes: tuple[Axis, ...], proportional: bool = False) -> Expression | None:
    """``values * multiply + add``, or a multiple or an exact fraction only."""
    low, high = values.index(min(values)), values.index(max(values))
    run, rise = values[high] - values[low], wanted[high] - wanted[low]
    if rise and rise % run == 0:
        multiply = rise // run
        add = wanted[low] - multiply * values[low]
        if not (proportional and add) and all(multiply * a + add == b for a, b in zip(values, wanted, strict=True)):
            return Expression(axes, multiply, add)
    elif rise and run % rise == 0 and all(a == b * (run // rise) for a, b in zip(values, wanted, strict=True)):
        return Expression(axes, divide=run // rise)
    return None


def _divided(wanted: _Values, values: _Values, axis: Axis) -> Expression | None:
    """``values`` divided and rounded down or up, if the recordings can tell which."""
    for divisor in _DIVISORS:
        found = [
            add
            for add in (0, divisor - 1)
            if all((a + add) // divisor == b for a, b in zip(values, wanted, strict=True))
        ]
        if len(found) == 1:
            return Expression((axis,), add=found[0], divide=divisor)
    return None


def _product(factors: tuple[int, ...]) -> int:
    total = 1
    for one in factors:
        total *= one
    return total


__all__ = ["find", "size_at"]

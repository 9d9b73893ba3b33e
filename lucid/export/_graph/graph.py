"""``record`` and the ``Graph`` that it returns, see ``lucid.export._graph``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lucid import nn, tape
from lucid._tensor_convert import as_array
from lucid.export._errors import ExportError
from lucid.export._graph import expressions
from lucid.export._graph.merging import DifferentPaths, Merge, constants_of, named_outputs
from lucid.export._graph.recording import Recording, preserving, record_once
from lucid.export._graph.values import Axis, Constant, Expression, Node, Size, Value

Places = Sequence[tuple[int, int]]  # of dimensions: (number of the input, dimension)
_MULTIPLES = (1, 2, 4, 8, 16, 32)
# By how much sizes at least differ from those of the example, by name: the maps of a network with a stride of 64 differ
# too, and no two names can be confused.
_FIRST_OFFSET, _NEXT_OFFSET = 131, 18
_BATCH_OFFSET = 5


@dataclass(eq=False)
class Graph:
    """What a model computes. Fields are described in ``lucid.export._graph``."""

    inputs: list[Value]
    nodes: list[Node]
    outputs: dict[str, Value]
    result: Any
    constants: dict[str, Constant]
    axes: dict[str, list[Axis]] = field(default_factory=dict)  # the dimensions that vary, by name
    multiples: dict[str, int] = field(default_factory=dict)

    def expression(self, size: int | Size, node: Node) -> Expression:
        """How to compute ``size`` before ``node`` runs.

        Raises:
            ExportError: it is not known how; the error names the operation.
        """
        return expressions.find(self, size, node)


def record(model: nn.Module, example_inputs: Any, *, dynamic: Mapping[str, Places] | None = None) -> Graph:
    """The graph of ``model(*example_inputs)``; see ``lucid.export._graph`` for what it holds.

    Args:
        model: Any module, in evaluation mode. It stays as it is.
        example_inputs: A tensor or a list of tensors. Only their shapes and dtypes matter.
        dynamic: Dimensions that are to have any size, by a name of your choice: the number of the input, and the
            dimension. Those of one name are equal.

    Raises:
        ExportError: The model is in training mode, or ``forward`` does what a file cannot: it draws random numbers,
            reads the value of a tensor, computes something else for inputs of another size, or changes a buffer.
        ValueError: ``dynamic`` names dimensions that the inputs do not have.
    """
    training = next((name for name, module in model.named_modules() if module.training), None)
    if training is not None:
        which = f"its module {training!r}" if training else "it"
        raise ExportError(f"{type(model).__name__}: {which} is in training mode; call model.eval() before the export")
    given = example_inputs if isinstance(example_inputs, list | tuple) else [example_inputs]
    arrays = [as_array(tape.unwrap(one)) for one in given]
    shapes, dtypes = [one.shape for one in arrays], [one.dtype for one in arrays]
    plan = {name: [tuple(place) for place in places] for name, places in (dynamic or {}).items() if places}
    for name, places in plan.items():
        for number, dim in places:
            if not (0 <= number < len(shapes) and 0 <= dim < len(shapes[number])):
                raise ValueError(f"record: {name}: there is no dimension {dim} of input {number}, inputs: {shapes}")
    with preserving(model):
        example = record_once(model, shapes, dtypes)
        if not plan:  # twice, as values may change from call to call
            return _graph(Merge([example, record_once(model, shapes, dtypes)]), {}, {})
        found, steps, more = [example], {}, []
        for offset, (name, places) in zip(itertools.count(_FIRST_OFFSET, _NEXT_OFFSET), plan.items(), strict=False):
            offset = _BATCH_OFFSET if name == "batch" else offset
            steps[name], one = _step(model, example, name, places, offset)
            found.append(one)
            more += [(number, dim, _odd_multiple(steps[name], 2 * offset + 2)) for number, dim in places]
        found.append(record_once(model, _changed(shapes, more), dtypes))
        return _graph(Merge(found), plan, steps)


def _step(model: nn.Module, example: Recording, name: str, places: Any, offset: int) -> tuple[int, Recording]:
    """The smallest step between sizes for which the graph stays the same, and a recording with another size."""
    failure: Exception | None = None
    for multiple in _MULTIPLES:
        amount = _odd_multiple(multiple, offset)
        shapes = _changed(example.inputs, [(number, dim, amount) for number, dim in places])
        try:
            one = record_once(model, shapes, example.dtypes)
            Merge([example, one])
        except (ExportError, ValueError, RuntimeError, IndexError) as error:
            failure = failure or error
            if name == "batch":  # a multiple of it means nothing
                break
        else:
            return multiple, one
    size = example.inputs[places[0][0]][places[0][1]]
    kind = "" if isinstance(failure, DifferentPaths) else "it fails for another one: "
    raise ExportError(
        f"{type(model).__name__} cannot be exported with a variable {name}, only for {size}: {kind}{failure}"
    ) from failure


def _odd_multiple(number: int, least: int) -> int:
    """An odd multiple of ``number`` that is at least ``least``."""
    return number * (-(-least // number) | 1)


def _changed(shapes: Sequence[tuple[int, ...]], changes: Sequence[tuple[int, int, int]]) -> list[tuple[int, ...]]:
    """The shapes with a number added to some sizes."""
    found = [list(one) for one in shapes]
    for number, dim, amount in changes:
        found[number][dim] += amount
    return [tuple(one) for one in found]


def _graph(merged: Merge, plan: Mapping[str, Any], multiples: dict[str, int]) -> Graph:
    outputs = named_outputs(merged.result)
    constants = {one.name: one for one in constants_of(merged.nodes, list(outputs.values())) if one.name}
    axes = {name: [Axis(merged.inputs[number], dim) for number, dim in places] for name, places in plan.items()}
    return Graph(merged.inputs, merged.nodes, outputs, merged.result, constants, axes, multiples)

"""Tensors that share their values, in a compiled function: among its inputs, and among its results.

Inside a trace the inputs are in cells of their own (``lucid/_aliases.py``), so that nothing outside changes:

- Of inputs that share a cell, the value of the cell is an input of the graph too, and they are views of it inside. If
  the function writes one of them, the new value of the cell is an output, and all aliases follow, also those outside.
- An input that shares with none of the others stands for itself. If it is written, its aliases outside follow.
- A result that is an alias of an input or of another result is taken from that one after the call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _aliases, _grad_mode, tape
from lucid._aliases import Cell, Place, ViewOp
from lucid._compile.arguments import Placeholder, map_container
from lucid._layout import Layout
from lucid._tensor import Tensor


class Shared(NamedTuple):
    """A cell that several inputs share."""

    cell: Cell
    members: tuple[int, ...]  # the numbers of these inputs


def shared_cells(tensors: list[Tensor]) -> tuple[list[Shared], Any]:
    """The cells that several of the inputs share, and the key of how all inputs lie in their cells."""
    placed = [(i, tensor._place) for i, tensor in enumerate(tensors) if tensor._place is not None]
    if not placed:
        return [], ()
    by_cell: dict[int, list[int]] = {}
    for i, place in placed:
        by_cell.setdefault(id(place.cell), []).append(i)
    found: list[Shared] = []
    key: list[Any] = []
    for i, place in placed:
        members = by_cell[id(place.cell)]
        layout = place.layout()
        if len(members) > 1:
            if members[0] == i:
                found.append(Shared(place.cell, tuple(members)))
                key.append((tuple(members), place.cell._array.shape))
            key.append((i, layout or place))
        elif layout is not None and not layout.is_contiguous:
            key.append((i, layout.strides))
    return found, tuple(key)


class Binding:
    """How the inputs of a trace lie in their cells. Holds no values."""

    def __init__(self, tensors: list[Tensor], shared: list[Shared]) -> None:
        empty = Cell(mx.array(0))
        number = {id(tensor): i for i, tensor in enumerate(tensors)}
        self._shared: list[tuple[tuple[int, ...], list[Place], list[int | None]]] = []
        self.members = frozenset(i for one in shared for i in one.members)  # of the inputs that share a cell
        self._strides: list[tuple[int, tuple[int, ...]]] = []
        for one in shared:
            places: list[Place] = []
            bases: list[int | None] = []
            for i in one.members:
                place = tensors[i]._place
                assert place is not None
                base = place.base
                known = None if base is None else number.get(id(base))
                if base is not None and (known is None or tensors[i]._node is not None or not _is_root(base)):
                    known = -1  # the write cannot be recorded for the base
                places.append(place.without_base().within(empty))
                bases.append(known)
            self._shared.append((one.members, places, bases))
        for i, tensor in enumerate(tensors):
            layout = None if tensor._place is None or i in self.members else tensor._place.layout()
            if layout is not None and not layout.is_contiguous:
                self._strides.append((i, layout.strides))

    @property
    def groups(self) -> list[tuple[int, ...]]:
        """The numbers of the inputs that share each cell."""
        return [members for members, _, _ in self._shared]

    def members_of(self, number: int) -> set[int]:
        return set(self._shared[number][0])

    def bind(self, tensors: list[Tensor], values: list[mx.array]) -> list[Cell]:
        """Put the inputs into cells of their own, those that are shared with ``values``; returns the latter cells."""
        for tensor in tensors:
            tensor._place = None
        for i, strides in self._strides:
            tensors[i]._place = _aliases.rooted(tensors[i], Layout(tensors[i].shape, strides, 0))
        cells = []
        for (members, places, bases), value in zip(self._shared, values, strict=True):
            cell = Cell(value)
            for i, place, base in zip(members, places, bases, strict=True):
                tensor = tensors[i]
                tensor._place = place.within(cell)
                if base is not None and base >= 0:
                    tensor._place.base = tensors[base]
                if base == -1:
                    tensor._place.recorded = False
                cell.add(tensor)
                _aliases.make_stale(tensor)
            cells.append(cell)
        return cells


def _is_root(tensor: tape.TensorBase) -> bool:
    return tensor._place is not None and tensor._place.parent is None


# Results -------------------------------------------------------------------------------------------------------------


class _Link(NamedTuple):
    """One view operation that leads from a tensor to a result."""

    op: ViewOp | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    part: int
    recorded: bool


class AliasOf(NamedTuple):
    """Replaces a result that is an alias: the tensor that it is taken from, and how."""

    source: Any
    links: tuple[_Link, ...]
    number: int


class Outline:
    """The structure of a result, with placeholders for its tensors."""

    def __init__(self, result: Any, inputs: Mapping[int, int], tensors: list[Tensor], out: Callable[[mx.array], int]):
        self._inputs, self._out = inputs, out  # numbers of the inputs, by id
        self._placed = [(tensor._place, tensor) for tensor in tensors if tensor._place is not None]
        self._found: dict[int, Any] = {}  # placeholders by the id of the tensor
        self.tensors: list[Tensor] = []  # by number
        self.computed: list[tuple[int, int]] = []  # the numbers and outputs of those that are no aliases
        returned: list[Tensor] = []
        _collect(result, returned)
        for one in returned:
            if one._place is not None and id(one) not in inputs:
                self._placed.append((one._place, one))
        cells = [id(one._place.cell) for one in {id(one): one for one in returned}.values() if one._place is not None]
        bound = {id(tensor._place.cell) for tensor in tensors if tensor._place is not None}
        self._aliased = {cell for cell in cells if cell in bound or cells.count(cell) > 1}
        self.shape = self._of(result)

    def _of(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._of_tensor(value)
        if isinstance(value, mx.array):
            return Placeholder("array", self._out(value))
        return map_container(value, self._of)

    def _of_tensor(self, tensor: Tensor) -> Any:
        at = self._inputs.get(id(tensor))
        if at is not None:
            return Placeholder("state", at)
        found = self._found.get(id(tensor))
        if found is None:
            found = self._found[id(tensor)] = self._alias_of(tensor) or self._computed(tensor)
        return found

    def _computed(self, tensor: Tensor) -> Placeholder:
        self.tensors.append(tensor)
        found = Placeholder("tensor", self._out(tensor._array), len(self.tensors) - 1)
        self.computed.append((found.number, found.at))
        return found

    def _alias_of(self, tensor: Tensor) -> AliasOf | None:
        """The tensor as an alias of an input or of another tensor."""
        place = tensor._place
        if place is None or place.parent is None or id(place.cell) not in self._aliased:
            return None
        placed = [(known, one) for known, one in self._placed if known.cell is place.cell]
        links: list[_Link] = []
        source: Any = None
        at: Place | None = place
        while at is not None:
            if at is not place:
                owner = next((one for known, one in placed if _is_same(known, at)), None)
                if owner is None and place.base is not None and place.base._place is at:
                    owner = place.base  # type: ignore[assignment]
                if owner is not None:
                    source = self._of_tensor(owner)
                    break
            if at.parent is None:
                break
            if any(isinstance(one, mx.array) for one in (*at.args, *(at.kwargs or {}).values())):
                return None  # an index that is computed inside
            links.append(_Link(at.op, at.args, at.kwargs or {}, at.part, at.recorded))
            at = at.parent
        if source is None:  # nobody holds the root any more
            root = self._found.get(id(place.cell))
            if root is None:
                root = self._found[id(place.cell)] = self._computed(tape.wrap(place.cell._array))
            source = root
        self.tensors.append(tensor)
        return AliasOf(source, tuple(reversed(links)), len(self.tensors) - 1)


def _is_same(place: Place, other: Place) -> bool:
    """Whether two places of a cell are equal. Places are copied when a tensor is detached."""
    while place is not other:
        if place.op is not other.op or place.args is not other.args or place.part != other.part:
            return False
        if place.parent is None or other.parent is None:
            return place.parent is other.parent
        place, other = place.parent, other.parent
    return True


def _collect(value: Any, found: list[Tensor]) -> None:
    if isinstance(value, Tensor):
        found.append(value)
    else:
        map_container(value, lambda one: _collect(one, found))


def build_result(result: Any, outputs: list[mx.array], tensors: list[Tensor], node: Any, tracked: list[int]) -> Any:
    """The result of a call: ``result`` with its placeholders replaced by tensors and arrays."""
    return _Builder(outputs, tensors, node, tracked).build(result)


class _Builder:
    # Not a recursive closure: that is a reference cycle, which would keep the outputs until Python collects garbage.

    def __init__(self, outputs: list[mx.array], tensors: list[Tensor], node: Any, tracked: list[int]) -> None:
        self._outputs, self._tensors, self._node, self._tracked = outputs, tensors, node, tracked
        self._made: dict[int, Tensor] = {}

    def build(self, value: Any) -> Any:
        if isinstance(value, AliasOf):
            if value.number not in self._made:
                alias = self.build(value.source)
                for link in value.links:
                    with _grad_mode.set_recording(link.recorded and _grad_mode.is_recording()):
                        alias = _aliases.retake(alias, link.op, link.args, link.kwargs, link.part)
                self._made[value.number] = alias
            return self._made[value.number]
        if isinstance(value, Placeholder):
            return self._placed(value)
        return map_container(value, self.build)

    def _placed(self, value: Placeholder) -> Any:
        if value.kind == "state":
            return self._tensors[value.at]
        if value.kind == "array":
            return self._outputs[value.at]
        if value.number not in self._made:
            is_tracked = self._node is not None and value.at in self._tracked
            graph = (self._node, self._tracked.index(value.at)) if is_tracked else ()
            self._made[value.number] = tape.wrap(self._outputs[value.at], *graph)
        return self._made[value.number]

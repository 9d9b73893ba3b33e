"""Aliases: tensors that share their values, so that a write to one is seen by all, as in PyTorch.

MLX's arrays never change, so two tensors cannot share memory that is written to. They share a *cell* instead, which
holds the value of the tensor that the others were taken from, the *root*. The *place* of a tensor says which cell that
is, and which view operations lead from the root to the tensor. Tensors without aliases have neither: the first view,
``detach()`` or ``state_dict()`` makes them.

- A write to a tensor (``follow``) writes the cell, and marks the other aliases as *stale*: their attributes ``_array``,
  ``_node`` and ``_index`` are deleted, and their class gets a ``__getattr__`` that computes them again when one is read
  (``Place.refresh``). So a read costs nothing extra, and aliases that nobody reads cost nothing at all. Fresh tensors
  have no ``__getattr__``, because with one Python reads every attribute four times slower.
- On the tape, a view depends on its *base*, the tensor at the start of its chain of views. A recorded write to a view
  gives the base a new node, and aliases that become stale are views of that base again. ``detach()`` starts a new
  chain: its result shares the values, not the graph.
- The cell keeps the value alive, and a view its base. The tensors in a cell are known by weak references only.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import mlx.core as mx

from lucid import _deferred, _layout, _overwritten, _threads
from lucid._grad_mode import mode, set_recording
from lucid._layout import Layout
from lucid.tape import TensorBase, apply, op, wrap

if TYPE_CHECKING:
    from lucid._tensor import Tensor

Rule = Callable[[Layout, "Place"], Layout | None]  # the layout of a view, given that of what it is a view of

_FIRST_PRUNING = 16  # tensors in a cell
_signature = functools.cache(inspect.signature)


class Cell:
    """The value that aliases share."""

    __slots__ = ("__weakref__", "_array", "guard", "limit", "members", "versions")

    def __init__(self, array: mx.array) -> None:
        self._array = array  # the value of the root
        self.members: dict[int, weakref.ref[TensorBase]] = {}  # by the id of the reference
        self.limit = _FIRST_PRUNING
        self.versions = False  # whether there are tensors whose changes the others do not notice, see ``data_of``
        self.guard: object = None  # kept as long as an alias lives, see ``lucid.from_numpy``

    def add(self, tensor: TensorBase) -> None:
        reference = weakref.ref(tensor)
        members = self.members
        members[id(reference)] = reference
        if len(members) > self.limit:  # a parameter may get views in every step
            self.limit = 2 * len(self.alive()) + _FIRST_PRUNING

    def alive(self) -> list[TensorBase]:
        """The tensors of this cell. Forgets those that are gone; single operations of a dictionary are atomic."""
        found = []
        for key, reference in list(self.members.items()):
            tensor = reference()
            if tensor is None:
                self.members.pop(key, None)
            else:
                found.append(tensor)
        return found

    def remove(self, tensor: TensorBase) -> None:
        self.members.pop(id(weakref.ref(tensor)), None)  # a tensor has one reference without a callback


class ViewOp:
    """An operation that returns a view, and its layout."""

    __slots__ = ("_layout", "body", "name")

    def __init__(self, name: str, body: Callable[..., Any], layout: Rule | None):
        self.name, self.body, self._layout = name, body, layout

    def layout(self, before: Layout, place: Place) -> Layout | None:
        return None if self._layout is None else self._layout(before, place)


class Place:
    """Where the value of a tensor comes from: its cell, and the last of the view operations that lead to it.

    The first place of a chain, that of the root, has no parent. A place with a parent and no operation is that of a
    detached tensor.
    """

    __slots__ = ("_layout", "args", "base", "cell", "kwargs", "op", "parent", "part", "recorded", "shape", "version")

    def __init__(
        self,
        cell: Cell,
        shape: tuple[int, ...],
        parent: Place | None = None,
        base: TensorBase | None = None,
        view: ViewOp | None = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        part: int = -1,
    ) -> None:
        self.cell = cell
        self.shape = shape
        self.parent = parent
        self.base = base  # the tensor that this is a view of on the tape; None for the base itself
        self.op = view
        self.args = args
        self.kwargs = kwargs
        self.part = part  # of an operation with several results
        self.recorded = mode.recording  # when the view was taken
        self.version: object = None if parent is None else parent.version  # see ``data_of``
        self._layout: Layout | None = None

    # The value -------------------------------------------------------------------------------------------------------

    def refresh(self, tensor: TensorBase) -> None:
        """Compute the attributes of a stale tensor again."""
        base = self.base
        if base is None:
            tensor._array = self.value()
            return
        chain = self._chain(base._place)
        if self.recorded and (base._node is not None or base._requires_grad):
            with set_recording(True):
                fresh: Any = base
                for place in chain:
                    assert place.op is not None
                    fresh = apply(place.op.body, (fresh, *place.args), place.kwargs or {}, place.op.name)
                    fresh = fresh if place.part < 0 else fresh[place.part]
            tensor._index, tensor._node, tensor._array = fresh._index, fresh._node, fresh._array
        else:
            array = base._array
            for place in chain:
                array = place._of(array)
            tensor._index, tensor._node, tensor._array = 0, None, array
            _deferred.created(tensor)

    def value(self) -> mx.array:
        """The current value at this place."""
        array = self.cell._array
        for place in self._chain(None):
            array = place._of(array)
        return array

    def _chain(self, start: Place | None) -> list[Place]:
        """The places from ``start``, by default the root, to this one, without the first."""
        found = []
        place: Place | None = self
        while place is not None and place is not start and place.parent is not None:
            found.append(place)
            place = place.parent
        return found[::-1]

    def _of(self, array: mx.array) -> Any:
        """This view of the value of the parent."""
        if self.op is None:
            return array
        out = self.op.body(array, *self.args, **(self.kwargs or {}))
        return out if self.part < 0 else out[self.part]

    # The elements ----------------------------------------------------------------------------------------------------

    def layout(self) -> Layout | None:
        """The layout within the root; None if it is not known."""
        if self._layout is None:
            if self.parent is None:
                self._layout = _layout.contiguous(self.shape)
            else:
                before = self.parent.layout()
                if before is not None:
                    self._layout = before if self.op is None else self.op.layout(before, self)
        return self._layout

    @property
    def is_contiguous(self) -> bool:
        layout = self.layout()
        return layout is None or layout.is_contiguous

    def without_base(self) -> Place:
        """The same place outside the graph: a detached tensor must not keep the graph of its source alive."""
        if self.base is None:
            return self
        assert self.parent is not None
        return self._copy(self.cell, self.parent.without_base())

    def within(self, cell: Cell) -> Place:
        """The same place in another cell, outside the graph."""
        return self._copy(cell, self.parent)

    def _copy(self, cell: Cell, parent: Place | None) -> Place:
        place = Place(cell, self.shape, parent, None, self.op, self.args, self.kwargs, self.part)
        place.recorded, place.version = self.recorded, self.version
        return place

    def argument(self, name: str) -> Any:
        """An argument of the view operation."""
        assert self.op is not None
        bound = _signature(self.op.body).bind(None, *self.args, **(self.kwargs or {}))
        bound.apply_defaults()
        return bound.arguments[name]

    def is_all_of(self, start: Place) -> bool:
        """Whether this place holds all elements of ``start``, an earlier place of the chain, in the same order."""
        if self is start:
            return True
        inner, outer = self.layout(), start.layout()
        if inner is None or outer is None:
            return False
        return inner.size == outer.size and (inner == outer or (inner.is_contiguous and outer.is_contiguous))

    def region(self, start: Place) -> slice | mx.array:
        """The flat positions of the elements within ``start``, an earlier place of the chain."""
        count = 1
        for size in start.shape:
            count *= size
        layout = self.layout()
        if layout is not None and start.parent is None and layout.is_contiguous and start.is_contiguous:
            return slice(layout.offset, layout.offset + layout.size)
        positions = mx.arange(count, dtype=mx.uint32 if count < 2**32 else mx.int64).reshape(start.shape)
        for place in self._chain(start):
            positions = place._of(positions)
        return positions.reshape(-1)


# Making aliases ------------------------------------------------------------------------------------------------------


def place_of(tensor: TensorBase) -> Place:
    """The place of ``tensor``, made if it has none: the root of a new cell."""
    place = tensor._place
    if place is None:
        place = tensor._place = rooted(tensor)
    return place


def link(
    view: TensorBase, source: TensorBase, kind: ViewOp, args: tuple[Any, ...], kwargs: dict[str, Any], part: int = -1
) -> None:
    """Make ``view`` an alias of ``source``, which it was computed from."""
    with _threads.engine:  # a trace in another thread puts back the place that it found
        parent = source._place or place_of(source)
        base = parent.base
        view._place = Place(
            parent.cell, view._array.shape, parent, source if base is None else base, kind, args, kwargs, part
        )
        parent.cell.add(view)


def detached(source: TensorBase, into: TensorBase | None = None) -> Tensor:
    """A tensor (``into``, or a new one) with the values of ``source``, now and later, and no graph."""
    with _threads.engine:
        parent = (source._place or place_of(source)).without_base()
        tensor = wrap(source._array) if into is None else into
        tensor._place = Place(parent.cell, parent.shape, parent)
        parent.cell.add(tensor)
    return cast("Tensor", tensor)


def data_of(source: TensorBase, into: TensorBase | None = None) -> Tensor:
    """``detached``, for ``.data``: in PyTorch it does not count as a change of ``source`` if the result is written."""
    tensor = detached(source, into)
    assert tensor._place is not None
    tensor._place.version = object()
    tensor._place.cell.versions = True
    return tensor


def retake(source: TensorBase, view: ViewOp | None, args: tuple[Any, ...], kwargs: dict[str, Any], part: int) -> Tensor:
    """The view of ``source`` that the operation gives; a detached tensor without an operation."""
    if view is None:
        return detached(source)
    out = apply(view.body, (source, *args), kwargs, view.name)
    found = out if part < 0 else out[part]
    link(found, source, view, args, kwargs, part)
    return cast("Tensor", found)


def copy_alias(tensor: TensorBase, new: TensorBase, memo: dict[int, Any]) -> None:
    """Make ``new`` an alias of the copies of the aliases of ``tensor``, which are in ``memo`` of ``copy.deepcopy``."""
    with _threads.engine:
        place = (tensor._place or place_of(tensor)).without_base()
        cell = memo.get(id(place.cell))
        if cell is None:
            if len(place.cell.alive()) == 1 and place.parent is None:
                return
            cell = memo[id(place.cell)] = Cell(place.cell._array)
        new._place = place.within(cell)
        cell.add(new)


def leave(tensor: TensorBase) -> None:
    """Give ``tensor`` a value of its own, before it is replaced: its aliases keep the former one."""
    place = tensor._place
    if place is None:
        return
    place.cell.remove(tensor)
    for other in place.cell.alive():
        if other._place is not None and other._place.base is tensor:
            _ = other._array  # fresh, with its graph
            other._place.base, other._place.recorded = None, False
    tensor._place = None


# Writing -------------------------------------------------------------------------------------------------------------


def follow(tensor: TensorBase, lazy: bool = False) -> None:
    """Write the new value of ``tensor`` to the cell, so that its aliases have it too.

    If the write is recorded, so is the one to the base of ``tensor``. The next step evaluates values, unless ``lazy``.
    """
    place = tensor._place
    if place is None:
        return
    cell, base, root = place.cell, place.base, place
    others = cell.alive()
    if len(others) == 1 and cell.guard is None:  # the aliases are gone
        tensor._place = _alone(tensor, place)
        return
    while root.parent is not None:
        root = root.parent
    if cell.versions:
        _note_overwritten(others, place)
    if base is not None and mode.recording and (tensor._node is not None or base._node is not None):
        start = base._place
        assert start is not None
        written: Any = tensor
        if not place.is_all_of(start):
            written = _put(base, tensor, place.region(start))
        elif tensor._array.shape != base._array.shape:
            written = apply(mx.reshape, (tensor, base._array.shape), {}, "reshape")
        moved = base._node, base._index
        base._array, base._node, base._index = written._array, written._node, written._index
        move_retained(base, *moved)
        if start is root:
            cell._array = base._array
        else:
            _write_cell(place, root, tensor._array)
    else:
        _write_cell(place, root, tensor._array)
        if not lazy:
            _deferred.created(cell)
        base = None
    for other in others:
        if other is not tensor and other is not base:
            make_stale(other)


def _alone(tensor: TensorBase, place: Place) -> Place | None:
    """The place of a tensor that has no aliases: none, or the root of a cell that keeps only the order in memory."""
    if place.is_contiguous:
        return None
    return rooted(tensor, place.layout())


def rooted(tensor: TensorBase, layout: Layout | None = None) -> Place:
    """The root of a new cell for ``tensor``, whose elements lie in memory as ``layout`` says (None: contiguous)."""
    cell = Cell(tensor._array)
    place = Place(cell, tensor._array.shape)
    if layout is not None:
        place._layout = layout._replace(offset=0)
    cell.add(tensor)
    return place


def write(cell: Cell, array: mx.array) -> None:
    """Give the cell a new value. All its tensors follow, and none of them is recorded."""
    tensors = cell.alive()
    if cell.versions:
        _note_overwritten(tensors, None)
    cell._array = array
    for tensor in tensors:
        make_stale(tensor)
    _deferred.created(cell)


def _write_cell(place: Place, root: Place, array: mx.array) -> None:
    cell = place.cell
    before = cell._array
    for one in reversed(place._chain(None)):
        if one.op is not None and one.op.name == "bits":
            assert one.parent is not None
            bits = array if one is place else _put_array(one.value(), array, place.region(one))
            _write_cell(one.parent, root, bits.view(one.parent.value().dtype))
            return
    if not place.is_all_of(root):
        cell._array = _put_array(before, array, place.region(root))
    else:
        cell._array = array if array.shape == before.shape else mx.reshape(array, before.shape)


def _note_overwritten(tensors: list[TensorBase], written: Place | None) -> None:
    """Note the values that a write at ``written`` (or any, if None) replaces without PyTorch noticing it."""
    for tensor in tensors:
        place = tensor._place
        if place is not None and (written is None or place.version is not written.version) and not is_stale(tensor):
            _overwritten.note(tensor._array, place.without_base().value)


def _fresh_attribute(tensor: Any, name: str) -> Any:
    """``__getattr__`` of stale tensors, which Python calls for attributes that are not set: compute them again."""
    place, kind = tensor._place, fresh_class(tensor)
    if name in ("_array", "_node", "_index") and place is not None:
        place.refresh(tensor)
        value = getattr(tensor, name)
        tensor.__class__ = kind
        return value
    raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}", name=name, obj=tensor)


@functools.cache
def _stale_class(kind: Any) -> Any:
    """The class that tensors of class ``kind`` have while they are stale."""
    names = {"__slots__": (), "__getattr__": _fresh_attribute, "_fresh_class": kind}
    return type.__new__(type(kind), kind.__name__, (kind,), names | {"__module__": kind.__module__})


def fresh_class(tensor: TensorBase) -> type[TensorBase]:
    """The class of ``tensor`` when it is not stale."""
    kind: type[TensorBase] = getattr(type(tensor), "_fresh_class", type(tensor))
    return kind


def is_stale(tensor: TensorBase) -> bool:
    try:
        _ARRAY.__get__(tensor)
    except AttributeError:
        return True
    return False


_ARRAY: Any = vars(TensorBase)["_array"]  # its __get__ does not call _fresh_attribute


def make_stale(tensor: TensorBase) -> None:
    """Have the next access compute the value of ``tensor``, and its node if it is a view, again."""
    place = tensor._place
    assert place is not None
    try:
        del tensor._array
    except AttributeError:  # it is stale already
        return
    if place.base is not None:
        del tensor._node, tensor._index
    kind: Any = fresh_class(tensor)
    tensor.__class__ = _stale_class(kind)


def move_retained(tensor: TensorBase, node: Any, index: int) -> None:
    """Have ``retain_grad()`` of a tensor apply to its new node; ``node`` and ``index`` are the former ones."""
    retained = None if node is None else node.retained
    if retained and index in retained and retained[index]() is tensor and tensor._node is not None:
        del retained[index]
        tensor._node.retain(tensor)


def _put_array(x: mx.array, values: mx.array, region: slice | mx.array) -> mx.array:
    """``x`` with ``values`` at flat positions."""
    flat = x.reshape(-1)
    flat[region] = values.reshape(-1)  # rebinds the name: the original array keeps its values
    return flat.reshape(x.shape)


_put: Callable[..., Any] = op(_put_array)

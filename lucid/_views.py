"""View operations: functions whose result shares its values with their first argument, see ``lucid/_aliases.py``."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, cast, overload

import mlx.core as mx

from lucid import _layout, _overwritten
from lucid._aliases import Place, Rule, ViewOp, link
from lucid._argument_names import TRANSLATED, translated
from lucid._layout import Layout
from lucid.tape import TensorBase, apply, resemble

if TYPE_CHECKING:
    from lucid._tensor import Tensor
    from lucid.tape import Lift

P = ParamSpec("P")


def by_shape(before: Layout, place: Place) -> Layout | None:
    """The layout of an operation that keeps the order of the elements."""
    return _layout.reshaped(before, place.shape)


def by_expansion(before: Layout, place: Place) -> Layout | None:
    """The layout of an operation that broadcasts."""
    return _layout.expanded(before, place.shape)


def by_order(before: Layout, place: Place) -> Layout | None:
    """The layout of an operation that permutes the dimensions. Which way, the shape of an example shows."""
    example = mx.zeros(tuple(range(1, len(before.shape) + 1)))  # never evaluated
    return _layout.permuted(before, [size - 1 for size in place._of(example).shape])


def _bits(dtype: mx.Dtype) -> ViewOp:
    return ViewOp("bits", lambda x: x.view(dtype), None)


def _is_copy(place: Place, shape: tuple[int, ...]) -> bool:
    """Whether ``reshape`` to ``shape`` has to copy."""
    layout = place.layout()
    return layout is not None and not layout.is_contiguous and _layout.reshaped(layout, shape) is None


_RESHAPE = ViewOp("reshape", lambda x, shape: mx.reshape(x, shape), by_shape)
_EXPAND = ViewOp("expand", lambda x, shape: mx.broadcast_to(x, shape), by_expansion)


def _kept(value: Any) -> Any:
    """An argument as it is now: what it holds may change, but not the view."""
    if isinstance(value, TensorBase):
        return value._array
    if isinstance(value, tuple | list):
        return tuple(map(_kept, value))
    if isinstance(value, slice) and any(isinstance(one, TensorBase) for one in (value.start, value.stop, value.step)):
        return slice(*[one if one is None else operator.index(one) for one in (value.start, value.stop, value.step)])
    return value


def _view(
    body: Callable[..., Any] | None = None,
    *,
    layout: Rule | None = None,
    copies: bool = False,
    itself: bool = False,
    when: Callable[..., bool] | None = None,
) -> Callable[..., Any]:
    """``op`` for functions that return a view of their first argument: writing to the result writes to it too.

    Args:
        layout: The layout of the result, given that of the argument. Without it the result still is a view, but
            ``reshape`` of it never copies.
        copies: Whether the result is a copy where no layout exists, as that of ``reshape``.
        itself: Whether the result is the argument itself if its shape is the same.
        when: Whether the result is a view, given the other arguments; by default it always is.
    """
    if body is None:
        return lambda function: _view(function, layout=layout, copies=copies, itself=itself, when=when)
    name, first = body.__name__, next(iter(inspect.signature(body).parameters))
    _overwritten.views.add(name)
    kind = {by_shape: _RESHAPE, by_expansion: _EXPAND}.get(cast(Any, layout)) or ViewOp(name, body, layout)
    takes_shape = layout in (by_shape, by_expansion)

    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            if not TRANSLATED.isdisjoint(kwargs):
                kwargs = translated(body, name, len(args), kwargs)
            if not args and first in kwargs:
                args = (kwargs.pop(first),)
        out = apply(body, args, kwargs, name)
        source = args[0]
        if not isinstance(source, TensorBase) or (when is not None and not when(*args[1:], **kwargs)):
            return out
        if takes_shape:
            if itself and out._array.shape == source._array.shape:
                return source
            if copies and source._place is not None and _is_copy(source._place, out._array.shape):
                return out
            if out._array.dtype == source._array.dtype:
                link(out, source, kind, (out._array.shape,), {})
            else:
                link(out, source, _bits(out._array.dtype), (), {})
            return out
        arguments = tuple(map(_kept, args[1:]))
        if kwargs:
            kwargs = {key: _kept(value) for key, value in kwargs.items()}
        if isinstance(out, tuple):
            for part, one in enumerate(out):
                link(one, source, kind, arguments, kwargs, part)
        else:
            link(out, source, kind, arguments, kwargs)
        return out

    resemble(call, body)
    return call


if TYPE_CHECKING:

    @overload
    def view_op(body: Callable[P, mx.array], /) -> Callable[P, Tensor]: ...
    @overload
    def view_op(body: Callable[P, tuple[mx.array, ...]], /) -> Callable[P, tuple[Tensor, ...]]: ...
    @overload
    def view_op(
        *,
        layout: Rule | None = None,
        copies: bool = False,
        itself: bool = False,
        when: Callable[..., bool] | None = None,
    ) -> Lift: ...
    def view_op(*args: Any, **kwargs: Any) -> Any: ...
else:
    view_op = _view

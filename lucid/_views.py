"""Views: remember the tensor that a view was taken from, so that writing to one writes to the other."""

from __future__ import annotations

import inspect
import math
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import mlx.core as mx

from lucid._argument_names import TRANSLATED, translated
from lucid.tape import TensorBase, apply, op, resemble, wrap

if TYPE_CHECKING:
    from lucid._tensor import Tensor


class Base(NamedTuple):
    """The tensor that a view was taken from, and how it was taken."""

    owner: weakref.ref[TensorBase]
    steps: tuple[Callable[[mx.array], mx.array], ...]  # lead from the owner's array to the view's; empty for detach()
    detached: bool  # the view is not part of the owner's graph

    def view_of(self, owner: TensorBase) -> Tensor:
        """The same view of the current value of ``owner``."""
        if self.detached:
            return wrap(self._stepped(owner._array))
        return cast("Tensor", apply(self._stepped, (owner,), {}, "view") if self.steps else owner)

    def _stepped(self, array: mx.array) -> mx.array:
        for step in self.steps:
            array = step(array)
        return array

    def positions(self, shape: tuple[int, ...]) -> mx.array:
        """Flat indices of the view's elements in an owner of ``shape``, in the view's shape."""
        return self._stepped(mx.arange(math.prod(shape)).reshape(shape))


def based_on(view: TensorBase, source: TensorBase, step: Callable[[mx.array], mx.array] | None) -> None:
    """Mark ``view`` as taken from ``source`` by ``step``, or by ``detach`` if ``step`` is ``None``."""
    base = source._base
    owner = None if base is None else base.owner()
    if base is None or owner is None:
        base = Base(weakref.ref(source), (), False)
    steps = base.steps if step is None else (*base.steps, step)
    view._base = Base(base.owner, steps, base.detached or step is None)


def _view(body: Callable[..., Any]) -> Callable[..., Any]:
    name, first = body.__name__, next(iter(inspect.signature(body).parameters))

    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            if not TRANSLATED.isdisjoint(kwargs):
                kwargs = translated(body, name, len(args), kwargs)
            if not args and first in kwargs:
                args = (kwargs.pop(first),)
        out = apply(body, args, kwargs, name)
        x, args = args[0], args[1:]
        if not isinstance(x, TensorBase):
            return out  # x is a list or a NumPy array
        if isinstance(out, tuple):
            for i, part in enumerate(out):
                based_on(part, x, lambda array, i=i: body(array, *args, **kwargs)[i])  # type: ignore[misc]
        elif out is not x:
            based_on(out, x, lambda array: body(array, *args, **kwargs))
        return out

    resemble(call, body)
    return call


if TYPE_CHECKING:
    view_op = op
else:
    view_op = _view
    view_op.__doc__ = (
        """``op`` for functions that return a view of their first argument: writing to the result writes to it too."""
    )

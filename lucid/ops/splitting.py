"""Views of parts, and copies of views: ``tensor_split``, ``unfold``, ``ravel``, ``narrow_copy`` and others."""

import itertools
from collections.abc import Callable
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred, _layout
from lucid._layout import Layout
from lucid._views import Place, by_shape, view_op
from lucid.ops import joining, shape
from lucid.ops._common import array, compact_if_empty, sizes, total, varargs
from lucid.ops._types import TensorLike
from lucid.ops.elementwise import clone
from lucid.tape import op, unwrap

__all__ = [
    "alias_copy", "diagonal_copy", "dsplit", "expand_copy", "hsplit", "narrow_copy", "permute_copy", "ravel",
    "select_copy", "split_copy", "split_with_sizes", "split_with_sizes_copy", "squeeze_copy", "sum_to_size", "t_copy",
    "tensor_split", "transpose_copy", "unbind_copy", "unfold", "unfold_copy", "unsafe_chunk", "unsafe_split",
    "unsafe_split_with_sizes", "unsqueeze_copy", "view_copy", "vsplit",
]  # fmt: skip


def tensor_split(
    input: Any, indices: Any = None, dim: int = 0, *, sections: Any = None, indices_or_sections: Any = None,
    tensor_indices_or_sections: Any = None,
) -> Any:  # fmt: skip
    """Views along ``dim``: so many parts of sizes that differ by 1 at most, or those that begin at the given indices.

    Example:
        >>> [part.tolist() for part in lucid.tensor_split(lucid.arange(5), 2)]
        [[0, 1, 2], [3, 4]]
    """
    where = _one_of("tensor_split", indices, sections, indices_or_sections, tensor_indices_or_sections)
    return _split_at("tensor_split", input, where, dim)


def _one_of(caller: str, *given: Any) -> Any:
    """The only argument that is given: PyTorch has several names for it."""
    found = [one for one in given if one is not None]
    if len(found) != 1:
        raise TypeError(f"{caller}: expected either indices or sections")
    return found[0]


def _split_at(caller: str, input: Any, indices: Any, dim: Any, divides: bool = False) -> Any:
    """``divides`` is whether the parts of a number of sections have to be equal."""
    x = array(caller, unwrap(input))
    if x.ndim == 0:
        raise _checks.ArgumentError(f"{caller}: a 0-d tensor cannot be split")
    axis = _checks.dim(caller, dim, x.ndim)
    size = x.shape[axis]
    indices = unwrap(indices)
    if isinstance(indices, mx.array):
        if indices.ndim > 1 or indices.dtype != mx.int64:
            raise _checks.ArgumentError(
                f"{caller}: indices must be a number or a vector of int64, got shape {indices.shape} of "
                f"{_checks.dtype_name(indices.dtype)}"
            )
        indices = _deferred.wait(indices).tolist()
    if isinstance(indices, list | tuple):
        bounds = [0, *[_checks.integer(caller, "indices", one) for one in indices], size]
        bounds = [min(max(one + size if one < 0 else one, 0), size) for one in bounds]
    else:
        count = _checks.integer(caller, "sections", indices)
        if count < 1 or (divides and size % count):
            raise _checks.ArgumentError(f"{caller}: size {size} of dim {dim} cannot be split into {count} parts")
        bounds = [part * (size // count) + min(part, size % count) for part in range(count + 1)]
    return tuple([shape.narrow(input, axis, min(a, b), max(b - a, 0)) for a, b in itertools.pairwise(bounds)])


def _needs(caller: str, input: Any, count: int) -> int:
    """The number of dimensions, which is at least ``count``."""
    shape = array(caller, unwrap(input)).shape
    if len(shape) < count:
        raise _checks.ArgumentError(f"{caller}: input must have at least {count} dimensions, got shape {shape}")
    return len(shape)


@varargs
def hsplit(input: Any, indices: Any = None, *, sections: Any = None) -> Any:
    """``tensor_split`` along the second dimension, or the first of a vector, into equal parts."""
    axis = 0 if _needs("hsplit", input, 1) == 1 else 1
    return _split_at("hsplit", input, _one_of("hsplit", indices, sections), axis, True)


@varargs
def vsplit(input: Any, indices: Any = None, *, sections: Any = None) -> Any:
    """``tensor_split`` along the first dimension, into equal parts."""
    _needs("vsplit", input, 2)
    return _split_at("vsplit", input, _one_of("vsplit", indices, sections), 0, True)


@varargs
def dsplit(input: Any, indices: Any = None, *, sections: Any = None) -> Any:
    """``tensor_split`` along the third dimension, into equal parts."""
    _needs("dsplit", input, 3)
    return _split_at("dsplit", input, _one_of("dsplit", indices, sections), 2, True)


def split_with_sizes(input: TensorLike, split_sizes: Any, dim: int = 0) -> Any:
    """Views of the listed sizes along ``dim``, as ``split``."""
    return joining.split(input, list(sizes("split_with_sizes", split_sizes, "split_sizes")), dim)


def unsafe_split(input: TensorLike, split_size: int, dim: int = 0) -> Any:
    """``split``, whose parts can be written in place here too."""
    return joining.split(input, split_size, dim)


def unsafe_split_with_sizes(input: TensorLike, split_sizes: Any, dim: int = 0) -> Any:
    """``split_with_sizes``, whose parts can be written in place here too."""
    return split_with_sizes(input, split_sizes, dim)


def unsafe_chunk(input: TensorLike, chunks: int, dim: int = 0) -> Any:
    """``chunk``, whose parts can be written in place here too."""
    return joining.chunk(input, chunks, dim)


@view_op(layout=by_shape, copies=True, itself=True)
def ravel(input: TensorLike) -> mx.array:
    """``input`` as a vector."""
    return array("ravel", input).reshape(-1)


def _unfold_layout(before: Layout, place: Place) -> Layout:
    axis = place.argument("dimension") % max(len(before.shape), 1)
    step, stride = place.argument("step"), before.strides[axis] if before.shape else 1
    strides = list(before.strides) or [1]
    strides[axis] = stride * step
    return _layout.Layout(place.shape, (*strides, stride)[-len(place.shape) :], before.offset)


@view_op(layout=_unfold_layout)
def unfold(input: TensorLike, dimension: int, size: int, step: int) -> mx.array:
    """All slices of ``size`` along ``dimension``, ``step`` apart; their elements become a new last dimension."""
    x = array("unfold", input)
    axis = _checks.dim("unfold", dimension, x.ndim, "dimension")
    size, step = _checks.integer("unfold", "size", size, 0), _checks.integer("unfold", "step", step, 1)
    length = x.shape[axis] if x.ndim else 1
    if size > length:
        raise _checks.ArgumentError(f"unfold: size {size} exceeds size {length} of dimension {dimension}")
    if x.ndim == 0:
        return x.reshape(1)[:size]
    starts = mx.arange(0, length - size + 1, step).reshape(-1, 1)
    found = x[(slice(None),) * axis + (starts + mx.arange(size).reshape(1, -1),)]  # (..., count, size, ...)
    return mx.moveaxis(found, axis + 1, -1)


@op
@varargs
def sum_to_size(input: TensorLike, size: Any) -> mx.array:
    """The sum over the dimensions in which ``size`` broadcasts to the shape of ``input``."""
    x, wanted = array("sum_to_size", input), sizes("sum_to_size", size)
    new = x.ndim - len(wanted)
    if new < 0 or any(a not in (1, b) for a, b in zip(wanted, x.shape[new:], strict=True)):
        raise _checks.ArgumentError(f"sum_to_size: size {wanted} cannot be broadcast to shape {x.shape}")
    gone = [d for d in range(x.ndim) if d < new or (wanted[d - new] == 1 != x.shape[d])]
    # As in PyTorch, where a number is a sum of one number.
    if x.dtype == mx.bool_ or ((gone or not wanted) and mx.issubdtype(x.dtype, mx.integer)):
        x = x.astype(mx.int64)
    return total(compact_if_empty(x), gone, True).reshape(wanted) if gone else x


def _copy_of(view: Callable[..., Any], name: str = "") -> Callable[..., Any]:
    """``view`` with a copy as its result."""
    name = name or f"{view.__name__}_copy"

    def copy(*args: Any, **kwargs: Any) -> Any:
        _checks.no_out(name, kwargs.pop("out", None))
        found = view(*args, **kwargs)
        return tuple(map(clone, found)) if isinstance(found, tuple | list) else clone(found)

    copy.__name__ = copy.__qualname__ = name
    copy.__doc__ = f"``{view.__name__}`` as a copy: writing to it does not change ``input``."
    copy.__wrapped__ = view  # type: ignore[attr-defined]
    copy.takes_varargs = getattr(view, "takes_varargs", False)  # type: ignore[attr-defined]
    return copy


def _itself(input: TensorLike) -> Any:
    return input


alias_copy = _copy_of(_itself, "alias_copy")
diagonal_copy = _copy_of(shape.diagonal)
expand_copy = _copy_of(shape.expand)
narrow_copy = _copy_of(shape.narrow)
permute_copy = _copy_of(shape.permute)
select_copy = _copy_of(shape.select)
split_copy = _copy_of(unsafe_split, "split_copy")
split_with_sizes_copy = _copy_of(split_with_sizes)
squeeze_copy = _copy_of(shape.squeeze)
t_copy = _copy_of(shape.t)
transpose_copy = _copy_of(shape.transpose)
unbind_copy = _copy_of(joining.unbind)
unfold_copy = _copy_of(unfold)
unsqueeze_copy = _copy_of(shape.unsqueeze)
view_copy = _copy_of(shape.view)

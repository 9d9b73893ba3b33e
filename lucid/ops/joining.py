"""Join, repeat and split tensors."""

from collections.abc import Iterable
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred, _layout
from lucid._layout import Layout
from lucid._views import Place, view_op
from lucid.ops._common import array, at_least_1d, index_array, promoted, sizes, varargs
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = [
    "cat", "chunk", "concat", "concatenate", "hstack", "repeat", "repeat_interleave", "split", "stack", "tile",
    "unbind", "vstack",
]  # fmt: skip

Tensors = list[Any] | tuple[Any, ...]


@op
@varargs
def repeat(input: TensorLike, repeats: Any) -> mx.array:
    """``input`` repeated ``repeats`` times along each dimension; extra counts add dimensions in front."""
    x = array("repeat", input)
    counts = sizes("repeat", repeats, "repeats")
    if len(counts) < x.ndim or min(counts, default=0) < 0:
        raise _checks.ArgumentError(
            f"repeat: shape {x.shape} needs at least {x.ndim} repeats, each at least 0, got {counts}"
        )
    return _tile("repeat", x, counts)


@op
@varargs
def tile(input: TensorLike, dims: Any) -> mx.array:
    """``input`` repeated ``dims`` times along the last dimensions; missing counts are 1."""
    x = array("tile", input)
    counts = sizes("tile", dims, "dims")
    if min(counts, default=0) < 0:
        raise _checks.ArgumentError(f"tile: dims must be at least 0, got {counts}")
    return _tile("tile", x, (1,) * (x.ndim - len(counts)) + counts)


def _tile(caller: str, x: mx.array, counts: tuple[int, ...]) -> mx.array:
    shape = (1,) * (len(counts) - x.ndim) + x.shape
    after = _checks.representable(caller, tuple([count * size for count, size in zip(counts, shape, strict=True)]))
    x = x.reshape([one for size in shape for one in (1, size)])
    x = mx.broadcast_to(x, [one for pair in zip(counts, shape, strict=True) for one in pair])
    return x.reshape(after)


@op
def repeat_interleave(
    input: TensorLike, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> mx.array:
    """Each slice along ``dim`` repeated ``repeats`` times; without ``dim``, each value of the flattened tensor.

    ``repeats`` is a number, or one for each slice, in which case the call waits for its values. Without ``repeats``,
    ``input`` has the counts, and the result is each index (int64) as often. ``output_size`` is the size of the result
    along ``dim``, which is checked.
    """
    x = array("repeat_interleave", input)
    if repeats is None:
        x, repeats = mx.arange(x.size, dtype=mx.int64), index_array("repeat_interleave", x, "repeats").reshape(-1)
    if dim is None:
        x, dim = x.reshape(-1), 0
    x = at_least_1d(x)
    axis = _checks.dim("repeat_interleave", dim, x.ndim)
    counts: Any = _deferred.to_numpy(repeats).tolist() if isinstance(repeats, mx.array) else repeats
    if isinstance(counts, Iterable) and not isinstance(counts, str):
        counts = [_checks.integer("repeat_interleave", "repeats", one, 0) for one in counts]
    else:
        counts = [_checks.integer("repeat_interleave", "repeats", counts, 0)] * x.shape[axis]
    if len(counts) == 1:
        counts *= x.shape[axis]
    if len(counts) != x.shape[axis]:
        raise _checks.ArgumentError(f"repeat_interleave: dim {dim} needs {x.shape[axis]} repeats, got {len(counts)}")
    if output_size is not None and output_size != sum(counts):
        raise _checks.ArgumentError(f"repeat_interleave: output_size must be {sum(counts)}, got {output_size!r}")
    _checks.representable("repeat_interleave", (*x.shape[:axis], sum(counts), *x.shape[axis + 1 :]))
    if counts and counts.count(counts[0]) == len(counts):
        return mx.repeat(x, counts[0], axis)
    return mx.take(x, mx.array([i for i, count in enumerate(counts) for _ in range(count)], mx.int32), axis)


def tensor_list(caller: str, tensors: Any) -> list[mx.array]:
    if isinstance(tensors, mx.array) and tensors.ndim:
        tensors = [tensors[i] for i in range(tensors.shape[0])]
    if isinstance(tensors, mx.array | str) or not isinstance(tensors, Iterable):
        raise TypeError(f"{caller}: tensors must be a list or tuple of tensors, got {type(tensors).__name__}")
    found = [array(caller, one, "tensors") for one in tensors]
    if not found:
        raise _checks.ArgumentError(f"{caller}: expected at least one tensor")
    return promoted(*found)


@op
def cat(tensors: Tensors, dim: int = 0, *, out: None = None) -> mx.array:
    """The tensors concatenated along ``dim``; all other sizes must be equal.

    Example:
        >>> a, b = lucid.zeros(2, 3), lucid.ones(1, 3)
        >>> lucid.cat([a, b]).shape
        (3, 3)
    """
    found = tensor_list("cat", tensors)
    found = [one for one in found if one.shape != (0,)] or found  # as in PyTorch, empty vectors are skipped
    if found[0].ndim == 0:
        raise _checks.ArgumentError("cat: 0-d tensors cannot be concatenated; use stack")
    return concatenated("cat", found, _checks.dim("cat", dim, found[0].ndim))


def concatenated(caller: str, found: list[mx.array], axis: int) -> mx.array:
    first = found[0].shape
    for i, one in enumerate(found):
        if one.ndim != len(first) or one.shape[:axis] + one.shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
            raise _checks.ArgumentError(
                f"{caller}: shapes must be equal except in dim {axis}, got {first} and {one.shape} (tensor {i})"
            )
    return mx.concatenate(found, axis)


@op
def stack(tensors: Tensors, dim: int = 0, *, out: None = None) -> mx.array:
    """The tensors, of equal shapes, stacked along a new dimension ``dim``.

    Example:
        >>> a, b = lucid.zeros(3), lucid.ones(3)
        >>> lucid.stack([a, b]).shape, lucid.stack([a, b], dim=1).shape
        ((2, 3), (3, 2))
    """
    found = tensor_list("stack", tensors)
    for i, one in enumerate(found):
        if one.shape != found[0].shape:
            raise _checks.ArgumentError(
                f"stack: shapes must be equal, got {found[0].shape} and {one.shape} (tensor {i})"
            )
    return mx.stack(found, _checks.dim("stack", dim, found[0].ndim + 1))


@op
def hstack(tensors: Tensors, *, out: None = None) -> mx.array:
    """``cat`` along the second dimension, or along the first for vectors."""
    found = [at_least_1d(one) for one in tensor_list("hstack", tensors)]
    return concatenated("hstack", found, 0 if found[0].ndim == 1 else 1)


@op
def vstack(tensors: Tensors, *, out: None = None) -> mx.array:
    """``cat`` along the first dimension, with vectors as rows."""
    return concatenated(
        "vstack", [one.reshape(1, -1) if one.ndim < 2 else one for one in tensor_list("vstack", tensors)], 0
    )


def _part_layout(before: Layout, place: Place) -> Layout:
    axis = place.argument("dim") % len(before.shape)
    return _layout.narrowed(before, axis, _start_of_part(before.shape[axis], place), place.shape[axis])


def _start_of_part(length: int, place: Place) -> int:
    assert place.op is not None
    if place.op.name == "chunk":
        return place.part * -(-length // int(place.argument("chunks")))
    size = place.argument("split_size_or_sections")
    return sum(size[: place.part]) if isinstance(size, list | tuple) else place.part * int(size)


@view_op(layout=_part_layout)
def split(tensor: TensorLike, split_size_or_sections: Any, dim: int = 0) -> tuple[mx.array, ...]:
    """Pieces of size ``split_size_or_sections`` along ``dim`` (the last may be smaller), or of the listed sizes.

    Example:
        >>> [part.shape for part in lucid.split(lucid.arange(10), 4)]
        [(4,), (4,), (2,)]
    """
    x, split_size = array("split", tensor, "tensor"), split_size_or_sections
    if x.ndim == 0:
        raise _checks.ArgumentError("split: a 0-d tensor cannot be split")
    at = _checks.dim("split", dim, x.ndim)
    length = x.shape[at]
    if isinstance(split_size, list | tuple):
        pieces = [_checks.integer("split", "split_size", one, 0) for one in split_size]
        if sum(pieces) != length:
            raise _checks.ArgumentError(
                f"split: sizes {tuple(pieces)} must add up to {length}, the size of dim {dim} of shape {x.shape}"
            )
    else:
        size = _checks.integer("split", "split_size", split_size, 0 if length == 0 else 1)
        pieces = [min(size, length - start) for start in range(0, length, size or 1)] or [0]
    return _split_at(x, pieces, at)


def _split_at(x: mx.array, lengths: list[int], dim: int) -> tuple[mx.array, ...]:
    if len(lengths) == 1:
        return (x,)
    stops, total = [], 0
    for length in lengths[:-1]:
        total += length
        stops.append(total)
    return tuple(mx.split(x, stops, dim))


@view_op(layout=_part_layout)
def chunk(input: TensorLike, chunks: int, dim: int = 0) -> tuple[mx.array, ...]:
    """At most ``chunks`` pieces of equal size along ``dim``; the last may be smaller."""
    x = array("chunk", input)
    if x.ndim == 0:
        raise _checks.ArgumentError("chunk: a 0-d tensor cannot be split")
    axis = _checks.dim("chunk", dim, x.ndim)
    count = _checks.integer("chunk", "chunks", chunks, 1)
    length = x.shape[axis]
    if length == 0:
        return tuple(x for _ in range(count))
    size = -(-length // count)
    return _split_at(x, [min(size, length - start) for start in range(0, length, size)], axis)


def _unbind_layout(before: Layout, place: Place) -> Layout:
    return _layout.selected(before, place.argument("dim"), place.part)


@view_op(layout=_unbind_layout)
def unbind(input: TensorLike, dim: int = 0) -> tuple[mx.array, ...]:
    """All slices along ``dim``, with that dimension removed."""
    x = array("unbind", input)
    if x.ndim == 0:
        raise _checks.DimError("unbind: a 0-d tensor cannot be unbound")
    axis = _checks.dim("unbind", dim, x.ndim)
    return tuple(mx.squeeze(one, axis) for one in _split_at(x, [1] * x.shape[axis], axis)) if x.shape[axis] else ()


concat = concatenate = cat

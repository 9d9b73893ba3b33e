"""Views and copies by PyTorch's strides."""

from typing import TYPE_CHECKING, Any

import mlx.core as mx

from lucid import _checks
from lucid._aliases import Place
from lucid._layout import Layout
from lucid._views import view_op
from lucid.ops._common import array
from lucid.ops._types import TensorLike
from lucid.ops.shape import permute
from lucid.tape import TensorBase, op, wrap

if TYPE_CHECKING:
    from lucid._tensor import Tensor

__all__ = ["as_strided", "as_strided_copy", "as_strided_scatter"]


def _geometry(caller: str, size: Any, stride: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    sizes, strides = _checks.shape(caller, (size,)), _checks.shape(caller, (stride,), "stride")
    if len(sizes) != len(strides):
        raise _checks.ArgumentError(f"{caller}: size and stride must have one length, got {sizes} and {strides}")
    return sizes, strides


def memory_order(caller: str, size: Any, stride: Any) -> tuple[tuple[int, ...], list[int]]:
    """The sizes, and the dimensions by falling stride."""
    sizes, strides = _geometry(caller, size, stride)
    return sizes, sorted(range(len(sizes)), key=lambda axis: -strides[axis])


def zeros_in_order(sizes: tuple[int, ...], order: list[int], dtype: mx.Dtype) -> "Tensor":
    """Zeros whose dimensions lie in memory in this order."""
    found = wrap(mx.zeros([sizes[axis] for axis in order], dtype))
    return found if order == sorted(order) else permute(found, [order.index(axis) for axis in sorted(order)]).detach()


def _positions(caller: str, x: mx.array, size: Any, stride: Any, storage_offset: Any) -> mx.array:
    """The flat positions of the elements, in the shape of the result."""
    sizes, strides = _geometry(caller, size, stride)
    offset = 0 if storage_offset is None else _checks.integer(caller, "storage_offset", storage_offset)
    last = offset + sum((one - 1) * step for one, step in zip(sizes, strides, strict=True))
    if 0 not in sizes and not (offset >= 0 and last < x.size):
        raise _checks.ArgumentError(
            f"{caller}: size {sizes}, stride {strides} and storage_offset {offset} reach outside of the {x.size} "
            "elements of input"
        )
    found = mx.full((1,) * len(sizes), offset, mx.int64)
    for axis, (one, step) in enumerate(zip(sizes, strides, strict=True)):
        places = mx.arange(one, dtype=mx.int64) * step
        found = found + places.reshape([-1 if d == axis else 1 for d in range(len(sizes))])
    return found


def _gathered(caller: str, input: Any, size: Any, stride: Any, storage_offset: Any) -> mx.array:
    x = array(caller, input)
    at = _positions(caller, x, size, stride, storage_offset)
    return mx.take(x.reshape(-1), at) if at.size else mx.zeros(at.shape, x.dtype)


def _layout(before: Layout, place: Place) -> Layout | None:
    if not before.is_contiguous:
        return None
    sizes, strides = _geometry("as_strided", place.argument("size"), place.argument("stride"))
    return Layout(sizes, strides, before.offset + (place.argument("storage_offset") or 0))


@view_op(layout=_layout)
def _as_strided(input: TensorLike, size: Any, stride: Any, storage_offset: int | None = None) -> mx.array:
    return _gathered("as_strided", input, size, stride, storage_offset)


def _offset(caller: str, input: Any, storage_offset: Any) -> Any:
    """The offset from the first element of ``input``, which may be a contiguous part of another tensor."""
    place = input._place if isinstance(input, TensorBase) else None
    layout = None if place is None else place.layout()
    if layout is None:
        return storage_offset
    if not layout.is_contiguous:
        raise _checks.ArgumentError(f"{caller}: input must be contiguous; use input.contiguous()")
    if storage_offset is None:
        return None
    return _checks.integer(caller, "storage_offset", storage_offset) - layout.offset


def as_strided(input: TensorLike, size: Any, stride: Any, storage_offset: int | None = None) -> "Tensor":
    """A view of shape ``size`` whose element (i, j, ...) is ``i * stride[0] + j * stride[1] + ...`` elements further.

    Args:
        storage_offset: Where it starts in the tensor that ``input`` is a view of; by default where ``input`` does.

    Raises:
        ValueError: an element is outside of ``input``, or ``input`` is not contiguous.

    Example:
        >>> lucid.as_strided(lucid.arange(5), (3, 2), (1, 2)).tolist()
        [[0, 2], [1, 3], [2, 4]]
    """
    found: Tensor = _as_strided(input, size, stride, _offset("as_strided", input, storage_offset))
    return found


@op
def _copied(input: TensorLike, size: Any, stride: Any, storage_offset: Any) -> mx.array:
    return _gathered("as_strided_copy", input, size, stride, storage_offset)


def as_strided_copy(
    input: TensorLike, size: Any, stride: Any, storage_offset: int | None = None, *, out: None = None
) -> "Tensor":
    """``as_strided``, as a copy.

    Raises:
        ValueError: an element is outside of ``input``, or ``input`` is not contiguous.
    """
    _checks.no_out("as_strided_copy", out)
    return _copied(input, size, stride, _offset("as_strided_copy", input, storage_offset))


@op
def _scattered(input: TensorLike, src: TensorLike, size: Any, stride: Any, storage_offset: Any) -> mx.array:
    where = "as_strided_scatter"
    x, source = array(where, input), array(where, src, "src")
    at = _positions(where, x, size, stride, storage_offset)
    if source.shape != at.shape:
        raise _checks.ArgumentError(f"{where}: src must have shape {at.shape}, got {source.shape}")
    if not at.size:
        return x
    flat = x.reshape(-1)
    flat[at.reshape(-1)] = source.reshape(-1).astype(x.dtype)  # rebinds the name
    return flat.reshape(x.shape)


def as_strided_scatter(
    input: TensorLike, src: TensorLike, size: Any, stride: Any, storage_offset: int | None = None
) -> "Tensor":
    """A copy of ``input`` with ``src`` in place of ``as_strided(input, size, stride, storage_offset)``.

    Raises:
        ValueError: an element is outside of ``input``, ``input`` is not contiguous, or ``src`` has another shape.
    """
    return _scattered(input, src, size, stride, _offset("as_strided_scatter", input, storage_offset))

"""Functions that answer questions about tensors, shapes and dtypes with a Python value."""

from __future__ import annotations

import math
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._dtypes import category, promote_types, set_default_dtype
from lucid._tensor import Tensor
from lucid._tensor_casting import _dtype_of_type
from lucid._tensor_convert import as_array
from lucid.ops._types import TensorLike


def is_floating_point(input: TensorLike) -> bool:
    """Whether the dtype is a real floating-point type."""
    return _tensor("is_floating_point", input).is_floating_point()


def is_complex(input: TensorLike) -> bool:
    """Whether the dtype is complex64."""
    return _tensor("is_complex", input).is_complex()


def is_nonzero(input: TensorLike) -> bool:
    """Whether the only element is not zero. Waits for it.

    Raises:
        RuntimeError: the tensor does not have exactly one element.
    """
    return _tensor("is_nonzero", input).is_nonzero()


def is_signed(input: TensorLike) -> bool:
    """Whether the dtype has negative numbers."""
    return _tensor("is_signed", input).is_signed()


def is_same_size(input: TensorLike, other: TensorLike) -> bool:
    """Whether both tensors have the same shape."""
    return _tensor("is_same_size", input).is_same_size(_tensor("is_same_size", other))


def numel(input: TensorLike) -> int:
    """The number of elements."""
    return _tensor("numel", input).numel()


def _tensor(caller: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"{caller}: input must be a Tensor, got {type(value).__name__}")
    return value


class _SizeType(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, tuple) and all(isinstance(one, int) for one in value)


class Size(tuple[int, ...], metaclass=_SizeType):
    """A shape with ``numel()``. Tensors have plain tuples as shapes, which are instances too.

    Example:
        >>> lucid.Size([2, 3]).numel(), isinstance(lucid.ones(2, 3).shape, lucid.Size)
        (6, True)
    """

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        return math.prod(self)


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that tensors of these shapes broadcast to; a number is a shape of one dimension.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> lucid.broadcast_shapes((2, 1), (3,), 1)
        (2, 3)
    """
    return _checks.broadcast_shapes("broadcast_shapes", *[_checks.shape("broadcast_shapes", (one,)) for one in shapes])


def result_type(tensor1: TensorLike, tensor2: TensorLike) -> mx.Dtype:
    """The dtype of an arithmetic operation on two tensors or numbers.

    A tensor without dimensions only changes the dtype of one with dimensions if it is of a higher kind (bool, integer,
    real, complex), and a number only that of a tensor.

    Example:
        >>> lucid.result_type(lucid.ones(2, dtype=lucid.float16), 1.5) == lucid.float16
        True
    """
    found: mx.Dtype | None = None
    for priority in range(3):  # tensors with dimensions, without, numbers
        group: mx.Dtype | None = None
        for one in (tensor1, tensor2):
            array = as_array(one)
            if priority == (2 if not isinstance(one, Tensor) else 1 if not array.ndim else 0):
                group = array.dtype if group is None else promote_types(group, array.dtype)
        if group is not None and (found is None or category(group) > category(found)):
            found = group if found is None else promote_types(found, group)
    assert found is not None
    return found


def set_default_tensor_type(t: Any) -> None:
    """``set_default_dtype`` of a type such as ``lucid.DoubleTensor``, or its name."""
    set_default_dtype(_dtype_of_type(t))


__all__ = [
    "Size", "broadcast_shapes", "is_complex", "is_floating_point", "is_nonzero", "is_same_size", "is_signed", "numel",
    "result_type", "set_default_tensor_type",
]  # fmt: skip

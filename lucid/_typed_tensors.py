"""PyTorch's types of tensors: ``FloatTensor(2, 3)``, ``LongTensor([1, 2])``, ``isinstance(x, FloatTensor)``."""

from __future__ import annotations

from typing import Any, ClassVar

import mlx.core as mx

from lucid._tensor import Tensor, construct


class _TensorType(type):
    dtype: mx.Dtype

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, Tensor) and value.dtype == cls.dtype

    def __call__(cls, *args: Any, **kwargs: Any) -> Tensor:
        return construct(cls.__name__, cls.dtype, args, kwargs)


class FloatTensor(metaclass=_TensorType):
    """Makes float32 tensors: from sizes, with unspecified values, or from a list. All float32 tensors are instances.

    Example:
        >>> lucid.FloatTensor([1, 2]).tolist(), isinstance(lucid.ones(2), lucid.FloatTensor)
        ([1.0, 2.0], True)
    """

    dtype: ClassVar[mx.Dtype] = mx.float32


class DoubleTensor(metaclass=_TensorType):
    """Makes float64 tensors, as ``FloatTensor`` makes float32 ones."""

    dtype: ClassVar[mx.Dtype] = mx.float64


class HalfTensor(metaclass=_TensorType):
    """Makes float16 tensors, as ``FloatTensor`` makes float32 ones."""

    dtype: ClassVar[mx.Dtype] = mx.float16


class BFloat16Tensor(metaclass=_TensorType):
    """Makes bfloat16 tensors, as ``FloatTensor`` makes float32 ones."""

    dtype: ClassVar[mx.Dtype] = mx.bfloat16


class LongTensor(metaclass=_TensorType):
    """Makes int64 tensors, as ``FloatTensor`` makes float32 ones."""

    dtype: ClassVar[mx.Dtype] = mx.int64


class IntTensor(metaclass=_TensorType):
    """Makes int32 tensors, as ``FloatTensor`` makes float32 ones."""

    dtype: ClassVar[mx.Dtype] = mx.int32


class ShortTensor(metaclass=_TensorType):
    """Makes int16 tensors, as ``FloatTensor`` makes float32 ones."""

    dtype: ClassVar[mx.Dtype] = mx.int16


class CharTensor(metaclass=_TensorType):
    """Makes int8 tensors, as ``FloatTensor`` makes float32 ones."""

    dtype: ClassVar[mx.Dtype] = mx.int8


class ByteTensor(metaclass=_TensorType):
    """Makes uint8 tensors, as ``FloatTensor`` makes float32 ones."""

    dtype: ClassVar[mx.Dtype] = mx.uint8


class BoolTensor(metaclass=_TensorType):
    """Makes bool tensors, as ``FloatTensor`` makes float32 ones."""

    dtype: ClassVar[mx.Dtype] = mx.bool_

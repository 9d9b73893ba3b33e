"""PyTorch's types of tensors: ``FloatTensor(2, 3)``, ``LongTensor([1, 2])``, ``isinstance(x, FloatTensor)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mlx.core as mx

from lucid._tensor import Tensor, construct


class _TensorType(type):
    dtype: mx.Dtype

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, Tensor) and value.dtype == cls.dtype

    def __call__(cls, *args: Any, **kwargs: Any) -> Tensor:
        return construct(cls.__name__, cls.dtype, args, kwargs)


if TYPE_CHECKING:

    class _Typed(Tensor, metaclass=_TensorType):  # what the calls return
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def __init_subclass__(cls, dtype: mx.Dtype) -> None: ...
else:

    class _Typed(metaclass=_TensorType):
        def __init_subclass__(cls, dtype):
            cls.dtype = dtype


class FloatTensor(_Typed, dtype=mx.float32):
    """Makes float32 tensors: from sizes, with unspecified values, or from a list. All float32 tensors are instances.

    Example:
        >>> lucid.FloatTensor([1, 2]).tolist(), isinstance(lucid.ones(2), lucid.FloatTensor)
        ([1.0, 2.0], True)
    """


class DoubleTensor(_Typed, dtype=mx.float64):
    """Makes float64 tensors, as ``FloatTensor`` makes float32 ones."""


class HalfTensor(_Typed, dtype=mx.float16):
    """Makes float16 tensors, as ``FloatTensor`` makes float32 ones."""


class BFloat16Tensor(_Typed, dtype=mx.bfloat16):
    """Makes bfloat16 tensors, as ``FloatTensor`` makes float32 ones."""


class LongTensor(_Typed, dtype=mx.int64):
    """Makes int64 tensors, as ``FloatTensor`` makes float32 ones."""


class IntTensor(_Typed, dtype=mx.int32):
    """Makes int32 tensors, as ``FloatTensor`` makes float32 ones."""


class ShortTensor(_Typed, dtype=mx.int16):
    """Makes int16 tensors, as ``FloatTensor`` makes float32 ones."""


class CharTensor(_Typed, dtype=mx.int8):
    """Makes int8 tensors, as ``FloatTensor`` makes float32 ones."""


class ByteTensor(_Typed, dtype=mx.uint8):
    """Makes uint8 tensors, as ``FloatTensor`` makes float32 ones."""


class BoolTensor(_Typed, dtype=mx.bool_):
    """Makes bool tensors, as ``FloatTensor`` makes float32 ones."""

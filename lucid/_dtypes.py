"""Data types: MLX's dtypes under PyTorch's names."""

from __future__ import annotations

import copyreg
from collections.abc import Callable

import mlx.core as mx

from lucid import _checks

float32 = mx.float32
float16 = mx.float16
bfloat16 = mx.bfloat16
int8 = mx.int8
int16 = mx.int16
int32 = mx.int32
int64 = mx.int64
uint8 = mx.uint8
uint16 = mx.uint16
uint32 = mx.uint32
uint64 = mx.uint64
bool_ = mx.bool_
complex64 = mx.complex64
float64 = mx.float64  # only on the CPU: GPUs do not support it
double = float64
half = float16
short = int16
long = int64


def as_dtype(dtype: object) -> mx.Dtype:
    """MLX's dtype, from an MLX or NumPy dtype, a name, or Python's float, int or bool."""
    return dtype if isinstance(dtype, mx.Dtype) else _checks.dtype("dtype", dtype)


def converted(array: mx.array, dtype: mx.Dtype) -> mx.array:
    """``array`` converted to ``dtype``. The CPU converts from and to float64, because GPUs do not support it."""
    return array.astype(dtype, stream=mx.cpu if mx.float64 in (array.dtype, dtype) else None)


def _reduce(dtype: mx.Dtype) -> tuple[Callable[[object], mx.Dtype], tuple[str]]:
    return as_dtype, (_checks.dtype_name(dtype),)


copyreg.pickle(mx.Dtype, _reduce)  # MLX's dtypes support neither pickle nor copy.deepcopy themselves

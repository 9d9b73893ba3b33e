"""Data types: MLX's dtypes under PyTorch's names."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import ClassVar

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


def is_dtype_name(value: object) -> bool:
    """Whether ``value`` is a string that names a dtype."""
    if not isinstance(value, str):
        return False
    try:
        as_dtype(value)
    except TypeError:
        return False
    return True


def converted(array: mx.array, dtype: mx.Dtype) -> mx.array:
    """``array`` converted to ``dtype``. The CPU converts from and to float64, because GPUs do not support it."""
    return array.astype(dtype, stream=mx.cpu if mx.float64 in (array.dtype, dtype) else None)


def _reduce(dtype: mx.Dtype) -> tuple[Callable[[object], mx.Dtype], tuple[str]]:
    return as_dtype, (_checks.dtype_name(dtype),)


copyreg.pickle(mx.Dtype, _reduce)  # MLX's dtypes support neither pickle nor copy.deepcopy themselves


_default = float32


def get_default_dtype() -> mx.Dtype:
    """The dtype of new floating-point tensors if none is given, float32 until ``set_default_dtype`` is called."""
    return _default


def set_default_dtype(d: object) -> None:
    """Make ``d`` the dtype of new floating-point tensors, of Python's numbers as tensors, and of functions of integers.

    Args:
        d: float32, float16, bfloat16, or float64, which only the CPU supports.

    Raises:
        TypeError: ``d`` is not one of these.
    """
    found = _checks.dtype("set_default_dtype", d)
    if not mx.issubdtype(found, mx.floating):
        raise TypeError(f"set_default_dtype: d must be a floating-point dtype, got {_checks.dtype_name(found)}")
    global _default
    _default = found


def promote_types(type1: object, type2: object) -> mx.Dtype:
    """The dtype that holds the numbers of both, by MLX's rules: complex64 and float64 give complex64."""
    found = [mx.zeros(1, _checks.dtype("promote_types", one)) for one in (type1, type2)]
    return mx.result_type(*found)


def can_cast(from_: object, to: object) -> bool:
    """Whether PyTorch's rules convert ``from_`` to ``to`` where it is implied: not to a lower kind of numbers."""
    return category(_checks.dtype("can_cast", from_)) <= category(_checks.dtype("can_cast", to))


# PyTorch's promotion categories: a 0-d tensor only changes the dtype of others if its category is higher.
_CATEGORY = {bool_: 0, float32: 2, float16: 2, bfloat16: 2, float64: 2, complex64: 3}


def category(dtype: mx.Dtype) -> int:
    """0 for bool, 1 for integers, 2 for real and 3 for complex floating-point dtypes."""
    return _CATEGORY.get(dtype, 1)


class finfo:
    """The limits of a floating-point dtype: ``bits``, ``eps``, ``max``, ``min``, ``tiny``, ``resolution``, ``dtype``.

    For complex64, those of its parts. By default those of ``get_default_dtype()``.

    Raises:
        TypeError: the dtype is not floating point.

    Example:
        >>> lucid.finfo(lucid.float16).max, lucid.finfo(lucid.float32).bits
        (65504.0, 32)
    """

    # Bits of the exponent and of the fraction, and the digits that are exact.
    _FORMATS: ClassVar = {float16: (5, 10, 3), bfloat16: (8, 7, 2), float32: (8, 23, 6), float64: (11, 52, 15)}

    def __init__(self, type: object = None) -> None:
        found = _default if type is None else _checks.dtype("finfo", type)
        found = float32 if found == complex64 else found
        if found not in self._FORMATS:
            raise TypeError(f"finfo: dtype must be floating point, got {_checks.dtype_name(found)}; iinfo has integers")
        exponent, fraction, digits = self._FORMATS[found]
        largest_exponent = 2 ** (exponent - 1) - 1
        self.bits = 1 + exponent + fraction
        self.eps = 2.0**-fraction
        self.max = (2 - self.eps) * 2.0**largest_exponent
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0 ** (1 - largest_exponent)
        self.resolution = 10.0**-digits
        self.dtype = _checks.dtype_name(found)

    def __repr__(self) -> str:
        return _described(self)


class iinfo:
    """The limits of an integer dtype: ``bits``, ``max``, ``min``, ``dtype``.

    Raises:
        TypeError: the dtype does not hold integers.

    Example:
        >>> lucid.iinfo(lucid.int8).max
        127
    """

    def __init__(self, type: object) -> None:
        found = _checks.dtype("iinfo", type)
        if not mx.issubdtype(found, mx.integer):
            raise TypeError(f"iinfo: dtype must hold integers, got {_checks.dtype_name(found)}; finfo has floats")
        limits = mx.iinfo(found)
        self.bits = 8 * found.size
        self.max, self.min = int(limits.max), int(limits.min)
        self.dtype = _checks.dtype_name(found)

    def __repr__(self) -> str:
        return _described(self)


def _described(limits: finfo | iinfo) -> str:
    return f"{type(limits).__name__}({', '.join(f'{name}={value}' for name, value in vars(limits).items())})"

"""Element-wise functions of one tensor, and dtype conversion. Integers become float32 unless the result is integral."""

import builtins
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._dtypes import converted
from lucid.ops._common import FLOATING, array, arrays, binary, floating
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = [
    "abs", "absolute", "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh",
    "asin", "asinh", "atan", "atan2", "atanh", "ceil", "clone", "cos", "cosh", "deg2rad", "erf", "erfc", "erfinv",
    "exp", "exp2", "expm1", "fix", "floor", "frac", "isfinite", "isinf", "isnan", "log", "log10", "log1p", "log2",
    "nan_to_num", "rad2deg", "reciprocal", "round", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt", "square",
    "tan", "tanh", "trunc",
]  # fmt: skip

Real = builtins.float  # some operations below shadow the built-in types


@op(autocast="float32")
def exp(x: TensorLike) -> mx.array:
    """``e ** x``."""
    return mx.exp(floating("exp", x))


@op(autocast="float32")
def exp2(x: TensorLike) -> mx.array:
    """``2 ** x``."""
    return mx.power(2.0, floating("exp2", x))


@op(autocast="float32")
def expm1(x: TensorLike) -> mx.array:
    """``exp(x) - 1``, accurate for small ``x``."""
    return mx.expm1(floating("expm1", x))


@op(autocast="float32")
def log(x: TensorLike) -> mx.array:
    """The natural logarithm."""
    return mx.log(floating("log", x))


@op(autocast="float32")
def log1p(x: TensorLike) -> mx.array:
    """``log(1 + x)``, accurate for small ``x``."""
    return mx.log1p(floating("log1p", x))


@op(autocast="float32")
def log2(x: TensorLike) -> mx.array:
    """The logarithm to base 2."""
    return mx.log2(floating("log2", x))


@op(autocast="float32")
def log10(x: TensorLike) -> mx.array:
    """The logarithm to base 10."""
    return mx.log10(floating("log10", x))


@op
def sqrt(x: TensorLike) -> mx.array:
    """The square root; NaN for negative numbers."""
    return mx.sqrt(floating("sqrt", x))


@op(autocast="float32")
def rsqrt(x: TensorLike) -> mx.array:
    """``1 / sqrt(x)``."""
    return mx.rsqrt(floating("rsqrt", x))


@op(autocast="float32")
def square(x: TensorLike) -> mx.array:
    """``x * x``."""
    x = array("square", x)
    return mx.square(x.astype(mx.int64) if x.dtype == mx.bool_ else x)


@op
def abs(x: TensorLike) -> mx.array:
    """The absolute value; its gradient at 0 is 0."""
    return mx.abs(array("abs", x))


@op
def sign(x: TensorLike) -> mx.array:
    """The sign: -1, 0 or 1."""
    return mx.sign(array("sign", x))


@op
def sin(x: TensorLike) -> mx.array:
    """The sine of ``x`` in radians."""
    return mx.sin(floating("sin", x))


@op
def cos(x: TensorLike) -> mx.array:
    """The cosine of ``x`` in radians."""
    return mx.cos(floating("cos", x))


@op(autocast="float32")
def tan(x: TensorLike) -> mx.array:
    """The tangent of ``x`` in radians."""
    return mx.tan(floating("tan", x))


@op(autocast="float32")
def asin(x: TensorLike) -> mx.array:
    """The inverse sine, in radians."""
    return mx.arcsin(floating("asin", x))


@op(autocast="float32")
def acos(x: TensorLike) -> mx.array:
    """The inverse cosine, in radians."""
    return mx.arccos(floating("acos", x))


@op
def atan(x: TensorLike) -> mx.array:
    """The inverse tangent, in radians."""
    return mx.arctan(floating("atan", x))


@op
def atan2(x: TensorLike, other: TensorLike) -> mx.array:
    """The angle of the point (``other``, ``x``), in radians in [-pi, pi]."""
    x, other = arrays("atan2", x, other)
    return binary("atan2", mx.arctan2, floating("atan2", x), floating("atan2", other))


@op(autocast="float32")
def sinh(x: TensorLike) -> mx.array:
    """The hyperbolic sine."""
    return mx.sinh(floating("sinh", x))


@op(autocast="float32")
def cosh(x: TensorLike) -> mx.array:
    """The hyperbolic cosine."""
    return mx.cosh(floating("cosh", x))


@op
def tanh(x: TensorLike) -> mx.array:
    """The hyperbolic tangent."""
    # Beyond 10 it is 1 in float32, and MLX's second derivative would be 0 * inf there.
    return mx.tanh(mx.clip(floating("tanh", x), -10, 10))


@op
def asinh(x: TensorLike) -> mx.array:
    """The inverse of ``sinh``."""
    return mx.arcsinh(floating("asinh", x))


@op
def acosh(x: TensorLike) -> mx.array:
    """The inverse of ``cosh``; NaN below 1."""
    return mx.arccosh(floating("acosh", x))


@op
def atanh(x: TensorLike) -> mx.array:
    """The inverse of ``tanh``; NaN outside [-1, 1]."""
    return mx.arctanh(floating("atanh", x))


@op
def erf(x: TensorLike) -> mx.array:
    """The error function."""
    return mx.erf(floating("erf", x))


@op
def erfc(x: TensorLike) -> mx.array:
    """``1 - erf(x)``."""
    return 1 - mx.erf(floating("erfc", x))


@op(autocast="float32")
def erfinv(x: TensorLike) -> mx.array:
    """The inverse of ``erf``."""
    return mx.erfinv(floating("erfinv", x))


@op
def floor(x: TensorLike) -> mx.array:
    """``x`` rounded down."""
    return mx.floor(array("floor", x))


@op
def ceil(x: TensorLike) -> mx.array:
    """``x`` rounded up."""
    return mx.ceil(array("ceil", x))


@op
def round(x: TensorLike, *, decimals: builtins.int = 0) -> mx.array:
    """``x`` rounded to ``decimals`` decimal places, halves to even."""
    x = array("round", x)
    return mx.round(x, _checks.integer("round", "decimals", decimals)) if x.dtype in FLOATING else x


@op
def trunc(x: TensorLike) -> mx.array:
    """``x`` rounded toward zero."""
    x = array("trunc", x)
    return mx.trunc(x) if x.dtype in FLOATING else x


@op
def frac(x: TensorLike) -> mx.array:
    """``x - trunc(x)``."""
    x = array("frac", x)
    return x - mx.trunc(x)


@op(autocast="float32")
def reciprocal(x: TensorLike) -> mx.array:
    """``1 / x``."""
    return mx.reciprocal(floating("reciprocal", x))


@op
def sigmoid(x: TensorLike) -> mx.array:
    """``1 / (1 + exp(-x))``."""
    return mx.sigmoid(floating("sigmoid", x))


@op
def isnan(x: TensorLike) -> mx.array:
    """True where ``x`` is NaN."""
    return mx.isnan(array("isnan", x))


@op
def isinf(x: TensorLike) -> mx.array:
    """True where ``x`` is inf or -inf."""
    return mx.isinf(array("isinf", x))


@op
def isfinite(x: TensorLike) -> mx.array:
    """True where ``x`` is neither infinite nor NaN."""
    return mx.isfinite(array("isfinite", x))


@op
def nan_to_num(
    x: TensorLike, nan: Real | None = 0.0, posinf: Real | None = None, neginf: Real | None = None
) -> mx.array:
    """``x`` with NaN and infinities replaced, by default by 0 and the extreme finite values of the dtype."""
    x = array("nan_to_num", x)
    if x.dtype not in FLOATING:
        return x
    return mx.nan_to_num(x, 0.0 if nan is None else nan, posinf, neginf)


@op
def deg2rad(x: TensorLike) -> mx.array:
    """``x`` converted from degrees to radians."""
    return mx.radians(floating("deg2rad", x))


@op
def rad2deg(x: TensorLike) -> mx.array:
    """``x`` converted from radians to degrees."""
    return mx.degrees(floating("rad2deg", x))


@op
def astype(x: TensorLike, dtype: Any) -> mx.array:
    """``x`` converted to ``dtype``. Its gradient has the dtype of ``x``."""
    return converted(array("astype", x), _checks.dtype("astype", dtype))


@op
def clone(x: TensorLike) -> mx.array:
    """A copy of ``x``. Writing to it does not change ``x``."""
    return mx.array(array("clone", x))


@op
def type_as(x: TensorLike, other: TensorLike) -> mx.array:
    """``x`` converted to the dtype of ``other``."""
    return converted(array("type_as", x), array("type_as", other, "other").dtype)


@op
def double(x: TensorLike) -> mx.array:
    """``x`` converted to float64, which only the CPU supports."""
    return converted(array("double", x), mx.float64)


@op
def short(x: TensorLike) -> mx.array:
    """``x`` converted to int16."""
    return converted(array("short", x), mx.int16)


@op
def float(x: TensorLike) -> mx.array:
    """``x`` converted to float32."""
    return converted(array("float", x), mx.float32)


@op
def half(x: TensorLike) -> mx.array:
    """``x`` converted to float16."""
    return converted(array("half", x), mx.float16)


@op
def bfloat16(x: TensorLike) -> mx.array:
    """``x`` converted to bfloat16."""
    return converted(array("bfloat16", x), mx.bfloat16)


@op
def int(x: TensorLike) -> mx.array:
    """``x`` converted to int32, rounded toward zero."""
    return converted(array("int", x), mx.int32)


@op
def long(x: TensorLike) -> mx.array:
    """``x`` converted to int64, rounded toward zero."""
    return converted(array("long", x), mx.int64)


@op
def bool(x: TensorLike) -> mx.array:
    """``x`` converted to bool: True where it is nonzero."""
    return converted(array("bool", x), mx.bool_)


absolute = abs
arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh
fix = trunc

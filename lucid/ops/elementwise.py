"""Element-wise functions of one tensor, and dtype conversion. Integers become float32 unless the result is integral."""

import builtins
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._dtypes import converted
from lucid._memory_format import check_memory_format
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
def exp(input: TensorLike, *, out: None = None) -> mx.array:
    """``e ** input``."""
    return mx.exp(floating("exp", input))


@op(autocast="float32")
def exp2(input: TensorLike, *, out: None = None) -> mx.array:
    """``2 ** input``."""
    return mx.power(2.0, floating("exp2", input))


@op(autocast="float32")
def expm1(input: TensorLike, *, out: None = None) -> mx.array:
    """``exp(input) - 1``, accurate for small ``input``."""
    return mx.expm1(floating("expm1", input))


@op(autocast="float32")
def log(input: TensorLike, *, out: None = None) -> mx.array:
    """The natural logarithm."""
    return mx.log(floating("log", input))


@op(autocast="float32")
def log1p(input: TensorLike, *, out: None = None) -> mx.array:
    """``log(1 + input)``, accurate for small ``input``."""
    return mx.log1p(floating("log1p", input))


@op(autocast="float32")
def log2(input: TensorLike, *, out: None = None) -> mx.array:
    """The logarithm to base 2."""
    return mx.log2(floating("log2", input))


@op(autocast="float32")
def log10(input: TensorLike, *, out: None = None) -> mx.array:
    """The logarithm to base 10."""
    return mx.log10(floating("log10", input))


@op
def sqrt(input: TensorLike, *, out: None = None) -> mx.array:
    """The square root; NaN for negative numbers."""
    return mx.sqrt(floating("sqrt", input))


@op(autocast="float32")
def rsqrt(input: TensorLike, *, out: None = None) -> mx.array:
    """``1 / sqrt(input)``."""
    return mx.rsqrt(floating("rsqrt", input))


@op(autocast="float32")
def square(input: TensorLike, *, out: None = None) -> mx.array:
    """``input * input``."""
    x = array("square", input)
    return mx.square(x.astype(mx.int64) if x.dtype == mx.bool_ else x)


@op
def abs(input: TensorLike, *, out: None = None) -> mx.array:
    """The absolute value; its gradient at 0 is 0."""
    return mx.abs(array("abs", input))


@op
def sign(input: TensorLike, *, out: None = None) -> mx.array:
    """The sign: -1, 0 or 1."""
    return mx.sign(array("sign", input))


@op
def sin(input: TensorLike, *, out: None = None) -> mx.array:
    """The sine of ``input`` in radians."""
    return mx.sin(floating("sin", input))


@op
def cos(input: TensorLike, *, out: None = None) -> mx.array:
    """The cosine of ``input`` in radians."""
    return mx.cos(floating("cos", input))


@op(autocast="float32")
def tan(input: TensorLike, *, out: None = None) -> mx.array:
    """The tangent of ``input`` in radians."""
    return mx.tan(floating("tan", input))


@op(autocast="float32")
def asin(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverse sine, in radians."""
    return mx.arcsin(floating("asin", input))


@op(autocast="float32")
def acos(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverse cosine, in radians."""
    return mx.arccos(floating("acos", input))


@op
def atan(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverse tangent, in radians."""
    return mx.arctan(floating("atan", input))


@op
def atan2(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """The angle of the point (``other``, ``input``), in radians in [-pi, pi]."""
    x, other = arrays("atan2", input, other)
    return binary("atan2", mx.arctan2, floating("atan2", x), floating("atan2", other))


@op(autocast="float32")
def sinh(input: TensorLike, *, out: None = None) -> mx.array:
    """The hyperbolic sine."""
    return mx.sinh(floating("sinh", input))


@op(autocast="float32")
def cosh(input: TensorLike, *, out: None = None) -> mx.array:
    """The hyperbolic cosine."""
    return mx.cosh(floating("cosh", input))


@op
def tanh(input: TensorLike, *, out: None = None) -> mx.array:
    """The hyperbolic tangent."""
    # Beyond 10 it is 1 in float32, and MLX's second derivative would be 0 * inf there.
    return mx.tanh(mx.clip(floating("tanh", input), -10, 10))


@op
def asinh(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverse of ``sinh``."""
    return mx.arcsinh(floating("asinh", input))


@op
def acosh(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverse of ``cosh``; NaN below 1."""
    return mx.arccosh(floating("acosh", input))


@op
def atanh(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverse of ``tanh``; NaN outside [-1, 1]."""
    return mx.arctanh(floating("atanh", input))


@op
def erf(input: TensorLike, *, out: None = None) -> mx.array:
    """The error function."""
    return mx.erf(floating("erf", input))


@op
def erfc(input: TensorLike, *, out: None = None) -> mx.array:
    """``1 - erf(input)``."""
    return 1 - mx.erf(floating("erfc", input))


@op(autocast="float32")
def erfinv(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverse of ``erf``."""
    return mx.erfinv(floating("erfinv", input))


@op
def floor(input: TensorLike, *, out: None = None) -> mx.array:
    """``input`` rounded down."""
    return mx.floor(array("floor", input))


@op
def ceil(input: TensorLike, *, out: None = None) -> mx.array:
    """``input`` rounded up."""
    return mx.ceil(array("ceil", input))


@op
def round(input: TensorLike, *, decimals: builtins.int = 0, out: None = None) -> mx.array:
    """``input`` rounded to ``decimals`` decimal places, halves to even."""
    x = array("round", input)
    return mx.round(x, _checks.integer("round", "decimals", decimals)) if x.dtype in FLOATING else x


@op
def trunc(input: TensorLike, *, out: None = None) -> mx.array:
    """``input`` rounded toward zero."""
    x = array("trunc", input)
    return mx.trunc(x) if x.dtype in FLOATING else x


@op
def frac(input: TensorLike, *, out: None = None) -> mx.array:
    """``input - trunc(input)``."""
    x = array("frac", input)
    return x - mx.trunc(x)


@op(autocast="float32")
def reciprocal(input: TensorLike, *, out: None = None) -> mx.array:
    """``1 / input``."""
    return mx.reciprocal(floating("reciprocal", input))


@op
def sigmoid(input: TensorLike, *, out: None = None) -> mx.array:
    """``1 / (1 + exp(-input))``."""
    return mx.sigmoid(floating("sigmoid", input))


@op
def isnan(input: TensorLike) -> mx.array:
    """True where ``input`` is NaN."""
    return mx.isnan(array("isnan", input))


@op
def isinf(input: TensorLike) -> mx.array:
    """True where ``input`` is inf or -inf."""
    return mx.isinf(array("isinf", input))


@op
def isfinite(input: TensorLike) -> mx.array:
    """True where ``input`` is neither infinite nor NaN."""
    return mx.isfinite(array("isfinite", input))


@op
def nan_to_num(
    input: TensorLike,
    nan: Real | None = None,
    posinf: Real | None = None,
    neginf: Real | None = None,
    *,
    out: None = None,
) -> mx.array:
    """``input`` with NaN and infinities replaced, by default by 0 and the extreme finite values of the dtype."""
    x = array("nan_to_num", input)
    if x.dtype not in FLOATING:
        return x
    return mx.nan_to_num(x, 0.0 if nan is None else nan, posinf, neginf)


@op
def deg2rad(input: TensorLike, *, out: None = None) -> mx.array:
    """``input`` converted from degrees to radians."""
    return mx.radians(floating("deg2rad", input))


@op
def rad2deg(input: TensorLike, *, out: None = None) -> mx.array:
    """``input`` converted from radians to degrees."""
    return mx.degrees(floating("rad2deg", input))


@op
def astype(input: TensorLike, dtype: Any) -> mx.array:
    """``input`` converted to ``dtype``. Its gradient has the dtype of ``input``."""
    return converted(array("astype", input), _checks.dtype("astype", dtype))


@op
def clone(input: TensorLike, *, memory_format: Any = None) -> mx.array:
    """A copy of ``input``. Writing to it does not change ``input``."""
    x = array("clone", input)
    check_memory_format("clone", memory_format, x.ndim)
    return mx.array(x)


@op
def type_as(input: TensorLike, other: TensorLike) -> mx.array:
    """``input`` converted to the dtype of ``other``."""
    return converted(array("type_as", input), array("type_as", other, "other").dtype)


def _to(caller: str, input: Any, memory_format: Any, dtype: mx.Dtype) -> mx.array:
    x = array(caller, input)
    check_memory_format(caller, memory_format, x.ndim)
    return converted(x, dtype)


@op
def double(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to float64, which only the CPU supports."""
    return _to("double", input, memory_format, mx.float64)


@op
def short(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to int16."""
    return _to("short", input, memory_format, mx.int16)


@op
def float(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to float32."""
    return _to("float", input, memory_format, mx.float32)


@op
def half(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to float16."""
    return _to("half", input, memory_format, mx.float16)


@op
def bfloat16(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to bfloat16."""
    return _to("bfloat16", input, memory_format, mx.bfloat16)


@op
def int(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to int32, rounded toward zero."""
    return _to("int", input, memory_format, mx.int32)


@op
def long(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to int64, rounded toward zero."""
    return _to("long", input, memory_format, mx.int64)


@op
def bool(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to bool: True where it is nonzero."""
    return _to("bool", input, memory_format, mx.bool_)


absolute = abs
arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh
fix = trunc

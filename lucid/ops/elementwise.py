"""Element-wise functions of one tensor, and dtype conversion. Integers become float32 unless the result is integral."""

import builtins
import math
from collections.abc import Callable
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._dtypes import converted, get_default_dtype
from lucid._memory_format import check_memory_format
from lucid.kernels import float64
from lucid.ops._common import FLOATING, array, arrays, binary, floating, itself_if_equal, numeric
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
Function = Callable[[mx.array], mx.array]


def _table(
    name: str, usual: Function, double: Function | None = None, *, of_complex: Any = True
) -> dict[Any, Function]:
    """A function by dtype.

    ``double`` is that of float64 if MLX's has only the digits of float32, see lucid/kernels/float64.py. ``of_complex``
    is that of complex numbers if it is another one, or ``None`` if there is none.
    """

    def refuse(x: mx.array) -> mx.array:
        raise _checks.DtypeError(f"{name}: complex64 is not supported")

    table: dict[Any, Function] = dict.fromkeys((mx.float32, mx.float16, mx.bfloat16), usual)
    table[mx.float64] = double or usual
    table[mx.complex64] = refuse if of_complex is None else usual if of_complex is True else of_complex
    return table


def _floating(name: str, table: dict[Any, Function], input: Any) -> mx.array:
    """The function of ``input`` from its table; integers become float32."""
    x = array(name, input)
    function = table.get(x.dtype)
    return function(x) if function is not None else table[get_default_dtype()](x.astype(get_default_dtype()))


def _tanh(x: mx.array) -> mx.array:
    # Beyond 10 it is 1 in float32, and MLX's second derivative would be 0 * inf there.
    return mx.tanh(mx.clip(x, -10, 10))


def _erfc(x: mx.array) -> mx.array:
    return float64.erfc32(x.astype(mx.float32)).astype(x.dtype)


_EXP = _table("exp", mx.exp, float64.exp64)
_EXP2 = _table("exp2", lambda x: mx.power(2.0, x), of_complex=lambda x: mx.exp(x * math.log(2)))
_EXPM1 = _table("expm1", mx.expm1, of_complex=lambda x: mx.exp(x) - 1)
_LOG = _table("log", mx.log)
_LOG1P = _table("log1p", mx.log1p)
_LOG2 = _table("log2", mx.log2, float64.log2_64)
_LOG10 = _table("log10", mx.log10, float64.log10_64)
_SQRT = _table("sqrt", mx.sqrt)
_RSQRT = _table("rsqrt", mx.rsqrt)
_SIN = _table("sin", mx.sin, float64.sin64)
_COS = _table("cos", mx.cos, float64.cos64)
_TAN = _table("tan", mx.tan, float64.tan64)
_ASIN = _table("asin", mx.arcsin)
_ACOS = _table("acos", mx.arccos)
_ATAN = _table("atan", mx.arctan)
_SINH = _table("sinh", mx.sinh)
_COSH = _table("cosh", mx.cosh)
_TANH = _table("tanh", _tanh, float64.tanh64, of_complex=mx.tanh)
_ASINH = _table("asinh", mx.arcsinh)
_ACOSH = _table("acosh", mx.arccosh)
_ATANH = _table("atanh", mx.arctanh)
_ERF = _table("erf", mx.erf, float64.erf64, of_complex=None)
_ERFC = _table("erfc", _erfc, float64.erfc64, of_complex=None)
_ERFINV = _table("erfinv", mx.erfinv, float64.erfinv64, of_complex=None)
_RECIPROCAL = _table("reciprocal", mx.reciprocal)
_SIGMOID = _table("sigmoid", mx.sigmoid, float64.sigmoid64, of_complex=lambda x: 1 / (1 + mx.exp(-x)))
_DEG2RAD = _table("deg2rad", mx.radians, of_complex=None)
_RAD2DEG = _table("rad2deg", mx.degrees, of_complex=None)


@op(autocast="float32")
def exp(input: TensorLike, *, out: None = None) -> mx.array:
    """``e ** input``."""
    return _floating("exp", _EXP, input)


@op(autocast="float32")
def exp2(input: TensorLike, *, out: None = None) -> mx.array:
    """``2 ** input``."""
    return _floating("exp2", _EXP2, input)


@op(autocast="float32")
def expm1(input: TensorLike, *, out: None = None) -> mx.array:
    """``exp(input) - 1``, accurate for small ``input``."""
    return _floating("expm1", _EXPM1, input)


@op(autocast="float32")
def log(input: TensorLike, *, out: None = None) -> mx.array:
    """The natural logarithm."""
    return _floating("log", _LOG, input)


@op(autocast="float32")
def log1p(input: TensorLike, *, out: None = None) -> mx.array:
    """``log(1 + input)``, accurate for small ``input``."""
    return _floating("log1p", _LOG1P, input)


@op(autocast="float32")
def log2(input: TensorLike, *, out: None = None) -> mx.array:
    """The logarithm to base 2."""
    return _floating("log2", _LOG2, input)


@op(autocast="float32")
def log10(input: TensorLike, *, out: None = None) -> mx.array:
    """The logarithm to base 10."""
    return _floating("log10", _LOG10, input)


@op
def sqrt(input: TensorLike, *, out: None = None) -> mx.array:
    """The square root; NaN for negative numbers."""
    return _floating("sqrt", _SQRT, input)


@op(autocast="float32")
def rsqrt(input: TensorLike, *, out: None = None) -> mx.array:
    """``1 / sqrt(input)``."""
    return _floating("rsqrt", _RSQRT, input)


@op(autocast="float32")
def square(input: TensorLike, *, out: None = None) -> mx.array:
    """``input * input``."""
    x = array("square", input)
    return mx.square(x.astype(mx.int64) if x.dtype == mx.bool_ else x)


@op
def abs(input: TensorLike, *, out: None = None) -> mx.array:
    """The absolute value; its gradient at 0 is 0."""
    x = array("abs", input)
    if x.dtype == mx.bool_:
        raise _checks.DtypeError("abs: bool is not supported")
    return _complex_abs(x) if x.dtype == mx.complex64 else mx.abs(x)


def _complex_abs(x: mx.array) -> mx.array:
    """``mx.abs``, whose second derivative MLX takes for 0."""
    re, im = mx.real(x), mx.imag(x)
    size = mx.stop_gradient(mx.maximum(mx.abs(re), mx.abs(im)))  # so that no square is infinite
    plain = (size == 0) | ~mx.isfinite(size)
    size = mx.where(plain, 1, size)
    square = mx.square(re / size) + mx.square(im / size)
    return mx.where(plain, mx.stop_gradient(mx.abs(x)), size * mx.sqrt(mx.where(plain, 1, square)))


@op
def sign(input: TensorLike, *, out: None = None) -> mx.array:
    """The sign: -1, 0 or 1."""
    x = array("sign", input)
    if x.dtype == mx.complex64:
        raise _checks.DtypeError("sign: complex64 is not supported")
    return mx.sign(x)


@op
def sin(input: TensorLike, *, out: None = None) -> mx.array:
    """The sine of ``input`` in radians."""
    return _floating("sin", _SIN, input)


@op
def cos(input: TensorLike, *, out: None = None) -> mx.array:
    """The cosine of ``input`` in radians."""
    return _floating("cos", _COS, input)


@op(autocast="float32")
def tan(input: TensorLike, *, out: None = None) -> mx.array:
    """The tangent of ``input`` in radians."""
    return _floating("tan", _TAN, input)


@op(autocast="float32")
def asin(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverse sine, in radians."""
    return _floating("asin", _ASIN, input)


@op(autocast="float32")
def acos(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverse cosine, in radians."""
    return _floating("acos", _ACOS, input)


@op
def atan(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverse tangent, in radians."""
    return _floating("atan", _ATAN, input)


@op
def atan2(input: TensorLike, other: TensorLike, *, out: None = None) -> mx.array:
    """The angle of the point (``other``, ``input``), in radians in [-pi, pi]."""
    x, other = arrays("atan2", input, other)
    if x.dtype == mx.complex64:
        raise _checks.DtypeError("atan2: complex64 is not supported")
    return binary("atan2", _atan2, floating("atan2", x), floating("atan2", other))


def _atan2(y: mx.array, x: mx.array) -> mx.array:
    is_origin = (y == 0) & (x == 0)  # where MLX's gradient is 0 / 0; PyTorch's is 0
    angle = mx.arctan2(mx.where(is_origin, 1, y), mx.where(is_origin, 1, x))
    return mx.where(is_origin, mx.stop_gradient(mx.arctan2(y, x)), angle)


@op(autocast="float32")
def sinh(input: TensorLike, *, out: None = None) -> mx.array:
    """The hyperbolic sine."""
    return _floating("sinh", _SINH, input)


@op(autocast="float32")
def cosh(input: TensorLike, *, out: None = None) -> mx.array:
    """The hyperbolic cosine."""
    return _floating("cosh", _COSH, input)


@op
def tanh(input: TensorLike, *, out: None = None) -> mx.array:
    """The hyperbolic tangent."""
    return _floating("tanh", _TANH, input)


@op
def asinh(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverse of ``sinh``."""
    return _floating("asinh", _ASINH, input)


@op
def acosh(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverse of ``cosh``; NaN below 1."""
    return _floating("acosh", _ACOSH, input)


@op
def atanh(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverse of ``tanh``; NaN outside [-1, 1]."""
    return _floating("atanh", _ATANH, input)


@op
def erf(input: TensorLike, *, out: None = None) -> mx.array:
    """The error function."""
    return _floating("erf", _ERF, input)


@op
def erfc(input: TensorLike, *, out: None = None) -> mx.array:
    """``1 - erf(input)``."""
    return _floating("erfc", _ERFC, input)


@op(autocast="float32")
def erfinv(input: TensorLike, *, out: None = None) -> mx.array:
    """The inverse of ``erf``."""
    return _floating("erfinv", _ERFINV, input)


@op
def floor(input: TensorLike, *, out: None = None) -> mx.array:
    """``input`` rounded down."""
    return mx.floor(numeric("floor", input))


@op
def ceil(input: TensorLike, *, out: None = None) -> mx.array:
    """``input`` rounded up."""
    return mx.ceil(numeric("ceil", input))


@op
def round(input: TensorLike, *, decimals: builtins.int = 0, out: None = None) -> mx.array:
    """``input`` rounded to ``decimals`` decimal places, halves to even."""
    x, places = numeric("round", input), _checks.integer("round", "decimals", decimals)
    if x.dtype not in FLOATING:
        return x
    if not places or x.dtype != mx.float64:
        return mx.round(x, places)
    scale = 10.0 ** builtins.abs(places)  # which mx.round has in float32
    return mx.round(x * scale) / scale if places > 0 else mx.round(x / scale) * scale


@op
def trunc(input: TensorLike, *, out: None = None) -> mx.array:
    """``input`` rounded toward zero."""
    x = numeric("trunc", input)
    return mx.trunc(x) if x.dtype in FLOATING else x


@op
def frac(input: TensorLike, *, out: None = None) -> mx.array:
    """``input - trunc(input)``."""
    x = numeric("frac", input)
    if x.dtype not in FLOATING:
        raise _checks.DtypeError(f"frac: {_checks.dtype_name(x.dtype)} is not supported")
    return x - mx.trunc(x)


@op(autocast="float32")
def reciprocal(input: TensorLike, *, out: None = None) -> mx.array:
    """``1 / input``."""
    return _floating("reciprocal", _RECIPROCAL, input)


@op
def sigmoid(input: TensorLike, *, out: None = None) -> mx.array:
    """``1 / (1 + exp(-input))``."""
    return _floating("sigmoid", _SIGMOID, input)


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
    if x.dtype == mx.complex64:
        return _finite(mx.real(x), nan, posinf, neginf) + 1j * _finite(mx.imag(x), nan, posinf, neginf)
    return _finite(x, nan, posinf, neginf)


def _finite(x: mx.array, nan: Real | None, posinf: Real | None, neginf: Real | None) -> mx.array:
    largest = mx.finfo(x.dtype).max
    above = largest if posinf is None else _checks.number("nan_to_num", "posinf", posinf)
    below = -largest if neginf is None else _checks.number("nan_to_num", "neginf", neginf)
    number = 0.0 if nan is None else _checks.number("nan_to_num", "nan", nan)
    instead = mx.where(mx.isnan(x), mx.array(number, x.dtype), x)
    instead = mx.where(x == mx.inf, mx.array(above, x.dtype), instead)
    return mx.where(x == -mx.inf, mx.array(below, x.dtype), instead)


@op
def deg2rad(input: TensorLike, *, out: None = None) -> mx.array:
    """``input`` converted from degrees to radians."""
    return _floating("deg2rad", _DEG2RAD, input)


@op
def rad2deg(input: TensorLike, *, out: None = None) -> mx.array:
    """``input`` converted from radians to degrees."""
    return _floating("rad2deg", _RAD2DEG, input)


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


@itself_if_equal
@op
def type_as(input: TensorLike, other: TensorLike) -> mx.array:
    """``input`` converted to the dtype of ``other``."""
    return converted(array("type_as", input), array("type_as", other, "other").dtype)


def _to(caller: str, input: Any, memory_format: Any, dtype: mx.Dtype) -> mx.array:
    x = array(caller, input)
    check_memory_format(caller, memory_format, x.ndim)
    return converted(x, dtype)


@itself_if_equal
@op
def double(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to float64, which only the CPU supports."""
    return _to("double", input, memory_format, mx.float64)


@itself_if_equal
@op
def byte(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to uint8."""
    return _to("byte", input, memory_format, mx.uint8)


@itself_if_equal
@op
def char(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to int8."""
    return _to("char", input, memory_format, mx.int8)


@itself_if_equal
@op
def short(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to int16."""
    return _to("short", input, memory_format, mx.int16)


@itself_if_equal
@op
def float(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to float32."""
    return _to("float", input, memory_format, mx.float32)


@itself_if_equal
@op
def half(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to float16."""
    return _to("half", input, memory_format, mx.float16)


@itself_if_equal
@op
def bfloat16(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to bfloat16."""
    return _to("bfloat16", input, memory_format, mx.bfloat16)


@itself_if_equal
@op
def int(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to int32, rounded toward zero."""
    return _to("int", input, memory_format, mx.int32)


@itself_if_equal
@op
def long(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to int64, rounded toward zero."""
    return _to("long", input, memory_format, mx.int64)


@itself_if_equal
@op
def bool(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to bool: True where it is nonzero."""
    return _to("bool", input, memory_format, mx.bool_)


absolute = abs
arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh
fix = trunc

"""Activation functions. Half precision is computed in float32 where sums or exponentials would lose precision.

Functions with ``inplace=True`` write the result to ``input`` and return it.
"""

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from lucid import _checks
from lucid.kernels import float64
from lucid.kernels.gelu import gelu as gelu_of_arrays
from lucid.kernels.gelu import gelu_vjp
from lucid.ops._common import FLOATING, array, at_least_1d, floating, number_as, numeric, real, real_numbers
from lucid.ops._selection import (
    SELU_ALPHA,
    SELU_SCALE,
    celu_vjp,
    elu_vjp,
    hardsigmoid_vjp,
    hardtanh_vjp,
    leaky_relu_vjp,
    relu6_vjp,
    relu_vjp,
    selu_vjp,
    shrink_vjp,
    threshold_vjp,
)
from lucid.ops._types import TensorLike
from lucid.tape import op

if TYPE_CHECKING:
    from lucid._tensor import Tensor

__all__ = [
    "celu", "celu_", "elu", "elu_", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "hardtanh_",
    "leaky_relu", "leaky_relu_", "logsigmoid", "mish", "prelu", "relu", "relu6", "relu_", "selu", "selu_", "silu",
    "softmin", "softplus", "softshrink", "softsign", "tanhshrink", "threshold", "threshold_",
]  # fmt: skip


def _not_real(caller: str, x: mx.array) -> Exception:
    return _checks.DtypeError(f"{caller}: {_checks.dtype_name(x.dtype)} is not supported")


@op(vjp=relu_vjp)
def relu(input: TensorLike, inplace: bool = False) -> mx.array:
    """``max(input, 0)``. The gradient at 0 is 0."""
    x = numeric("relu", input)
    return mx.where(x <= 0, mx.array(0, x.dtype), x)  # not mx.maximum: this keeps NaN and passes no gradient at 0


@op(vjp=relu6_vjp)
def relu6(input: TensorLike, inplace: bool = False) -> mx.array:
    """``min(max(input, 0), 6)``."""
    x = numeric("relu6", input)
    return mx.where(x <= 0, mx.array(0, x.dtype), mx.where(x >= 6, mx.array(6, x.dtype), x))


@op(vjp=leaky_relu_vjp)
def leaky_relu(input: TensorLike, negative_slope: float = 0.01, inplace: bool = False) -> mx.array:
    """``input`` if ``input > 0``, otherwise ``negative_slope * input``."""
    x = real("leaky_relu", input)
    return mx.where(x > 0, x, x * _checks.number("leaky_relu", "negative_slope", negative_slope))


@op(vjp=elu_vjp)
def elu(input: TensorLike, alpha: float = 1.0, inplace: bool = False) -> mx.array:
    """``input`` if ``input > 0``, otherwise ``alpha * (exp(input) - 1)``.

    Source: Clevert et al. 2015, arXiv:1511.07289.
    """
    x = real("elu", input)
    if x.dtype == mx.complex64:
        raise _not_real("elu", x)
    above = x > 0
    return mx.where(above, x, _checks.number("elu", "alpha", alpha) * mx.expm1(mx.where(above, 0, x)))


@op(vjp=celu_vjp)
def celu(input: TensorLike, alpha: float = 1.0, inplace: bool = False) -> mx.array:
    """``input`` if ``input > 0``, otherwise ``alpha * (exp(input / alpha) - 1)``.

    Source: Barron 2017, arXiv:1704.07483.
    """
    x = real_numbers("celu", input)
    alpha = _checks.number("celu", "alpha", alpha)
    if alpha == 0:
        raise _checks.DivisionError("celu: alpha must not be 0")
    above = x > 0
    return mx.where(above, x, alpha * mx.expm1(mx.where(above, 0, x) / alpha))


@op(vjp=selu_vjp)
def selu(input: TensorLike, inplace: bool = False) -> mx.array:
    """``1.0507 elu(input, 1.6733)``, which keeps mean 0 and variance 1.

    Source: Klambauer et al. 2017, arXiv:1706.02515.
    """
    x = real_numbers("selu", input)
    above = x > 0
    return SELU_SCALE * mx.where(above, x, SELU_ALPHA * mx.expm1(mx.where(above, 0, x)))


@op(autocast="half")
def prelu(input: TensorLike, weight: TensorLike) -> mx.array:
    """``input`` if ``input > 0``, otherwise ``weight * input``, with a learned slope.

    Shapes: input (N, C, ...), weight (C,) or a single value. Source: He et al. 2015, arXiv:1502.01852.

    Raises:
        ValueError: ``weight`` has neither one value nor one per channel.
        TypeError: input and weight differ in dtype.
    """
    x, slope = real_numbers("prelu", input), array("prelu", weight, "weight")
    if slope.dtype != x.dtype:
        names = _checks.dtype_name(x.dtype), _checks.dtype_name(slope.dtype)
        raise _checks.DtypeError("prelu: weight must have the dtype of the input, {}, got {}".format(*names))
    channels = x.shape[1] if x.ndim > 1 else 1
    if slope.ndim > 1 or slope.size not in (1, channels) or (slope.size != 1 and x.ndim == 0):
        raise _checks.ArgumentError(
            f"prelu: weight must have 1 or {channels} values for an input of shape {x.shape}, got shape {slope.shape}"
        )
    if slope.size != 1:
        slope = slope.reshape(1, channels, *(1,) * (x.ndim - 2))
    else:
        slope = slope.reshape(())
    return mx.where(x > 0, x, slope * x)


@op(vjp=shrink_vjp)
def hardshrink(input: TensorLike, lambd: float = 0.5, *, out: None = None) -> mx.array:
    """``input``, or 0 where ``|input| <= lambd``."""
    x, bound = real_numbers("hardshrink", input), _checks.number("hardshrink", "lambd", lambd)
    return mx.where((x >= -bound) & (x <= bound), mx.array(0, x.dtype), x)


@op(vjp=shrink_vjp)
def softshrink(input: TensorLike, lambd: float = 0.5) -> mx.array:
    """``input`` moved toward 0 by ``lambd``, and 0 where ``|input| <= lambd``."""
    x, bound = real_numbers("softshrink", input), _checks.number("softshrink", "lambd", lambd, 0)
    return mx.where(x > bound, x - bound, mx.where(x < -bound, x + bound, x * 0))  # x * 0 keeps NaN


@op
def tanhshrink(input: TensorLike) -> mx.array:
    """``input - tanh(input)``."""
    x = array("tanhshrink", input)
    wide = floating("tanhshrink", x)
    return wide - (float64.tanh64(wide) if wide.dtype == mx.float64 else mx.tanh(wide))


@op(vjp=threshold_vjp)
def threshold(input: TensorLike, threshold: float, value: float, inplace: bool = False) -> mx.array:
    """``input`` where it exceeds ``threshold``, otherwise ``value``."""
    x = numeric("threshold", input)
    bound = number_as("threshold", "threshold", threshold, x.dtype)
    return mx.where(x <= bound, number_as("threshold", "value", value, x.dtype), x)


def _gelu_vjp(cotangent: mx.array, input: Any, approximate: str = "none") -> tuple[mx.array] | None:
    return gelu_vjp(cotangent, input) if approximate == "none" and isinstance(input, mx.array) else None


@op(vjp=_gelu_vjp)
def gelu(input: TensorLike, approximate: str = "none") -> mx.array:
    """``input * Phi(input)``, where Phi is the standard normal CDF, accurate to float32.

    ``approximate="tanh"`` computes ``0.5 input (1 + tanh(sqrt(2 / pi) (input + 0.044715 input³)))``.
    Source: Hendrycks and Gimpel 2016, arXiv:1606.08415.

    Example:
        >>> F.gelu(lucid.tensor([-1.0, 0.0, 1.0])).round(decimals=2)
        tensor([-0.16,  0.  ,  0.84])
    """
    x = real("gelu", input)
    if _checks.one_of("gelu", "approximate", approximate, ("none", "tanh")) == "none":
        return gelu_of_arrays(x)
    return 0.5 * x * (1 + mx.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x))))


@op
def silu(input: TensorLike, inplace: bool = False) -> mx.array:
    """``input * sigmoid(input)``, also known as swish. Source: Ramachandran et al. 2017, arXiv:1710.05941."""
    x = real("silu", input)
    return x / (1 + mx.exp(-x)) if x.dtype == mx.complex64 else x * float64.sigmoid(x)


@op
def mish(input: TensorLike, inplace: bool = False) -> mx.array:
    """``input * tanh(softplus(input))``. Source: Misra 2019, arXiv:1908.08681."""
    x = real("mish", input)
    wide = x if x.dtype == mx.float64 else x.astype(mx.float32)
    # With n = e (e + 2), tanh(log(1 + e)) = n / (n + 2), which takes one exponential. Above 20 it rounds to 1.
    large = wide > 20
    safe = mx.where(large, 0, wide)
    e = float64.exp(safe)
    n = e * (e + 2)
    return mx.where(large, wide, safe * (n / (n + 2))).astype(x.dtype)


@op(autocast="float32")
def softplus(input: TensorLike, beta: float = 1.0, threshold: float = 20.0) -> mx.array:
    """``log(1 + exp(beta * input)) / beta``, or ``input`` if ``beta * input`` exceeds ``threshold``."""
    x = real("softplus", input)
    threshold = _checks.number("softplus", "threshold", threshold)
    if not _checks.number("softplus", "beta", beta):
        raise ValueError("softplus: beta must not be 0")
    scaled = x * beta
    large = scaled > threshold
    return mx.where(large, x, float64.logaddexp(mx.where(large, 0, scaled), mx.array(0, x.dtype)) / beta)


@op(autocast="float32")
def logsigmoid(input: TensorLike) -> mx.array:
    """``log(sigmoid(input))`` without overflow."""
    x = real("logsigmoid", input)
    return -float64.logaddexp(-x, mx.array(0, x.dtype))


@op
def softsign(input: TensorLike) -> mx.array:
    """``input / (1 + |input|)``."""
    x = floating("softsign", input)
    return x / (1 + mx.abs(x))


@op(vjp=hardtanh_vjp)
def hardtanh(input: TensorLike, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> mx.array:
    """``input`` limited to [``min_val``, ``max_val``]. The gradient is 0 outside and at the bounds."""
    x = array("hardtanh", input)
    low_number, high_number = (
        _checks.number("hardtanh", name, one) for name, one in (("min_val", min_val), ("max_val", max_val))
    )
    if x.dtype not in FLOATING:
        if x.dtype == mx.bool_ or (low_number < 0 and not mx.iinfo(x.dtype).min):
            raise _checks.DtypeError(f"hardtanh: {_checks.dtype_name(x.dtype)} is not supported with min_val {min_val}")
        low_number, high_number = int(low_number), int(high_number)
    if not low_number <= high_number:
        raise ValueError(f"hardtanh: min_val must not exceed max_val, got {min_val} and {max_val}")
    low, high = (mx.array(one, x.dtype) for one in (low_number, high_number))
    return mx.where(x <= low, low, mx.where(x >= high, high, x))


@op(vjp=hardsigmoid_vjp)
def hardsigmoid(input: TensorLike, inplace: bool = False) -> mx.array:
    """``input / 6 + 1 / 2`` limited to [0, 1]."""
    x = real("hardsigmoid", input)
    return mx.where(x <= -3, 0, mx.where(x >= 3, 1, x / 6 + 0.5)).astype(x.dtype)


@op
def hardswish(input: TensorLike, inplace: bool = False) -> mx.array:
    """``input * hardsigmoid(input)``. Source: Howard et al. 2019, arXiv:1905.02244."""
    x = real("hardswish", input)
    return mx.where(x <= -3, 0, mx.where(x >= 3, x, x * (x + 3) / 6)).astype(x.dtype)


@op
def glu(input: TensorLike, dim: int = -1) -> mx.array:
    """``a * sigmoid(b)``, with a and b the halves of ``input`` along ``dim``.

    Source: Dauphin et al. 2016, arXiv:1612.08083.
    """
    x = real("glu", input)
    if x.dtype == mx.complex64:
        raise _not_real("glu", x)
    axis = _checks.dim("glu", dim, x.ndim)
    if x.ndim == 0 or x.shape[axis] % 2:
        raise _checks.ArgumentError(f"glu: the size of dim {dim} must be even, got shape {x.shape}")
    first, second = mx.split(x, 2, axis)
    return first * float64.sigmoid(second)


@op(autocast="float32")
def softmax(input: TensorLike, dim: int | None = None, dtype: Any = None, *, out: None = None) -> mx.array:
    """``exp(input) / sum(exp(input))`` along ``dim``, which is required (-1 for the classes of logits (N, C)).

    Example:
        >>> lucid.softmax(lucid.tensor([0.0, 0.0]), dim=0).tolist()
        [0.5, 0.5]
    """
    x, at = _softmax_operand("softmax", input, dim, dtype)
    return softmax_of_arrays(x, at) if x.ndim else softmax_of_arrays(x.reshape(1), 0).reshape(())


@op(autocast="float32")
def log_softmax(input: TensorLike, dim: int | None = None, dtype: Any = None, *, out: None = None) -> mx.array:
    """``log(softmax(input, dim))`` without overflow."""
    x, at = _softmax_operand("log_softmax", input, dim, dtype)
    return log_softmax_of_arrays(at_least_1d(x), at).reshape(x.shape)


@op(autocast="float32")
def softmin(input: TensorLike, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> mx.array:
    """``softmax(-input, dim)``."""
    x = array("softmin", input)
    if x.dtype == mx.bool_:
        raise _not_real("softmin", x)
    x, at = _softmax_operand("softmin", -x, dim, dtype)
    return softmax_of_arrays(at_least_1d(x), at).reshape(x.shape)


def inplace_form(operation: Callable[..., Any], caller: str) -> "Callable[..., Tensor]":
    """``operation``, writing its result to its first argument, ``input``."""

    @functools.wraps(operation)
    def call(*args: Any, **kwargs: Any) -> "Tensor":
        try:
            return operation(*args, **kwargs, inplace=True)
        except Exception as error:
            if str(error).startswith(f"{operation.__name__}: "):
                error.args = (str(error).replace(operation.__name__, caller, 1),)
            raise

    signature = inspect.signature(operation)
    kept = [one for name, one in signature.parameters.items() if name != "inplace"]
    call.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    call.__name__ = call.__qualname__ = caller
    call.__doc__ = f"``{operation.__name__}``, with the result written to ``input``."
    return call


celu_ = inplace_form(celu, "celu_")
elu_ = inplace_form(elu, "elu_")
hardtanh_ = inplace_form(hardtanh, "hardtanh_")
leaky_relu_ = inplace_form(leaky_relu, "leaky_relu_")
relu_ = inplace_form(relu, "relu_")
selu_ = inplace_form(selu, "selu_")
threshold_ = inplace_form(threshold, "threshold_")


def softmax_of_arrays(x: mx.array, axis: int) -> mx.array:
    """The softmax of an array with at least one dimension."""
    return float64.softmax64(x, axis) if x.dtype == mx.float64 else mx.softmax(x, axis, precise=True)


def log_softmax_of_arrays(x: mx.array, axis: int) -> mx.array:
    """``x - log(sum(exp(x)))``, computed in float32 for half precision and cast back."""
    if x.size == 0:
        return x
    if x.dtype == mx.float64:
        return x - float64.logsumexp64(x, axis)
    wide = x.astype(mx.float32)
    return (wide - mx.logsumexp(wide, axis, keepdims=True)).astype(x.dtype)


def _softmax_operand(caller: str, x: Any, dim: Any, dtype: Any) -> tuple[mx.array, int]:
    x = floating(caller, x) if dtype is None else array(caller, x).astype(_checks.dtype(caller, dtype))
    if dim is None:
        raise TypeError(f"{caller}: dim is required, for example dim=-1")
    return x, _checks.dim(caller, dim, x.ndim)

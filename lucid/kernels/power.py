"""Powers with PyTorch's gradients at 0, where MLX multiplies 0 by infinity."""

import mlx.core as mx

from lucid.kernels.custom_vjp import custom_vjp


def power(x: mx.array, exponent: mx.array) -> mx.array:
    """``x ** exponent`` of two floating-point arrays of one dtype, which broadcast.

    The gradient of x is 0 where the exponent is 0, and that of the exponent is 0 where x is 0 and the exponent at least
    0. For complex numbers, MLX's gradient lacks the conjugate.
    """
    return _power(*mx.broadcast_arrays(x, exponent))


def _power_vjp(cotangent: mx.array, x: mx.array, exponent: mx.array) -> tuple[mx.array, mx.array]:
    slope = mx.where(exponent == 0, 0, exponent * _power(x, mx.where(exponent == 0, 1, exponent) - 1))
    is_complex = x.dtype == mx.complex64
    is_flat = (x == 0) & ((mx.real(exponent) if is_complex else exponent) >= 0)
    growth = mx.where(is_flat, 0, _power(x, exponent) * mx.log(mx.where(is_flat, 1, x)))
    if is_complex:
        slope, growth = mx.conjugate(slope), mx.conjugate(growth)
    return cotangent * slope, cotangent * growth


_power = custom_vjp(mx.power, vjp=_power_vjp)

"""Bessel functions of the first and second kind and modified ones, of orders 0 and 1.

Each is a Chebyshev series near 0, from which the logarithms of Y and K are split off (DLMF 10.8.2, 10.31.2), and beyond
another one in the reciprocal argument, with those of the asymptotic expansions of J and Y (DLMF 10.17.3, 10.17.4).
"""

import math
from collections.abc import Sequence

import mlx.core as mx

from lucid.kernels import bessel_tables as tables
from lucid.kernels import float64
from lucid.kernels.custom_vjp import custom_vjp


def _series(t: mx.array, coefficients: Sequence[float]) -> mx.array:
    """The Chebyshev series at ``t`` in [0, 1] instead of [-1, 1], by Clenshaw's recurrence."""
    t = 2 * t - 1
    first, second = mx.zeros_like(t), mx.zeros_like(t)
    for one in reversed(coefficients[1:]):
        first, second = 2 * t * first - second + one, first
    return t * first - second + coefficients[0]


def _parts(x: mx.array, end: float) -> tuple[mx.array, mx.array, mx.array]:
    """|x|, and it limited to either side of ``end``."""
    size = mx.abs(x)
    return size, mx.minimum(size, end), mx.maximum(size, end)


def _i0e(x: mx.array) -> mx.array:
    size, low, high = _parts(x, 8)
    far = _series(8 / high, tables.I0_HIGH) / mx.sqrt(high)
    return mx.where(size <= 8, _series(low / 8, tables.I0_LOW), far)


def _i1e(x: mx.array) -> mx.array:
    size, low, high = _parts(x, 8)
    far = mx.sign(x) * _series(8 / high, tables.I1_HIGH) / mx.sqrt(high)
    return mx.where(size <= 8, mx.sign(x) * low * _series(low / 8, tables.I1_LOW), far)


def _over_x(value: mx.array, x: mx.array) -> mx.array:
    """``value / x``, and 1/2 at 0, which is the limit for I1."""
    return mx.where(x == 0, 0.5, value / mx.where(x == 0, 1, x))


def _i1e_vjp(cotangent: mx.array, x: mx.array) -> tuple[mx.array]:
    return (cotangent * (i0e(x) - mx.sign(x) * i1e(x) - _over_x(i1e(x), x)),)


i1e: float64.Function = custom_vjp(_i1e, vjp=_i1e_vjp)
i0e: float64.Function = custom_vjp(_i0e, vjp=lambda cotangent, x: (cotangent * (i1e(x) - mx.sign(x) * i0e(x)),))
i1: float64.Function = custom_vjp(
    lambda x: float64.exp(mx.abs(x)) * _i1e(x), vjp=lambda cotangent, x: (cotangent * (i0(x) - _over_x(i1(x), x)),)
)
i0: float64.Function = custom_vjp(
    lambda x: float64.exp(mx.abs(x)) * _i0e(x), vjp=lambda cotangent, x: (cotangent * i1(x),)
)


def _k(order: int, x: mx.array, is_scaled: bool) -> mx.array:
    _, low, high = _parts(x, 2)
    safe = mx.where(x > 0, low, 1)
    log = mx.log(safe / 2)
    if order == 0:
        near = _series(low * low / 4, tables.K0_LOW) - log * i0(low)
    else:
        near = _series(low * low / 4, tables.K1_LOW) / safe + log * i1(low)
    near = near * float64.exp(low) if is_scaled else near
    far = _series(2 / high, tables.K1_HIGH if order else tables.K0_HIGH) / mx.sqrt(high)
    far = far if is_scaled else far * float64.exp(-high)
    found = mx.where(x <= 2, near, far)
    return mx.where(x == 0, mx.inf, mx.where(x < 0, mx.nan, found))


def k0(x: mx.array) -> mx.array:
    return _k(0, x, False)


def k1(x: mx.array) -> mx.array:
    return _k(1, x, False)


def k0e(x: mx.array) -> mx.array:
    return _k(0, x, True)


def k1e(x: mx.array) -> mx.array:
    return _k(1, x, True)


def _far(order: int, size: mx.array) -> tuple[mx.array, mx.array]:
    """J and Y at ``size`` of at least 8."""
    u = 8 / size
    p = _series(u * u, tables.P1 if order else tables.P0)
    q = u * _series(u * u, tables.Q1 if order else tables.Q0)
    # cos and sin of size - pi/4 - order pi/2 without subtracting: of size itself.
    sine, cosine, root = float64.sin(size), float64.cos(size), math.sqrt(0.5)
    c, s = (cosine + sine) * root, (sine - cosine) * root
    c, s = (s, -c) if order else (c, s)
    scale = mx.sqrt(2 / (math.pi * size))
    return scale * (p * c - q * s), scale * (p * s + q * c)


def j0(x: mx.array) -> mx.array:
    size, low, high = _parts(x, 8)
    return mx.where(size <= 8, _series(low * low / 64, tables.J0_LOW), _far(0, high)[0])


def j1(x: mx.array) -> mx.array:
    size, low, high = _parts(x, 8)
    return mx.sign(x) * mx.where(size <= 8, low * _series(low * low / 64, tables.J1_LOW), _far(1, high)[0])


def _y(order: int, x: mx.array) -> mx.array:
    _, low, high = _parts(x, 8)
    safe = mx.where(x > 0, low, 1)
    log = mx.log(safe)
    if order == 0:
        near = _series(low * low / 64, tables.Y0_LOW) + 2 / math.pi * log * j0(low)
    else:
        near = low * _series(low * low / 64, tables.Y1_LOW) + 2 / math.pi * (log * j1(low) - 1 / safe)
    found = mx.where(x <= 8, near, _far(order, high)[1])
    return mx.where(x == 0, -mx.inf, mx.where(x < 0, mx.nan, found))


def y0(x: mx.array) -> mx.array:
    return _y(0, x)


def y1(x: mx.array) -> mx.array:
    return _y(1, x)

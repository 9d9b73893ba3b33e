"""The Airy function Ai.

Near 0 it is its power series (DLMF 9.4.1). Beyond, it is an integral over exp(-t) t**(-1/6), by the quadrature rule for
that weight; source: Gil, Segura and Temme 2002, ACM TOMS 28. For negative x, whose values oscillate, it is the integral
at an imaginary argument (DLMF 9.2.14).
"""

import math
from functools import cache

import mlx.core as mx
import numpy as np

from lucid.kernels import float64

_NEAR = 2.5  # from here on the integral
_TERMS = 16
_NODES = 40
_AT_ZERO = 0.355028053887817239  # Ai(0)
_SLOPE = 0.258819403792806798  # -Ai'(0)
_FACTOR = 1 / (math.sqrt(math.pi) * 48 ** (1 / 6) * math.gamma(5 / 6))


@cache
def _rule() -> tuple[list[float], list[float]]:
    """Nodes and weights for the integral of exp(-t) t**(-1/6) f(t), from the eigenvectors of Jacobi's matrix."""
    k, power = np.arange(_NODES), -1 / 6
    off = np.sqrt(k[1:] * (k[1:] + power))
    nodes, vectors = np.linalg.eigh(np.diag(2 * k + 1 + power) + np.diag(off, 1) + np.diag(off, -1))
    return nodes.tolist(), (math.gamma(1 + power) * vectors[0] ** 2).tolist()


def _series(x: mx.array) -> mx.array:
    cube = x * x * x
    first, second = mx.ones_like(x), x
    total = _AT_ZERO * first - _SLOPE * second
    for k in range(1, _TERMS):
        first, second = first * (cube / (3 * k * (3 * k - 1))), second * (cube / (3 * k * (3 * k + 1)))
        total = total + (_AT_ZERO * first - _SLOPE * second)
    return total


def airy_ai(x: mx.array) -> mx.array:
    """Ai(x); NaN for infinite x, as in PyTorch."""
    size = mx.abs(x)
    near, far = mx.where(size < _NEAR, x, 0), mx.where(size < _NEAR, _NEAR, size)
    zeta = far * mx.sqrt(far) * (2 / 3)
    falling, cosines, sines = mx.zeros_like(x), mx.zeros_like(x), mx.zeros_like(x)
    for node, weight in zip(*_rule(), strict=True):
        ratio = node / zeta
        falling = falling + weight * mx.power(2 + ratio, -1 / 6)
        length = weight * mx.power(4 + ratio * ratio, -1 / 12)
        angle = mx.arctan(0.5 * ratio) / 6
        cosines, sines = cosines + length * float64.cos(angle), sines + length * float64.sin(angle)
    scale = _FACTOR * mx.power(zeta, -1 / 6)
    phase = zeta - math.pi / 4
    waves = 2 * scale * (float64.cos(phase) * cosines + float64.sin(phase) * sines)
    found = mx.where(x > 0, scale * float64.exp(-zeta) * falling, waves)
    return mx.where(mx.isinf(x), mx.nan, mx.where(size < _NEAR, _series(near), found))

"""The normal distribution, entropy, and Bessel and Airy functions."""

import mlx.core as mx

from lucid.kernels import airy_function, float64
from lucid.kernels import bessel_functions as bessel
from lucid.kernels import normal_functions as normal
from lucid.ops.pointwise import times_log
from lucid.special._functions import binary, unary

__all__ = [
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "entr", "erfcx", "i0", "i0e", "i1", "i1e",
    "log_ndtr", "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1", "ndtr", "ndtri",
    "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "spherical_bessel_j0", "xlog1py",
]  # fmt: skip


def _entr(x: mx.array) -> mx.array:
    safe = mx.where(x > 0, x, 1)
    return mx.where(x > 0, -safe * mx.log(safe), mx.where(x == 0, 0, mx.where(x < 0, -mx.inf, x)))


def _spherical(x: mx.array) -> mx.array:
    safe = mx.where(x == 0, 1, x)
    return mx.where(mx.isinf(x), 0, mx.where(x == 0, 1, float64.sin(safe) / safe))


entr = unary("entr", _entr, "The entropy ``-input * log(input)``: 0 at 0, and -inf below.")
erfcx = unary("erfcx", normal.erfcx, "The scaled complementary error function ``exp(input ** 2) * erfc(input)``.")
ndtr = unary("ndtr", normal.ndtr, "The distribution function of the standard normal distribution.")
ndtri = unary("ndtri", normal.ndtri, "The inverse of ``ndtr``.")
log_ndtr = unary("log_ndtr", normal.log_ndtr, "``log(ndtr(input))`` without underflow.")
xlog1py = binary(
    "xlog1py", lambda x, other: times_log("xlog1py", mx.log1p, x, other),
    "``input * log1p(other)``, and 0 where ``input`` is 0, unless ``other`` is NaN.",
)  # fmt: skip

airy_ai = unary("airy_ai", airy_function.airy_ai, "The Airy function Ai.")
i0 = unary("i0", bessel.i0, "The modified Bessel function of the first kind of order 0.")
i0e = unary("i0e", bessel.i0e, "``exp(-|input|) * i0(input)``.")
i1 = unary("i1", bessel.i1, "The modified Bessel function of the first kind of order 1.")
i1e = unary("i1e", bessel.i1e, "``exp(-|input|) * i1(input)``.")
modified_bessel_i0 = unary("modified_bessel_i0", bessel.i0, "The same as ``i0``.")
modified_bessel_i1 = unary("modified_bessel_i1", bessel.i1, "The same as ``i1``.")
modified_bessel_k0 = unary(
    "modified_bessel_k0", bessel.k0, "The modified Bessel function of the second kind of order 0."
)
modified_bessel_k1 = unary(
    "modified_bessel_k1", bessel.k1, "The modified Bessel function of the second kind of order 1."
)
scaled_modified_bessel_k0 = unary(
    "scaled_modified_bessel_k0", bessel.k0e, "``exp(input) * modified_bessel_k0(input)``."
)
scaled_modified_bessel_k1 = unary(
    "scaled_modified_bessel_k1", bessel.k1e, "``exp(input) * modified_bessel_k1(input)``."
)
bessel_j0 = unary("bessel_j0", bessel.j0, "The Bessel function of the first kind of order 0.")
bessel_j1 = unary("bessel_j1", bessel.j1, "The Bessel function of the first kind of order 1.")
bessel_y0 = unary("bessel_y0", bessel.y0, "The Bessel function of the second kind of order 0.")
bessel_y1 = unary("bessel_y1", bessel.y1, "The Bessel function of the second kind of order 1.")
spherical_bessel_j0 = unary("spherical_bessel_j0", _spherical, "``sin(input) / input``, and 1 at 0.")

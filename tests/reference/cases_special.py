"""Special functions."""

from tests.reference.case import Case, constant, given, positive, real, whole

SMOOTH = ("digamma", "erfcx", "i0", "i0e", "i1", "i1e", "log_ndtr", "ndtr", "psi", "erf", "expit", "sinc")
OF_POSITIVE = (
    "entr",
    "gammaln",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "bessel_y0",
    "bessel_y1",
)
WITHOUT_GRADIENT = ("bessel_j0", "bessel_j1", "modified_bessel_i0", "modified_bessel_i1", "spherical_bessel_j0")
POLYNOMIALS = (
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
)
DEGREES = given([0, 1, 2, 3, 4, 7], "int64")

CASES = [
    *(Case(n, lambda lib, x, n=n: getattr(lib.special, n)(x), real(3, 5, low=-2.9, high=6, away=0.2)) for n in SMOOTH),
    *(
        Case(n, lambda lib, x, n=n: getattr(lib.special, n)(x), positive(9, high=20, grad=n in ("entr", "gammaln")))
        for n in OF_POSITIVE
    ),
    *(
        Case(n, lambda lib, x, n=n: getattr(lib.special, n)(x), constant(9, low=-20, high=20), rtol=3e-5)
        for n in WITHOUT_GRADIENT
    ),
    *(
        Case(n, lambda lib, x, d, n=n: getattr(lib.special, n)(x, d), constant(6, low=-0.9, high=0.9), DEGREES)
        for n in POLYNOMIALS
    ),
    Case("lgamma, digamma, i0", lambda lib, x: (x.lgamma(), lib.lgamma(x), x.digamma(), lib.i0(x)), positive(3, 4)),
    Case("mvlgamma", lambda lib, x: (lib.mvlgamma(x, 3), x.mvlgamma(2), lib.special.multigammaln(x, 1)),
         positive(5, low=1.2)),
    Case("ndtri", lambda lib, x: lib.special.ndtri(x), real(9, low=0.01, high=0.99)),
    Case("polygamma", lambda lib, x: (lib.polygamma(2, x), x.polygamma(1), lib.special.polygamma(0, x)), positive(7)),
    Case("xlog1py", lambda lib, x, y: (lib.special.xlog1py(x, y), lib.special.xlog1py(x, 2.0)), real(2, 3),
         positive(3)),
    Case("zeta", lambda lib, x, q: lib.special.zeta(x, q), constant(5, low=1.5, high=6), positive(5)),
    Case("integers", lambda lib, x: (lib.special.i0e(x), lib.special.entr(x), lib.lgamma(x)), whole(4, low=1, high=9)),
    Case("half", lambda lib, x: (lib.lgamma(x), lib.special.ndtr(x), lib.special.i0e(x)), positive(4, dtype="float16")),
]  # fmt: skip

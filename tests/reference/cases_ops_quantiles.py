"""Quantiles, and reductions that ignore NaN."""

from tests.reference.case import Case, distinct, given, real

NAN = float("nan")
HOLES = given([[1.0, NAN, 3.0, -2.0], [NAN, NAN, NAN, NAN], [5.0, 0.0, 7.0, 2.5]])
METHODS = ("linear", "lower", "higher", "nearest", "midpoint")

CASES = [
    *(
        Case(
            f"{name}: {method}",
            lambda lib, x, q, n=name, m=method: (
                getattr(lib, n)(x, 0.3, interpolation=m), getattr(x, n)(q, 1, interpolation=m),
            ),
            distinct(3, 5),
            given([0.0, 0.4, 0.55, 1.0], grad=method == "linear"),
        )
        for method in METHODS
        for name in ("quantile", "nanquantile")
    ),
    *(
        Case(f"{name}: nan", lambda lib, x, n=name: (getattr(lib, n)(x, 0.3, 0), getattr(x, n)(0.6, 1, True)), HOLES)
        for name in ("quantile", "nanquantile")
    ),
    Case("quantile: a number", lambda lib, x: lib.quantile(x, 0.5), real()),
]  # fmt: skip

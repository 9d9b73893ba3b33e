"""Differences, derivatives and integrals."""

from tests.reference.case import Case, real

CASES = [
    Case("trapezoid", lambda lib, y: (lib.trapezoid(y), lib.trapz(y, dx=0.5, dim=0)), real(4, 5)),
    Case("cumulative_trapezoid", lambda lib, y, x: lib.cumulative_trapezoid(y, x), real(4, 5), real(5)),
    Case("cumulative_trapezoid: dx", lambda lib, y: lib.cumulative_trapezoid(y, dx=2, dim=0), real(4, 5)),
]

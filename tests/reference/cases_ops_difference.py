"""Differences, derivatives and integrals."""

from tests.reference.case import Case, positive, real, truth, whole

CASES = [
    Case("diff", lambda lib, x: (lib.diff(x), x.diff(2, 0), lib.diff(x, 9)), real(4, 5)),
    Case("diff: joined", lambda lib, x, y: lib.diff(x, 1, 0, y, x[:1]), real(3, 2), real(2, 2)),
    Case("diff: integers and bools", lambda lib, x, y: (lib.diff(x), lib.diff(y)), whole(7), truth(7)),
    Case("gradient", lambda lib, x: lib.gradient(x), real(4, 5)),
    Case("gradient: spacing", lambda lib, x: lib.gradient(x, spacing=[0.5, 2.0], edge_order=2), real(4, 5)),
    Case(
        "gradient: coordinates",
        lambda lib, x, c: lib.gradient(x, spacing=(c.cumsum(0),), dim=1),
        real(4, 5),
        positive(5),
    ),
    Case(
        "trapezoid: points",
        lambda lib, y, x: (lib.trapezoid(y, x), lib.trapezoid(y, y * y, dim=0)),
        real(4, 5),
        real(5),
    ),
]

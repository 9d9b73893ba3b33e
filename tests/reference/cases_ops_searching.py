"""Membership, buckets and products of vectors."""

from tests.reference.case import Case, distinct, given, real, whole

INF, NAN = float("inf"), float("nan")

CASES = [
    Case("bucketize", lambda lib, x, b: (lib.bucketize(x, b), lib.bucketize(x, b, right=True, out_int32=True)),
         given([[0.0, 1.0, 2.5], [3.0, NAN, INF]], grad=False), given([1.0, 2.0, 3.0], grad=False)),
    Case("bucketize: nothing", lambda lib, x, b: lib.bucketize(x, b), real(3, grad=False), real(0, grad=False)),
    Case("isin", lambda lib, x, y: (lib.isin(x, y), lib.isin(x, y, invert=True), lib.isin(x, 2)), whole(7), whole(4)),
    Case("isin: nan", lambda lib, x: lib.isin(x, x), given([1.0, NAN, INF, -INF], grad=False)),
    Case("isin: nothing", lambda lib, x, y: (lib.isin(x, y), lib.isin(y, x)), whole(3), whole(0)),
    Case("msort", lambda lib, x: (lib.msort(x), x.msort()), distinct(4, 3)),
    Case("vdot", lambda lib, x, y: (lib.vdot(x, y), x.vdot(x)), real(4), real(4)),
]  # fmt: skip

"""Sums, extremes and statistics over dimensions."""

from tests.reference.case import Case, distinct, given, positive, real, truth, whole

CASES = [
    Case("sum", lambda lib, x: lib.sum(x), real(2, 3)),
    Case("sum: of integers", lambda lib, x: lib.sum(x), whole(2, 3)),
    Case("max: with a dim", lambda lib, x: lib.max(x, 1), distinct(3, 5)),
    Case("prod: with zeros", lambda lib, x: lib.prod(x, 1), given([[0, 2, 3], [0, 0, 4], [1, 2, 3]])),
    Case("logsumexp", lambda lib, x: lib.logsumexp(x, 1), real(3, 5)),
    Case("any", lambda lib, x: x.any(0), truth(3, 5)),
    Case("norm: half", lambda lib, x: x.norm(), positive(7, dtype="float16")),
]

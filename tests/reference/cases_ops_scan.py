"""Cumulative functions."""

from tests.reference.case import Case, distinct, given, real, whole

INF, NAN = float("inf"), float("nan")

CASES = [
    *(
        Case(name, lambda lib, x, n=name: (getattr(lib, n)(x, 0), getattr(x, n)(-1)), distinct(4, 5))
        for name in ("cummax", "cummin")
    ),
    *(
        Case(f"{name}: nan and ties", lambda lib, x, n=name: getattr(lib, n)(x, 0), given([2, 1, 2, NAN, 3, 1, NAN]))
        for name in ("cummax", "cummin")
    ),
    Case("cummax: integers", lambda lib, x: lib.cummax(x, 1), whole(3, 7)),
    Case("cummax: nothing", lambda lib, x: lib.cummax(x, 1), real(3, 0)),
    Case("logcumsumexp", lambda lib, x: (lib.logcumsumexp(x, 1), x.logcumsumexp(0)), real(3, 7)),
    Case("logcumsumexp: large", lambda lib, x: lib.logcumsumexp(x, 0), given([-200, 5, 300, -1e4, 300.5])),
    Case("logcumsumexp: infinite", lambda lib, x: lib.logcumsumexp(x, 0), given([-INF, -INF, 1, 2], grad=False)),
    Case("logcumsumexp: half", lambda lib, x: lib.logcumsumexp(x, 0), real(7, dtype="float16")),
]

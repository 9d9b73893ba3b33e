"""The parts of floating-point numbers."""

from tests.reference.case import Case, constant, given, real, truth, whole

INF, NAN = float("inf"), float("nan")
SPECIAL = given([1.5, -0.0, 0.0, NAN, INF, -INF, -2.0], grad=False)

CASES = [
    Case("copysign", lambda lib, x, y: (lib.copysign(x, y), x.copysign(-1)), real(3, 5, away=0.1), constant(5)),
    Case("copysign: zeros", lambda lib, x: lib.copysign(2.0 + x * 0, x), given([0.0, -0.0, 1.0, -1.0], grad=False)),
    Case("frexp", lambda lib, x: lib.frexp(x), real(3, 5, low=-9, high=9)),
    Case("frexp: special", lambda lib, x: lib.frexp(x), given([0.0, INF, 2.0**-126, 3e38], grad=False)),
    Case("frexp: half", lambda lib, x: x.frexp(), real(7, dtype="float16")),
    Case("isneginf", lambda lib, x: (lib.isneginf(x), x.isneginf()), SPECIAL),
    Case("isposinf", lambda lib, x: (lib.isposinf(x), x.isposinf()), SPECIAL),
    Case("isreal", lambda lib, x: lib.isreal(x), truth(3)),
    Case("ldexp", lambda lib, x, y: (lib.ldexp(x, y), x.ldexp(y)), real(2, 3), whole(3)),
    Case("nextafter", lambda lib, x, y: lib.nextafter(x, y), constant(7), constant(7)),
    Case("sgn", lambda lib, x: (lib.sgn(x), x.sgn()), real(2, 3)),
    Case("signbit", lambda lib, x: (lib.signbit(x), x.signbit()), SPECIAL),
    Case("signbit: integers", lambda lib, x: lib.signbit(x), whole(7)),
]

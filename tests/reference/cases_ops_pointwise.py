"""Element-wise functions of the parts of numbers, of integers, and arithmetic with special cases."""

from tests.reference.case import Case, constant, distinct, given, positive, real, truth, whole

INF, NAN = float("inf"), float("nan")
SPECIAL = given([1.5, -0.0, 0.0, NAN, INF, -INF, -2.0], grad=False)

CASES = [
    Case("copysign", lambda lib, x, y: (lib.copysign(x, y), x.copysign(-1)), real(3, 5, away=0.1), constant(5)),
    Case("copysign: zeros", lambda lib, x: lib.copysign(2.0 + x * 0, x), given([0.0, -0.0, 1.0, -1.0], grad=False)),
    Case("fill", lambda lib, x, v: (lib.fill(x, 2), lib.fill(x, v)), real(2, 3), real()),
    Case("float_power", lambda lib, x, y: lib.float_power(x, y).float(), positive(2, 3), real(3)),
    Case("fmax", lambda lib, x, y: lib.fmax(x, y), distinct(3, 5), real(5, low=0.1, high=0.3)),
    Case("fmin", lambda lib, x, y: lib.fmin(x, y), distinct(3, 5), real(5, low=0.1, high=0.3)),
    Case("fmax and fmin: nan", lambda lib, x, y: (lib.fmax(x, y), lib.fmin(x, y)), SPECIAL, given(1.0, grad=False)),
    Case("frexp", lambda lib, x: lib.frexp(x), real(3, 5, low=-9, high=9)),
    Case("frexp: special", lambda lib, x: lib.frexp(x), given([0.0, INF, 2.0**-126, 3e38], grad=False)),
    Case("frexp: half", lambda lib, x: x.frexp(), real(7, dtype="float16")),
    Case("gcd", lambda lib, x, y: (lib.gcd(x, y), x.gcd(y)), whole(9, low=-60, high=60), whole(9, low=-60, high=60)),
    Case("gcd: Fibonacci", lambda lib, x: lib.gcd(x, x - 2), given([2971215073 + 2, 12, 0], "int64")),
    Case("heaviside", lambda lib, x, v: lib.heaviside(x, v), given([-1.0, 0.0, 2.0], grad=False), constant(3)),
    Case("isneginf", lambda lib, x: (lib.isneginf(x), x.isneginf()), SPECIAL),
    Case("isposinf", lambda lib, x: (lib.isposinf(x), x.isposinf()), SPECIAL),
    Case("isreal", lambda lib, x: lib.isreal(x), truth(3)),
    Case("lcm", lambda lib, x, y: (lib.lcm(x, y), x.lcm(y)), whole(9, low=-60, high=60), whole(9, low=-60, high=60)),
    Case("ldexp", lambda lib, x, y: (lib.ldexp(x, y), x.ldexp(y)), real(2, 3), whole(3)),
    Case("logaddexp2", lambda lib, x, y: lib.logaddexp2(x, y), real(2, 3), real(3)),
    Case("logit", lambda lib, x: (lib.logit(x), x.logit(0.3)), real(3, 5, low=0.05, high=0.95)),
    Case("logit: outside", lambda lib, x: lib.logit(x), given([-0.1, 0.0, 1.0, 1.5], grad=False)),
    Case("nextafter", lambda lib, x, y: lib.nextafter(x, y), constant(7), constant(7)),
    Case("sgn", lambda lib, x: (lib.sgn(x), x.sgn()), real(2, 3)),
    Case("signbit", lambda lib, x: (lib.signbit(x), x.signbit()), SPECIAL),
    Case("signbit: integers", lambda lib, x: lib.signbit(x), whole(7)),
    Case("sinc", lambda lib, x: (lib.sinc(x), x.sinc()), real(3, 5)),
    Case("sinc: zero", lambda lib, x: lib.sinc(x), given([0.0, 1e-4, 3e-3, 4e-3]), order=1),
    Case("xlogy", lambda lib, x, y: (lib.xlogy(x, y), x.xlogy(y)), real(2, 3), positive(3)),
    Case("xlogy: zero", lambda lib, x, y: lib.xlogy(x, y), given([0.0, 0.0, 1.0]), given([0.0, NAN, 2.0], grad=False)),
]

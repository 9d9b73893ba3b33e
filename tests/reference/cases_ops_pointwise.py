"""Element-wise arithmetic with special cases."""

from tests.reference.case import Case, constant, distinct, given, positive, real, whole

INF, NAN = float("inf"), float("nan")
SPECIAL = given([1.5, -0.0, 0.0, NAN, INF, -INF, -2.0], grad=False)

CASES = [
    Case("fill", lambda lib, x, v: (lib.fill(x, 2), lib.fill(x, v)), real(2, 3), real()),
    Case("float_power", lambda lib, x, y: lib.float_power(x, y).float(), positive(2, 3), real(3)),
    Case("fmax", lambda lib, x, y: lib.fmax(x, y), distinct(3, 5), real(5, low=0.1, high=0.3)),
    Case("fmin", lambda lib, x, y: lib.fmin(x, y), distinct(3, 5), real(5, low=0.1, high=0.3)),
    Case("fmax and fmin: nan", lambda lib, x, y: (lib.fmax(x, y), lib.fmin(x, y)), SPECIAL, given(1.0, grad=False)),
    Case("gcd", lambda lib, x, y: (lib.gcd(x, y), x.gcd(y)), whole(9, low=-60, high=60), whole(9, low=-60, high=60)),
    Case("gcd: Fibonacci", lambda lib, x: lib.gcd(x, x - 2), given([2971215073 + 2, 12, 0], "int64")),
    Case("heaviside", lambda lib, x, v: lib.heaviside(x, v), given([-1.0, 0.0, 2.0], grad=False), constant(3)),
    Case("lcm", lambda lib, x, y: (lib.lcm(x, y), x.lcm(y)), whole(9, low=-60, high=60), whole(9, low=-60, high=60)),
    Case("logaddexp2", lambda lib, x, y: lib.logaddexp2(x, y), real(2, 3), real(3)),
    Case("logit", lambda lib, x: (lib.logit(x), x.logit(0.3)), real(3, 5, low=0.05, high=0.95)),
    Case("logit: outside", lambda lib, x: lib.logit(x), given([-0.1, 0.0, 1.0, 1.5], grad=False)),
    Case("sinc", lambda lib, x: (lib.sinc(x), x.sinc()), real(3, 5)),
    Case("sinc: zero", lambda lib, x: lib.sinc(x), given([0.0, 1e-4, 3e-3, 4e-3]), order=1),
    Case("xlogy", lambda lib, x, y: (lib.xlogy(x, y), x.xlogy(y)), real(2, 3), positive(3)),
    Case("xlogy: zero", lambda lib, x, y: lib.xlogy(x, y), given([0.0, 0.0, 1.0]), given([0.0, NAN, 2.0], grad=False)),
]

"""Covariances, modes and histograms."""

from tests.reference.case import Case, constant, distinct, given, positive, real, whole

CASES = [
    Case("cov", lambda lib, x: (lib.cov(x), x.cov(correction=0), lib.cov(x[0])), real(3, 5)),
    Case("cov: weights", lambda lib, x, f, a: (lib.cov(x, fweights=f), lib.cov(x, fweights=f, aweights=a)), real(2, 4),
         given([1, 2, 3, 1], "int64"), positive(4, grad=False)),
    Case("cov: integers", lambda lib, x: lib.cov(x), whole(3, 4)),
    Case("corrcoef", lambda lib, x: (lib.corrcoef(x), x[0].corrcoef()), real(3, 5)),
    Case("mode", lambda lib, x: (*lib.mode(x), *x.mode(0, True)), whole(5, 7, low=0, high=3)),
    Case("mode: gradient", lambda lib, x: lib.mode(x, 0)[0], distinct(4, 3)),
    Case("mode: a number", lambda lib, x: tuple(lib.mode(x)), constant()),
    Case("histc", lambda lib, x: (lib.histc(x, 5), x.histc(3, -1, 1), lib.histc(x[:1])), constant(20)),
    Case("histogram", lambda lib, x: (*lib.histogram(x, 4), *x.histogram(3, range=(-1.0, 1.0), density=True)),
         constant(20)),
    Case("histogram: edges, weights", lambda lib, x, e, w: tuple(lib.histogram(x, e, weight=w)), constant(20),
         given([-1.0, 0.0, 0.5, 2.0], grad=False), positive(20, grad=False)),
    Case("histogramdd", lambda lib, x: lib.histogramdd(x, [2, 3], density=True), constant(20, 2)),
]  # fmt: skip

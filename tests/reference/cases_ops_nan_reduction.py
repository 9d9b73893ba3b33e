"""Quantiles, and reductions that ignore NaN."""

from tests.reference.case import Case, given, whole

NAN = float("nan")
HOLES = given([[1.0, NAN, 3.0, -2.0], [NAN, NAN, NAN, NAN], [5.0, 0.0, 7.0, 2.5]])
METHODS = ("linear", "lower", "higher", "nearest", "midpoint")

CASES = [
    Case("nansum", lambda lib, x: (lib.nansum(x), x.nansum(1), lib.nansum(x, (0, 1), True)), HOLES),
    Case("nansum: integers", lambda lib, x: lib.nansum(x, 0), whole(3, 4)),
    Case("nanmean", lambda lib, x: (lib.nanmean(x), x.nanmean(0), lib.nanmean(x, -1, True)), HOLES, order=1),
    Case("nanmedian", lambda lib, x: (lib.nanmedian(x), x.nanmedian(0), lib.nanmedian(x[::2], 1, True)), HOLES),
]  # fmt: skip

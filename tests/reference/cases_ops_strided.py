"""Views and copies by strides; the gradient of ``as_strided_scatter`` is checked against ``index_put``."""

from tests.reference.case import Case, constant, real

CASES = [
    Case("as_strided", lambda lib, x: (lib.as_strided(x, (3, 2), (1, 2)), x.as_strided((2,), (3,), 1)), real(8)),
    Case("as_strided: a part", lambda lib, x: lib.as_strided((x * 2)[2:], (2, 2), (2, 1), 3), constant(8)),
    Case("as_strided: a number, nothing", lambda lib, x: (x.as_strided((), (), 2), x.as_strided((0,), (1,))), real(4)),
    Case("as_strided_copy", lambda lib, x: lib.as_strided_copy(x, (2, 2), (4, 1), 1), real(2, 4)),
    Case("as_strided_scatter", lambda lib, x, y: lib.as_strided_scatter(x, y, (2, 2), (4, 1), 1), constant(2, 4),
         constant(2, 2)),
]  # fmt: skip

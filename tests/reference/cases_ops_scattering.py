"""Write values at positions."""

from tests.reference.case import Case, distinct, given, real, truth, whole

INDEX = given([[0, 2, 0], [1, 1, 0]], "int64")
VECTOR = given([2, 0, 2], "int64")

CASES = [
    Case("index_put", lambda lib, x, i, v: (lib.index_put(x, (i,), v), x.index_put((i, i), v[:, 0])), real(3, 3),
         given([2, 0], "int64"), real(2, 3)),
    Case("index_put: added", lambda lib, x, i, v: x.index_put((i,), v, True), real(3, 4), VECTOR, real(3, 4)),
    Case("index_put: mask", lambda lib, x, m, v: lib.index_put(x, (m,), v), real(3, 4), truth(3, 4), real()),
    Case("put", lambda lib, x, i, v: (lib.put(x, i[:2], v[:2]), x.put(i, v, True)), real(3, 4), VECTOR, real(3)),
    Case("masked_scatter", lambda lib, x, m, s: (lib.masked_scatter(x, m, s), x.masked_scatter(m[0], s)), real(3, 4),
         truth(3, 4), real(12)),
    *(
        Case(
            f"scatter_reduce: {reduce}, {own}",
            lambda lib, x, i, s, r=reduce, o=own: x.scatter_reduce(1, i, s, r, include_self=o),
            distinct(2, 3, low=0.2, high=0.9), INDEX, distinct(2, 3, low=0.25, high=0.95), order=1,
        )
        for reduce in ("sum", "prod", "mean", "amax", "amin")
        for own in (True, False)
    ),
    Case("scatter_reduce: integers", lambda lib, x, i, s: lib.scatter_reduce(x, 1, i, s, "mean"), whole(2, 3), INDEX,
         whole(2, 3)),
    *(
        Case(
            f"index_reduce: {reduce}, {own}",
            lambda lib, x, i, s, r=reduce, o=own: x.index_reduce(1, i, s, r, include_self=o),
            distinct(2, 4, low=0.2, high=0.9), VECTOR, distinct(2, 3, low=0.25, high=0.95), order=1,
        )
        for reduce in ("prod", "mean", "amax", "amin")
        for own in (True, False)
    ),
    Case("select_scatter", lambda lib, x, s: lib.select_scatter(x, s, 1, -2), real(2, 3, 4), real(2, 4)),
    Case("diagonal_scatter", lambda lib, x, s: lib.diagonal_scatter(x, s, 1), real(3, 4), real(3)),
    Case("slice_scatter", lambda lib, x, s: (lib.slice_scatter(x, s, 1, 1, 4, 2), x.slice_scatter(s, 1, -2)),
         real(3, 4), real(3, 2)),
]  # fmt: skip

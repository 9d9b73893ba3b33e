"""Distances: orders of the norm, and equal vectors."""

from tests.reference.case import Case, distinct, given, real

INF = float("inf")


def call(op, *rest, **options):
    return lambda lib, *tensors: getattr(lib.nn.functional, op)(*tensors, *rest, **options)


CASES = [
    *(
        Case(f"pairwise_distance: p {p}", call("pairwise_distance", p), real(3, 5), real(3, 5))
        for p in (2, 1, 0, 3.5, INF)
    ),
    Case("pairwise_distance: eps, keepdim", call("pairwise_distance", eps=0.1, keepdim=True), real(3, 5), real(3, 5)),
    Case("pairwise_distance: broadcast", call("pairwise_distance"), real(3, 5), real(5)),
    Case("pairwise_distance: float16", call("pairwise_distance"), *[real(3, 4, dtype="float16")] * 2),
    *(Case(f"pdist: p {p}", call("pdist", p), distinct(4, 3), order=1) for p in (2, 1, 0, 1.5, 3, INF)),
    Case("pdist: default", call("pdist"), real(5, 2), order=1),
    Case("pdist: equal rows", call("pdist"), given([[1.0, 2.0], [1.0, 2.0], [0.0, 2.0]]), order=1),
    Case("pdist: one row", call("pdist"), real(1, 3), order=1),
    *(
        Case(f"cdist: p {p}", lambda lib, x, y, p=p: lib.cdist(x, y, p), distinct(2, 4, 3), distinct(5, 3), order=1)
        for p in (2, 1, 0, 1.5, 3, INF)
    ),
    Case("cdist: many rows", lambda lib, x, y: lib.cdist(x, y), real(30, 3), real(2, 3), order=1, rtol=1e-4),
    Case("cdist: equal rows", lambda lib, x: lib.cdist(x, x), given([[1.0, 2.0], [1.0, 2.0], [0.0, 2.0]]), order=1),
    Case("cdist: nothing", lambda lib, x, y: lib.cdist(x, y), real(0, 3), real(2, 3), order=1),
    Case("renorm", lambda lib, x: (lib.renorm(x, 2, 0, 1.0), x.renorm(1, -1, 2.0), lib.renorm(x, INF, 1, 9)),
         real(3, 4)),
]  # fmt: skip

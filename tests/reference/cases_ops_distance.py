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
]  # fmt: skip

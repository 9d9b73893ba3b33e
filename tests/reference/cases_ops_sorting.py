"""Sorting."""

from tests.reference.case import Case, distinct, given, real, truth, whole

INF, NAN = float("inf"), float("nan")
TIES = given([[2, 1, 2, 1, 3], [0, 0, 0, 0, 0]])

CASES = [
    *(
        Case(f"sort: dim {d}", lambda lib, x, d=d: (lib.sort(x, dim=d), x.sort(d)), distinct(2, 3, 5))
        for d in (0, 1, -1)
    ),
    Case("sort: last by default", lambda lib, x: (lib.sort(x), x.sort()), distinct(3, 5)),
    Case("sort: descending", lambda lib, x: (lib.sort(x, descending=True), x.sort(0, True)), distinct(3, 5)),
    Case("sort: ties keep their order", lambda lib, x: lib.sort(x, stable=True), TIES),
    Case("sort: ties, descending", lambda lib, x: lib.sort(x, stable=True, descending=True), TIES),
    Case("sort: values by name", lambda lib, x: (lib.sort(x).values, lib.sort(x).indices), distinct(7)),
    Case("sort: integers", lambda lib, x: lib.sort(x, stable=True), whole(3, 7, dtype="int32")),
    Case("sort: large integers", lambda lib, x: lib.sort(x), given([2**53 + 1, 2**53, 2**53 + 2, -(2**62)], "int64")),
    Case("sort: bools", lambda lib, x: lib.sort(x, stable=True), truth(7)),
    Case("sort: float16", lambda lib, x: lib.sort(x, stable=True), real(3, 7, dtype="float16")),
    Case("sort: bfloat16", lambda lib, x: lib.sort(x, stable=True, descending=True), real(3, 7, dtype="bfloat16")),
    Case("sort: a number", lambda lib, x: (lib.sort(x), lib.sort(x, 0)), real()),
    Case("sort: size 1", lambda lib, x: lib.sort(x, 1), real(3, 1)),
    Case("sort: nothing", lambda lib, x: (lib.sort(x, 1), lib.sort(x, 0)), real(3, 0)),
    Case("sort: transposed", lambda lib, x: lib.sort(x.t(), 1), distinct(3, 5)),
    Case(
        "sort: nan and inf", lambda lib, x: lib.sort(x, stable=True), given([1.0, NAN, -INF, INF, NAN, 0.0], grad=False)
    ),
    Case(
        "sort: nan and inf, descending",
        lambda lib, x: lib.sort(x, stable=True, descending=True),
        given([1.0, NAN, -INF, INF, NAN, 0.0], grad=False),
    ),
    Case(
        "sort: zeros of both signs",
        lambda lib, x: lib.sort(x, stable=True)[1],
        given([0.0, -0.0, 0.0, -0.0, -1.0], grad=False),
    ),
    Case("sort: long", lambda lib, x: lib.sort(x, stable=True), whole(1031, low=0, high=50)),
    Case(
        "sort: long, descending",
        lambda lib, x: lib.sort(x, stable=True, descending=True)[1],
        whole(1031, low=0, high=50),
    ),
    *(
        Case(
            f"argsort: dim {d}",
            lambda lib, x, d=d: (lib.argsort(x, dim=d), x.argsort(d, True)),
            distinct(2, 3, 5),
            order=0,
        )
        for d in (0, 1, -1)
    ),
    Case(
        "argsort: ties",
        lambda lib, x: (lib.argsort(x, stable=True), lib.argsort(x, descending=True, stable=True)),
        TIES,
        order=0,
    ),
    Case("argsort: a number", lambda lib, x: lib.argsort(x), real(), order=0),
    Case("argsort: nothing", lambda lib, x: lib.argsort(x), real(0), order=0),
    *(Case(f"topk: {k}", lambda lib, x, k=k: (lib.topk(x, k), x.topk(k)), distinct(3, 5)) for k in (0, 1, 3, 5)),
    Case("topk: smallest", lambda lib, x: (lib.topk(x, 2, largest=False), x.topk(2, 0, False)), distinct(3, 5)),
    Case("topk: dim 0", lambda lib, x: lib.topk(x, 2, dim=0), distinct(3, 5)),
    Case("topk: middle dim", lambda lib, x: lib.topk(x, 2, 1), distinct(2, 3, 5)),
    Case("topk: values by name", lambda lib, x: (lib.topk(x, 2).values, lib.topk(x, 2).indices), distinct(7)),
    Case("topk: integers", lambda lib, x: lib.topk(x, 3)[0], whole(4, 9)),
    Case("topk: a number", lambda lib, x: lib.topk(x, 1), real()),
    Case("topk: nan", lambda lib, x: lib.topk(x, 2)[0], given([1.0, NAN, 3.0], grad=False)),
    Case("topk: float16", lambda lib, x: lib.topk(x, 2), distinct(3, 7, dtype="float16")),
    Case("unique: values", lambda lib, x: (lib.unique(x), x.unique()), whole(3, 5, low=0, high=4)),
    Case(
        "unique: inverse and counts",
        lambda lib, x: lib.unique(x, return_inverse=True, return_counts=True),
        whole(3, 5, low=0, high=4),
    ),
    Case("unique: counts", lambda lib, x: lib.unique(x, return_counts=True), whole(9, low=0, high=4, dtype="int32")),
    Case("unique: inverse", lambda lib, x: lib.unique(x, return_inverse=True), whole(9, low=0, high=4)),
    Case("unique: floats", lambda lib, x: lib.unique(x), given([0.5, -1.0, 0.5, 2.0, -1.0]), order=0),
    Case("unique: bools", lambda lib, x: lib.unique(x), truth(9)),
    Case(
        "unique: rows",
        lambda lib, x: lib.unique(x, return_inverse=True, return_counts=True, dim=0),
        given([[1, 2], [0, 5], [1, 2], [0, 4]], "int64"),
    ),
    Case("unique: columns", lambda lib, x: lib.unique(x, dim=1), given([[1, 0, 1], [2, 5, 2]], "int64")),
    Case("unique: nothing", lambda lib, x: lib.unique(x), whole(0)),
    Case(
        "searchsorted: left and right",
        lambda lib, s, v: (lib.searchsorted(s, v), lib.searchsorted(s, v, right=True)),
        given([1, 3, 3, 5]),
        given([[0, 1, 3], [4, 5, 9]]),
        order=0,
    ),
    Case("searchsorted: integers", lambda lib, s, v: lib.searchsorted(s, v), given([1, 3, 5], "int64"), whole(9)),
    Case("searchsorted: a number", lambda lib, s: lib.searchsorted(s, 3.0), given([1, 3, 5]), order=0),
    Case("searchsorted: in nothing", lambda lib, s, v: lib.searchsorted(s, v), real(0), real(3), order=0),
    Case(
        "searchsorted: rows of their own",
        lambda lib, s, v: (
            lib.searchsorted(s, v),
            lib.searchsorted(s, v, side="right"),
            lib.searchsorted(s, v, side="left", out_int32=True),
        ),
        given([[1, 3, 3, 5], [-2, 0, 9, 9], [0, 0, 0, 0]]),
        given([[0, 3, 7], [9, 0, -1], [0, -1, 1]]),
        order=0,
    ),
    Case(
        "searchsorted: sorter",
        lambda lib, s, v: (lib.searchsorted(s, v, sorter=lib.argsort(s)), lib.searchsorted(s, v, sorter=s.argsort(-1))),
        given([5.0, 1.0, 3.0]),
        given([[0.0, 1.0], [3.0, 6.0]]),
        order=0,
    ),
    Case(
        "searchsorted: nan and infinity",
        lambda lib, s, v: (lib.searchsorted(s, v), lib.searchsorted(s, v, right=True)),
        given([-INF, 1.0, INF, NAN], grad=False),
        given([NAN, INF, -INF, 2.0], grad=False),
    ),
    Case("bincount: counts", lambda lib, x: (lib.bincount(x), x.bincount()), whole(20, low=0, high=6)),
    Case(
        "bincount: minlength",
        lambda lib, x: (lib.bincount(x, minlength=9), lib.bincount(x, minlength=2)),
        whole(20, low=0, high=6),
    ),
    Case(
        "bincount: weights",
        lambda lib, x, w: lib.bincount(x, w),
        whole(20, low=0, high=6),
        real(20, grad=False),
        recorded=lambda lib, x, w: lib.bincount(x, w.double()).to(w.dtype),
    ),
    Case("bincount: nothing", lambda lib, x: (lib.bincount(x), lib.bincount(x, minlength=3)), whole(0)),
]

"""Gather and scatter along one dimension."""

from tests.reference.case import Case, distinct, given, positive, real, whole

CASES = [
    *(
        Case(
            f"gather: dim {d}",
            lambda lib, x, i, d=d: (lib.gather(x, d, i), x.gather(d, i)),
            real(3, 4, 5),
            whole(2, 3, 4, low=0, high=3),
        )
        for d in (0, 1, 2, -1)
    ),
    Case(
        "gather: one place often",
        lambda lib, x, i: lib.gather(x, 1, i),
        real(3, 4),
        given([[0, 0, 0], [1, 1, 3], [2, 2, 2]], "int64"),
    ),
    Case("gather: more than there is", lambda lib, x, i: lib.gather(x, 1, i), real(2, 3), whole(2, 7, low=0, high=3)),
    Case("gather: a number", lambda lib, x, i: lib.gather(x, 0, i), real(), given(0, "int64")),
    Case("gather: nothing", lambda lib, x, i: lib.gather(x, 1, i), real(2, 3), whole(2, 0)),
    Case(
        "take_along_dim: argsort",
        lambda lib, x: (lib.take_along_dim(x, lib.argsort(x, dim=1), dim=1), x.take_along_dim(lib.argsort(x, 0), 0)),
        distinct(3, 5),
    ),
    Case("take_along_dim: flat", lambda lib, x, i: lib.take_along_dim(x, i), real(3, 4), whole(5, low=0, high=12)),
    Case(
        "take_along_dim: broadcast",
        lambda lib, x, i: lib.take_along_dim(x, i, dim=1),
        real(3, 4),
        whole(1, 2, low=0, high=4),
    ),
    *(
        Case(
            f"scatter: dim {d}",
            lambda lib, x, i, s, d=d: (lib.scatter(x, d, i, s), x.scatter(d, i, s)),
            real(3, 4),
            given([[2, 0, 1], [0, 1, 2]] if d == 0 else [[3, 0, 1], [0, 2, 1]], "int64"),
            real(2, 3),
        )
        for d in (0, 1)
    ),
    Case(
        "scatter: a number", lambda lib, x, i: lib.scatter(x, 1, i, 2.5), real(3, 4), given([[3, 0], [0, 2]], "int64")
    ),
    Case(
        "scatter: add",
        lambda lib, x, i, s: lib.scatter(x, 1, i, s, reduce="add"),
        real(2, 3, grad=False),
        given([[0, 0, 2], [1, 1, 1]], "int64"),
        real(2, 3, grad=False),
    ),
    Case(
        "scatter: multiply",
        lambda lib, x, i, s: lib.scatter(x, 1, i, s, reduce="multiply"),
        real(2, 3, grad=False),
        given([[0, 0, 2], [1, 1, 1]], "int64"),
        real(2, 3, grad=False),
    ),
    Case(
        "scatter: integers",
        lambda lib, x, i, s: lib.scatter(x, 0, i, s),
        whole(3, 2),
        given([[2, 0]], "int64"),
        whole(1, 2),
    ),
    Case("scatter: nothing", lambda lib, x, i, s: lib.scatter(x, 0, i, s), real(3, 2), whole(0, 2), real(0, 2)),
    *(
        Case(
            f"scatter_add: dim {d}",
            lambda lib, x, i, s, d=d: (lib.scatter_add(x, d, i, s), x.scatter_add(d, i, s)),
            real(3, 4),
            whole(2, 3, low=0, high=3),
            real(2, 3),
        )
        for d in (0, 1, -1)
    ),
    Case(
        "scatter_add: all in one",
        lambda lib, x, i, s: lib.scatter_add(x, 0, i, s),
        real(3),
        given([1, 1, 1, 1], "int64"),
        real(4),
    ),
    Case(
        "index_select: repeated",
        lambda lib, x, i: (lib.index_select(x, 1, i), x.index_select(1, i)),
        real(2, 4, 3),
        given([3, 0, 0], "int64"),
    ),
    Case("index_select: none", lambda lib, x, i: lib.index_select(x, 0, i), real(2, 3), whole(0)),
    Case(
        "index_select: of a vector by a number", lambda lib, x, i: lib.index_select(x, 0, i), real(4), given(2, "int64")
    ),
    Case(
        "index_add: repeated",
        lambda lib, x, i, s: (lib.index_add(x, 0, i, s), x.index_add(0, i, s)),
        real(3, 4),
        given([2, 0, 2], "int64"),
        real(3, 4),
    ),
    Case(
        "index_add: alpha",
        lambda lib, x, i, s: lib.index_add(x, 1, i, s, alpha=-2.5),
        real(3, 4),
        given([3, 3], "int64"),
        real(3, 2),
    ),
    Case(
        "index_copy: slices",
        lambda lib, x, i, s: (lib.index_copy(x, 1, i, s), x.index_copy(1, i, s)),
        real(3, 4),
        given([3, 0], "int64"),
        real(3, 2),
    ),
    Case(
        "index_fill: a number",
        lambda lib, x, i: (lib.index_fill(x, 1, i, 2.5), x.index_fill(0, i, -1)),
        real(3, 4),
        given([2, 0], "int64"),
    ),
    Case(
        "index_fill: a tensor, repeated",
        lambda lib, x, i, v: lib.index_fill(x, 1, i, v),
        real(3, 4),
        given([0, 3, 0, 0], "int64"),
        real(),
    ),
    Case(
        "index_fill: a number in a number",
        lambda lib, x, i: (lib.index_fill(x, 0, i, 2.5), x.index_fill(0, i[:0], 2.5), x.index_fill(0, i[0], 1)),
        real(),
        given([0], "int64"),
    ),
    Case(
        "gather: indices of other dimensions",
        lambda lib, x, y, i: (
            lib.gather(x, 0, i),
            lib.gather(y, 0, i[:0]),
            x.gather(0, i[0], sparse_grad=False),
            y.scatter(0, i[:0], 2.0),
        ),
        real(3),
        real(2, 3),
        given([2, 0, 1], "int64"),
        order=1,
    ),
    Case(
        "scatter: value, by name",
        lambda lib, x, i: (
            lib.scatter(x, 1, i, value=2.5),
            x.detach().scatter(dim=1, index=i, value=3, reduce="add"),
            lib.scatter(input=x, dim=1, index=i, src=x[:, :2]),
        ),
        real(2, 3),
        given([[0, 2], [1, 0]], "int64"),
    ),
    Case(
        "index_add: alpha of integers",
        lambda lib, x, i, s: (
            lib.index_add(x, 0, i, s, alpha=-1),
            x.to(lib.uint8).index_add(0, i, s.to(lib.uint8), alpha=-1),
        ),
        whole(3, 2, low=0),
        given([2, 0], "int64"),
        whole(2, 2, low=0),
    ),
    Case(
        "take_along_dim: negative",
        lambda lib, x, i: lib.take_along_dim(x, i, 1),
        real(2, 3),
        given([[-1], [0]], "int64"),
    ),
    Case(
        "index_fill: a tensor",
        lambda lib, x, i, v: lib.index_fill(x, 1, i, v),
        real(3, 4),
        given([3, 0], "int64"),
        real(),
    ),
    Case(
        "take: a matrix of places",
        lambda lib, x, i: (lib.take(x, i), x.take(i)),
        real(3, 4),
        given([[0, 11, -1], [5, 5, 5]], "int64"),
    ),
    Case("take: none", lambda lib, x, i: lib.take(x, i), real(3, 4), whole(0)),
    Case(
        "gather of an exponential",
        lambda lib, x, i: lib.log(lib.gather(lib.exp(x), 1, i)),
        positive(3, 4),
        whole(3, 2, low=0, high=4),
    ),
]

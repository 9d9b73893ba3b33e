"""Reductions."""

from tests.reference.case import Case, distinct, given, positive, real, truth, whole

INF, NAN = float("inf"), float("nan")
SUMS = ["sum", "mean", "prod", "logsumexp", "amax", "amin", "var", "std", "norm", "any", "all", "count_nonzero"]
NO_GRADIENT = {"any", "all", "count_nonzero", "argmax", "argmin"}
BOTH_NAMES = ["sum", "mean", "prod", "amax", "amin", "any", "all", "logsumexp", "argmax", "argmin"]


def call(op, **arguments):
    """The function and the method with these arguments."""
    return lambda lib, x: (getattr(lib, op)(x, **arguments), getattr(x, op)(**arguments))


CASES = []
for op in SUMS:
    order = 0 if op in NO_GRADIENT else None
    keep = op != "count_nonzero"  # PyTorch's has no keepdim
    needs_dim = op == "logsumexp"
    x = distinct(2, 3, 5)
    for dims in (None, 0, 1, -1, (0, 2), (-1, 0), (0, 1, 2)):
        if (dims is None and needs_dim) or (op == "prod" and isinstance(dims, tuple)):  # not supported by PyTorch
            continue
        if op == "norm" and dims == (0, 1, 2):  # a matrix norm in PyTorch
            continue
        given_dim = {} if dims is None else {"dim": dims}
        CASES.append(Case(f"{op}: dim {dims}", call(op, **given_dim), x, order=order))
        if keep and dims is not None:
            CASES.append(Case(f"{op}: dim {dims}, kept", call(op, dim=dims, keepdim=True), x, order=order))
    CASES += [
        Case(f"{op}: transposed", lambda lib, x, op=op: getattr(lib, op)(x.transpose(0, 2), dim=1), x, order=order),
        Case(
            f"{op}: of size 1",
            call(op, dim=1, **({"correction": 0} if op in ("var", "std") else {})),
            positive(3, 1),
            order=order if op != "std" else 0,
        ),
        Case(f"{op}: over nothing left", call(op, dim=1), real(0, 3), order=order),
    ]
    if op not in ("amax", "amin", "var", "std", "norm"):
        CASES.append(Case(f"{op}: over size 0", call(op, dim=1), real(3, 0), order=0))
    if op not in ("var", "std"):
        CASES.append(Case(f"{op}: a number", call(op, dim=0), real(away=0.2), order=order))
        CASES.append(Case(f"{op}: a number, dim -1", call(op, dim=-1), real(away=0.2), order=order))
    for dtype in ("float16", "bfloat16"):
        CASES.append(Case(f"{op}: {dtype}", call(op, dim=1), positive(3, 7, dtype=dtype), order=order))
for op in BOTH_NAMES:
    order = 0 if op in NO_GRADIENT else None
    CASES.append(
        Case(
            f"{op}: axis and keepdims",
            lambda lib, x, op=op: (getattr(lib, op)(x, axis=1), getattr(x, op)(axis=-1, keepdims=True)),
            distinct(2, 3, 5),
            order=order,
        )
    )
for op in ("sum", "prod", "any", "all", "amax", "amin", "argmax", "argmin", "count_nonzero", "max", "min"):
    for dtype in ("int64", "int32", "int8", "uint8"):
        if dtype == "uint8" and op in ("any", "all"):  # PyTorch returns uint8 for these, Lucid always bool
            continue
        low = 0 if dtype == "uint8" else -3
        CASES.append(
            Case(
                f"{op}: {dtype}",
                lambda lib, x, op=op: (getattr(lib, op)(x), getattr(lib, op)(x, dim=0)),
                whole(3, 4, low=low, high=4, dtype=dtype),
            )
        )
    if op not in ("argmax", "argmin"):
        CASES.append(
            Case(f"{op}: bool", lambda lib, x, op=op: (getattr(lib, op)(x), getattr(lib, op)(x, dim=0)), truth(3, 4))
        )
for op in ("max", "min"):
    CASES += [
        Case(f"{op}: all", call(op), distinct(3, 5)),
        Case(f"{op}: a number", lambda lib, x, op=op: (getattr(lib, op)(x), getattr(lib, op)(x, 0)), real()),
        Case(f"{op}: dim 0", call(op, dim=0), distinct(3, 5)),
        Case(f"{op}: dim -1, kept", call(op, dim=-1, keepdim=True), distinct(2, 3, 5)),
        Case(f"{op}: positional", lambda lib, x, op=op: getattr(lib, op)(x, 1, True), distinct(2, 3, 5)),
        Case(
            f"{op}: values by name",
            lambda lib, x, op=op: (getattr(x, op)(dim=1).values, getattr(x, op)(dim=1).indices),
            distinct(2, 3, 5),
        ),
        Case(
            f"{op}: ties share the gradient", lambda lib, x, op=op: getattr(lib, op)(x), given([[1, 3, 3], [-2, -2, 3]])
        ),
        Case(
            f"{op}: ties with a dim",
            lambda lib, x, op=op: getattr(lib, op)(x, dim=1)[0],
            given([[1, 3, 3], [-2, -2, 3]]),
        ),
        Case(f"{op}: transposed", lambda lib, x, op=op: getattr(lib, op)(x.t(), dim=1), distinct(3, 5)),
        Case(f"{op}: nothing left", call(op, dim=1), real(0, 3)),
        Case(f"{op}: float16", call(op, dim=1), distinct(3, 5, dtype="float16")),
        Case(
            f"{op}: nan",
            lambda lib, x, op=op: (getattr(lib, op)(x), getattr(lib, op)(x, dim=1)),
            given([[1, NAN, 3], [INF, -INF, 0]], grad=False),
        ),
        Case(
            f"{op}: of two",
            lambda lib, x, y, op=op: (getattr(lib, op)(x, y), getattr(x, op)(y), getattr(lib, op)(x, other=y)),
            distinct(3, 5),
            real(5),
        ),
        Case(
            f"a{op}: ties share the gradient",
            lambda lib, x, op=op: (getattr(lib, "a" + op)(x, dim=1), getattr(lib, "a" + op)(x)),
            given([[1, 3, 3], [-2, -2, 3]]),
        ),
        Case(
            f"a{op}: nan",
            lambda lib, x, op=op: (getattr(lib, "a" + op)(x, dim=1), getattr(lib, "a" + op)(x)),
            given([[1, NAN, 3], [INF, -INF, 0]], grad=False),
        ),
        Case(
            f"a{op}: an empty tuple means all", lambda lib, x, op=op: getattr(lib, "a" + op)(x, dim=()), distinct(2, 3)
        ),
    ]
for op in ("argmax", "argmin"):
    CASES += [
        Case(f"{op}: all", call(op), distinct(3, 5), order=0),
        Case(f"{op}: all, kept", call(op, keepdim=True), distinct(3, 5), order=0),
        *(Case(f"{op}: dim {d}", call(op, dim=d), distinct(2, 3, 5), order=0) for d in (0, 1, 2, -1, -2)),
        Case(f"{op}: kept", call(op, dim=1, keepdim=True), distinct(2, 3, 5), order=0),
        Case(
            f"{op}: a number", lambda lib, x, op=op: (getattr(lib, op)(x), getattr(lib, op)(x, dim=0)), real(), order=0
        ),
        Case(f"{op}: nothing left", call(op, dim=1), real(0, 3), order=0),
        Case(
            f"{op}: nan",
            lambda lib, x, op=op: (getattr(lib, op)(x), getattr(lib, op)(x, dim=1)),
            given([[1, NAN, 3], [5, 2, 0]], grad=False),
        ),
    ]
for op in ("var", "std"):
    CASES += [
        Case(f"{op}: unbiased", call(op, unbiased=False), real(3, 5)),
        Case(
            f"{op}: unbiased, by position",
            lambda lib, x, op=op: (getattr(lib, op)(x, False), getattr(x, op)(True)),
            real(3, 5),
        ),
        Case(
            f"{op}: dim and unbiased by position",
            lambda lib, x, op=op: (getattr(lib, op)(x, 1, False), getattr(x, op)(1, True, True)),
            real(3, 5),
        ),
        *(Case(f"{op}: correction {c}", call(op, dim=1, correction=c), real(3, 5)) for c in (0, 1, 2, 0.5, 4)),
        Case(f"{op}: all, kept", call(op, dim=None, keepdim=True), real(3, 5)),
        Case(f"{op}: of nothing is nan", lambda lib, x, op=op: getattr(lib, op)(x), given([], grad=False)),
        Case(
            f"{op}: of too few is nan",
            lambda lib, x, op=op: getattr(lib, op)(x, dim=1),
            given([[1.0], [2.0]], grad=False),
        ),
        Case(f"{op}: a number, corrected by 0", call(op, correction=0), real(), order=0),
        Case(
            f"{op}: far from 0",
            lambda lib, x, op=op: getattr(lib, op)(x, dim=0),
            given([1000.0, 1001.0, 1002.5, 999.0]),
            rtol=1e-4,
        ),
        Case(f"{op}_mean: all", lambda lib, x, op=op: getattr(lib, op + "_mean")(x), real(3, 5)),
        Case(
            f"{op}_mean: dim, kept",
            lambda lib, x, op=op: getattr(lib, op + "_mean")(x, dim=1, keepdim=True),
            real(3, 5),
        ),
        Case(
            f"{op}_mean: correction",
            lambda lib, x, op=op: getattr(lib, op + "_mean")(x, dim=(0, 1), correction=0),
            real(3, 5),
        ),
        Case(f"{op}_mean: unbiased", lambda lib, x, op=op: getattr(lib, op + "_mean")(x, 1, False), real(3, 5)),
        Case(
            f"{op}_mean: float16",
            lambda lib, x, op=op: getattr(lib, op + "_mean")(x, dim=1),
            real(3, 5, dtype="float16"),
        ),
    ]
for p in ("fro", None, 0, 1, 2, 3, 0.5, 1.5, -1, -2, INF, -INF):
    order = 0 if p == 0 else None
    CASES += [
        Case(
            f"norm: p {p}", lambda lib, x, p=p: (lib.norm(x, p), x.norm(p)), distinct(3, 5, low=-2, high=3), order=order
        ),
        Case(
            f"norm: p {p}, dim 1",
            lambda lib, x, p=p: lib.norm(x, p, dim=1),
            distinct(3, 5, low=-2, high=3),
            order=order,
        ),
    ]
    if p not in (-1, -2, -INF):
        CASES.append(
            Case(
                f"norm: p {p}, with zeros",
                lambda lib, x, p=p: lib.norm(x, p, 1),
                given([[0, 3, 4], [0, 0, 2.5]]),
                order=order or (None if p in ("fro", None, 2) else 0),
            )
        )
    if p != -INF and p != INF:
        CASES.append(
            Case(
                f"norm: p {p}, of zeros", lambda lib, x, p=p: lib.norm(x, p, dim=1), given([[0, 0], [0, 0]], grad=False)
            )
        )

CASES += [
    Case("norm: of nothing", lambda lib, x: (lib.norm(x), lib.norm(x, 1), lib.norm(x, dim=0)), given([], grad=False)),
    Case("norm: gradient at 0", lambda lib, x: (lib.norm(x), lib.norm(x, 1)), given([0.0, 0.0]), order=1),
    Case(
        "norm: two dims, kept",
        lambda lib, x: (lib.norm(x, dim=(0, 2), keepdim=True), x.norm(2, (1, 2)), lib.norm(x, 3, (0, 1))),
        real(2, 3, 5),
    ),
    Case(
        "norm: inf and nan",
        lambda lib, x: (lib.norm(x, dim=1), lib.norm(x, INF, dim=1), lib.norm(x, 1, dim=1)),
        given([[1, INF], [NAN, 1], [-INF, 2]], grad=False),
    ),
    Case(
        "norm: dtype",
        lambda lib, x: lib.norm(x, dtype=lib.float32),
        positive(5, dtype="float16"),
        recorded=lambda lib, x: lib.norm(x.float()),
    ),
    Case("norm: three dims", lambda lib, x: (lib.norm(x, 2, (0, 1, 2)), lib.norm(x, 3, dim=(0, 1, 2))), real(2, 3, 5)),
    Case(
        "prod: several dims",
        lambda lib, x: (lib.prod(x, dim=(0, 2)), x.prod((0, 1, 2)), x.prod((-1, 1), True)),
        real(2, 3, 5),
        recorded=lambda lib, x: (x.prod(2).prod(0), x.prod(), x.prod(2, True).prod(1, True)),
    ),
    Case(
        "norm: negative orders of 0",
        lambda lib, x: (lib.norm(x, -1), lib.norm(x, -2), lib.norm(x, -INF)),
        given([0.0, 2.0, 3.0], grad=False),
    ),
    Case(
        "norm: orders of inf",
        lambda lib, x: (lib.norm(x, 3), lib.norm(x, 0.5), lib.norm(x, -1)),
        given([INF, 2.0, 3.0], grad=False),
    ),
    Case(
        "sum: dtype",
        lambda lib, x: (lib.sum(x, dtype=lib.float32), lib.sum(x, dim=0, dtype=lib.int32), x.sum(1, dtype=lib.int64)),
        whole(3, 4),
    ),
    Case("sum: half, many", lambda lib, x: lib.sum(x), given([1.0] * 4099, "float16", grad=False)),
    Case("sum: an empty tuple means all", lambda lib, x: lib.sum(x, dim=()), real(2, 3)),
    Case("sum: a list of dims", lambda lib, x: lib.sum(x, dim=[0, -1]), real(2, 3, 5)),
    Case("sum: large integers", lambda lib, x: lib.sum(x), given([2**53, 1, 1], "int64")),
    Case("mean: dtype", lambda lib, x: lib.mean(x, dtype=lib.float32), whole(3, 4)),
    Case("mean: bool as float", lambda lib, x: x.float().mean(0), truth(3, 4)),
    Case("mean: of nothing is nan", lambda lib, x: (lib.mean(x), lib.sum(x), lib.prod(x)), given([], grad=False)),
    Case("mean: nan and inf", lambda lib, x: lib.mean(x, 1), given([[1, NAN], [INF, 1], [INF, -INF]], grad=False)),
    Case("prod: one zero", lambda lib, x: lib.prod(x, 1), given([[0, 2, 3], [4, 0, 5]])),
    Case("prod: several zeros", lambda lib, x: lib.prod(x, 1), given([[0, 0, 3], [0, 0, 0], [1, 2, 3]])),
    Case("prod: zeros, all", lambda lib, x: lib.prod(x), given([[0, 2, 3], [4, 1, 5]])),
    Case("prod: negative", lambda lib, x: lib.prod(x, 0, keepdim=True), real(3, 5)),
    Case("prod: dtype", lambda lib, x: (lib.prod(x, dtype=lib.float32), lib.prod(x, 0, dtype=lib.int32)), whole(3, 4)),
    Case(
        "logsumexp: large and small",
        lambda lib, x: lib.logsumexp(x, 1),
        given([[1000, 1001, 999], [-1000, -1001, -999]]),
    ),
    Case(
        "logsumexp: infinite",
        lambda lib, x: lib.logsumexp(x, 1),
        given([[INF, 1, 2], [-INF, 1, 2], [-INF, -INF, -INF], [NAN, 1, 2], [INF, -INF, 0], [INF, INF, 0]], grad=False),
    ),
    Case("logsumexp: -inf, gradient", lambda lib, x: lib.logsumexp(x, 1), given([[-INF, 1, 2], [0, 1, 2]]), order=1),
    Case("logsumexp: integers", lambda lib, x: lib.logsumexp(x, 1), whole(3, 5)),
    Case(
        "any: nan and zero",
        lambda lib, x: (lib.any(x, 1), lib.all(x, 1)),
        given([[0, NAN], [0, -0.0], [1, 2]], grad=False),
    ),
    Case(
        "count_nonzero: floats",
        lambda lib, x: (lib.count_nonzero(x), lib.count_nonzero(x, dim=1), x.count_nonzero()),
        given([[0, NAN], [0, -0.0], [1, 2]], grad=False),
    ),
    Case("aminmax: all", lambda lib, x: (lib.aminmax(x), x.aminmax()), distinct(3, 5)),
    Case("aminmax: dim", lambda lib, x: lib.aminmax(x, dim=1), distinct(2, 3, 5)),
    Case("aminmax: kept", lambda lib, x: lib.aminmax(x, dim=-1, keepdim=True), distinct(2, 3, 5)),
    Case("aminmax: by name", lambda lib, x: (lib.aminmax(x).min, lib.aminmax(x).max), whole(7)),
]
for op in ("cumsum", "cumprod"):
    CASES += [
        *(Case(f"{op}: dim {d}", call(op, dim=d), real(2, 3, 5)) for d in (0, 1, -1)),
        Case(f"{op}: a number", call(op, dim=0), real()),
        Case(f"{op}: nothing", call(op, dim=1), real(3, 0)),
        Case(f"{op}: size 1", call(op, dim=1), real(3, 1)),
        Case(f"{op}: axis", lambda lib, x, op=op: getattr(lib, op)(x, axis=1), real(3, 4)),
        Case(f"{op}: transposed", lambda lib, x, op=op: getattr(lib, op)(x.t(), 1), real(3, 4)),
        Case(f"{op}: integers", call(op, dim=0), whole(5, low=1, high=4, dtype="int32")),
        Case(f"{op}: bools", call(op, dim=0), truth(5)),
        Case(
            f"{op}: dtype",
            call(op, dim=0, dtype="float32"),
            whole(5),
            recorded=lambda lib, x, op=op: [getattr(lib, op)(x, dim=0, dtype=lib.float32)] * 2,
        ),
        Case(f"{op}: float16", call(op, dim=0), positive(7, low=0.5, high=1.5, dtype="float16")),
    ]
CASES += [
    Case("cumprod: zeros", lambda lib, x: lib.cumprod(x, 1), given([[2, 0, 3, 4], [0, 2, 0, 1], [0, 0, 0, 0]])),
    Case("median: odd", lambda lib, x: (lib.median(x), x.median()), distinct(3, 5)),
    Case("median: even", lambda lib, x: lib.median(x), distinct(2, 4)),
    Case("median: dim", lambda lib, x: (lib.median(x, 1), x.median(dim=0)), distinct(3, 4)),
    Case("median: kept", lambda lib, x: lib.median(x, dim=-1, keepdim=True), distinct(2, 3, 5)),
    Case("median: integers", lambda lib, x: (lib.median(x), lib.median(x, dim=0)[0]), whole(5, 3)),
    Case("median: a number", lambda lib, x: (lib.median(x), lib.median(x, 0)), real()),
    Case(
        "median: nan", lambda lib, x: (lib.median(x), lib.median(x, 1)[0]), given([[1, NAN, 3], [1, 2, 0]], grad=False)
    ),
    Case("kthvalue: all k", lambda lib, x: [lib.kthvalue(x, k) for k in (1, 3, 5)], distinct(2, 5)),
    Case("kthvalue: dim, kept", lambda lib, x: (lib.kthvalue(x, 2, dim=0), x.kthvalue(2, 0, True)), distinct(3, 4)),
    Case("kthvalue: a number", lambda lib, x: lib.kthvalue(x, 1), real()),
    Case("kthvalue: integers", lambda lib, x: lib.kthvalue(x, 2)[0], whole(3, 5)),
    Case(
        "norm: nuclear",
        lambda lib, x: (lib.norm(x, "nuc", dim=(1, 2)), lib.norm(x[0], "nuc"), x[0].norm("nuc", keepdim=True)),
        real(2, 3, 4),
        order=1,
    ),
    Case(
        "any: uint8",
        lambda lib, x: (lib.any(x), lib.all(x), x.any(1), x.all(0)),
        whole(3, 4, low=0, high=2, dtype="uint8"),
    ),
    Case(
        "var: keyword forms",
        lambda lib, x: (
            lib.var(x, dim=1, keepdim=True, correction=2),
            lib.var(input=x, unbiased=False),
            lib.std_mean(x, axis=0, keepdims=True),
        ),
        real(3, 5),
    ),
]

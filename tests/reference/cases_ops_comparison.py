"""Comparisons of elements and of whole tensors."""

from tests.reference.case import Case, given, real, truth, whole

INF, NAN = float("inf"), float("nan")
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]
ALIASES = ["not_equal", "less", "less_equal", "greater", "greater_equal"]
SPECIAL = given([1.0, NAN, INF, -INF, 0.0, NAN], grad=False), given([NAN, NAN, INF, 1.0, -0.0, 2.0], grad=False)


def operators(lib, x, y):
    return x == y, x != y, x < y, x <= y, x > y, x >= y


CASES = [
    Case("operators", operators, whole(5, 7, low=0, high=3), whole(7, low=0, high=3)),
    Case("operators: special values", operators, *SPECIAL),
    Case("operators: a number", lambda lib, x: operators(lib, x, 1) + operators(lib, 1, x), whole(9, low=0, high=3)),
    Case("operators: float and integer", operators, real(9, low=0, high=3), whole(9, low=0, high=3), order=0),
    Case("operators: bools", operators, truth(9), truth(9)),
    Case("operators: half", operators, real(9, dtype="float16"), real(9, dtype="float16"), order=0),
    Case("operators: integer and fraction", lambda lib, x: operators(lib, x, 1.5), whole(9, low=0, high=3)),
    Case("operators: nothing", operators, real(0, 3), real(3), order=0),
    Case("operators: one element", operators, real(), real(1), order=0),
]
for op in COMPARISONS + ALIASES:
    CASES += [
        Case(
            f"{op}: function",
            lambda lib, x, y, op=op: getattr(lib, op)(x, y),
            whole(3, 1, low=0, high=3),
            whole(5, low=0, high=3),
        ),
        Case(
            f"{op}: method",
            lambda lib, x, y, op=op: (getattr(x, op)(y), getattr(x, op)(1)),
            whole(9, low=0, high=3),
            whole(9, low=0, high=3),
        ),
    ]
for op in ("logical_and", "logical_or", "logical_xor"):
    CASES += [
        Case(
            f"{op}: bools", lambda lib, x, y, op=op: (getattr(lib, op)(x, y), getattr(x, op)(y)), truth(3, 1), truth(5)
        ),
        Case(
            f"{op}: numbers",
            lambda lib, x, y, op=op: getattr(lib, op)(x, y),
            whole(9, low=-1, high=2),
            whole(9, low=-1, high=2),
        ),
        Case(
            f"{op}: floats",
            lambda lib, x, y, op=op: getattr(lib, op)(x, y),
            given([0.0, 0.5, NAN, 0.0]),
            given([0, 0, 0, 2], "int32"),
            order=0,
        ),
    ]

CASES += [
    Case("logical_not: bools", lambda lib, x: (lib.logical_not(x), x.logical_not()), truth(9)),
    Case("logical_not: numbers", lambda lib, x: lib.logical_not(x), whole(9, low=-1, high=2)),
    Case("logical_not: floats", lambda lib, x: lib.logical_not(x), given([0.0, -0.0, 0.5, NAN, INF]), order=0),
    Case(
        "isclose: defaults",
        lambda lib, x, y: (lib.isclose(x, y), x.isclose(y)),
        given([1.0, 1.0, 1e-9, 100.0, 0.0], grad=False),
        given([1.000001, 1.001, 0.0, 100.0005, 1e-9], grad=False),
    ),
    Case(
        "isclose: tolerances",
        lambda lib, x, y: (lib.isclose(x, y, rtol=0.1), lib.isclose(x, y, atol=0.5), lib.isclose(x, y, 0, 0.2)),
        given([1.0, 10.0, 100.0], grad=False),
        given([1.05, 9.6, 95.0], grad=False),
    ),
    Case("isclose: special values", lambda lib, x, y: (lib.isclose(x, y), lib.isclose(x, y, equal_nan=True)), *SPECIAL),
    Case(
        "isclose: integers",
        lambda lib, x, y: (lib.isclose(x, y), lib.isclose(x, y, rtol=0, atol=0), lib.isclose(x, y, atol=1)),
        whole(9),
        whole(9),
    ),
    Case(
        "isclose: large integers",
        lambda lib, x, y: lib.isclose(x, y, rtol=0, atol=0),
        given([2**53, 5], "int64"),
        given([2**53 + 1, 5], "int64"),
    ),
    Case("isclose: broadcast", lambda lib, x, y: lib.isclose(x, y, atol=1), real(3, 1), real(4), order=0),
    Case(
        "allclose: a number of Python",
        lambda lib, x, y: (
            lib.allclose(x, y),
            lib.allclose(x, x),
            x.allclose(y, atol=10),
            lib.allclose(x, y, rtol=100),
        ),
        real(3),
        real(3),
        order=0,
    ),
    Case(
        "allclose: nan",
        lambda lib, x: (lib.allclose(x, x), lib.allclose(x, x, equal_nan=True)),
        given([NAN, 1.0], grad=False),
    ),
    Case("allclose: nothing", lambda lib, x: lib.allclose(x, x), real(0), order=0),
    Case(
        "equal: same and other values",
        lambda lib, x, y: (lib.equal(x, x), lib.equal(x, y), x.equal(x)),
        real(3),
        real(3),
        order=0,
    ),
    Case("equal: shapes", lambda lib, x, y: (lib.equal(x, y), lib.equal(y, y)), real(3), real(1, 3), order=0),
    Case("equal: nan", lambda lib, x: lib.equal(x, x), given([NAN], grad=False)),
    Case("equal: nothing", lambda lib, x, y: (lib.equal(x, x), lib.equal(x, y)), real(0), real(0, 3), order=0),
]

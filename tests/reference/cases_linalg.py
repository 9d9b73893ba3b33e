"""Vector and matrix norms."""

from tests.reference.case import Case, distinct, given, positive, real

INF = float("inf")
VECTOR = (0, 1, 2, 3, 0.5, 1.5, -1, -2, INF, -INF)
MATRIX = ("fro", "nuc", 1, -1, 2, -2, INF, -INF)

CASES = []
for order in VECTOR:
    # Differentiated away from 0; the 0-norm has no derivative.
    derivative = 0 if order == 0 else None
    CASES += [
        Case(
            f"vector_norm: {order}",
            lambda lib, x, o=order: lib.linalg.vector_norm(x, o),
            distinct(3, 5, low=-2, high=3),
            order=derivative,
        ),
        Case(
            f"vector_norm: {order}, dim",
            lambda lib, x, o=order: lib.linalg.vector_norm(x, ord=o, dim=1),
            distinct(3, 5, low=-2, high=3),
            order=derivative,
        ),
        Case(
            f"vector_norm: {order}, dims, kept",
            lambda lib, x, o=order: lib.linalg.vector_norm(x, o, (0, -1), True),
            distinct(2, 3, 4, low=-2, high=3),
            order=derivative,
        ),
        Case(
            f"norm: vector, {order}",
            lambda lib, x, o=order: lib.linalg.norm(x, o),
            distinct(7, low=-2, high=3),
            order=derivative,
        ),
        Case(
            f"norm: {order}, one dim",
            lambda lib, x, o=order: lib.linalg.norm(x, o, dim=0, keepdim=True),
            distinct(3, 5, low=-2, high=3),
            order=derivative,
        ),
    ]
    if order not in (-1, -2, -INF):
        CASES.append(
            Case(
                f"vector_norm: {order}, with zeros",
                lambda lib, x, o=order: lib.linalg.vector_norm(x, o, dim=1),
                given([[0, 3, 4], [0, 0, 2]]),
                order=None if order == 2 else 0,
            )
        )
for order in MATRIX:
    CASES += [
        Case(
            f"matrix_norm: {order}",
            lambda lib, x, o=order: lib.linalg.matrix_norm(x, o),
            distinct(3, 4, low=-2, high=3),
        ),
        Case(f"matrix_norm: {order}, batches", lambda lib, x, o=order: lib.linalg.matrix_norm(x, o), real(2, 3, 4)),
        Case(
            f"matrix_norm: {order}, dims, kept",
            lambda lib, x, o=order: lib.linalg.matrix_norm(x, ord=o, dim=(0, -1), keepdim=True),
            real(3, 2, 4),
        ),
        Case(
            f"matrix_norm: {order}, dims turned round",
            lambda lib, x, o=order: lib.linalg.matrix_norm(x, o, (1, 0)),
            real(3, 4, 2),
        ),
        Case(f"matrix_norm: {order}, tall", lambda lib, x, o=order: lib.linalg.matrix_norm(x, o), real(5, 2)),
        Case(f"norm: matrix, {order}", lambda lib, x, o=order: lib.linalg.norm(x, o), real(3, 4)),
        Case(f"norm: {order}, two dims", lambda lib, x, o=order: lib.linalg.norm(x, o, dim=(0, 2)), real(3, 2, 4)),
        Case(
            f"matrix_norm: {order}, one value",
            lambda lib, x, o=order: lib.linalg.matrix_norm(x, o),
            positive(1, 1),
            order=1,
        ),
    ]
CASES += [
    Case("norm: plain", lambda lib, x: lib.linalg.norm(x), real(2, 3, 4)),
    Case(
        "norm: plain with a dim",
        lambda lib, x: (lib.linalg.norm(x, dim=1), lib.linalg.norm(x, dim=(0, 2), keepdim=True)),
        real(2, 3, 4),
    ),
    Case("norm: a number", lambda lib, x: lib.linalg.norm(x), positive()),
    Case("vector_norm: a number", lambda lib, x: (lib.linalg.vector_norm(x), lib.linalg.vector_norm(x, 1)), positive()),
    Case(
        "vector_norm: nothing",
        lambda lib, x: (lib.linalg.vector_norm(x), lib.linalg.vector_norm(x, 1), lib.linalg.vector_norm(x, dim=0)),
        given([], grad=False),
    ),
    Case("vector_norm: rows of nothing", lambda lib, x: lib.linalg.vector_norm(x, dim=1), real(3, 0), order=0),
    Case("vector_norm: no rows", lambda lib, x: lib.linalg.vector_norm(x, 1, dim=1), real(0, 3)),
    Case("vector_norm: transposed", lambda lib, x: lib.linalg.vector_norm(x.t(), dim=0), real(3, 5)),
    Case("vector_norm: float16", lambda lib, x: lib.linalg.vector_norm(x, dim=1), real(3, 5, dtype="float16")),
    Case("vector_norm: bfloat16", lambda lib, x: lib.linalg.vector_norm(x), real(3, 5, dtype="bfloat16")),
    Case(
        "vector_norm: dtype",
        lambda lib, x: lib.linalg.vector_norm(x, dtype=lib.float32),
        real(5, dtype="float16"),
        recorded=lambda lib, x: lib.linalg.vector_norm(x.float()),
    ),
    Case(
        "matrix_norm: float32 of half",
        lambda lib, x: lib.linalg.matrix_norm(x, 1, dtype=lib.float32),
        real(3, 4, dtype="float16"),
        recorded=lambda lib, x: lib.linalg.matrix_norm(x.float(), 1),
    ),
    Case(
        "matrix_norm: no columns",
        lambda lib, x: (lib.linalg.matrix_norm(x), lib.linalg.matrix_norm(x, "nuc"), lib.linalg.matrix_norm(x, INF)),
        real(3, 0),
        order=0,
    ),
    Case("norm: a hypersphere", lambda lib, x: x / lib.linalg.vector_norm(x, dim=-1, keepdim=True), real(3, 5)),
]

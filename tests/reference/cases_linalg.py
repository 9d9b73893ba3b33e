"""Vector and matrix norms."""

from tests.reference.case import Case, constant, distinct, given, positive, real

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


def shifted(lib, x):
    """Matrices far from singular."""
    return x + 3 * lib.eye(x.shape[-1], dtype=x.dtype)


def positive_definite(lib, x):
    return x @ x.mT + lib.eye(x.shape[-1], dtype=x.dtype)


def symmetric(lib, x):
    return x + x.mT


def without_signs(vectors):
    """What does not depend on the signs of vectors, which are LAPACK's choice."""
    return vectors**2


def add(name, run, *inputs, **options):
    CASES.append(Case(name, run, *inputs, rtol=1e-4, **options))


SQUARE = ((3, 3), (2, 3, 3))
for shape in SQUARE:
    add(f"inv: {shape}", lambda lib, x: lib.linalg.inv(shifted(lib, x)), real(*shape))
    add(f"inv_ex: {shape}", lambda lib, x: list(lib.linalg.inv_ex(shifted(lib, x))), real(*shape))
    add(f"det: {shape}", lambda lib, x: lib.linalg.det(x), real(*shape))
    add(f"slogdet: {shape}", lambda lib, x: list(lib.linalg.slogdet(shifted(lib, x))), real(*shape))
    add(f"logdet: {shape}", lambda lib, x: lib.logdet(positive_definite(lib, x)), real(*shape))
    add(f"cholesky: {shape}", lambda lib, x: lib.linalg.cholesky(positive_definite(lib, x)), real(*shape))
    add(
        f"cholesky_ex, upper: {shape}",
        lambda lib, x: list(lib.linalg.cholesky_ex(positive_definite(lib, x), upper=True)),
        real(*shape),
    )
    add(f"eigvalsh: {shape}", lambda lib, x: lib.linalg.eigvalsh(symmetric(lib, x), "U"), real(*shape))
    add(
        f"eigh: {shape}",
        lambda lib, x: (lambda values, vectors: [values, without_signs(vectors)])(*lib.linalg.eigh(symmetric(lib, x))),
        real(*shape),
    )
    add(f"eigvals: {shape}", lambda lib, x: (lib.linalg.eigvals(x) ** 3).sum(-1).real, real(*shape))
    add(
        f"eig: {shape}",
        lambda lib, x: (
            lambda values, vectors: ((vectors * vectors.conj()).real * (values * values.conj()).real[..., None, :]).sum(
                -1
            )
        )(*lib.linalg.eig(x)),
        real(*shape),
        order=1,
    )
    add(f"matrix_exp: {shape}", lambda lib, x: lib.linalg.matrix_exp(x), real(*shape))
    add(f"matrix_power: {shape}", lambda lib, x: lib.linalg.matrix_power(x, 5), real(*shape))
    add(f"matrix_power, negative: {shape}", lambda lib, x: lib.matrix_power(shifted(lib, x), -2), real(*shape))
    add(f"lu_factor: {shape}", lambda lib, x: list(lib.linalg.lu_factor(x)), real(*shape))
    add(f"lu_factor_ex: {shape}", lambda lib, x: list(lib.linalg.lu_factor_ex(x)), real(*shape))
    for order in ("fro", "nuc", 1, 2, -2, float("inf"), None):
        add(
            f"cond, {order}: {shape}",
            lambda lib, x, p=order: lib.linalg.cond(shifted(lib, x), p),
            real(*shape),
            order=0 if order in ("fro", 1, float("inf")) else 1,
        )
for shape in ((3, 3), (4, 3), (2, 3, 5)):
    add(f"lu: {shape}", lambda lib, x: (lambda p, *rest: [p.detach(), *rest])(*lib.linalg.lu(x)), real(*shape))
    add(f"qr: {shape}", lambda lib, x: list(lib.linalg.qr(x)), real(*shape))
    add(f"qr, r: {shape}", lambda lib, x: lib.linalg.qr(x, "r")[1], real(*shape), order=0)
    add(f"qr, complete: {shape}", lambda lib, x: list(lib.linalg.qr(x, mode="complete")), real(*shape), order=0)
    add(
        f"svd: {shape}",
        lambda lib, x: (lambda u, s, v: [without_signs(u), s, without_signs(v)])(
            *lib.linalg.svd(x, full_matrices=False)
        ),
        real(*shape),
    )
    add(
        f"svd, full: {shape}",
        lambda lib, x: (lambda u, s, v: [without_signs(u[..., :3]), s])(*lib.linalg.svd(x)),
        real(*shape),
        order=1,
    )
    add(f"svdvals: {shape}", lambda lib, x: lib.linalg.svdvals(x), real(*shape))
    add(f"pinv: {shape}", lambda lib, x: lib.linalg.pinv(x), real(*shape))
    add(f"matrix_rank: {shape}", lambda lib, x: lib.linalg.matrix_rank(x), constant(*shape))
    add(f"geqrf: {shape}", lambda lib, x: list(lib.geqrf(x)), constant(*shape))
for shapes in (((3, 3), (3, 2)), ((2, 3, 3), (3,)), ((2, 3, 3), (2, 3)), ((2, 1, 3, 3), (4, 3, 1))):
    add(f"solve: {shapes}", lambda lib, a, b: lib.linalg.solve(shifted(lib, a), b), *(real(*one) for one in shapes))
for upper, left, unit in ((True, True, False), (False, True, True), (True, False, False), (False, False, True)):
    add(
        f"solve_triangular: {upper}, {left}, {unit}",
        lambda lib, a, b, u=upper, f=left, d=unit: lib.linalg.solve_triangular(
            shifted(lib, a), b, upper=u, left=f, unitriangular=d
        ),
        real(2, 3, 3, low=-1, high=1),
        real(3, 2) if left else real(2, 3),
    )
CASES_OF_SOLVERS = {
    "solve, right": lambda lib, a, b: lib.linalg.solve(shifted(lib, a), b.mT, left=False),
    "solve_ex": lambda lib, a, b: list(lib.linalg.solve_ex(shifted(lib, a), b)),
    "lu_solve": lambda lib, a, b: lib.linalg.lu_solve(*lib.linalg.lu_factor(shifted(lib, a)), b),
    "lu_solve, adjoint": lambda lib, a, b: lib.linalg.lu_solve(*lib.linalg.lu_factor(a), b, adjoint=True),
    "lu_solve, right": lambda lib, a, b: lib.linalg.lu_solve(*lib.linalg.lu_factor(a), b.mT, left=False),
    "torch.lu_solve": lambda lib, a, b: lib.lu_solve(b, *lib.linalg.lu_factor(a)),
    "torch.lu": lambda lib, a, b: list(lib.lu(a)),
    "lu_unpack": lambda lib, a, b: (lambda p, *rest: [p.detach(), *rest])(*lib.lu_unpack(*lib.linalg.lu_factor(a))),
    "cholesky_solve": lambda lib, a, b: lib.cholesky_solve(b, shifted(lib, a)),
    "cholesky_solve, upper": lambda lib, a, b: lib.cholesky_solve(b, shifted(lib, a), True),
    "cholesky_inverse": lambda lib, a, b: lib.cholesky_inverse(shifted(lib, a)),
    "triangular_solve": lambda lib, a, b: list(lib.triangular_solve(b, shifted(lib, a), transpose=True)),
    "lstsq": lambda lib, a, b: lib.linalg.lstsq(shifted(lib, a), b).solution,
    "lstsq, tall": lambda lib, a, b: [lib.linalg.lstsq(a[..., :2], b).solution, lib.linalg.lstsq(a[..., :2], b).rank],
    "tensorinv": lambda lib, a, b: lib.linalg.tensorinv(shifted(lib, a)[0].reshape(3, 1, 3), ind=1),
    "tensorsolve": lambda lib, a, b: lib.linalg.tensorsolve(shifted(lib, a)[0].reshape(3, 1, 3), b[0, :, 0]),
    "inverse": lambda lib, a, b: lib.inverse(shifted(lib, a)),
    "pinverse": lambda lib, a, b: lib.pinverse(a),
    "pinv, hermitian": lambda lib, a, b: lib.linalg.pinv(symmetric(lib, a), hermitian=True),
    "torch.qr": lambda lib, a, b: list(lib.qr(a)),
    "torch.svd": lambda lib, a, b: lib.svd(a)[1],
    "torch.cholesky": lambda lib, a, b: lib.cholesky(positive_definite(lib, a), True),
    "torch.slogdet": lambda lib, a, b: list(lib.slogdet(a)),
    "torch.det": lambda lib, a, b: a.det(),
    "torch.matrix_exp": lambda lib, a, b: lib.matrix_exp(a),
    "multi_dot": lambda lib, a, b: lib.linalg.multi_dot([b[0, :, 0], a[0], a[1], b[0]]),
    "chain_matmul": lambda lib, a, b: lib.chain_matmul(a[0], a[1], b[0]),
    "dist": lambda lib, a, b: [
        lib.dist(a, b[..., :1]),
        lib.dist(a, b[..., :1], 1),
        lib.dist(a, b[..., :1], float("inf")),
    ],
    "vecdot": lambda lib, a, b: lib.linalg.vecdot(a, b[..., :1], dim=1),
    "cross": lambda lib, a, b: lib.linalg.cross(a, b[..., :1], dim=1),
    "torch.cross": lambda lib, a, b: lib.cross(a, a.mT),
    "vander": lambda lib, a, b: [lib.linalg.vander(a), lib.linalg.vander(a, N=5)],
    "diagonal": lambda lib, a, b: [lib.linalg.diagonal(a), lib.linalg.diagonal(a, offset=1, dim1=0, dim2=2)],
    "householder_product": lambda lib, a, b: lib.linalg.householder_product(a, b[..., 0]),
    "orgqr": lambda lib, a, b: lib.orgqr(a[..., :2], b[..., 0, :]),
    "ormqr": lambda lib, a, b: [lib.ormqr(a, b[..., 0], b), lib.ormqr(a, b[..., 0], b.mT, False, True)],
}
for name, solver in CASES_OF_SOLVERS.items():
    add(
        name,
        solver,
        real(2, 3, 3),
        real(2, 3, 2),
        order=1 if name in ("householder_product", "orgqr", "ormqr") else None,
    )

for shape in ((1, 1), (4, 4), (2, 5, 5)):
    add(f"ldl_factor: {shape}", lambda lib, x: list(lib.linalg.ldl_factor(symmetric(lib, x))), constant(*shape))
    add(f"ldl_factor_ex: {shape}", lambda lib, x: list(lib.linalg.ldl_factor_ex(symmetric(lib, x))), constant(*shape))
    add(
        f"ldl_solve: {shape}",
        lambda lib, x, b: lib.linalg.ldl_solve(*lib.linalg.ldl_factor(symmetric(lib, x)), b),
        constant(*shape),
        constant(*shape[:-1], 2),
    )

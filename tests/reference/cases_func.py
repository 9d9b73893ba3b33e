"""Functions of functions: ``func``, ``vmap`` and ``autograd.functional``."""

from tests.reference.case import Case, real


def product(a, b):
    return (a @ b).sin()


def quadratic(x, m):
    return (x.sin() @ m @ x).cos()


def of_vmap(lib, m, b):
    """A batch of functions that use a tensor of the outside."""
    return lib.vmap(lambda row: (row @ m).sin() * row)(b)


V, M, B = real(3), real(3, 3), real(4, 3)
CASES = [
    Case("grad", lambda lib, x, m: lib.func.grad(quadratic)(x, m), V, M),
    Case("grad: argnums", lambda lib, x, m: list(lib.func.grad(quadratic, argnums=(1, 0))(x, m)), V, M),
    Case(
        "grad: of a dictionary",
        lambda lib, x, m: lib.func.grad(lambda p: quadratic(p["x"], p["m"]))({"x": x, "m": m})["m"],
        V,
        M,
    ),
    Case("grad: nested", lambda lib, x: lib.func.grad(lib.func.grad(lambda v: v**4))(x), real()),
    Case("grad_and_value", lambda lib, x, m: list(lib.func.grad_and_value(quadratic)(x, m)), V, M),
    Case("vjp", lambda lib, x, m, v: [*lib.func.vjp(product, x, m)[1](v)], V, M, V),
    Case("vjp: output", lambda lib, x, m: lib.func.vjp(product, x, m)[0], V, M),
    Case("jvp", lambda lib, x, m, v: list(lib.func.jvp(lambda a: product(a, m), (x,), (v,))), V, M, V),
    Case(
        "linearize",
        lambda lib, x, m, v: lib.func.linearize(lambda a: product(a, m.detach()), x.detach())[1](v.detach()),
        V,
        M,
        V,
        order=0,
    ),
    Case("jacrev", lambda lib, x, m: [lib.func.jacrev(product)(x, m), *lib.func.jacrev(product, (0, 1))(x, m)], V, M),
    Case("jacrev: several outputs", lambda lib, x, m: list(lib.func.jacrev(lambda a: (a @ m, a.sin().sum()))(x)), V, M),
    Case("jacfwd", lambda lib, x, m: lib.func.jacfwd(product)(x, m), V, M),
    Case("hessian", lambda lib, x, m: lib.func.hessian(quadratic)(x, m), V, M, order=1),
    Case("vmap", lambda lib, m, b: of_vmap(lib, m, b), M, B),
    Case(
        "vmap: dims",
        lambda lib, m, b: lib.vmap(lambda x, y: x * y.sin(), in_dims=(1, None), out_dims=1)(b, b[:, 0]),
        M,
        B,
    ),
    Case(
        "vmap: nested",
        lambda lib, m, b: lib.vmap(lib.vmap(lambda x, y: x * y.sin(), (0, None)), (None, 0))(m[0], b),
        M,
        B,
        order=1,
    ),
    Case("vmap: chunks", lambda lib, m, b: lib.vmap(lambda row: row.sin() @ m, chunk_size=3)(b), M, B),
    Case("vmap: of grad", lambda lib, m, b: lib.vmap(lib.func.grad(lambda row: (row.sin() @ m).sum()))(b), M, B),
    Case("vmap: under grad", lambda lib, m, b: lib.func.grad(lambda w: of_vmap(lib, w, b).sum())(m), M, B, order=1),
    Case("vmap: under jacrev", lambda lib, m, b: lib.func.jacrev(lambda w: of_vmap(lib, w, b))(m), M, B, order=1),
    Case("vmap: used twice", lambda lib, m, b: of_vmap(lib, m.sin(), b) * of_vmap(lib, m, b), M, B),
    Case(
        "vmap: inverse",
        lambda lib, m, b: lib.vmap(lambda x: lib.linalg.inv(x @ x.mT + 2 * lib.eye(3, dtype=x.dtype)))(
            lib.stack([m, 2 * m])
        ),
        M,
        B,
        rtol=1e-4,
    ),
]
for vectorize in (False, True):
    CASES += [
        Case(
            f"autograd.functional.jacobian: {vectorize}",
            lambda lib, x, m, v=vectorize: lib.autograd.functional.jacobian(
                lambda a: product(a, m), x, create_graph=True, vectorize=v
            ),
            V,
            M,
        ),
        Case(
            f"autograd.functional.jacobian, several: {vectorize}",
            lambda lib, x, m, v=vectorize: lib.autograd.functional.jacobian(
                lambda a, b: (a @ b, a.sin()), (x, m), vectorize=v
            ),
            V,
            M,
            order=0,
        ),
        Case(
            f"autograd.functional.hessian: {vectorize}",
            lambda lib, x, m, v=vectorize: lib.autograd.functional.hessian(quadratic, (x, m), vectorize=v),
            V,
            M,
            order=0,
        ),
    ]
for name in ("vjp", "jvp"):
    CASES.append(
        Case(
            f"autograd.functional.{name}",
            lambda lib, x, m, v, n=name: list(
                getattr(lib.autograd.functional, n)(lambda a: product(a, m), x, v, create_graph=True)
            ),
            V,
            M,
            V,
        )
    )
for name in ("vhp", "hvp"):
    CASES.append(
        Case(
            f"autograd.functional.{name}",
            lambda lib, x, m, v, n=name: list(
                getattr(lib.autograd.functional, n)(lambda a: quadratic(a, m), x, v, create_graph=True)
            ),
            V,
            M,
            V,
            order=1,
        )
    )

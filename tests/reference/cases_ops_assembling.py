"""Blocks, columns, products and combinations."""

from tests.reference.case import Case, real, whole

CASES = [
    Case("atleast_2d", lambda lib, x, y, z: (lib.atleast_2d(x), *lib.atleast_2d(y, z)), real(), real(2), real(2, 3)),
    Case("atleast_3d", lambda lib, x, y, z: (lib.atleast_3d(x), *lib.atleast_3d((y, z))), real(), real(2), real(2, 3)),
    *(
        Case(f"{name}: {shape}", lambda lib, x, n=name: getattr(lib, n)((x, x * 2)), real(*shape))
        for name in ("column_stack", "dstack", "row_stack")
        for shape in ((), (2,), (2, 3))
    ),
    Case("block_diag", lambda lib, x, y, z: lib.block_diag(x, y, z, x), real(), real(2), real(2, 3)),
    Case("cartesian_prod", lambda lib, x, y: (lib.cartesian_prod(x, y, x), lib.cartesian_prod(x)), real(3), real(2)),
    Case("combinations", lambda lib, x: (lib.combinations(x), lib.combinations(x, 3, True)), real(4)),
    Case("combinations: none", lambda lib, x: (lib.combinations(x, 5), lib.combinations(x, 1)), whole(4)),
    Case("diagflat", lambda lib, x: (lib.diagflat(x), x.diagflat(-2), lib.diagflat(x, 1)), real(2, 2)),
    Case("kron", lambda lib, x, y: (lib.kron(x, y), y.kron(x), lib.kron(x[0], y)), real(2, 3), real(3, 2)),
    Case("vander", lambda lib, x: (lib.vander(x), lib.vander(x, 2, True), lib.vander(x, N=4)), real(3, grad=False)),
]  # fmt: skip

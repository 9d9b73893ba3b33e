"""Linear algebra, as in ``torch.linalg``.

Factorizations run on the CPU, where MLX has them; memory is unified, so nothing is copied, and results stay lazy.
Errors that depend on values, such as that of a singular matrix, are raised where indices are checked too: on the CPU
outside of compiled functions, or on GPUs inside ``lucid.debug()``. Elsewhere the result is NaN.
"""

from lucid._checks import LinAlgError as LinAlgError
from lucid.linalg.decompositions import (
    cholesky,
    cholesky_ex,
    householder_product,
    lu,
    lu_factor,
    lu_factor_ex,
    lu_solve,
    qr,
)
from lucid.linalg.determinants import det, slogdet
from lucid.linalg.ldl import ldl_factor, ldl_factor_ex, ldl_solve
from lucid.linalg.norms import matrix_norm, norm, vector_norm
from lucid.linalg.products import cross, diagonal, matrix_exp, matrix_power, multi_dot, vander, vecdot
from lucid.linalg.solving import (
    inv,
    inv_ex,
    lstsq,
    pinv,
    solve,
    solve_ex,
    solve_triangular,
    tensorinv,
    tensorsolve,
)
from lucid.linalg.spectral import cond, eig, eigh, eigvals, eigvalsh, matrix_rank, svd, svdvals

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals",
    "eigvalsh", "householder_product", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex", "ldl_solve", "lstsq", "lu",
    "lu_factor", "lu_factor_ex", "lu_solve", "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank",
    "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_ex", "solve_triangular", "svd", "svdvals",
    "tensorinv", "tensorsolve", "vander", "vecdot", "vector_norm",
]  # fmt: skip

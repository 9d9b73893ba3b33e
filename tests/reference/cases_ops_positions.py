"""Indices of triangles and nonzero values, and runs of equal values."""

from tests.reference.case import Case, given, whole

CASES = [
    Case("tril_indices", lambda lib: (lib.tril_indices(3, 4), lib.tril_indices(3, 2, -1), lib.tril_indices(2, 5, 2))),
    Case("triu_indices", lambda lib: (lib.triu_indices(3, 4), lib.triu_indices(3, 2, -1), lib.triu_indices(2, 5, 2))),
    Case("unravel_index", lambda lib, x: lib.unravel_index(x, (2, 3, 4)), whole(3, 2, low=0, high=24)),
    Case("nonzero_static", lambda lib, x: (lib.nonzero_static(x, size=3), x.nonzero_static(size=14, fill_value=7)),
         whole(3, 4, low=0, high=2)),
    Case("unique_consecutive", lambda lib, x: (*lib.unique_consecutive(x, True, True), x.unique_consecutive()),
         given([[3, 3, 1], [1, 3, 3]], "int64")),
    Case("unique_consecutive: slices", lambda lib, x: lib.unique_consecutive(x, True, True, dim=1),
         given([[3, 3, 1], [1, 1, 3]], "int64")),
]  # fmt: skip

"""Sampling at positions inside and outside of images: all modes and paddings."""

from itertools import product

from tests.reference.case import Case, real

CASES = []
for mode, padding, corners in product(
    ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (True, False)
):
    options = {"mode": mode, "padding_mode": padding, "align_corners": corners}
    for shape in [(2, 3, 4, 5), (1, 2, 3, 4, 2)] if mode != "bicubic" else [(2, 3, 4, 5)]:
        dims = len(shape) - 2
        CASES.append(
            Case(
                f"grid_sample: {dims}-d, {mode}, {padding}, align_corners {corners}",
                lambda lib, x, grid, options=options: lib.nn.functional.grid_sample(x, grid, **options),
                real(*shape),
                real(shape[0], *(2, 3, 2)[:dims], dims, low=-1.6, high=1.6),
                order=1 if mode == "nearest" else 2,
            )
        )
CASES += [
    Case(
        "grid_sample: one pixel",
        lambda lib, x, grid: lib.nn.functional.grid_sample(x, grid, padding_mode="reflection", align_corners=True),
        real(1, 2, 1, 1),
        real(1, 2, 2, 2),
        order=1,
    ),
    Case(
        "grid_sample: no samples",
        lambda lib, x, grid: lib.nn.functional.grid_sample(x, grid, align_corners=False),
        real(0, 2, 3, 3),
        real(0, 2, 2, 2),
        order=1,
    ),
    *(
        Case(
            f"affine_grid: {size}, align_corners {corners}",
            lambda lib, theta, size=size, corners=corners: lib.nn.functional.affine_grid(theta, size, corners),
            real(size[0], len(size) - 2, len(size) - 1),
        )
        for size in ((2, 3, 4, 5), (1, 1, 3, 2), (2, 1, 2, 3, 4))
        for corners in (True, False)
    ),
]

"""Max unpooling of pooled images, and max pooling at given random positions."""

from tests.reference.case import Case, constant, distinct, given


def unpool(dims, *pooling, **options):
    def run(lib, x):
        values, at = getattr(lib.nn.functional, f"max_pool{dims}d")(x, *pooling, return_indices=True)
        return getattr(lib.nn.functional, f"max_unpool{dims}d")(values, at, *pooling, **options)

    return run


def fractional(dims, kernel, samples=True, **options):
    def run(lib, x, *drawn):
        call = getattr(lib.nn.functional, f"fractional_max_pool{dims}d")
        return call(x, kernel, **options, _random_samples=drawn[0])

    return run


SHAPES = {1: (2, 3, 6), 2: (1, 2, 6, 4), 3: (1, 2, 4, 2, 4)}
CASES = [
    *(Case(f"max_unpool{dims}d: of 2", unpool(dims, 2), distinct(*shape)) for dims, shape in SHAPES.items()),
    Case("max_unpool1d: of 3, 3, 1", unpool(1, 3, 3, 1), distinct(2, 3, 7)),
    Case("max_unpool2d: output_size", unpool(2, 2, output_size=(6, 5)), distinct(1, 2, 6, 5)),
    Case("max_unpool2d: output_size of the batch", unpool(2, 2, output_size=[1, 2, 7, 5]), distinct(1, 2, 6, 5)),
    Case("max_unpool1d: without batch", unpool(1, 2), distinct(3, 6)),
    Case("max_unpool3d: without batch", unpool(3, 2), distinct(2, 4, 4, 4)),
    *(
        Case(
            f"fractional_max_pool{dims}d: {kernel}, {options}",
            fractional(dims, kernel, **options),
            distinct(2, 3, *(9, 8, 7)[:dims]),
            constant(2, 3, dims, low=0.0, high=0.99),
        )
        for dims, kernel, options in (
            (2, 2, {"output_size": 4}),
            (2, (3, 2), {"output_size": (2, 5), "return_indices": True}),
            (2, 2, {"output_ratio": (0.5, 0.4)}),
            (2, 3, {"output_size": 1}),
            (3, 2, {"output_size": 3, "return_indices": True}),
            (3, (2, 1, 2), {"output_ratio": (0.5, 0.6, 0.7)}),
        )
    ),
    Case(
        "fractional_max_pool2d: without batch",
        fractional(2, 2, output_size=3),
        distinct(3, 7, 7),
        given([[[0.3, 0.8]] * 3], grad=False),
    ),
]

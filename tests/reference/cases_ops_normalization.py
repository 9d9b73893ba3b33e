"""Normalization: every option, running statistics, half precision, and inputs without variance."""

from tests.reference.case import Case, constant, given, positive, real


def call(op, *middle, **options):
    """The function with x first, then ``middle``, then the other tensors."""
    return lambda lib, x, *tensors: getattr(lib.nn.functional, op)(x, *middle, *tensors, **options)


def batch_norm(lib, x, mean, var, *affine, **options):
    """The output, and the running statistics afterwards."""
    mean, var = mean.clone(), var.clone()
    return lib.nn.functional.batch_norm(x, mean, var, *affine, **options), mean, var


def of_batch(**options):
    return lambda lib, x, *tensors: batch_norm(lib, x, *tensors, **options)


def halves(*inputs, dtype):
    return [real(*shape, dtype=dtype) for shape in inputs]


CASES = []
for shape, sizes in [
    ((3, 7), (7,)),
    ((2, 3, 5), (5,)),
    ((2, 3, 5), (3, 5)),
    ((2, 3, 5), (2, 3, 5)),
    ((5,), (5,)),
    ((1, 1), (1,)),
    ((3, 2), (2,)),
    ((2, 4, 3, 3), (4, 3, 3)),
    ((1, 129), (129,)),
]:
    of = f"{'x'.join(map(str, shape))} over {'x'.join(map(str, sizes))}"
    CASES += [
        Case(f"layer_norm: {of}", call("layer_norm", sizes), real(*shape)),
        Case(f"layer_norm: {of}, weight", call("layer_norm", sizes), real(*shape), real(*sizes)),
        Case(f"layer_norm: {of}, both", call("layer_norm", sizes), real(*shape), real(*sizes), real(*sizes)),
    ]
    if shape != (1, 1):
        CASES += [
            Case(f"rms_norm: {of}", call("rms_norm", sizes, eps=1e-5), real(*shape)),
            Case(f"rms_norm: {of}, weight", call("rms_norm", sizes, eps=1e-6), real(*shape), real(*sizes)),
        ]
CASES += [
    Case("layer_norm: a list of sizes", call("layer_norm", [3, 5]), real(2, 3, 5)),
    Case(
        "layer_norm: bias alone",
        lambda lib, x, b: lib.nn.functional.layer_norm(x, (5,), None, b),
        real(2, 3, 5),
        real(5),
        order=1,
    ),
    Case(
        "layer_norm: all by keyword",
        lambda lib, x, w, b: lib.nn.functional.layer_norm(x, normalized_shape=(5,), weight=w, bias=b, eps=0.1),
        real(2, 3, 5),
        real(5),
        real(5),
    ),
    Case("layer_norm: large eps", lambda lib, x: lib.nn.functional.layer_norm(x, (7,), eps=2.0), real(3, 7)),
    Case("layer_norm: no samples", call("layer_norm", (5,)), real(0, 5), real(5), real(5), order=1),
    Case("layer_norm: far from 0", call("layer_norm", (16,)), real(3, 16, low=999, high=1001), rtol=1e-3, order=1),
    Case("layer_norm: constant", call("layer_norm", (5,)), given([[2.0] * 5, [0.0] * 5]), order=1),
    Case("layer_norm: no gradient of x", call("layer_norm", (5,)), constant(2, 5), real(5), real(5)),
    Case(
        "rms_norm: eps of the dtype",
        call("rms_norm", (7,)),
        real(3, 7),
        real(7),
        recorded=call("rms_norm", (7,), eps=2.0**-23),
    ),
    Case("rms_norm: no samples", call("rms_norm", (5,), eps=1e-5), real(0, 5), real(5), order=1),
    Case("rms_norm: zeros", call("rms_norm", (5,), eps=1e-5), given([[0.0] * 5])),
]
for dtype in ("float16", "bfloat16"):
    CASES += [
        Case(f"layer_norm: {dtype}", call("layer_norm", (16,)), *halves((3, 16), (16,), (16,), dtype=dtype), order=1),
        Case(f"rms_norm: {dtype}", call("rms_norm", (16,), eps=1e-5), *halves((3, 16), (16,), dtype=dtype)),
        Case(f"group_norm: {dtype}", call("group_norm", 2), *halves((2, 4, 5), (4,), (4,), dtype=dtype)),
        Case(f"normalize: {dtype}", call("normalize"), real(3, 7, dtype=dtype)),
        Case(
            f"batch_norm: {dtype}",
            of_batch(training=True),
            real(5, 3, dtype=dtype),
            constant(3),
            positive(3, grad=False),
            real(3),
            real(3),
            recorded=lambda lib, x, m, v, w, b: (
                lib.nn.functional.batch_norm(x, m.clone(), v.clone(), w, b, training=True),
                *batch_norm(lib, x.to(m.dtype), m, v, training=True)[1:],
            ),
        ),
    ]

SHAPES = [(4, 3), (2, 3, 5), (2, 3, 4, 5), (2, 3, 1, 1), (1, 3, 2, 1), (7, 1)]
for shape in SHAPES:
    of, c = "x".join(map(str, shape)), shape[1]
    statistics = constant(c), positive(c, grad=False)
    affine = real(c), real(c)
    CASES += [
        Case(f"batch_norm: {of}, training", of_batch(training=True), real(*shape), *statistics, *affine),
        Case(f"batch_norm: {of}, evaluation", of_batch(), real(*shape), *statistics, *affine),
        Case(f"batch_norm: {of}, without affine", of_batch(training=True, momentum=0.3), real(*shape), *statistics),
        Case(f"batch_norm: {of}, weight alone", of_batch(training=True), real(*shape), *statistics, affine[0]),
        Case(
            f"batch_norm: {of}, without statistics",
            lambda lib, x, w, b: lib.nn.functional.batch_norm(x, None, None, w, b, True),
            real(*shape),
            *affine,
        ),
    ]
CASES += [
    *(
        Case(
            f"batch_norm: momentum {momentum}",
            of_batch(training=True, momentum=momentum, eps=0.1),
            real(4, 3),
            constant(3),
            positive(3, grad=False),
        )
        for momentum in (0.0, 0.5, 1.0)
    ),
    Case("batch_norm: eps", of_batch(eps=0.5), real(4, 3), constant(3), positive(3, grad=False)),
    Case("batch_norm: no samples", of_batch(), real(0, 3), constant(3), positive(3, grad=False), real(3), real(3)),
    Case("batch_norm: constant", of_batch(training=True), given([[2.0], [2.0]]), constant(1), constant(1), order=1),
]

for shape, groups in [
    ((2, 6), 3),
    ((2, 6, 5), 2),
    ((2, 4, 3, 5), 2),
    ((1, 4, 3, 3), 4),
    ((3, 3, 2, 2), 1),
    ((2, 1, 3), 1),
]:
    of, c = f"{'x'.join(map(str, shape))} in {groups}", shape[1]
    CASES += [
        # Two values in a group become -1 and 1, so the gradient is a difference of nearly equal numbers.
        Case(f"group_norm: {of}", call("group_norm", groups), real(*shape), rtol=3e-4 if of == "2x6 in 3" else None),
        Case(f"group_norm: {of}, both", call("group_norm", groups), real(*shape), real(c), real(c)),
    ]
CASES += [
    Case("group_norm: eps", lambda lib, x: lib.nn.functional.group_norm(x, 2, eps=0.5), real(2, 4, 3)),
    Case("group_norm: no samples", call("group_norm", 2), real(0, 4, 3), real(4), real(4), order=1),
    Case(
        "group_norm: bias alone",
        lambda lib, x, b: lib.nn.functional.group_norm(x, 2, None, b),
        real(2, 4, 3),
        real(4),
        recorded=lambda lib, x, b: lib.nn.functional.group_norm(x, 2, lib.ones(4), b),
    ),
    Case("normalize: defaults", call("normalize"), real(3, 5)),
    Case("normalize: p 1", call("normalize", p=1.0), real(3, 5, away=0.1)),
    Case("normalize: p 3", call("normalize", p=3.0), real(3, 5, away=0.1)),
    Case("normalize: p inf", call("normalize", p=float("inf")), real(3, 5, distinct=True), order=1),
    Case("normalize: dim 0", call("normalize", dim=0), real(3, 5)),
    Case("normalize: dim -1", call("normalize", dim=-1), real(2, 3, 5)),
    Case("normalize: eps", call("normalize", eps=3.0), real(3, 5, low=-1, high=1)),
    Case("normalize: zeros", call("normalize"), given([[0.0, 0.0], [3.0, 4.0]]), order=0),
    Case("normalize: of one", call("normalize"), real(3, 1, away=0.1)),
    Case("normalize: no samples", call("normalize"), real(0, 3), order=1),
]
CASES += [
    Case("normalize: two dims", call("normalize", dim=(0, 2)), real(2, 3, 4)),
    Case("normalize: a number", call("normalize", dim=0), real(away=0.1)),
]
CASES += [
    *(
        Case(
            f"instance_norm: {'x'.join(map(str, shape))}{', affine' * affine}",
            lambda lib, x, *rest: lib.nn.functional.instance_norm(x, None, None, *rest),
            real(*shape),
            *([real(shape[1]), real(shape[1])] if affine else []),
        )
        for shape in ((2, 3, 5), (2, 3, 4, 2), (1, 2, 2, 3, 2))
        for affine in (False, True)
    ),
    Case(
        "instance_norm: running statistics",
        lambda lib, x: lib.nn.functional.instance_norm(x, lib.full((3,), 0.5), lib.full((3,), 2.0), None, None, False),
        real(2, 3, 5),
    ),
    Case("instance_norm: float16", lambda lib, x: lib.nn.functional.instance_norm(x), real(2, 3, 5, dtype="float16")),
    *(
        Case(
            f"local_response_norm: {size}, of {len(shape)} dimensions",
            lambda lib, x, size=size: lib.nn.functional.local_response_norm(x, size, 0.5, 0.6, 2.0),
            real(*shape),
        )
        for size in (1, 2, 3, 7)
        for shape in ((2, 5, 3), (1, 4, 2, 3), (1, 3, 2, 2, 2))
    ),
]

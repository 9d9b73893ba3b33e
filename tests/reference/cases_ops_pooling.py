"""Pooling: padding, windows beyond the image, dilation, ties and NaN."""

from itertools import product

from tests.reference.case import Case, distinct, given, positive, real, whole

INF, NAN = float("inf"), float("nan")


def call(op, *middle, **options):
    return lambda lib, x: getattr(lib.nn.functional, op)(x, *middle, **options)


CASES = []
for (kernel, stride, padding), ceil_mode, dilation in product(
    [(2, None, 0), (3, 1, 1), (3, 2, 1), ((3, 2), (2, 3), (1, 0)), (2, 3, 1), (1, 1, 0)], (False, True), (1, 2)
):
    options = {"kernel_size": kernel, "padding": padding, "ceil_mode": ceil_mode, "dilation": dilation}
    if stride is not None:
        options["stride"] = stride
    title = ", ".join(f"{key} {value}" for key, value in options.items())
    CASES.append(Case(f"max_pool2d: {title}", call("max_pool2d", **options), distinct(2, 2, 7, 6)))
for (kernel, stride, padding), ceil_mode, count_include_pad in product(
    [(2, None, 0), (3, 1, 1), (3, 2, 1), ((3, 2), (2, 3), (1, 0)), (2, 3, 1), (1, 1, 0)], (False, True), (False, True)
):
    options = {
        "kernel_size": kernel, "padding": padding, "ceil_mode": ceil_mode, "count_include_pad": count_include_pad
    }  # fmt: skip
    if stride is not None:
        options["stride"] = stride
    title = ", ".join(f"{key} {value}" for key, value in options.items())
    CASES.append(Case(f"avg_pool2d: {title}", call("avg_pool2d", **options), real(2, 2, 7, 6)))
for op, first in (("max_pool2d", distinct), ("avg_pool2d", real)):
    CASES += [
        Case(f"{op}: without batch", call(op, 2), first(3, 5, 4)),
        Case(f"{op}: one pixel", call(op, 1), first(2, 3, 1, 1)),
        Case(f"{op}: the whole image", call(op, (5, 4)), first(2, 3, 5, 4)),
        Case(f"{op}: no samples", call(op, 2), first(0, 3, 5, 4), order=1),
        Case(f"{op}: positional", call(op, 3, 2, 1), first(1, 2, 7, 7)),
        Case(f"{op}: 33 px", call(op, 3, 2, 1), first(1, 1, 33, 33), order=1),
        Case(f"{op}: far padding", call(op, 4, 3, 2, ceil_mode=True), first(1, 1, 6, 5)),
        Case(f"{op}: float16", call(op, 3, 2, 1), first(1, 2, 6, 5, dtype="float16")),
        Case(f"{op}: bfloat16", call(op, 3, 2, 1), first(1, 2, 6, 5, dtype="bfloat16")),
        Case(f"{op}: transposed", lambda lib, x, op=op: call(op, 2)(lib, x.transpose(1, 3)), first(1, 4, 5, 2)),
        Case(f"{op}: nan", call(op, 2, 1), given([[[[1.0, NAN, 2.0], [0.0, 1.0, 3.0], [5.0, 6.0, 7.0]]]], grad=False)),
        Case(f"{op}: inf", call(op, 2, 1), given([[[[1.0, INF, 2.0], [-INF, 1.0, 3.0]]]], grad=False)),
    ]
CASES += [
    Case("max_pool2d: ties", call("max_pool2d", 2, 1), given([[[[1.0] * 4] * 4]])),
    Case("max_pool2d: ties in the padding", call("max_pool2d", 3, 2, 1), given([[[[2.0, 2.0], [2.0, 1.0]]]])),
    Case("max_pool2d: ties of zeros", call("max_pool2d", 2), given([[[[0.0, -0.0], [-0.0, 0.0]]]]), order=1),
    Case("max_pool2d: all -inf", call("max_pool2d", 2), given([[[[-INF] * 2] * 2]], grad=False)),
    Case("max_pool2d: gradient of nan", call("max_pool2d", 2), given([[[[1.0, NAN], [2.0, 3.0]]]]), order=1),
    Case("max_pool2d: gradient of two nans", call("max_pool2d", 2), given([[[[1.0, NAN], [NAN, 3.0]]]]), order=1),
    *(
        Case(f"avg_pool2d: divisor_override {by}", call("avg_pool2d", 3, 2, 1, divisor_override=by), real(1, 2, 6, 5))
        for by in (1, 5, -2)
    ),
    Case(
        "avg_pool2d: divisor_override in ceil_mode",
        call("avg_pool2d", 2, ceil_mode=True, divisor_override=3),
        real(1, 2, 5, 5),
    ),
]
for size, shape in [
    (1, (2, 3, 5, 7)),
    (2, (2, 3, 5, 7)),
    (3, (1, 2, 7, 4)),
    ((3, 5), (1, 2, 7, 11)),
    ((2, None), (1, 2, 5, 3)),
    ((None, 3), (1, 2, 4, 7)),
    ((None, None), (1, 2, 3, 4)),
    ((5, 5), (1, 2, 3, 4)),
    ((7, 1), (1, 2, 33, 5)),
    ((1, 1), (2, 3, 1, 1)),
    ([2, 2], (3, 5, 7)),
    (2, (0, 3, 4, 5)),
    (1, (0, 3, 4, 5)),
]:
    shown = "x".join(map(str, shape))
    CASES.append(Case(f"adaptive_avg_pool2d: {size} of {shown}", call("adaptive_avg_pool2d", size), real(*shape)))
CASES += [
    Case(f"adaptive_avg_pool2d: {dtype}", call("adaptive_avg_pool2d", 2), real(1, 2, 5, 7, dtype=dtype))
    for dtype in ("float16", "bfloat16")
]
for kernel, stride, padding, dilation, ceil_mode in [
    (2, None, 0, 1, False),
    (3, 2, 1, 1, False),
    (3, 1, 1, 2, False),
    ((3, 2), (2, 3), (1, 0), (2, 1), True),
    (4, 3, 2, 1, True),
]:
    options = (kernel, stride, padding, dilation, ceil_mode)
    CASES.append(
        Case(f"max_pool2d: indices {options}", call("max_pool2d", *options, return_indices=True), distinct(2, 2, 7, 6))
    )
CASES += [
    Case("max_pool2d: indices without batch", call("max_pool2d", 2, return_indices=True), distinct(3, 5, 4)),
    Case("max_pool2d: indices of ties", call("max_pool2d", 3, 2, 1, return_indices=True), given([[[[1.0] * 4] * 4]])),
    Case(
        "max_pool2d: indices of -inf",
        call("max_pool2d", 3, 2, 1, return_indices=True),
        given([[[[-INF] * 5] * 5]], grad=False),
    ),
    Case(
        "max_pool2d: indices of -inf with dilation",
        call("max_pool2d", 4, 1, 2, 2, return_indices=True),
        given([[[[-INF] * 5] * 5]], grad=False),
    ),
    Case(
        "max_pool2d: indices of nan",
        call("max_pool2d", 2, 1, return_indices=True),
        given([[[[1.0, NAN, 2.0], [0.0, 1.0, NAN], [5.0, 6.0, 7.0]]]], grad=False),
    ),
    *(
        Case(f"max_pool2d: {dtype}", call("max_pool2d", 3, 2, 1, return_indices=True), whole(2, 3, 6, 5, dtype=dtype))
        for dtype in ("int64", "int32", "int16", "int8")
    ),
    Case("max_pool2d: uint8", call("max_pool2d", 2), whole(2, 3, 6, 5, low=0, high=256, dtype="uint8")),
    *(
        Case(f"{op}: a stride of one element", call(op, 3, (2,), (1,)), first(1, 2, 7, 6), order=1)
        for op, first in (("max_pool2d", distinct), ("avg_pool2d", real))
    ),
]
CASES += [
    *(
        Case(f"avg_pool2d: int64 {options}", call("avg_pool2d", 3, 2, 1, **options), whole(2, 3, 6, 5, low=-9, high=10))
        for options in ({}, {"ceil_mode": True, "count_include_pad": False}, {"divisor_override": -2})
    ),
    *(
        Case(f"{op}: an empty stride", call(op, 2, ()), first(1, 2, 6, 5), order=1)
        for op, first in (("max_pool2d", distinct), ("avg_pool2d", real))
    ),
]
# One and three dimensions, which share their code with two.
for ceil_mode, (kernel, stride, padding) in product((False, True), [(2, None, 0), (3, 2, 1)]):
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    title = ", ".join(f"{key} {value}" for key, value in options.items())
    for dims, shape in ((1, (2, 3, 7)), (3, (1, 2, 4, 5, 3))):
        CASES += [
            Case(f"max_pool{dims}d: {title}", call(f"max_pool{dims}d", **options), distinct(*shape)),
            Case(f"avg_pool{dims}d: {title}", call(f"avg_pool{dims}d", **options), real(*shape)),
            Case(
                f"max_pool{dims}d: indices, {title}",
                call(f"max_pool{dims}d", **options, return_indices=True),
                distinct(*shape),
            ),
        ]
CASES += [
    Case("max_pool1d: dilation", call("max_pool1d", 3, 1, 1, 2, True), distinct(1, 2, 9)),
    Case(
        "max_pool3d: all options", call("max_pool3d", (2, 3, 2), (1, 2, 2), (1, 0, 1), (2, 1, 1)), distinct(2, 5, 4, 4)
    ),
    Case("avg_pool1d: count_include_pad", call("avg_pool1d", 3, 2, 1, True, False), real(1, 2, 8)),
    Case("avg_pool3d: count_include_pad", call("avg_pool3d", 2, 2, 1, True, False), real(1, 2, 3, 4, 5)),
    Case("avg_pool3d: divisor_override", call("avg_pool3d", (1, 2, 2), divisor_override=3), real(2, 3, 4, 5)),
    *(
        Case(f"lp_pool{dims}d: norm_type {norm}", call(f"lp_pool{dims}d", norm, 2, **options), positive(*shape))
        for dims, shape in ((1, (2, 3, 7)), (2, (1, 2, 5, 4)), (3, (1, 2, 3, 4, 5)))
        for norm, options in ((2, {}), (3.5, {"stride": 1, "ceil_mode": True}), (1, {"ceil_mode": True}))
    ),
    *(
        Case(f"lp_pool2d: norm_type {norm}", call("lp_pool2d", norm, 3, 2), distinct(1, 2, 7, 5))
        for norm in (INF, -INF, 4)
    ),
    Case("lp_pool1d: zeros", call("lp_pool1d", 2, 2), given([[0.0, 0.0, 3.0, 4.0]]), order=1),
]

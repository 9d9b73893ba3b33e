"""Adaptive pooling: sizes that divide and that do not, larger results, ties and NaN."""

from tests.reference.case import Case, distinct, given, real

INF, NAN = float("inf"), float("nan")


def call(op, *middle, **options):
    return lambda lib, x: getattr(lib.nn.functional, op)(x, *middle, **options)


CASES = []
for dims, size, shape in [
    (1, 1, (2, 3, 7)),
    (1, 3, (2, 3, 7)),
    (1, (4,), (3, 8)),
    (1, 9, (1, 2, 4)),
    (2, 1, (2, 3, 5, 7)),
    (2, (2, 3), (1, 2, 4, 9)),
    (2, (3, 5), (1, 2, 7, 11)),
    (2, (None, 2), (2, 4, 5)),
    (2, (5, 5), (1, 2, 3, 4)),
    (2, 2, (0, 3, 4, 5)),
    (3, 1, (1, 2, 3, 4, 5)),
    (3, (2, None, 3), (1, 2, 5, 3, 7)),
    (3, 2, (2, 4, 3, 5)),
]:
    title = f"{size} of {'x'.join(map(str, shape))}"
    CASES += [
        Case(f"adaptive_max_pool{dims}d: {title}", call(f"adaptive_max_pool{dims}d", size), distinct(*shape)),
        Case(
            f"adaptive_max_pool{dims}d: indices of {title}",
            call(f"adaptive_max_pool{dims}d", size, return_indices=True),
            distinct(*shape),
        ),
    ]
    if dims != 2:
        CASES.append(Case(f"adaptive_avg_pool{dims}d: {title}", call(f"adaptive_avg_pool{dims}d", size), real(*shape)))
CASES += [
    Case("adaptive_max_pool2d: ties", call("adaptive_max_pool2d", 2, True), given([[[1.0] * 5] * 3])),
    Case("adaptive_max_pool1d: nan", call("adaptive_max_pool1d", 2, True), given([[NAN, NAN, 1, 2, NAN]], grad=False)),
    Case("adaptive_max_pool2d: -inf", call("adaptive_max_pool2d", 2, True), given([[[-INF] * 4] * 4], grad=False)),
    *(
        Case(f"adaptive_max_pool2d: {dtype}", call("adaptive_max_pool2d", 2, True), real(1, 2, 5, 7, dtype=dtype))
        for dtype in ("float16", "bfloat16")
    ),
]

"""Linear maps and embedding lookup."""

from tests.reference.case import Case, given, real, whole


def linear(lib, *tensors):
    return lib.nn.functional.linear(*tensors)


def embedding(lib, index, weight, **options):
    return lib.nn.functional.embedding(index, weight, **options)


CASES = [
    Case(f"linear: {'x'.join(map(str, shape))}{', bias' if bias else ''}", linear, *inputs)
    for shape in ((5,), (3, 5), (1, 5), (0, 5), (2, 3, 5), (2, 0, 5), (2, 1, 3, 5))
    for bias in (False, True)
    for inputs in [(real(*shape), real(7, 5), *([real(7)] if bias else []))]
] + [
    Case("linear: one to one", linear, real(3, 1), real(1, 1), real(1)),
    Case("linear: from nothing", linear, real(3, 0), real(2, 0), real(2)),
    Case("linear: to nothing", linear, real(3, 2), real(0, 2), real(0)),
    Case("linear: transposed", lambda lib, x, w: linear(lib, x.transpose(0, 1), w), real(5, 3, 2), real(4, 2)),
    Case("linear: no gradient of x", linear, real(3, 5, grad=False), real(7, 5), real(7)),
    Case("linear: float16", linear, real(3, 5, dtype="float16"), real(7, 5, dtype="float16"), real(7, dtype="float16")),
    Case(
        "linear: bfloat16",
        linear,
        real(3, 5, dtype="bfloat16"),
        real(7, 5, dtype="bfloat16"),
        real(7, dtype="bfloat16"),
    ),
    *(
        Case(
            f"embedding: {'x'.join(map(str, shape)) or 'a number'}",
            embedding,
            whole(*shape, low=0, high=7),
            real(7, 3),
            order=1,
        )
        for shape in ((), (5,), (2, 3), (0,), (2, 0, 3), (2, 3, 4))
    ),
    Case("embedding: int32", embedding, whole(5, low=0, high=7, dtype="int32"), real(7, 3)),
    Case("embedding: repeated", embedding, given([1, 1, 1, 2], "int64"), real(3, 2)),
    Case("embedding: width 0", embedding, whole(5, low=0, high=7), real(7, 0)),
    Case("embedding: float16", embedding, whole(5, low=0, high=7), real(7, 3, dtype="float16")),
    *(
        Case(
            f"embedding: padding_idx {padding}",
            lambda lib, i, w, padding=padding: embedding(lib, i, w, padding_idx=padding),
            given([[0, 2, 2], [4, 1, 4]], "int64"),
            real(5, 3),
        )
        for padding in (0, 2, -1)
    ),
]
CASES += [
    Case("linear: a weight without outputs", linear, real(2, 3, 5), real(5)),
    Case("linear: one bias for all", linear, real(3, 5), real(7, 5), real()),
    Case("linear: a bias of one value", linear, real(2, 3, 5), real(7, 5), real(1)),
    Case("linear: a bias for each row", linear, real(3, 5), real(7, 5), real(3, 7)),
]
CASES += [
    Case(f"bilinear: {name}", lambda lib, *tensors: lib.nn.functional.bilinear(*tensors), *inputs)
    for name, inputs in {
        "one pair": (real(3), real(4), real(2, 3, 4)),
        "a bias": (real(5, 3), real(5, 4), real(2, 3, 4), real(2)),
        "two batch dimensions": (real(2, 5, 3), real(2, 5, 4), real(2, 3, 4), real(2)),
        "no samples": (real(0, 3), real(0, 4), real(2, 3, 4), real(2)),
        "float16": (real(5, 3, dtype="float16"), real(5, 4, dtype="float16"), real(2, 3, 4, dtype="float16")),
    }.items()
]

"""Losses: every reduction and option, and ignored targets."""

from itertools import product

from tests.reference.case import Case, constant, given, positive, real, truth, whole

INF = float("inf")
REDUCTIONS = ("mean", "sum", "none")


def call(op, **options):
    return lambda lib, *tensors: getattr(lib.nn.functional, op)(*tensors, **options)


def weighted(op, **options):
    """The last tensor is the class weight."""
    return lambda lib, x, t, w: getattr(lib.nn.functional, op)(x, t, weight=w, **options)


CASES = []
for op, options in [
    ("mse_loss", {}),
    ("l1_loss", {}),
    ("huber_loss", {}),
    ("huber_loss", {"delta": 0.5}),
    ("smooth_l1_loss", {}),
    ("smooth_l1_loss", {"beta": 0.3}),
    ("smooth_l1_loss", {"beta": 0.0}),
    ("binary_cross_entropy_with_logits", {}),
    ("kl_div", {}),
]:
    title = ", ".join([op, *(f"{key} {value}" for key, value in options.items())])
    CASES += [
        Case(f"{title}: {r}", call(op, reduction=r, **options), real(3, 5), positive(3, 5, high=0.9))
        for r in REDUCTIONS
    ]
    CASES += [
        Case(f"{title}: default", call(op, **options), real(7), positive(7, high=0.9)),
        Case(f"{title}: a number", call(op, **options), real(), positive(high=0.9)),
        Case(f"{title}: nothing, sum", call(op, reduction="sum", **options), real(0, 3), real(0, 3), order=1),
        Case(f"{title}: nothing, mean", call(op, **options), constant(0, 3), constant(0, 3)),
        Case(
            f"{title}: float16", call(op, **options), real(9, dtype="float16"), positive(9, high=0.9, dtype="float16")
        ),
        Case(
            f"{title}: bfloat16",
            call(op, **options),
            real(9, dtype="bfloat16"),
            positive(9, high=0.9, dtype="bfloat16"),
        ),
    ]
CASES += [
    Case("l1_loss: equal", call("l1_loss"), given([1.0, 2.0]), given([1.0, 3.0])),
    Case(
        "huber_loss: at its bend", call("huber_loss", reduction="none"), given([1.0, -1.0]), given([0.0, 0.0]), order=1
    ),
    Case(
        "smooth_l1_loss: at its bend",
        call("smooth_l1_loss", reduction="none"),
        given([1.0, -1.0, 0.0]),
        given([0.0] * 3),
        order=1,
    ),
    # Probabilities.
    *(
        Case(
            f"binary_cross_entropy: {r}",
            call("binary_cross_entropy", reduction=r),
            positive(3, 5, low=0.1, high=0.9),
            constant(3, 5, low=0, high=1),
        )
        for r in REDUCTIONS
    ),
    Case(
        "binary_cross_entropy: 0 and 1",
        call("binary_cross_entropy", reduction="none"),
        given([0.0, 1.0, 0.0, 1.0, 0.5], grad=False),
        given([0.0, 1.0, 1.0, 0.0, 0.5], grad=False),
    ),
    Case(
        "binary_cross_entropy: weight",
        weighted("binary_cross_entropy"),
        positive(3, 5, low=0.1, high=0.9),
        constant(3, 5, low=0, high=1),
        positive(5, grad=False),
    ),
    Case(
        "binary_cross_entropy: a float16",
        call("binary_cross_entropy"),
        positive(7, low=0.1, high=0.9, dtype="float16"),
        constant(7, low=0, high=1, dtype="float16"),
    ),
    # Logits.
    Case(
        "binary_cross_entropy_with_logits: far out",
        call("binary_cross_entropy_with_logits", reduction="none"),
        given([100.0, -100.0, 100.0, -100.0, 0.0]),
        given([1.0, 1.0, 0.0, 0.0, 0.5], grad=False),
        order=1,
    ),
    Case(
        "binary_cross_entropy_with_logits: weight",
        weighted("binary_cross_entropy_with_logits"),
        real(3, 5),
        constant(3, 5, low=0, high=1),
        positive(5, grad=False),
    ),
    *(
        Case(
            f"binary_cross_entropy_with_logits: pos_weight, {r}",
            lambda lib, x, t, p, r=r: lib.nn.functional.binary_cross_entropy_with_logits(
                x, t, pos_weight=p, reduction=r
            ),
            real(3, 5),
            constant(3, 5, low=0, high=1),
            positive(5, grad=False),
        )
        for r in REDUCTIONS
    ),
    Case(
        "binary_cross_entropy_with_logits: both weights",
        lambda lib, x, t, w, p: lib.nn.functional.binary_cross_entropy_with_logits(x, t, w, pos_weight=p),
        real(3, 5),
        constant(3, 5, low=0, high=1),
        positive(3, 1, grad=False),
        positive(5, grad=False),
    ),
    # Divergence.
    Case("kl_div: batchmean", call("kl_div", reduction="batchmean"), real(3, 5), positive(3, 5, high=0.9)),
    *(
        Case(f"kl_div: log_target, {r}", call("kl_div", reduction=r, log_target=True), real(3, 5), real(3, 5))
        for r in (*REDUCTIONS, "batchmean")
    ),
    Case("kl_div: target 0", call("kl_div", reduction="sum"), real(4), given([0.0, 0.5, 0.0, 1.0], grad=False)),
    # Similarity.
    Case("cosine_similarity: default", call("cosine_similarity"), real(3, 5), real(3, 5)),
    Case("cosine_similarity: dim 0", call("cosine_similarity", dim=0), real(3, 5), real(3, 5)),
    Case("cosine_similarity: dim -1", call("cosine_similarity", dim=-1), real(2, 3, 5), real(2, 3, 5)),
    Case("cosine_similarity: vectors", call("cosine_similarity", dim=0), real(5), real(5)),
    Case("cosine_similarity: broadcast", call("cosine_similarity", dim=-1), real(3, 1, 5), real(4, 5)),
    # PyTorch's gradient ignores that eps replaced the norm; Lucid's is that of the formula.
    Case("cosine_similarity: eps", call("cosine_similarity", eps=20.0), constant(3, 5), constant(3, 5)),
    Case("cosine_similarity: zeros", call("cosine_similarity"), given([[0.0, 0.0]]), given([[1.0, 2.0]]), order=0),
    Case(
        "cosine_similarity: float16",
        call("cosine_similarity"),
        real(3, 5, dtype="float16"),
        real(3, 5, dtype="float16"),
    ),
]

CLASSES = [
    ((4, 5), (4,)),
    ((5,), ()),
    ((2, 5, 3), (2, 3)),
    ((2, 5, 2, 3), (2, 2, 3)),
    ((1, 1), (1,)),
    ((3, 2), (3,)),
]
for op in ("nll_loss", "cross_entropy"):
    for (shape, targets), r in product(CLASSES, REDUCTIONS):
        c = shape[0] if len(shape) == 1 else shape[1]
        of = f"{'x'.join(map(str, shape))}, {r}"
        target = whole(*targets, low=0, high=c)
        CASES += [
            Case(f"{op}: {of}", call(op, reduction=r), real(*shape), target),
            Case(f"{op}: {of}, weight", weighted(op, reduction=r), real(*shape), target, positive(c, grad=False)),
        ]
    some = given([1, -100, 4, 0, -100, 2], "int64")
    twos = given([1, 2, 4, 0, 2, 2], "int64")
    for r in REDUCTIONS:
        CASES += [
            Case(f"{op}: -100 is ignored, {r}", call(op, reduction=r), real(6, 5), some),
            Case(f"{op}: 2 is ignored, {r}", call(op, reduction=r, ignore_index=2), real(6, 5), twos),
            Case(
                f"{op}: 2 is ignored, weight, {r}",
                weighted(op, reduction=r, ignore_index=2),
                real(6, 5),
                twos,
                positive(5, grad=False),
            ),
        ]
    nobody = given([-100, -100], "int64")
    CASES += [
        Case(f"{op}: all are ignored, mean", call(op), constant(2, 5), nobody),
        Case(f"{op}: all are ignored, sum", call(op, reduction="sum"), real(2, 5), nobody),
        Case(f"{op}: all are ignored, none", call(op, reduction="none"), real(2, 5), nobody),
        Case(f"{op}: no samples, sum", call(op, reduction="sum"), real(0, 5), whole(0), order=1),
        Case(f"{op}: no samples, none", call(op, reduction="none"), real(0, 5), whole(0), order=1),
        Case(f"{op}: no samples, mean", call(op), constant(0, 5), whole(0)),
        Case(f"{op}: uint8", call(op), real(4, 5), whole(4, low=0, high=5, dtype="uint8")),
        Case(f"{op}: float16", call(op), real(4, 5, dtype="float16"), whole(4, low=0, high=5)),
        Case(f"{op}: bfloat16", call(op), real(4, 5, dtype="bfloat16"), whole(4, low=0, high=5)),
        Case(
            f"{op}: a weight of 0", weighted(op), real(3, 2), given([0, 1, 1], "int64"), given([0.0, 2.0], grad=False)
        ),
    ]

for (shape, targets), r, smoothing in product(CLASSES, REDUCTIONS, (0.1, 1.0)):
    c = shape[0] if len(shape) == 1 else shape[1]
    of = f"{'x'.join(map(str, shape))}, smoothing {smoothing}, {r}"
    options = {"reduction": r, "label_smoothing": smoothing}
    target = whole(*targets, low=0, high=c)
    CASES.append(Case(f"cross_entropy: {of}", call("cross_entropy", **options), real(*shape), target))
    CASES.append(
        Case(
            f"cross_entropy: {of}, weight",
            weighted("cross_entropy", **options),
            real(*shape),
            target,
            positive(c, grad=False),
        )
    )
for r, smoothing in product(REDUCTIONS, (0.1, 0.9)):
    options = {"reduction": r, "label_smoothing": smoothing, "ignore_index": 2}
    title = f"smoothing {smoothing}, 2 is ignored, {r}"
    target = given([1, 2, 4, 0, 2, 2], "int64")
    CASES += [
        Case(f"cross_entropy: {title}", call("cross_entropy", **options), real(6, 5), target),
        Case(
            f"cross_entropy: {title}, weight",
            weighted("cross_entropy", **options),
            real(6, 5),
            target,
            positive(5, grad=False),
        ),
        Case(
            f"cross_entropy: {title}, images, weight",
            weighted("cross_entropy", **options),
            real(2, 5, 3),
            given([[1, 2, 4], [2, 0, 3]], "int64"),
            positive(5, grad=False),
        ),
    ]
for shape, r, smoothing in product([(4, 5), (5,), (2, 5, 3), (2, 3, 2, 2)], REDUCTIONS, (0.0, 0.2)):
    c = shape[0] if len(shape) == 1 else shape[1]
    of = f"{'x'.join(map(str, shape))}, soft, smoothing {smoothing}, {r}"
    options = {"reduction": r, "label_smoothing": smoothing}
    soft = positive(*shape, low=0.1, high=0.8)
    CASES += [
        Case(f"cross_entropy: {of}", call("cross_entropy", **options), real(*shape), soft),
        Case(
            f"cross_entropy: {of}, weight",
            weighted("cross_entropy", **options),
            real(*shape),
            soft,
            positive(c, grad=False),
        ),
    ]
CASES += [
    Case(
        "cross_entropy: far out",
        call("cross_entropy", reduction="none"),
        given([[1000.0, 0.0], [1000.0, 0.0], [-200.0, 200.0]]),
        given([0, 1, 0], "int64"),
        order=1,
    ),
    Case(
        "cross_entropy: a class of -inf",
        call("cross_entropy", reduction="none"),
        given([[0.0, -INF, 1.0], [0.0, 1.0, -INF]]),
        given([0, 1], "int64"),
        order=1,
    ),
    Case(
        "cross_entropy: soft, no samples", call("cross_entropy", reduction="sum"), real(0, 5), constant(0, 5), order=1
    ),
    Case(
        "cross_entropy: soft, float16",
        call("cross_entropy"),
        real(4, 5, dtype="float16"),
        constant(4, 5, low=0, high=1, dtype="float16"),
    ),
    Case("nll_loss: a class of bools", lambda lib, x, t: lib.nn.functional.nll_loss(x, t.long()), real(3, 2), truth(3)),
]
CASES += [
    Case(
        "binary_cross_entropy: wrong and certain",
        call("binary_cross_entropy", reduction="none"),
        given([0.0, 1.0, 0.0, 1.0, 1e-20, 0.5]),
        given([1.0, 0.0, 0.25, 0.5, 1.0, 0.75], grad=False),
        order=1,
    ),
    Case(
        "binary_cross_entropy: gradient of the target",
        call("binary_cross_entropy", reduction="none"),
        real(7, low=0.1, high=0.9),
        real(7, low=0.1, high=0.9),
    ),
    Case(
        "kl_div: a negative target",
        call("kl_div", reduction="none"),
        real(3, grad=False),
        given([0.5, -0.5, 0.0], grad=False),
    ),
    Case(
        "kl_div: batchmean of nothing",
        call("kl_div", reduction="batchmean"),
        real(0, 5, grad=False),
        real(0, 5, grad=False),
    ),
    *(
        Case(
            f"{op}: weight, {r}",
            lambda lib, x, y, weight, op=op, r=r: getattr(lib.nn.functional, op)(x, y, weight=weight, reduction=r),
            real(3, 4),
            real(3, 4),
            real(3, 4, low=0.1),
        )
        for op in ("mse_loss", "l1_loss", "huber_loss")
        for r in REDUCTIONS
    ),
]
CASES += [
    Case("cosine_similarity: numbers", call("cosine_similarity", dim=0), real(away=0.1), real(away=0.1), order=1),
    *(
        Case(
            f"cross_entropy: one target for one sample, {r}",
            call("cross_entropy", reduction=r),
            constant(5),
            given([3], dtype="int64"),
        )
        for r in REDUCTIONS
    ),
    *(
        Case(f"{op}: float16 and float32, {r}", call(op, reduction=r), real(4, dtype="float16"), real(4), order=1)
        for op in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss")
        for r in ("mean", "none")
    ),
]

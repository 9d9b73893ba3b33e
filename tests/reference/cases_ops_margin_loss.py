"""Losses with a margin: every reduction and option."""

from tests.reference.case import Case, constant, given, positive, real

REDUCTIONS = ("mean", "sum", "none")
SIGNS = given([1, -1, 1, -1, -1], "int64")


def call(op, **options):
    return lambda lib, *tensors: getattr(lib.nn.functional, op)(*tensors, **options)


CASES = []
for r in REDUCTIONS:
    CASES += [
        Case(
            f"margin_ranking_loss: {r}", call("margin_ranking_loss", margin=0.3, reduction=r), real(5), real(5), SIGNS
        ),
        Case(
            f"cosine_embedding_loss: {r}",
            call("cosine_embedding_loss", margin=0.1, reduction=r),
            real(5, 3),
            real(5, 3),
            SIGNS,
        ),
        Case(f"hinge_embedding_loss: {r}", call("hinge_embedding_loss", reduction=r), real(5), SIGNS),
        Case(f"soft_margin_loss: {r}", call("soft_margin_loss", reduction=r), real(5), SIGNS),
        *(
            Case(
                f"multi_margin_loss: {r}, p {p}",
                call("multi_margin_loss", p=p, margin=0.7, reduction=r),
                real(3, 4, distinct=True),
                given([0, 3, 1], "int64"),
                order=1,
            )
            for p in (1, 2)
        ),
        Case(
            f"multilabel_margin_loss: {r}",
            call("multilabel_margin_loss", reduction=r),
            real(2, 4, distinct=True),
            given([[3, 0, -1, 1], [2, -1, 0, 0]], "int64"),
            order=1,
        ),
        Case(
            f"multilabel_soft_margin_loss: {r}",
            call("multilabel_soft_margin_loss", reduction=r),
            real(2, 4),
            given([[1, 0, 1, 1], [0, 0, 1, 0]], "int64"),
        ),
        *(
            Case(
                f"triplet_margin_loss: {r}, p {p}, swap {swap}",
                call("triplet_margin_loss", margin=2.0, p=p, swap=swap, reduction=r),
                *[real(4, 3)] * 3,
            )
            for p, swap in ((1, False), (2, True), (3, False))
        ),
        Case(
            f"triplet_margin_with_distance_loss: {r}",
            call("triplet_margin_with_distance_loss", margin=2.0, swap=True, reduction=r),
            *[real(4, 3)] * 3,
        ),
    ]
CASES += [
    Case(
        "triplet_margin_with_distance_loss: a distance",
        call("triplet_margin_with_distance_loss", distance_function=lambda x, y: (x - y).abs().sum(-1)),
        *[real(4, 3)] * 3,
    ),
    Case("triplet_margin_loss: integers", call("triplet_margin_loss"), *[given([[1, 2], [3, 1]], "int64")] * 3),
    Case("triplet_margin_loss: vectors", call("triplet_margin_loss"), *[real(3)] * 3),
    Case("cosine_embedding_loss: vectors", call("cosine_embedding_loss"), real(3), real(3), given(-1, "int64")),
    Case("margin_ranking_loss: float16", call("margin_ranking_loss"), *[real(5, dtype="float16")] * 2, SIGNS),
    Case("soft_margin_loss: far out", call("soft_margin_loss", reduction="none"), given([30.0, -30.0]),
         given([1, 1], "int64"), order=1),
    Case("multi_margin_loss: one sample", call("multi_margin_loss"), real(4, distinct=True), given([2], "int64"),
         order=1),
    Case(
        "multi_margin_loss: weight",
        lambda lib, x, t, w: lib.nn.functional.multi_margin_loss(x, t, weight=w, reduction="none"),
        real(3, 4, distinct=True), given([0, 3, 1], "int64"), positive(4, grad=False), order=1,
    ),
    Case(
        "multilabel_soft_margin_loss: weight",
        lambda lib, x, t, w: lib.nn.functional.multilabel_soft_margin_loss(x, t, weight=w),
        real(2, 4), constant(2, 4, low=0, high=1), positive(4, grad=False),
    ),
    Case("multilabel_margin_loss: one sample", call("multilabel_margin_loss"), real(3, distinct=True),
         given([1, -1, 0], "int64"), order=1),
]  # fmt: skip

"""``ctc_loss``: reductions, forms of targets and lengths, impossible alignments."""

from tests.reference.case import Case, given, real

ROWS = given([[1, 1, 2], [3, 2, 1], [2, 2, 1]], "int64")
VECTOR = given([1, 1, 2, 3, 2, 1, 2, 2], "int64")


def call(*lengths, dim=2, **options):
    """The loss of the log-softmax of the first tensor, whose gradient is that of the logits."""

    def run(lib, x, targets, *rest):
        log_probs = lib.nn.functional.log_softmax(x, dim=-1)
        return lib.nn.functional.ctc_loss(log_probs, targets, *(lengths or rest), **options)

    return run


CASES = [
    Case(
        f"ctc_loss: {r}, {name}", call((6, 5, 3), (3, 3, 2), reduction=r), real(6, 3, 4), targets, order=1
    )
    for r in ("mean", "sum", "none")
    for name, targets in (("rows", ROWS), ("a vector", VECTOR))
] + [
    Case("ctc_loss: lengths as tensors", call(), real(6, 3, 4), ROWS, given([6, 5, 3], "int64"),
         given([3, 3, 2], "int64"), order=1),
    Case("ctc_loss: one sample", call((6,), (2,)), real(6, 4), given([1, 3], "int64"), order=1),
    Case("ctc_loss: blank 2", call((6, 6), (2, 1), blank=2, reduction="none"), real(6, 2, 4),
         given([[1, 3], [0, 0]], "int64"), order=1),
    Case("ctc_loss: empty targets", call((6, 6), (0, 1), reduction="none"), real(6, 2, 4), given([3], "int64"),
         order=1),
    Case("ctc_loss: all empty", call((6, 6), (0, 0)), real(6, 2, 4), given([], "int64"), order=1),
    Case("ctc_loss: impossible", call((2, 6), (3, 3), reduction="none"), real(6, 2, 4, grad=False),
         given([[1, 1, 2], [3, 2, 1]], "int64")),
    Case("ctc_loss: zero_infinity", call((2, 6), (3, 3), zero_infinity=True), real(6, 2, 4),
         given([[1, 1, 2], [3, 2, 1]], "int64"), order=1),
    Case(
        "ctc_loss: of log-probabilities themselves",
        lambda lib, x, targets: lib.nn.functional.ctc_loss(x, targets, (5, 4), (2, 2), reduction="none"),
        real(5, 2, 3, low=-3, high=-0.1), given([[1, 2], [1, 1]], "int64"), order=1,
    ),
]  # fmt: skip

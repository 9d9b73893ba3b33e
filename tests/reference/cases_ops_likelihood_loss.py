"""Negative log-likelihoods: every reduction and option."""

from tests.reference.case import Case, positive, real, whole

REDUCTIONS = ("mean", "sum", "none")


def call(op, **options):
    return lambda lib, *tensors: getattr(lib.nn.functional, op)(*tensors, **options)


CASES = []
for r in REDUCTIONS:
    for full in (False, True):
        CASES += [
            Case(
                f"poisson_nll_loss: {r}, full {full}",
                call("poisson_nll_loss", full=full, reduction=r),
                real(3, 5),
                positive(3, 5, high=6.0),
            ),
            Case(
                f"poisson_nll_loss: {r}, full {full}, of rates",
                call("poisson_nll_loss", log_input=False, full=full, reduction=r),
                positive(3, 5),
                whole(3, 5, low=0, high=6),
            ),
            *(
                Case(
                    f"gaussian_nll_loss: {r}, full {full}, var {shape}",
                    call("gaussian_nll_loss", full=full, reduction=r),
                    real(3, 5),
                    real(3, 5),
                    positive(*shape),
                )
                for shape in ((3, 5), (3, 1), (3,))
            ),
        ]
CASES += [
    Case("gaussian_nll_loss: eps", call("gaussian_nll_loss", eps=1.0), real(7), real(7), positive(7), order=1),
    Case("gaussian_nll_loss: one var", call("gaussian_nll_loss", var=0.5), real(7), real(7)),
    Case("poisson_nll_loss: a number", call("poisson_nll_loss"), real(), positive()),
]

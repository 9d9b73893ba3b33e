"""The cross entropy of a linear layer's outputs."""

from tests.reference.case import Case, real, whole


def call(**options):
    return lambda lib, x, w, b, y: lib.nn.functional.linear_cross_entropy(x, w, y, linear_bias=b, **options)


CASES = [
    Case("mean", call(), real(4, 3), real(5, 3), real(5), whole(4, low=0, high=5)),
    Case("none, smoothed", call(reduction="none", label_smoothing=0.1, ignore_index=1), real(4, 3), real(5, 3), real(5),
         whole(4, low=0, high=5)),
    Case("more dimensions", call(reduction="sum"), real(4, 3), real(5, 2, 3), real(5, 2), whole(4, 2, low=0, high=5)),
    Case("one sample", call(), real(3), real(5, 3), real(5), whole(low=0, high=5)),
]  # fmt: skip

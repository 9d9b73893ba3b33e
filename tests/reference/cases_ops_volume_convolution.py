"""Convolutions of volumes, which share their code with those of images and rows."""

from itertools import product

from tests.reference.case import Case, real, whole
from tests.reference.cases_ops_convolution import GROUPS, call, title

CASES = []
for (channels, filters, groups), (stride, padding, dilation) in product(
    GROUPS, [(1, 0, 1), (2, 1, 1), ((1, 2, 1), (1, 0, 1), (1, 1, 2)), (1, "same", 2), (3, 1, 1)]
):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    inputs = real(1, channels, 4, 5, 4), real(filters, channels // groups, 2, 3, 2), real(filters)
    CASES.append(Case(f"{title('conv3d', **options)}, to {filters}", call("conv3d", **options), *inputs))
for (channels, filters, groups), (stride, padding, output_padding, dilation) in product(
    [(4, 6, 1), (4, 6, 2), (4, 4, 4)], [(1, 0, 0, 1), (2, 1, 1, 1), ((1, 2, 3), 0, (0, 1, 0), 1), (2, 1, 1, 2)]
):
    options = {
        "stride": stride, "padding": padding, "output_padding": output_padding, "groups": groups, "dilation": dilation,
    }  # fmt: skip
    inputs = real(1, channels, 2, 3, 2), real(channels, filters // groups, 3, 2, 2), real(filters)
    CASES.append(
        Case(f"{title('conv_transpose3d', **options)}, to {filters}", call("conv_transpose3d", **options), *inputs)
    )
CASES += [
    Case("conv3d: defaults", call("conv3d"), real(2, 3, 4, 4, 5), real(4, 3, 3, 3, 3)),
    Case("conv3d: without batch", call("conv3d", padding=1), real(3, 4, 4, 5), real(4, 3, 3, 3, 3), real(4)),
    Case("conv3d: patches", call("conv3d", stride=2), real(1, 3, 4, 4, 5), real(4, 3, 2, 2, 2), real(4)),
    Case("conv_transpose3d: without batch", call("conv_transpose3d"), real(3, 2, 2, 3), real(3, 4, 2, 2, 2), real(4)),
    Case("conv3d: int64", call("conv3d"), whole(1, 2, 3, 3, 3), whole(2, 2, 2, 2, 2)),
]

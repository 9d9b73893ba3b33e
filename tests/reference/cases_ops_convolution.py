"""Convolutions: all combinations of groups, strides, padding and dilation that take different code paths."""

from itertools import product

from tests.reference.case import Case, real, whole


def call(op, **options):
    return lambda lib, *tensors: getattr(lib.nn.functional, op)(*tensors, **options)


def title(op, **options):
    return ", ".join([op, *(f"{key} {value}" for key, value in options.items())])


CASES = []
# (channels, filters, groups): one group, several, depthwise, depthwise with a multiplier.
GROUPS = [(4, 6, 1), (4, 6, 2), (4, 4, 4), (3, 6, 3)]

for (channels, filters, groups), stride, padding, dilation in product(GROUPS, (1, 2, 3), (0, 2), (1, 2)):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    inputs = real(1, channels, 9), real(filters, channels // groups, 3), real(filters)
    CASES.append(Case(f"{title('conv1d', **options)}, to {filters}", call("conv1d", **options), *inputs))
for (channels, filters, groups), stride, padding, dilation in product(GROUPS, (1, (2, 1), 3), (0, (1, 2)), (1, (1, 2))):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    inputs = real(1, channels, 6, 5), real(filters, channels // groups, 3, 2), real(filters)
    CASES.append(Case(f"{title('conv2d', **options)}, to {filters}", call("conv2d", **options), *inputs))
for (channels, filters, groups), padding, dilation in product(GROUPS, ("same", "valid"), (1, 2)):
    options = {"padding": padding, "dilation": dilation, "groups": groups}
    one = real(1, channels, 7), real(filters, channels // groups, 4)
    two = real(1, channels, 3, 6), real(filters, channels // groups, 2, 3), real(filters)
    CASES.append(Case(f"{title('conv1d', **options)}, to {filters}", call("conv1d", **options), *one))
    CASES.append(Case(f"{title('conv2d', **options)}, to {filters}", call("conv2d", **options), *two))
# (channels, filters, groups) of the transposed ones: the weight is (channels, filters / groups, ...).
for (channels, filters, groups), stride, padding, output_padding, dilation in product(
    [(4, 6, 1), (4, 6, 2), (4, 4, 4)], (1, 2, 3), (0, 1), (0, 1), (1, 2)
):
    if output_padding >= max(stride, dilation):
        continue
    options = {
        "stride": stride, "padding": padding, "output_padding": output_padding, "groups": groups, "dilation": dilation,
    }  # fmt: skip
    one = real(1, channels, 4), real(channels, filters // groups, 3), real(filters)
    CASES.append(
        Case(f"{title('conv_transpose1d', **options)}, to {filters}", call("conv_transpose1d", **options), *one)
    )
    if stride != 3:
        two = real(1, channels, 3, 4), real(channels, filters // groups, 3, 2), real(filters)
        CASES.append(
            Case(f"{title('conv_transpose2d', **options)}, to {filters}", call("conv_transpose2d", **options), *two)
        )

CASES += [
    # Defaults and optional arguments.
    Case("conv1d: defaults", call("conv1d"), real(2, 3, 7), real(4, 3, 3)),
    Case("conv2d: defaults", call("conv2d"), real(2, 3, 7, 5), real(4, 3, 3, 3)),
    Case("conv_transpose1d: defaults", call("conv_transpose1d"), real(2, 3, 7), real(3, 4, 3)),
    Case("conv_transpose2d: defaults", call("conv_transpose2d"), real(2, 3, 4, 5), real(3, 4, 3, 3)),
    Case("conv1d: without batch", call("conv1d", padding=1), real(3, 7), real(4, 3, 3), real(4)),
    Case("conv2d: without batch", call("conv2d", padding=1), real(3, 7, 5), real(4, 3, 3, 3), real(4)),
    Case("conv2d: depthwise without batch", call("conv2d", padding=1, groups=3), real(3, 7, 5), real(3, 1, 3, 3)),
    Case("conv_transpose1d: without batch", call("conv_transpose1d", stride=2), real(3, 5), real(3, 2, 3), real(2)),
    Case("conv_transpose2d: without batch", call("conv_transpose2d", stride=2), real(3, 3, 4), real(3, 2, 3, 2)),
    # Sizes.
    Case("conv1d: no samples", call("conv1d"), real(0, 3, 7), real(4, 3, 3), real(4)),
    Case("conv2d: no samples", call("conv2d"), real(0, 3, 7, 5), real(4, 3, 3, 3), real(4)),
    Case("conv2d: depthwise, no samples", call("conv2d", groups=3), real(0, 3, 7, 5), real(3, 1, 3, 3), real(3)),
    Case("conv2d: patches, no samples", call("conv2d", stride=2), real(0, 3, 6, 4), real(4, 3, 2, 2), real(4)),
    Case("conv_transpose2d: no samples", call("conv_transpose2d"), real(0, 3, 3, 2), real(3, 4, 3, 3), real(4)),
    Case(
        "conv_transpose2d: patches, no samples",
        call("conv_transpose2d", stride=2),
        real(0, 3, 3, 2),
        real(3, 4, 2, 2),
        real(4),
    ),
    Case("conv2d: one pixel", call("conv2d"), real(2, 3, 1, 1), real(4, 3, 1, 1), real(4)),
    Case("conv2d: 1x1", call("conv2d"), real(2, 3, 5, 7), real(4, 3, 1, 1), real(4)),
    Case("conv2d: 1x1, stride 2", call("conv2d", stride=2), real(2, 3, 5, 7), real(4, 3, 1, 1), real(4)),
    Case("conv2d: 1x1, padded", call("conv2d", padding=1), real(2, 3, 3, 2), real(4, 3, 1, 1), real(4)),
    Case("conv2d: kernel as large as the input", call("conv2d"), real(2, 3, 4, 5), real(4, 3, 4, 5), real(4)),
    Case("conv2d: one channel", call("conv2d", padding=1), real(2, 1, 5, 4), real(1, 1, 3, 3), real(1)),
    Case("conv2d: one channel, no padding", call("conv2d"), real(1, 1, 5, 4), real(1, 1, 2, 2)),
    Case("conv2d: 33 px, stride 4", call("conv2d", stride=4, padding=3), real(1, 2, 33, 33), real(3, 2, 7, 7), order=1),
    Case(
        "conv2d: 33 px, depthwise 7x7",
        call("conv2d", padding=3, groups=2),
        real(1, 2, 33, 33),
        real(2, 1, 7, 7),
        real(2),
        order=1,
    ),
    Case("conv2d: a wide kernel", call("conv2d", padding=(0, 15)), real(1, 2, 2, 9), real(2, 2, 1, 31)),
    # Padding larger than the kernel.
    Case("conv1d: padding 5 of kernel 3", call("conv1d", padding=5), real(1, 2, 4), real(3, 2, 3), real(3)),
    Case("conv2d: padding 4 of kernel 2", call("conv2d", padding=(4, 0)), real(1, 2, 3, 4), real(3, 2, 2, 2)),
    Case("conv2d: padding 4, stride 3", call("conv2d", padding=4, stride=3), real(1, 2, 3, 4), real(3, 2, 2, 2)),
    Case("conv2d: depthwise, padding 4", call("conv2d", padding=4, groups=2), real(1, 2, 3, 4), real(2, 1, 2, 2)),
    Case("conv_transpose1d: padding 3 of kernel 3", call("conv_transpose1d", padding=3), real(1, 2, 9), real(2, 3, 3)),
    Case(
        "conv_transpose2d: padding 3 of kernel 2, stride 2",
        call("conv_transpose2d", padding=(3, 2), stride=2),
        real(1, 2, 6, 5),
        real(2, 3, 2, 2),
        real(3),
    ),
    Case(
        "conv_transpose2d: padding 4 of kernel 2, output_padding 1",
        call("conv_transpose2d", padding=4, stride=3, output_padding=1),
        real(1, 2, 5, 6),
        real(2, 3, 2, 2),
        real(3),
    ),
    # Windows that do not overlap, and sizes that they do not divide.
    Case("conv2d: patches", call("conv2d", stride=2), real(2, 3, 6, 8), real(4, 3, 2, 2), real(4)),
    Case(
        "conv2d: patches with a rest", call("conv2d", stride=4), real(1, 3, 33, 10), real(5, 3, 4, 4), real(5), order=1
    ),
    Case("conv2d: oblong patches", call("conv2d", stride=(3, 2)), real(2, 2, 7, 5), real(3, 2, 3, 2)),
    Case("conv2d: patches in groups", call("conv2d", stride=2, groups=2), real(2, 4, 5, 6), real(6, 2, 2, 2), real(6)),
    Case("conv2d: patches, padded", call("conv2d", stride=2, padding=1), real(2, 3, 5, 4), real(4, 3, 2, 2), real(4)),
    Case("conv1d: patches with a rest", call("conv1d", stride=3), real(2, 2, 11), real(4, 2, 3), real(4)),
    Case("conv_transpose1d: patches", call("conv_transpose1d", stride=3), real(2, 2, 4), real(2, 5, 3), real(5)),
    Case("conv_transpose2d: patches", call("conv_transpose2d", stride=2), real(2, 3, 4, 5), real(3, 4, 2, 2), real(4)),
    Case(
        "conv_transpose2d: patches without bias",
        call("conv_transpose2d", stride=(3, 2)),
        real(1, 3, 4, 5),
        real(3, 4, 3, 2),
    ),
    Case(
        "conv_transpose2d: patches in groups",
        call("conv_transpose2d", stride=2, groups=2),
        real(2, 4, 3, 2),
        real(4, 3, 2, 2),
        real(6),
    ),
    Case(
        "conv_transpose2d: patches, padded",
        call("conv_transpose2d", stride=2, padding=1),
        real(2, 3, 3, 4),
        real(3, 4, 2, 2),
        real(4),
    ),
    Case(
        "conv_transpose2d: patches, output_padding",
        call("conv_transpose2d", stride=2, output_padding=1),
        real(2, 3, 3, 4),
        real(3, 4, 2, 2),
        real(4),
    ),
    Case("conv_transpose2d: 1x1", call("conv_transpose2d"), real(2, 3, 3, 4), real(3, 4, 1, 1), real(4)),
    Case(
        "conv_transpose2d: gaps between the patches",
        call("conv_transpose2d", stride=3),
        real(1, 3, 3, 4),
        real(3, 4, 2, 2),
        real(4),
    ),
    Case(
        "conv_transpose2d: all different",
        call("conv_transpose2d", stride=(2, 3), padding=(1, 2), output_padding=(1, 2), dilation=(2, 1), groups=2),
        real(2, 4, 5, 4),
        real(4, 2, 3, 4),
        real(4),
    ),
    # Gradients of only some inputs.
    Case("conv2d: no gradient of x", call("conv2d"), real(1, 2, 4, 5, grad=False), real(3, 2, 3, 3), real(3)),
    Case("conv2d: gradient of x alone", call("conv2d"), real(1, 2, 4, 5), real(3, 2, 3, 3, grad=False)),
]
for dtype in ("float16", "bfloat16"):
    for name, channels, filters, options in (
        ("full", 3, 4, {"padding": 1}),
        ("depthwise", 4, 4, {"padding": 1, "groups": 4}),
        ("groups", 4, 6, {"groups": 2}),
        ("patches", 3, 4, {"stride": 3}),
    ):
        weight = real(filters, channels // options.get("groups", 1), 3, 3, dtype=dtype)
        CASES.append(
            Case(
                f"conv2d: {name}, {dtype}",
                call("conv2d", **options),
                real(2, channels, 5, 6, dtype=dtype),
                weight,
                real(filters, dtype=dtype),
            )
        )
    for stride in (1, 2):
        CASES.append(
            Case(
                f"conv_transpose2d: {dtype}, stride {stride}",
                call("conv_transpose2d", stride=stride),
                real(2, 3, 4, 3, dtype=dtype),
                real(3, 4, 2, 2, dtype=dtype),
                real(4, dtype=dtype),
            )
        )
CASES += [
    Case(
        f"{title(op, **options)}, {dtype}",
        call(op, **options),
        *(whole(*shape, low=0 if dtype == "uint8" else -5, dtype=dtype) for shape in shapes),
    )
    for op, options, shapes in (
        ("conv1d", {"stride": 2, "padding": 1}, [(2, 4, 9), (6, 4, 3), (6,)]),
        ("conv2d", {"groups": 2, "dilation": 2}, [(1, 4, 7, 6), (6, 2, 3, 2)]),
        ("conv2d", {"groups": 4}, [(1, 4, 5, 6), (4, 1, 3, 2), (4,)]),
        ("conv2d", {"stride": 2}, [(1, 4, 6, 6), (3, 4, 2, 2)]),
        ("conv_transpose2d", {"stride": 2, "padding": 1}, [(1, 4, 3, 4), (4, 3, 3, 2), (3,)]),
    )
    for dtype in ("int64", *(() if "transpose" in op or "dilation" in options else ("int32", "uint8")))
]

"""Shuffles, and windows as columns."""

from tests.reference.case import Case, real, whole


def call(op, *middle, **options):
    return lambda lib, x: getattr(lib.nn.functional, op)(x, *middle, **options)


CASES = [
    Case("pixel_shuffle: 2", call("pixel_shuffle", 2), real(2, 8, 3, 2)),
    Case("pixel_shuffle: 3, without batch", call("pixel_shuffle", 3), real(9, 2, 3)),
    Case("pixel_shuffle: two batch dimensions", call("pixel_shuffle", upscale_factor=2), real(2, 3, 4, 2, 1)),
    Case("pixel_shuffle: no samples", call("pixel_shuffle", 2), whole(0, 4, 2, 3)),
    Case("pixel_unshuffle: 2", call("pixel_unshuffle", 2), real(2, 3, 4, 6)),
    Case("pixel_unshuffle: 3, without batch", call("pixel_unshuffle", downscale_factor=3), real(2, 3, 6)),
    Case("pixel_unshuffle: int64", call("pixel_unshuffle", 2), whole(1, 2, 4, 2)),
    Case("channel_shuffle: 2", call("channel_shuffle", 2), real(2, 6, 3, 2)),
    Case("channel_shuffle: 3", call("channel_shuffle", groups=3), real(2, 6, 3)),
    Case("unfold: defaults", call("unfold", 2), real(2, 3, 4, 5)),
    Case("unfold: all options", call("unfold", (2, 3), (2, 1), (1, 0), (1, 2)), real(2, 3, 5, 7)),
    Case("unfold: without batch", call("unfold", 3, padding=1, stride=2), real(3, 5, 4)),
    Case("unfold: no samples", call("unfold", 2), real(0, 3, 4, 5), order=1),
    Case("unfold: float16", call("unfold", 2), real(1, 2, 4, 3, dtype="float16")),
    Case("fold: defaults", call("fold", (3, 4), 2), real(2, 8, 6)),
    Case("fold: all options", call("fold", (5, 7), (2, 3), (2, 1), (1, 0), (1, 2)), real(2, 18, 15)),
    Case("fold: without batch", call("fold", 4, 3, padding=1, stride=2), real(18, 4)),
    Case("fold: float16", call("fold", (3, 4), 2), real(1, 4, 6, dtype="float16")),
]

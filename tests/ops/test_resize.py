"""Resizing agrees with PyTorch in both layouts and rejects invalid sizes."""

import functools

import numpy as np
import pytest

import lucid
from lucid.nn import functional as F
from tests.checking import check, recorded
from tests.ops.layouts import same_in_both


@pytest.mark.parametrize(("case", "record"), recorded("ops_resize"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 3, 5, 7), {"size": (3, 9)}),
        ((2, 3, 5, 7), {"size": (8, 9), "mode": "bilinear"}),
        ((2, 3, 5, 7), {"scale_factor": 1.7, "mode": "bicubic", "align_corners": True}),
        ((2, 3, 5, 7), {"scale_factor": (0.5, 2.0), "mode": "area"}),
        ((2, 3, 7), {"scale_factor": 2, "mode": "linear"}),
        ((2, 3, 4, 3, 2), {"size": (2, 3, 4), "mode": "trilinear"}),
    ],
)
def test_channels_last_agrees_with_channels_first(shape, options):
    same_in_both(functools.partial(F.interpolate, **options), shape)


def image(*shape):
    return lucid.ones(*(shape or (1, 1, 4, 4)))


def test_a_column_is_resized_like_a_row():
    """PyTorch repeats the first value in a column that it antialiases; its rows are right."""
    x = lucid.rand(2, 3, 5, 8)
    column = F.interpolate(x.transpose(2, 3), (3, 1), mode="bilinear", antialias=True)
    row = F.interpolate(x, (1, 3), mode="bilinear", antialias=True)
    np.testing.assert_allclose(column.transpose(2, 3).numpy(), row.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: F.interpolate(image()), ValueError, "interpolate: pass either size or scale_factor, got neither"),
        (
            lambda: F.interpolate(image(), 3, 2.0),
            ValueError,
            "interpolate: pass either size or scale_factor, got both",
        ),
        (lambda: F.interpolate(image(), 0), ValueError, "interpolate: size must be at least 1, got 0"),
        (
            lambda: F.interpolate(image(), (1, 2, 3)),
            ValueError,
            r"interpolate: size must be .* 2 integers, got \(1, 2, 3\)",
        ),
        (lambda: F.interpolate(image(), 2.5), TypeError, "interpolate: size must be an integer, got 2.5"),
        (
            lambda: F.interpolate(image(), scale_factor=(1, 2, 3)),
            ValueError,
            r"interpolate: scale_factor must be one number or 2 numbers, got \(1, 2, 3\)",
        ),
        (
            lambda: F.interpolate(image(), scale_factor=0.1),
            ValueError,
            r"interpolate: scale_factor 0.1 makes size \(4, 4\) empty",
        ),
        (
            lambda: F.interpolate(image(), scale_factor=-1),
            ValueError,
            "interpolate: scale_factor must be above 0, got -1",
        ),
        (
            lambda: F.interpolate(image(), 3, mode="cubic"),
            ValueError,
            "interpolate: mode must be 'nearest', .* or 'area', got 'cubic'",
        ),
        (
            lambda: F.interpolate(image(), 3, mode="linear"),
            ValueError,
            r"interpolate: mode 'linear' does not support 2 spatial dimensions, got shape \(1, 1, 4, 4\)",
        ),
        (
            lambda: F.interpolate(image(), 3, align_corners=True),
            ValueError,
            "interpolate: align_corners is only supported by linear and bicubic modes, got mode 'nearest'",
        ),
        (
            lambda: F.interpolate(image(), 3, mode="bilinear", antialias="yes"),
            TypeError,
            "interpolate: antialias must be a bool, got 'yes'",
        ),
        (
            lambda: F.interpolate(image(), 3, mode="bilinear", align_corners=1),
            TypeError,
            "interpolate: align_corners must be a bool, got 1",
        ),
        (
            lambda: F.interpolate(image(), 3, antialias=True),
            ValueError,
            "interpolate: antialias requires mode 'bilinear', 'bicubic' or 'lanczos', got mode 'nearest'",
        ),
        (
            lambda: F.interpolate(image(), 3, mode="lanczos"),
            ValueError,
            "interpolate: mode 'lanczos' requires antialias=True and align_corners=False",
        ),
        (
            lambda: F.interpolate(image().to(lucid.uint8), 3, mode="area"),
            TypeError,
            "interpolate: uint8 is not supported by mode 'area'; convert with .float",
        ),
        (
            lambda: F.interpolate(image().to(lucid.complex64), 3),
            TypeError,
            "interpolate: input must hold real numbers, got complex64",
        ),
        (
            lambda: F.interpolate(image(), 3, recompute_scale_factor=True),
            ValueError,
            "interpolate: recompute_scale_factor requires scale_factor",
        ),
        (
            lambda: F.interpolate(image(2, 3), 3),
            ValueError,
            r"interpolate: input must have 3 or 4 or 5 dimensions \(N, C, ...\), got \(2, 3\)",
        ),
        (
            lambda: F.interpolate(image(1, 1, 0, 4), 3),
            ValueError,
            r"interpolate: only the batch may be empty, got shape \(1, 1, 0, 4\)",
        ),
        (
            lambda: F.interpolate(image().long(), 3),
            TypeError,
            "interpolate: input must hold floating-point numbers, got int64",
        ),
        (
            lambda: F.interpolate(image(), 3, data_format="NHWC"),
            ValueError,
            "interpolate: data_format must be 'channels_first' or 'channels_last', got 'NHWC'",
        ),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()


@pytest.mark.parametrize(
    ("call", "same"),
    [
        (lambda x: F.upsample(x, scale_factor=2), {"scale_factor": 2}),
        (lambda x: F.upsample(x, 7, None, "bilinear", True), {"size": 7, "mode": "bilinear", "align_corners": True}),
        (lambda x: F.upsample_nearest(x, (5, 6)), {"size": (5, 6)}),
        (
            lambda x: F.upsample_bilinear(x, scale_factor=3),
            {"scale_factor": 3, "mode": "bilinear", "align_corners": True},
        ),
    ],
)
def test_deprecated_names_warn(call, same):
    x = lucid.randn(1, 2, 3, 4)
    with pytest.warns(UserWarning, match="is deprecated; use interpolate"):
        y = call(x)
    assert lucid.equal(y, F.interpolate(x, **same))

"""Shuffles and columns agree with PyTorch; invalid arguments raise."""

import numpy as np
import pytest

import lucid
from lucid.nn import functional as F
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_rearrangement"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def test_fold_counts_the_windows_of_each_pixel():
    x = lucid.randn(2, 3, 6, 5)
    back = F.fold(F.unfold(x, 3, padding=1), (6, 5), 3, padding=1)
    counts = F.fold(F.unfold(lucid.ones(1, 1, 6, 5), 3, padding=1), (6, 5), 3, padding=1)
    np.testing.assert_allclose(back.numpy(), (x * counts).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: F.pixel_shuffle(lucid.ones(3, 2, 2), 2), "the number of channels 3 must be divisible by"),
        (lambda: F.pixel_shuffle(lucid.ones(2, 2), 2), r"at least 3 dimensions \(..., C, H, W\), got \(2, 2\)"),
        (lambda: F.pixel_shuffle(lucid.ones(4, 2, 2), 0), "upscale_factor must be at least 1, got 0"),
        (lambda: F.pixel_unshuffle(lucid.ones(1, 3, 2), 2), "the height 3 must be divisible by downscale_factor 2"),
        (lambda: F.channel_shuffle(lucid.ones(1, 3, 2), 2), "the number of channels 3 must be divisible by groups 2"),
        (lambda: F.unfold(lucid.ones(1, 3, 3), 4), "is larger than the image of 3x3"),
        (lambda: F.unfold(lucid.ones(0, 3, 3), 2), r"only the batch may be empty, got shape \(0, 3, 3\)"),
        (lambda: F.fold(lucid.ones(5, 4), (3, 3), 2), "channels 5 must be divisible by the size of the kernel 4"),
        (lambda: F.fold(lucid.ones(4, 5), (3, 3), 2), r"4 columns are needed for size \(3, 3\), got 5"),
    ],
)
def test_invalid_arguments_raise(use, message):
    with pytest.raises(RuntimeError, match=message):
        use()

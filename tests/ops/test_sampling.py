"""Sampling agrees with PyTorch; positions that are no numbers read nothing outside; invalid arguments raise."""

import pytest

import lucid
from lucid.nn import functional as F
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_sampling"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_nan_and_infinity_read_nothing_outside(mode, padding):
    grid = lucid.tensor([[[[float("nan"), 0.0], [float("inf"), 0.0], [-1e30, 3e38]]]])
    y = F.grid_sample(lucid.ones(1, 2, 3, 3), grid, mode, padding, False)
    assert y.shape == (1, 2, 1, 3) and y.nan_to_num(0.0).abs().max().item() <= 1.001
    assert y[0, 0, 0, 0].item() == 0


def test_the_identity_gives_the_image():
    x = lucid.randn(2, 3, 4, 5)
    same = lucid.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]).expand(2, 2, 3)
    for corners in (True, False):
        y = F.grid_sample(x, F.affine_grid(same, x.shape, corners), align_corners=corners)
        assert lucid.allclose(y, x, atol=1e-5)


def test_the_default_of_align_corners_warns():
    with pytest.warns(UserWarning, match="grid_sample: align_corners is False by default"):
        F.grid_sample(lucid.ones(1, 1, 2, 2), lucid.zeros(1, 1, 1, 2))
    with pytest.warns(UserWarning, match="affine_grid: align_corners is False by default"):
        F.affine_grid(lucid.ones(1, 2, 3), (1, 1, 2, 2))


def sample(x=(1, 1, 2, 2), grid=(1, 1, 1, 2), dtype=None, **options):
    return F.grid_sample(lucid.ones(*x), lucid.zeros(*grid, dtype=dtype), align_corners=False, **options)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: sample(mode="cubic"), ValueError, "mode must be one of bilinear, nearest, bicubic, got 'cubic'"),
        (lambda: sample(padding_mode="a"), ValueError, "padding_mode must be one of zeros, border, reflection"),
        (lambda: sample(x=(2, 2)), RuntimeError, r"input must have 4 or 5 dimensions \(N, C, H, W\), got \(2, 2\)"),
        (lambda: sample(grid=(2, 1, 1, 2)), RuntimeError, r"grid must have shape \(1, H, W, 2\) for input"),
        (lambda: sample(dtype="float16"), TypeError, "must have the same dtype, got float32 and float16"),
        (lambda: sample(x=(1, 1, 0, 2)), RuntimeError, r"only the batch may be empty, got shape \(1, 1, 0, 2\)"),
        (lambda: sample((1, 1, 2, 2, 2), (1, 1, 1, 1, 3), mode="bicubic"), RuntimeError, "'bicubic' is for images"),
        (lambda: F.affine_grid(lucid.ones(1, 2, 3), (1, 2, 3), False), NotImplementedError, "size must be"),
        (lambda: F.affine_grid(lucid.ones(1, 2, 3), (1, 1, 0, 2), False), ValueError, "size must be positive"),
        (lambda: F.affine_grid(lucid.ones(1, 3, 4), (1, 1, 2, 2), False), ValueError, r"shape \(1, 2, 3\) for size"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()

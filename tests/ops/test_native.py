"""The lower-level names equal the usual ones."""

import pytest

import lucid
from lucid.nn import functional as F


def test_padding_and_shuffling():
    x = lucid.randn(2, 4, 3)
    assert lucid.equal(lucid.constant_pad_nd(x, (1, -1, 0, 2), 0.5), F.pad(x, (1, -1, 0, 2), value=0.5))
    assert lucid.equal(lucid.native_channel_shuffle(x, 2), F.channel_shuffle(x, 2))


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_modes_are_numbers(mode, padding):
    x, grid = lucid.randn(1, 2, 4, 5), lucid.rand(1, 3, 3, 2) * 3 - 1.5
    names = ("bilinear", "nearest", "bicubic")[mode], ("zeros", "border", "reflection")[padding]
    wanted = F.grid_sample(x, grid, *names, align_corners=True)
    for call in (lucid.grid_sampler, lucid.grid_sampler_2d):
        assert lucid.equal(call(x, grid, mode, padding, True), wanted)


def test_volumes_and_grids():
    theta = lucid.randn(1, 3, 4)
    grid = lucid.affine_grid_generator(theta, (1, 2, 3, 4, 5), False)
    assert lucid.equal(grid, F.affine_grid(theta, (1, 2, 3, 4, 5), False))
    x = lucid.randn(1, 2, 3, 4, 5)
    assert lucid.equal(lucid.grid_sampler_3d(x, grid, 0, 0, False), F.grid_sample(x, grid, align_corners=False))


def test_norms_give_their_statistics():
    x, w, b = lucid.randn(2, 4, 3), lucid.randn(4), lucid.randn(4)
    out, mean, deviation = lucid.native_group_norm(x, w, b, 2, 4, 3, 2, 1e-5)
    assert lucid.equal(out, F.group_norm(x, 2, w, b))
    rows = x.reshape(2, 2, 6)
    assert lucid.allclose(mean, rows.mean(2), atol=1e-6)
    assert lucid.allclose(deviation, (rows.var(2, correction=0) + 1e-5).rsqrt())
    w, b = lucid.randn(4, 3), lucid.randn(4, 3)
    out, mean, deviation = lucid.native_layer_norm(x, (4, 3), w, b, 1e-5)
    assert lucid.equal(out, F.layer_norm(x, (4, 3), w, b))
    assert lucid.allclose(mean, x.mean((1, 2), keepdim=True), atol=1e-6)
    assert lucid.allclose(deviation, (x.var((1, 2), correction=0, keepdim=True) + 1e-5).rsqrt())


def test_the_gradient_of_pooling():
    x = lucid.randn(2, 3, 6, 5, requires_grad=True)
    y, at = F.max_pool2d(x, 3, 1, return_indices=True)
    sent = lucid.randn(*y.shape)
    y.backward(sent)
    found = lucid.max_pool2d_with_indices_backward(sent, x, 3, 1, 0, 1, False, at)
    assert lucid.allclose(found, x.grad, atol=1e-5)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda: lucid.grid_sampler(lucid.ones(1, 1, 2, 2), lucid.ones(1, 1, 1, 2), 3, 0, True),
            RuntimeError,
            "grid_sampler: interpolation_mode must be 0, 1 or 2, got 3",
        ),
        (
            lambda: lucid.max_pool2d_with_indices_backward(
                lucid.ones(1, 1, 1), lucid.ones(1, 2, 2), 2, 2, 0, 1, False, lucid.tensor([[[4]]])
            ),
            IndexError,
            "max_pool2d_with_indices_backward",
        ),
        (
            lambda: lucid.max_pool2d_with_indices_backward(
                lucid.ones(1, 1, 1), lucid.ones(2, 2, 2), 2, 2, 0, 1, False, lucid.tensor([[[3]]])
            ),
            RuntimeError,
            "must have one shape that fits input",
        ),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()

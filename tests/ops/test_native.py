"""The lower-level names equal the usual ones."""

import math

import pytest

import lucid
from lucid.nn import functional as F


def test_padding_and_shuffling():
    x = lucid.randn(2, 4, 3)
    assert lucid.equal(lucid.constant_pad_nd(x, (1, -1, 0, 2), 0.5), F.pad(x, (1, -1, 0, 2), value=0.5))
    assert lucid.equal(lucid.native_channel_shuffle(x, 2), F.channel_shuffle(x, 2))


def test_batch_norm_with_the_statistics_of_the_batch():
    x, mean, var = lucid.randn(5, 3, 4), lucid.zeros(3), lucid.ones(3)
    out, center, deviation = lucid.native_batch_norm(x, lucid.ones(3), None, mean, var, True, 0.1, 1e-5)
    assert lucid.equal(out, F.batch_norm(x, None, None, lucid.ones(3), training=True))
    assert lucid.allclose(center, x.mean((0, 2))) and not center.requires_grad
    assert lucid.allclose(deviation, (x.var((0, 2), correction=0) + 1e-5).rsqrt())
    assert lucid.allclose(mean, 0.1 * center)
    out, *empty = lucid.native_batch_norm(x, None, None, mean, var, False, 0.1, 1e-5)
    assert lucid.equal(out, F.batch_norm(x, mean, var)) and [one.shape for one in empty] == [(0,), (0,)]


def test_softmax_of_nothing_is_zero():
    x = lucid.tensor([[-math.inf, -math.inf], [-math.inf, 0.0], [1.0, 1.0]], requires_grad=True)
    y = lucid._safe_softmax(x, 1)
    assert y.tolist() == [[0, 0], [0, 1], [0.5, 0.5]]
    y[:, 0].sum().backward()
    assert x.grad.tolist() == [[0, 0], [0, 0], [0.25, -0.25]]
    assert lucid._safe_softmax(lucid.tensor(2.0), 0).item() == 1


POOLS = ["max_pool1d", "max_pool2d", "max_pool3d"]


@pytest.mark.parametrize("name", [*POOLS, *(f"adaptive_{one}" for one in POOLS)])
def test_pools_with_indices(name):
    x = lucid.randn(2, 3, *(4,) * int(name[-2]))
    plain, both = getattr(F, name), getattr(F, f"{name}_with_indices")
    for found in (both(x, 2), both(x, 2, return_indices=False)):
        assert all(lucid.equal(a, b) for a, b in zip(found, plain(x, 2, return_indices=True), strict=True))


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

"""Random operations scale what they keep, preserve the mean, and draw the same numbers in backward."""

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid.nn import functional as F
from lucid.ops import stochastic
from tests.ops.layouts import same_in_both

KEY = mx.random.key(3)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_zeroes_a_fraction_and_keeps_the_mean(rate):
    y = stochastic.dropout(lucid.ones(100, 997), rate, KEY).numpy()
    assert np.unique(y).tolist() == pytest.approx([0, 1 / (1 - rate)])
    spread = np.sqrt(rate / (1 - rate) / y.size)  # of the mean of y
    assert abs(y.mean() - 1) < 5 * spread


@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_drop_path_zeroes_whole_samples_and_keeps_the_mean(rate):
    y = stochastic.drop_path(lucid.ones(20011, 2, 3), rate, KEY).numpy()
    assert (y == y[:, :1, :1]).all()
    assert np.unique(y).tolist() == pytest.approx([0, 1 / (1 - rate)])
    assert abs(y.mean() - 1) < 5 * np.sqrt(rate / (1 - rate) / len(y))


def test_drop_path_without_scaling():
    y = stochastic.drop_path(lucid.ones(1009, 1), 0.5, KEY, False).numpy()
    assert np.unique(y).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("data_format", "shape", "space"),
    [
        ("channels_first", (31, 33, 4, 5), (2, 3)),
        ("channels_last", (31, 4, 5, 33), (1, 2)),
        ("channels_first", (31, 33, 20), (2,)),
        ("channels_last", (31, 20, 33), (1,)),
    ],
)
def test_dropout2d_zeroes_whole_channels_and_keeps_the_mean(data_format, shape, space):
    y = stochastic.dropout_channels(lucid.ones(shape), 0.3, KEY, data_format).numpy()
    assert (y == y.max(space, keepdims=True)).all()
    assert np.unique(y).tolist() == pytest.approx([0, 1 / 0.7])
    assert abs(y.mean() - 1) < 5 * np.sqrt(0.3 / 0.7 / (y.size / 20))


@pytest.mark.parametrize(
    "op",
    [
        lambda x: F.dropout(x, 0.4),
        lambda x: F.drop_path(x, 0.4, training=True),
        lambda x: F.dropout2d(x, 0.4),
    ],
)
def test_the_gradient_has_the_mask_of_the_output(op):
    x = lucid.tensor(np.random.default_rng(0).uniform(1, 2, (23, 3, 2, 2)), requires_grad=True)
    y = op(x)
    cotangent = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    y.backward(cotangent, retain_graph=True)
    factor = y.detach().numpy() / x.detach().numpy()
    assert 0 in factor and factor.max() == pytest.approx(1 / 0.6)
    np.testing.assert_allclose(x.grad.numpy(), cotangent * factor, rtol=1e-5)
    first, x.grad = x.grad, None
    y.backward(cotangent)  # through the same graph: the same mask again
    assert x.grad.tolist() == first.tolist()


def test_dropout2d_of_three_dimensions_zeroes_rows_with_a_warning():
    """As in PyTorch, which may take them as (C, H, W) one day."""
    x = lucid.ones(31, 7, 5)
    for image, data_format in ((x, "channels_first"), (x.transpose(1, 2), "channels_last")):
        with pytest.warns(UserWarning, match=r"dropout2d: an input of 3 dimensions is taken as \(N, C, L\)"):
            y = F.dropout2d(image, 0.5, data_format=data_format)
        y = (y if data_format == "channels_first" else y.transpose(1, 2)).numpy()
        assert (y == y[:, :, :1]).all() and not (y == y[:1]).all() and not (y == y[:, :1]).all()


@pytest.mark.parametrize(
    "op",
    [F.dropout, lambda x: F.drop_path(x, 0.5, training=True), F.dropout2d],
)
def test_every_call_draws_new_numbers_and_a_seed_repeats_them(op):
    x = lucid.ones(64, 8, 1, 1)
    lucid.manual_seed(1)
    first, second = op(x).tolist(), op(x).tolist()
    assert first != second
    lucid.manual_seed(1)
    assert [op(x).tolist(), op(x).tolist()] == [first, second]


@pytest.mark.parametrize(
    "op",
    [
        lambda x: F.dropout(x, 0.5, training=False),
        lambda x: F.dropout2d(x, 0.5, training=False),
        lambda x: F.drop_path(x, 0.5),
        lambda x: F.dropout(x, 0.0),
        lambda x: F.dropout2d(x, 0.0),
        lambda x: F.drop_path(x, 0.0, training=True),
    ],
)
def test_rate_0_is_the_identity_and_draws_nothing(op):
    x = lucid.randn(3, 2, 2, 2, requires_grad=True)
    state = lucid.random.get_state().tolist()
    y = op(x)
    assert y.tolist() == x.tolist() and lucid.random.get_state().tolist() == state
    y.sum().backward()
    assert x.grad.tolist() == lucid.ones(3, 2, 2, 2).tolist()


@pytest.mark.parametrize(
    "op",
    [lambda x: F.dropout(x, 1.0), lambda x: F.dropout2d(x, 1.0), lambda x: F.drop_path(x, 1.0, training=True)],
)
def test_rate_1_gives_zeros(op):
    x = lucid.randn(3, 2, 2, 2, requires_grad=True)
    y = op(x)
    y.sum().backward()
    assert y.tolist() == x.grad.tolist() == lucid.zeros(3, 2, 2, 2).tolist()


@pytest.mark.parametrize("dtype", [lucid.float16, lucid.bfloat16])
def test_half_precision_is_kept(dtype):
    x = lucid.ones(7, 3, 2, 2, dtype=dtype)
    assert F.dropout(x).dtype == F.dropout2d(x).dtype == F.drop_path(x, 0.5, True).dtype == dtype


def test_empty_inputs_are_accepted():
    for shape in ((0, 3), (3, 0)):
        assert F.dropout(lucid.ones(shape)).shape == F.drop_path(lucid.ones(shape), 0.5, True).shape == shape


def test_dropout2d_agrees_in_both_layouts_at_rate_0():
    same_in_both(lambda x, data_format: F.dropout2d(x, training=False, data_format=data_format), (2, 3, 4, 5))


def test_second_derivatives_have_the_mask_too():
    x = lucid.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    y = F.dropout(x, 0.5)
    (g,) = lucid.autograd.grad((y * y).sum(), [x], create_graph=True)
    (h,) = lucid.autograd.grad(g.sum(), [x])
    factor = y.detach().numpy() / x.detach().numpy()
    np.testing.assert_allclose(h.numpy(), 2 * factor**2)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda x: F.dropout(x, 1.5), ValueError, "dropout: p must be at least 0 and at most 1, got 1.5"),
        (lambda x: F.dropout(x, -0.1, training=False), ValueError, "dropout: p must be at least 0 and at most 1"),
        (lambda x: F.dropout(x, "a"), TypeError, "dropout: p must be a number, got 'a'"),
        (lambda x: F.dropout2d(x, 2.0), ValueError, "dropout2d: p must be at least 0"),
        (
            lambda x: F.dropout2d(x),
            ValueError,
            r"dropout2d: input must have 3 or 4 dimensions \(N, C, H, W\), got \(2, 3\)",
        ),
        (
            lambda x: F.dropout2d(x[None], data_format="NHWC"),
            ValueError,
            "dropout2d: data_format must be 'channels_first' or 'channels_last', got 'NHWC'",
        ),
        (lambda x: F.drop_path(x, -1), ValueError, "drop_path: drop_prob must be at least 0 and at most 1, got -1"),
        (
            lambda x: F.drop_path(x.sum(), 0.5, True),
            ValueError,
            r"drop_path: input must be \(N, ...\), got a 0-d tensor",
        ),
        (lambda x: F.dropout(None), TypeError, "dropout: input must be a tensor.*got NoneType"),
        (lambda x: F.dropout(x.long()), TypeError, "dropout: input must hold floating-point numbers, got int64"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(lucid.ones(2, 3))

"""Dropout layers are active in training and the identity in evaluation. The masks are tested in tests/ops."""

import numpy as np
import pytest

import lucid
from lucid import nn

LAYERS = [lambda: nn.Dropout(0.4), lambda: nn.Dropout2d(0.4), lambda: nn.DropPath(0.4), lambda: nn.Dropout3d(0.4)]


@pytest.mark.parametrize("build", LAYERS)
def test_active_only_in_training(build):
    layer, x = build(), lucid.ones(64, 9, 2, 2)
    y = layer(x).numpy()
    assert np.unique(y).tolist() == pytest.approx([0, 1 / 0.6]) and (layer(x).numpy() != y).any()
    assert layer.eval()(x).tolist() == x.tolist()


def test_what_is_dropped_together():
    x = lucid.ones(64, 9, 2, 2)
    images = nn.Dropout2d(0.5)(x).numpy()
    assert (images == images[:, :, :1, :1]).all() and not (images == images[:, :1]).all()
    last = nn.Dropout2d(0.5, data_format="channels_last")(x.permute(0, 2, 3, 1)).numpy()
    assert (last == last[:, :1, :1]).all()
    samples = nn.DropPath(0.5)(x).numpy()
    assert (samples == samples[:, :1, :1, :1]).all()
    assert set(np.unique(nn.DropPath(0.5, scale_by_keep=False)(x).numpy())) == {0, 1}


@pytest.mark.parametrize("p", [0.3, 0.8])
def test_alpha_dropout_keeps_mean_and_variance(p):
    x = lucid.randn(400, 500)
    y = nn.AlphaDropout(p)(x)
    assert abs(y.mean().item()) < 0.02 and abs(y.var().item() - 1) < 0.02
    values, counts = np.unique(y.numpy(), return_counts=True)
    scale = 1 / np.sqrt((1.7580993408473766**2 * p + 1) * (1 - p))
    assert values[counts.argmax()] == pytest.approx(-1.7580993408473766 * scale * (1 - p), rel=1e-5)
    assert abs(counts.max() / y.numel() - p) < 0.01
    assert nn.AlphaDropout(p).eval()(x) is x
    assert nn.AlphaDropout(1.0)(x).abs().max().item() == 0


def test_feature_alpha_dropout_drops_whole_channels():
    y = nn.FeatureAlphaDropout(0.5)(lucid.ones(64, 9, 5)).numpy()
    assert (y == y[:, :, :1]).all() and len(np.unique(y)) == 2


def test_channels_without_a_batch():
    for layer, shape in ((nn.Dropout1d(0.5), (997, 4)), (nn.Dropout3d(0.5), (997, 2, 1, 2))):
        y = layer(lucid.ones(shape)).numpy().reshape(997, 4)
        assert (y == y[:, :1]).all() and set(np.unique(y)) == {0, 2}


def test_drop_path_is_the_identity_by_default():
    x = lucid.ones(3, 2)
    assert nn.DropPath()(x).tolist() == x.tolist()


def test_a_checkpoint_draws_the_same_mask_again():
    layer, x = nn.Dropout(0.5), lucid.ones(257, requires_grad=True)
    y = lucid.utils.checkpoint(layer, x)
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()


@pytest.mark.parametrize("layer", [nn.Dropout, nn.Dropout2d])
def test_inplace_writes_to_the_input(layer):
    x = lucid.ones(4, 9, 2, 2)
    y = layer(0.5, inplace=True)(x)
    assert y is x and set(np.unique(x.numpy())) == {0, 2}
    assert layer(0.5).eval()(x) is x and layer(0.0)(x) is x
    leaf = lucid.ones(1, 2, 3, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"dropout(2d)?: a leaf that requires grad cannot be modified in place"):
        layer(0.5, inplace=True)(leaf)


def test_inplace_is_differentiated():
    x = lucid.ones(257, requires_grad=True)
    y = nn.functional.dropout(x * 3, 0.5, inplace=True)
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()


def test_reprs():
    assert repr(nn.Dropout()) == "Dropout(p=0.5, inplace=False)"
    assert repr(nn.Dropout2d(0.25, inplace=True)) == "Dropout2d(p=0.25, inplace=True)"
    assert (
        repr(nn.Dropout2d(data_format="channels_last"))
        == "Dropout2d(p=0.5, inplace=False, data_format='channels_last')"
    )
    assert repr(nn.DropPath(0.1)) == "DropPath(drop_prob=0.100)"


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: nn.Dropout(1.1), ValueError, "Dropout: p must be at least 0 and at most 1, got 1.1"),
        (lambda: nn.Dropout2d(-1), ValueError, "Dropout2d: p must be at least 0 and at most 1, got -1"),
        (lambda: nn.Dropout(True), TypeError, "Dropout: p must be a number, got True"),
        (lambda: nn.DropPath(2), ValueError, "DropPath: drop_prob must be at least 0 and at most 1, got 2"),
        (lambda: nn.Dropout2d(data_format="x"), ValueError, "Dropout2d: data_format must be 'channels_first' or"),
    ],
)
def test_invalid_rates_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()

"""A stem that starts white."""

import numpy as np
import pytest

import lucid
from lucid import data, nn
from lucid.training import small_images
from lucid.training.whitening import whiten_stem


@pytest.mark.parametrize("out", [20, 12, 5])
def test_outputs_are_uncorrelated_and_of_equal_variance(out):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(200, 3, 16, 16)).cumsum(axis=3).cumsum(axis=2).astype(np.float32)
    conv = nn.Conv2d(3, out, 2, stride=2, bias=False)
    whiten_stem(conv, images)
    y = conv(lucid.tensor(images)).detach().numpy().transpose(0, 2, 3, 1).reshape(-1, out)
    covariance = np.cov(y.T)
    values = np.linalg.eigvalsh(covariance)
    rank = min(out, 12)
    assert values[-rank:] == pytest.approx(np.ones(rank), abs=0.35) and abs(values[:-rank]).max(initial=0) < 1e-3
    if out <= 12:
        others = covariance - np.diag(np.diag(covariance))
        assert abs(others).max() < 0.2


def test_a_trainer_whitens_its_stem():
    train, test = data.Digits(train=True), data.Digits(train=False)
    for stem in ("patch", "overlap"):
        settings = small_images.preset("quick", "digits", whiten_stem=True, stem=stem, patch_size=2, batch_size=32)
        weights = [
            small_images.make_trainer(settings, train, test).model.downsample_layers[0][0].weight.detach().numpy()
            for _ in range(2)
        ]
        assert (weights[0] == weights[1]).all() and weights[0].std() > 0.1

"""Occlusion maps equal a plain loop over windows, and point to the part that decides."""

import numpy as np
import pytest

import lucid
from lucid import explain, nn


class Corner(nn.Module):
    """Class 1 if the upper left quarter is bright, otherwise class 0."""

    def forward(self, x):
        light = x[:, :, : x.shape[2] // 2, : x.shape[3] // 2].mean(dim=(1, 2, 3))
        return lucid.stack([-light, light], dim=1)


def loop(model, images, targets, window, stride, value):
    def probability(pixels):
        logits = model(lucid.tensor(pixels)).numpy().astype(np.float64)
        share = np.exp(logits - logits.max(1, keepdims=True))
        return (share / share.sum(1, keepdims=True))[np.arange(len(pixels)), targets]

    height, width = images.shape[2:]
    total, count = np.zeros((len(images), height, width)), np.zeros((height, width))
    tops = [*range(0, height - window[0], stride[0]), height - window[0]]
    lefts = [*range(0, width - window[1], stride[1]), width - window[1]]
    for top in tops:
        for left in lefts:
            hidden = images.copy()
            hidden[:, :, top : top + window[0], left : left + window[1]] = value
            part = slice(top, top + window[0]), slice(left, left + window[1])
            total[(slice(None), *part)] += (probability(images) - probability(hidden))[:, None, None]
            count[part] += 1
    return total / np.maximum(count, 1)


@pytest.mark.parametrize(
    ("size", "window", "stride", "batch_size"),
    [((16, 16), (2, 2), (1, 1), 64), ((13, 10), (5, 3), (3, 2), 7), ((9, 9), (9, 9), (1, 1), 1), ((8, 6), 1, 4, 3)],
)
def test_it_is_the_loop_over_windows(size, window, stride, batch_size):
    rng = np.random.default_rng(0)
    images = rng.normal(1, 1, (2, 3, *size)).astype(np.float32)
    pairs = [one if isinstance(one, tuple) else (one, one) for one in (window, stride)]
    expected = loop(Corner(), images, [1, 0], *pairs, 0.25)
    found = explain.occlusion(Corner(), images, [1, 0], window=window, stride=stride, value=0.25, batch_size=batch_size)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_the_defaults_show_what_decides():
    images = np.ones((1, 3, 32, 32), np.float32)
    [heat] = explain.occlusion(Corner(), images).numpy()
    np.testing.assert_allclose(heat, loop(Corner(), images, [1], (4, 4), (2, 2), 0.0)[0], atol=1e-6)
    assert heat[:12, :12].min() > 0.001 and abs(heat[20:, 20:]).max() < 1e-6


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"window": 17}, ValueError, "window 17x17 must fit into the images, 16x16 px"),
        ({"window": 0}, ValueError, "window must be at least 1, got 0"),
        ({"stride": (1, 0)}, ValueError, "stride must be at least 1, got"),
        ({"value": "grey"}, TypeError, "value must be a number, got 'grey'"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"target": 2}, ValueError, r"target must be in \[0, 1\] for 2 classes, got 2"),
        ({"model": nn.Identity()}, ValueError, r"the model must return logits \(1, classes\), got \(1, 3, 16, 16\)"),
    ],
)
def test_mistakes_are_reported(change, kind, message):
    arguments = {"model": Corner(), "images": np.zeros((1, 3, 16, 16), np.float32), **change}
    with pytest.raises(kind, match=message) as caught:
        explain.occlusion(**arguments)
    assert str(caught.value).startswith("occlusion: ")


class Lights(nn.Module):
    """The brightness of the upper left quarter, its negative, and that of the whole image."""

    def __init__(self, task):
        super().__init__()
        self.task = task

    def forward(self, x):
        corner = x[:, :, : x.shape[2] // 2, : x.shape[3] // 2].mean(dim=(1, 2, 3))
        return lucid.stack([corner, -corner, x.mean(dim=(1, 2, 3))], dim=1)


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_labels_have_probabilities_of_their_own_and_numbers_none(task):
    images = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    found = explain.occlusion(Lights(task), lucid.tensor(images), [0, 2], window=4, stride=4).numpy()
    expected = np.zeros((2, 8, 8))

    def score(pixels):
        outputs = np.array([pixels[0, :, :4, :4].mean(), pixels[1].mean()], np.float64)
        return 1 / (1 + np.exp(-outputs)) if task == "multilabel" else outputs

    for top in (0, 4):
        for left in (0, 4):
            hidden = images.copy()
            hidden[:, :, top : top + 4, left : left + 4] = 0
            expected[:, top : top + 4, left : left + 4] = (score(images) - score(hidden))[:, None, None]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_one_of_several_numbers_must_be_named():
    with pytest.raises(ValueError, match="the model predicts 3 numbers; target must say which"):
        explain.occlusion(Lights("regression"), lucid.rand(1, 3, 8, 8))

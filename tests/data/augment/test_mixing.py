"""Mixup and cutmix: recorded results of timm for given parameters, and the parameters in distribution."""

import math

import mlx.core as mx
import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid.data import augment
from lucid.data.augment.mixing import beta_quantiles
from tests.reference import augment_cases as cases

RECORDED = cases.load()
KEY = mx.random.key(8)
COUNT = 1 << 16


@pytest.mark.parametrize("lam", [0.3])
def test_mixup_matches_timm(lam):
    images, labels = map(lucid.tensor, cases.mixed())
    out = augment.mix_images(images, lucid.tensor([lam]))
    np.testing.assert_allclose(out.numpy(), RECORDED[f"mixup|{lam}|images"], atol=1e-6)
    targets = augment.soft_targets(labels, 5, 0.1)
    targets = lam * targets + (1 - lam) * targets.flip(0)
    np.testing.assert_allclose(targets.numpy(), RECORDED[f"mixup|{lam}|targets"], atol=1e-6)


@pytest.mark.parametrize("lam", [0.4, 0.9])
def test_cutmix_matches_timm(lam):
    images, _ = cases.mixed()
    size = [int(side * math.sqrt(1 - lam)) for side in (5, 6)]
    middle = (3, 4)  # of the recorded draw
    start = [max(m - s // 2, 0) for m, s in zip(middle, size, strict=True)]
    stop = [min(m + (s + 1) // 2, side) for m, s, side in zip(middle, size, (5, 6), strict=True)]
    corner = [lucid.tensor([one]) for one in start]
    extent = [lucid.tensor([b - a]) for a, b in zip(start, stop, strict=True)]
    out = augment.mix_images(lucid.tensor(images), lucid.ones(1), [*corner, *extent])
    np.testing.assert_allclose(out.numpy(), RECORDED[f"cutmix|{lam}|images"], atol=1e-6)


def test_labels_out_of_range_are_rejected(on_cpu):
    labels = lucid.tensor([1, 5])
    with pytest.raises(IndexError, match="soft_targets: label 5 is out of range for 5 classes"):
        augment.soft_targets(labels, 5)
    with pytest.raises(IndexError, match="mixup: label 5 is out of range for 5 classes"):
        augment.mixup(lucid.zeros(2, 3, 4, 4), labels, 5, key=KEY)
    with lucid.debug(False):
        assert augment.soft_targets(labels, 5).numpy().sum(1).tolist() == [1, 0]


def test_soft_targets_match_timm():
    _, labels = map(lucid.tensor, cases.mixed())
    targets = augment.soft_targets(labels, 5, 0.2)
    np.testing.assert_allclose((0.3 * targets + 0.7 * targets.flip(0)).numpy(), RECORDED["targets|0.3"], atol=1e-6)
    smooth = augment.soft_targets(augment.soft_targets(labels, 5), 5, 0.2)
    np.testing.assert_allclose(smooth.numpy(), targets.numpy(), atol=1e-7)
    np.testing.assert_array_equal(augment.soft_targets(F.one_hot(labels, 5), 5, 0.2).numpy(), smooth.numpy())
    logits = lucid.tensor(np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32))
    smoothed = F.cross_entropy(logits, labels, label_smoothing=0.2).item()
    assert F.cross_entropy(logits, targets).item() == pytest.approx(smoothed, rel=1e-6)


def ramps(n, size):
    """Image i has the constant value i, so a mixed pixel tells the weights of its images."""
    return lucid.tensor(np.broadcast_to(np.arange(n, dtype=np.float32)[:, None, None, None], (n, 2, *size)).copy())


def kept(images):
    """(N, H, W): the weight of image i in each pixel, the rest being image N - 1 - i."""
    n = len(images)
    own, other = np.arange(n), n - 1 - np.arange(n)
    return (images.numpy() - other[:, None, None, None])[:, 0] / (own - other)[:, None, None]


def distance_to_beta(samples, alpha, rng):
    drawn = np.sort(rng.beta(alpha, alpha, 100_000))
    steps = np.searchsorted(drawn, np.sort(samples)) / len(drawn)
    return np.abs(steps - (np.arange(len(samples)) + 0.5) / len(samples)).max()


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_lam_has_the_beta_distribution(alpha):
    n = 2000
    images, targets = augment.mixup(ramps(n, (1, 2)), lucid.arange(n) // (n // 2), 2, alpha, "elem", key=KEY)
    lam = kept(images)
    np.testing.assert_allclose(lam[:, 0, 0], lam[:, 0, 1], atol=1e-3)
    own = targets.numpy()[np.arange(n), np.arange(n) // (n // 2)]
    np.testing.assert_allclose(own, lam[:, 0, 0], atol=2e-3)
    assert distance_to_beta(own, alpha, np.random.default_rng(0)) < 1.95 / math.sqrt(n) + 0.005
    np.testing.assert_allclose(targets.numpy().sum(1), 1, atol=1e-6)


def test_boxes_match_the_distribution_of_timm():
    n, height, width, alpha = 3000, 9, 12, 1.0
    images, targets = augment.cutmix(ramps(n, (height, width)), lucid.arange(n) // (n // 2), 2, alpha, "elem", key=KEY)
    share = kept(images)
    assert ((share < 1e-3) | (share > 1 - 1e-3)).all()
    area = (share < 0.5).mean((1, 2))
    np.testing.assert_allclose(targets.numpy()[np.arange(n), np.arange(n) // (n // 2)], 1 - area, atol=1e-5)
    rng = np.random.default_rng(0)
    expected = np.zeros((n, 3))
    for i in range(n):  # timm's rand_bbox
        ratio = math.sqrt(1 - rng.beta(alpha, alpha))
        sides = []
        for size in (height, width):
            cut, middle = int(size * ratio), rng.integers(0, size)
            sides.append(min(middle + (cut + 1) // 2, size) - max(middle - cut // 2, 0))
        expected[i] = *sides, sides[0] * sides[1] / (height * width)
    rows, columns = (share < 0.5).any(2).sum(1), (share < 0.5).any(1).sum(1)
    empty = (expected[:, :2] == 0).any(1)
    expected[empty] = 0
    for found, column in zip((rows, columns, area), expected.T, strict=True):
        points = np.unique(column)
        distance = np.abs([(found <= p).mean() - (column <= p).mean() for p in points]).max()
        assert distance < 1.95 * math.sqrt(2 / n)


@pytest.mark.parametrize(("prob", "switch_prob"), [(1.0, 0.5), (0.6, 0.25), (1.0, 1.0), (0.0, 0.5)])
def test_mixup_and_cutmix_have_their_probabilities(prob, switch_prob):
    n = 3000
    images, _ = augment.mixup_or_cutmix(
        ramps(n, (8, 8)), lucid.zeros(n).long(), 2, 1.0, 1.0, prob, switch_prob, "elem", key=KEY
    )
    share = kept(images).reshape(n, -1)
    flat = np.ptp(share, axis=1) < 1e-3
    blended = flat & (share[:, 0] < 0.99) & (share[:, 0] > 0.01)
    patched = ~flat
    sigma = lambda p: 4 * math.sqrt(p * (1 - p) / n)  # noqa: E731
    # Some cannot be detected: lam close to 0 or 1 (2 %), boxes of no or all pixels.
    assert abs(blended.mean() - prob * (1 - switch_prob) * 0.98) <= sigma(prob * (1 - switch_prob))
    assert prob * switch_prob * 0.85 - 0.03 <= patched.mean() <= prob * switch_prob + sigma(prob * switch_prob)


@pytest.mark.parametrize("n", [6, 7])
@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
def test_modes_decide_which_images_share_parameters(mode, n):
    labels = lucid.arange(n)
    images, targets = augment.mixup(ramps(n, (2, 2)), labels, n, 1.0, mode, key=KEY)
    own, shares = targets.numpy()[np.arange(n), np.arange(n)], images.numpy()[:, 0, 0, 0]
    lam = np.delete(own, n // 2) if n % 2 else own  # the middle one of an odd batch is mixed with itself
    assert n % 2 == 0 or own[n // 2] == pytest.approx(1)
    distinct = {"batch": 1, "pair": n // 2, "elem": len(lam)}[mode]
    assert len(np.unique(lam.round(5))) == distinct
    if mode == "pair":
        np.testing.assert_allclose(lam, lam[::-1], atol=1e-6)
    np.testing.assert_allclose(shares, own * np.arange(n) + (1 - own) * (n - 1 - np.arange(n)), atol=1e-4)


def test_batches_of_one_image_and_none_are_unchanged():
    one = lucid.randn(1, 3, 4, 4)
    images, targets = augment.mixup_or_cutmix(one, lucid.tensor([2]), 4, label_smoothing=0.0, key=KEY)
    np.testing.assert_allclose(images.numpy(), one.numpy(), atol=1e-6)
    np.testing.assert_allclose(targets.numpy(), [[0, 0, 1, 0]], atol=1e-6)
    images, targets = augment.mixup_or_cutmix(one[:0], lucid.zeros(0).long(), 4, key=KEY)
    assert images.shape == (0, 3, 4, 4) and targets.shape == (0, 4)


def test_half_precision_is_kept():
    images, targets = augment.mixup(lucid.ones(4, 1, 2, 2).half(), lucid.zeros(4).long(), 2, key=KEY)
    assert images.dtype == lucid.float16 and targets.dtype == lucid.float32


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x, y: augment.mixup(x, y, 3, 0, key=KEY), ValueError, "mixup: alpha must be above 0, got 0"),
        (lambda x, y: augment.mixup_or_cutmix(x, y, 3, 0, 0, key=KEY), ValueError, "or cutmix_alpha must be above 0"),
        (lambda x, y: augment.mixup(x, y, 3, mode="half", key=KEY), ValueError, "mode must be 'batch', 'pair' or 'el"),
        (lambda x, y: augment.cutmix(x, y[:2], 3, key=KEY), ValueError, "cutmix: 4 images but 2 labels"),
        (
            lambda x, y: augment.mixup(x.long(), y, 3, key=KEY),
            TypeError,
            "images must be floating point, got int64; ap",
        ),
        (lambda x, y: augment.mixup(x, y, 3, math.inf, key=KEY), ValueError, "mixup_alpha must be .* at most 10000"),
        (
            lambda x, y: augment.mixup(x, y.float(), 3, key=KEY),
            TypeError,
            "mixup: labels must be integers, got float32",
        ),
        (
            lambda x, y: augment.soft_targets(lucid.ones(2, 4), 3),
            ValueError,
            r"labels have shape \(2, 4\), which does not match num_classes 3",
        ),
        (lambda x, y: augment.soft_targets(y, 0), ValueError, "num_classes must be at least 1, got 0"),
    ],
)
def test_invalid_arguments_raise(call, error, message):
    with pytest.raises(error, match=message):
        call(lucid.zeros(4, 1, 2, 2), lucid.zeros(4).long())


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.8, 1.0, 2.0, 7.5, 100.0])
def test_beta_quantiles_have_the_moments_of_the_distribution(alpha):
    x = beta_quantiles(alpha, COUNT)
    assert (np.diff(x) >= 0).all() and x[0] >= 0 and x[-1] <= 1
    np.testing.assert_allclose(x, 1 - x[::-1], atol=1e-12)
    assert x.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=1e-3)
    # The fourth central moment of Beta(a, a): 3 / (16 (2a + 1) (2a + 3)).
    assert ((x - 0.5) ** 4).mean() == pytest.approx(3 / (16 * (2 * alpha + 1) * (2 * alpha + 3)), rel=2e-3)


@pytest.mark.parametrize(
    ("alpha", "distribution"),
    [
        (0.5, lambda x: 2 / math.pi * np.arcsin(np.sqrt(x))),
        (1.0, lambda x: x),
        (2.0, lambda x: x * x * (3 - 2 * x)),
        (3.0, lambda x: x**3 * (10 - 15 * x + 6 * x * x)),
    ],
)
def test_beta_quantiles_match_closed_forms(alpha, distribution):
    expected = (np.arange(COUNT) + 0.5) / COUNT
    assert np.abs(distribution(beta_quantiles(alpha, COUNT)) - expected).max() < 1 / 4096


def test_beta_quantiles_agree_with_numpy():
    drawn = np.sort(np.random.default_rng(0).beta(0.8, 0.8, 200_000))
    steps = np.searchsorted(drawn, beta_quantiles(0.8, 1000)) / len(drawn)
    assert np.abs(steps - (np.arange(1000) + 0.5) / 1000).max() < 0.004

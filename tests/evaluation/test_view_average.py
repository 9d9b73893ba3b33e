"""Test-time augmentation equals a mean over views that NumPy cuts."""

import numpy as np
import pytest

import lucid
from lucid import evaluation, models, nn
from lucid.evaluation.view_average import VIEWS, transform_for


def network(channels=3):
    lucid.manual_seed(3)
    model = models.ConvNeXt(4, (1, 1), (8, 16), in_chans=channels, patch_size=2)
    model.head.weight._rebind(model.head.weight._array * 30)
    return model.eval()


def images(height, width, count=3, channels=3):
    return np.random.default_rng(height).normal(size=(count, channels, height, width)).astype(np.float32)


def shifted_views(x):
    """github.com/KellerJordan/cifar10-airbench, ``infer`` with ``tta_level=2``, as weights and images."""
    n, c, h, w = x.shape
    wide = np.empty((n, c, h + 2, w + 2), x.dtype)
    wide[:, :, 1:-1, 1:-1] = x
    wide[:, :, 0, 1:-1], wide[:, :, -1, 1:-1] = x[:, :, 1], x[:, :, -2]
    wide[:, :, :, 0], wide[:, :, :, -1] = wide[:, :, :, 2], wide[:, :, :, -3]
    for weight, one in ((0.5, x), (0.25, wide[:, :, :h, :w]), (0.25, wide[:, :, 2:, 2:])):
        yield weight / 2, one
        yield weight / 2, one[..., ::-1]


def crops(x):
    """Corners and center, for sides that are multiples of 16."""
    h, w = (side * 7 // 8 for side in x.shape[2:])
    top, left = (x.shape[2] - h) // 2, (x.shape[3] - w) // 2
    yield x[:, :, :h, :w]
    yield x[:, :, :h, -w:]
    yield x[:, :, -h:, :w]
    yield x[:, :, -h:, -w:]
    yield x[:, :, top : top + h, left : left + w]


REFERENCE = {
    "flip": lambda x: [(0.5, x), (0.5, x[..., ::-1])],
    "shift": lambda x: list(shifted_views(x)),
    "five_crop": lambda x: [(0.2, one) for one in crops(x)],
    "ten_crop": lambda x: [(0.1, side) for one in crops(x) for side in (one, one[..., ::-1])],
}


def run(model, x):
    with lucid.no_grad():
        return model(lucid.tensor(np.ascontiguousarray(x))).numpy().astype(np.float64)


@pytest.mark.parametrize("average", ["outputs", "probabilities"])
@pytest.mark.parametrize("views", VIEWS)
def test_the_result_is_the_weighted_mean_over_the_views(views, average):
    model, x = network(), images(32, 48)
    expected = 0
    for weight, view in REFERENCE[views](x):
        logits = run(model, view)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        expected = expected + weight * (logits if average == "outputs" else powers / powers.sum(1, keepdims=True))
    found = run(evaluation.ViewAverage(model, views, average=average), x)
    assert np.ptp(expected, axis=1).min() > 0.01  # the classes differ
    np.testing.assert_allclose(found if average == "outputs" else np.exp(found), expected, rtol=2e-5, atol=2e-5)
    weights = [weight for weight, _ in REFERENCE[views](x)]
    assert sum(weights) == pytest.approx(1) and len(weights) == {"flip": 2, "shift": 6, "five_crop": 5}.get(views, 10)


def test_a_linear_model_sees_each_pixel_with_the_weights_of_airbench():
    """The outputs are the pixels, so that they show the mean of the views themselves."""
    x = images(5, 7, channels=1)
    expected = sum(weight * view.astype(np.float64) for weight, view in shifted_views(x))
    found = run(evaluation.ViewAverage(nn.Flatten(), "shift"), x)
    np.testing.assert_allclose(found, expected.reshape(3, 35), rtol=1e-6, atol=1e-6)


def test_improbable_classes_keep_their_logarithms():
    model = nn.Flatten()
    x = np.float32([[[[0.0, -300.0, -310.0]]]])
    found = run(evaluation.ViewAverage(model, average="probabilities"), x)
    assert found[0, 1] == pytest.approx(-300 - np.log1p(np.exp(-310)), rel=1e-5)
    assert found[0, 0] == pytest.approx(np.log(0.5), rel=1e-4)  # of the image, and of its mirror image


def test_own_views_have_equal_weights():
    model, x = network(), images(16, 16)
    views = [lambda x: x, lambda x: x.flip(-2), lambda x: x * 0.5]
    expected = (run(model, x) + run(model, x[:, :, ::-1]) + run(model, x * np.float32(0.5))) / 3
    np.testing.assert_allclose(run(evaluation.ViewAverage(model, views), x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", [2, 3, 29, 32, 33, 224, 236, 255, 384])
def test_a_crop_of_a_larger_image_has_the_size_of_the_model(side):
    before = models.ImageTransform(side, side + 3, mean=(0.1, 0.2, 0.3))
    after = transform_for("ten_crop", before)
    assert after.resize_size >= max(after.image_size, side + 3) and after.mean == before.mean
    seen = []
    model = nn.Module()
    model.forward = lambda x: seen.append(x.shape) or x.mean(dim=(2, 3))
    run(evaluation.ViewAverage(model, "five_crop"), np.zeros((1, 1, after.image_size, after.image_size), np.float32))
    assert seen == [(1, 1, side, side)] * 5


def test_preprocessing_and_mode_are_those_of_the_model():
    model = network()
    assert evaluation.ViewAverage(model).preprocessing is None
    model.preprocessing = models.ImageTransform(224, 256)
    assert evaluation.ViewAverage(model, "shift").preprocessing is model.preprocessing
    assert evaluation.ViewAverage(model, "five_crop").preprocessing == models.ImageTransform(256, 256)
    assert not evaluation.ViewAverage(model).training and evaluation.ViewAverage(model.train()).training


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"views": "mirror"}, ValueError, "ViewAverage: views must be 'flip', 'shift', 'five_crop' or 'ten_crop', got"),
        ({"model": len}, TypeError, "ViewAverage: model must be a module, got <built-in function len>"),
        ({"views": []}, ValueError, "ViewAverage: expected at least one view"),
        ({"views": [1]}, TypeError, r"ViewAverage: views must be one of .*, or functions, got \[1\]"),
        ({"views": 3}, TypeError, "or functions, got 3"),
        ({"average": "mean"}, ValueError, "ViewAverage: average must be 'outputs' or 'probabilities', got 'mean'"),
    ],
)
def test_wrong_options_raise(options, error, message):
    with pytest.raises(error, match=message):
        evaluation.ViewAverage(**{"model": network(), **options})


@pytest.mark.parametrize("views", VIEWS)
def test_what_is_no_image_raises(views):
    average = evaluation.ViewAverage(nn.Flatten(), views)
    with pytest.raises(ValueError, match=r"ViewAverage: the images must .*\(N, C, H, W\)"):
        average(lucid.zeros(2, 20))
    if views == "flip":
        return
    with pytest.raises(ValueError, match=rf"ViewAverage: images must be at least 2x2 px for {views}, got 1x5"):
        average(lucid.zeros(2, 3, 1, 5))

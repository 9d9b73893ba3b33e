import numpy as np
import pytest

import lucid
from lucid.data import augment
from lucid.data import transforms as T

MEAN, STD = (0.1, 0.5, 0.9), (0.5, 1.0, 2.0)


def test_normalize_is_that_of_the_numpy_transforms():
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 6)).astype(np.uint8)
    wanted = T.Compose([T.ToFloat(), T.Normalize(MEAN, STD)])(images)
    out = augment.normalize(lucid.tensor(images), MEAN, STD)
    assert out.dtype == lucid.float32
    np.testing.assert_allclose(out.numpy(), wanted, atol=2e-6)
    floats = lucid.tensor(T.ToFloat()(images))
    np.testing.assert_allclose(augment.normalize(floats, MEAN, STD).numpy(), wanted, atol=2e-6)
    sixteenth = augment.normalize(lucid.tensor(images // 16), MEAN, STD, 16).numpy()
    np.testing.assert_allclose(sixteenth, T.Compose([T.ToFloat(16), T.Normalize(MEAN, STD)])(images // 16), atol=2e-6)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([0.5], [0.5], "images have 3 channels but mean has 1"),
        ([0.5] * 3, [0.5], "mean has 3 channels but std has 1"),
        ([0.5] * 3, [0.5, 0.5, 0.0], "std must be above 0, got 0"),
    ],
)
def test_wrong_statistics_are_refused(mean, std, message):
    with pytest.raises(ValueError, match=f"normalize: {message}"):
        augment.normalize(lucid.zeros(1, 3, 2, 2), mean, std)


def test_what_is_no_statistic_is_refused():
    with pytest.raises(TypeError, match="Normalize: mean must have a number for each channel, got 0.5"):
        augment.Normalize(0.5, 0.5)
    with pytest.raises(ValueError, match="Normalize: mean must be a number, got nan"):
        augment.Normalize([float("nan")], [1])
    with pytest.raises(ValueError, match="normalize: max_value must be above 0, got 0"):
        augment.normalize(lucid.zeros(1, 1, 2, 2), [0], [1], 0)

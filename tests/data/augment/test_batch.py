"""The random draws and checks that augmentations share."""

import mlx.core as mx
import numpy as np
import pytest

from lucid.data.augment import _batch

KEY = mx.random.key(9)


def test_integers_are_uniform_in_each_row():
    rows = np.array(_batch.draw_integers(KEY, 20_000, 7, 1, 1 << 16))
    counts = np.bincount(rows[0], minlength=7)
    assert (
        len(counts) == 7 and ((counts - 20_000 / 7) ** 2 / (20_000 / 7)).sum() < 22.5
    )  # 6 degrees of freedom, p = 0.001
    assert (rows[1] == 0).all()
    assert rows[2].min() >= 0 and rows[2].max() < 1 << 16 and abs(rows[2].mean() / (1 << 15) - 1) < 0.02
    assert abs(np.corrcoef(rows[0], rows[2])[0, 1]) < 0.03
    assert _batch.draw_integers(KEY, 0, 3, 4).shape == (2, 0)


def test_normal_numbers_have_the_moments_of_their_distribution():
    x = _batch.normal_quantiles()
    assert len(x) == _batch.STEPS and (np.diff(x) > 0).all()
    assert abs(x.mean()) < 1e-9 and abs(x.std() - 1) < 1e-4 and abs((x**4).mean() - 3) < 0.01
    drawn = _batch.draw_normals(KEY, (50, 40, 10), mx.float16)
    assert drawn.dtype == mx.float16 and drawn.shape == (50, 40, 10)
    values = np.array(drawn.astype(mx.float32))
    assert abs(values.mean()) < 0.03 and abs(values.std() - 1) < 0.03


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_bernoulli_tables_are_true_with_probability_p(p):
    assert np.array(_batch.bernoulli_table(p)).mean() == pytest.approx(p, abs=1e-5)


def test_split_keys_differ():
    keys = [tuple(one.tolist()) for one in _batch.split_key("f", KEY, 4)]
    assert len(set(keys)) == 4
    for wrong in (3, mx.zeros(3), None):
        with pytest.raises(TypeError, match=r"f: key must be a random key as from lucid.random.key\(\), got"):
            _batch.split_key("f", wrong, 2)


def test_parameters_are_shared_or_one_per_image():
    assert _batch.per_image("f", "top", 3, 5).tolist() == [3]
    assert _batch.per_image("f", "top", [3, 4], 2).tolist() == [3, 4]
    with pytest.raises(ValueError, match=r"f: top must be a number or one per image \(3\), got shape \(2,\)"):
        _batch.per_image("f", "top", [3, 4], 3)

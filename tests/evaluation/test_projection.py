"""Principal components equal scikit-learn's; pictures show what they should."""

import io

import numpy as np
import pytest

from lucid import evaluation
from tests.evaluation.test_neighbors import clusters


@pytest.mark.parametrize("shape", [(40, 7), (5, 30), (3, 1), (1, 1)])
def test_components_are_those_of_scikit_learn(shape):
    decomposition = pytest.importorskip("sklearn.decomposition", reason="compared with scikit-learn")
    rows = np.random.default_rng(0).normal(size=shape) * np.arange(1, shape[1] + 1)
    count = min(2, min(shape))
    found = evaluation.pca(rows, count)
    assert found.points.shape == (shape[0], count)
    if shape[0] == 1:  # scikit-learn refuses it
        assert not found.points.any() and not found.share.any()
        return
    reference = decomposition.PCA(count, svd_solver="full").fit(rows)
    np.testing.assert_allclose(np.abs(found.points), np.abs(reference.transform(rows)), atol=1e-9)
    np.testing.assert_allclose(found.share, reference.explained_variance_ratio_, atol=1e-12)


def test_signs_do_not_depend_on_the_order_of_samples():
    rows, _ = clusters(50)
    order = np.random.default_rng(1).permutation(50)
    np.testing.assert_allclose(evaluation.pca(rows).points[order], evaluation.pca(rows[order]).points, atol=1e-5)


def test_too_many_components_are_refused():
    with pytest.raises(ValueError, match=r"components must be at most 2 for \(2, 9\), got 3"):
        evaluation.pca(np.ones((2, 9)), 3)


@pytest.mark.parametrize("value", [0.1, 1e-40, 7e30])
def test_equal_rows_have_no_variance(value):
    points, share = evaluation.pca(np.full((6, 3), value))
    assert not points.any() and not share.any()


def test_tsne_keeps_clusters_together():
    pytest.importorskip("sklearn", reason="t-SNE is scikit-learn's")
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 20)
    rows = rng.normal(size=(40, 6)) + 30 * labels[:, None]
    points = evaluation.tsne(rows, perplexity=5)
    assert points.shape == (40, 2)
    np.testing.assert_array_equal(points, evaluation.tsne(rows, perplexity=5))
    middles = [points[labels == label].mean(0) for label in (0, 1)]
    spread = max(np.linalg.norm(points[labels == label] - middles[label], axis=1).max() for label in (0, 1))
    assert np.linalg.norm(middles[0] - middles[1]) > spread
    with pytest.raises(ValueError, match="4 samples or more, got 3"):
        evaluation.tsne(rows[:3])
    for seed in (-1, 2**32):
        with pytest.raises(ValueError, match=f"seed must be at .*, got {seed}"):
            evaluation.tsne(rows, seed=seed)


def test_tsne_of_equal_and_of_very_large_features():
    """scikit-learn's ends the process for the first, whose spread is 0, and for squares above float32's range."""
    pytest.importorskip("sklearn", reason="t-SNE is scikit-learn's")
    np.testing.assert_array_equal(evaluation.tsne(np.full((6, 3), 0.1)), np.zeros((6, 2)))
    rows = np.random.default_rng(0).normal(size=(12, 4))
    np.testing.assert_allclose(evaluation.tsne(rows * 2.0**100), evaluation.tsne(rows), rtol=1e-3, atol=1e-3)


def test_the_scatter_plot_has_a_color_for_each_class():
    pytest.importorskip("matplotlib", reason="drawn with matplotlib")
    image = pytest.importorskip("PIL.Image", reason="read with Pillow")
    points = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    for labels, classes in ((None, ()), ([0, 1, 1], ["кот", "狗"]), ([0, 30, 2], ())):
        picture = image.open(io.BytesIO(evaluation.scatter_plot(points, labels, classes, "title")))
        assert picture.size == (880, 660)
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
        colored = pixels[np.ptp(pixels, axis=1) > 60]
        assert len(np.unique(colored // 64, axis=0)) >= (1 if labels is None else 2)
    with pytest.raises(ValueError, match=r"points must be \(N, 2\), got \(3, 3\)"):
        evaluation.scatter_plot(np.eye(3))


@pytest.mark.parametrize("name", ["_cats", "$x$", r"$\bad$", "a\nb", "x" * 300])
def test_the_legend_shows_names_as_they_are(name, monkeypatch):
    """Not as formulas, and not without those that start with an underscore."""
    text = pytest.importorskip("matplotlib.text", reason="drawn with matplotlib")
    drawn, draw = [], text.Text.draw

    def noted(self, renderer):
        drawn.append((self.get_text(), self.get_parse_math()))
        draw(self, renderer)

    monkeypatch.setattr(text.Text, "draw", noted)
    evaluation.scatter_plot(np.eye(2), [0, 1], [name, "dogs"], title=name)
    want = {"a\nb": "a b"}.get(name, name if len(name) < 33 else "x" * 31 + "…")
    assert {(want, False), ("dogs", False), (name, False)} <= set(drawn)


def test_the_sheet_shows_neighbors_with_frames():
    pytest.importorskip("matplotlib", reason="names are drawn with matplotlib's font")
    image = pytest.importorskip("PIL.Image", reason="drawn with Pillow")
    colors = [(200, 30, 30), (30, 30, 200), (90, 90, 90)]
    shown = []

    def read(number):
        shown.append(number)
        picture = image.new("RGB", (40, 20 + 40 * number), colors[number])
        return picture if number else np.asarray(picture)

    names = ["a", "b" * 80 + ".jpg", "c"]
    sheet = evaluation.neighbor_sheet(
        read, [0, 2], [[1, 2], [0, 1]], [[0.9, 0.5], [0.1, 0.0]], names=names, labels=[0, 1, 0]
    )
    assert shown == [0, 1, 2, 2, 0, 1] and sheet.size == (3 * 138 + 20, 2 * 174 + 10)
    pixels = np.asarray(sheet)
    row = [tuple(pixels[10 + 64, 10 + 138 * column + 10 * bool(column) + 64]) for column in range(3)]
    assert row == colors
    frames = [tuple(pixels[10 + 64, 10 + 138 * column + 10 - 1]) for column in (1, 2)]
    assert frames == [(217, 84, 30), (47, 143, 91)]
    with pytest.raises(ValueError, match=r"indices and similarities must be \(1, k\), got \(2, 1\)"):
        evaluation.neighbor_sheet(read, [0], [[1], [1]], [[1.0], [1.0]])

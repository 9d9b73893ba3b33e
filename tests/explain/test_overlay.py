"""Overlays: the image where there is no heat, colors where there is."""

import numpy as np
import pytest

import lucid
from lucid import explain

Image = pytest.importorskip("PIL.Image", reason="overlays are Pillow images")


def test_cold_places_show_the_image_and_hot_ones_the_color():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    heat = np.zeros((4, 6), np.float32)
    heat[:, 4:], heat[:, :2] = 8.0, -3.0
    found = np.asarray(explain.overlay(image, heat, opacity=1.0))
    np.testing.assert_array_equal(found[:, :30], image[:, :30])
    np.testing.assert_array_equal(found[:, 45:], np.broadcast_to((252, 250, 140), (40, 15, 3)))
    half = np.asarray(explain.overlay(image, heat, opacity=0.5))[:, 45:].astype(float)
    assert abs(half - (image[:, 45:] + np.array([252.0, 250, 140])) / 2).max() <= 0.5


@pytest.mark.parametrize("kind", ["pillow", "grayscale", "tensor"])
def test_what_it_takes(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7), np.uint8)
    image = Image.fromarray(pixels) if kind == "pillow" else pixels
    heat = lucid.zeros(3, 3) if kind == "tensor" else np.zeros((3, 3))
    found = explain.overlay(image, heat)
    assert found.mode == "RGB" and found.size == (7, 9)
    np.testing.assert_array_equal(np.asarray(found), np.repeat(pixels[..., None], 3, axis=2))


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"heat": np.zeros((1, 4, 4))}, ValueError, r"heat must have 2 dimensions \(h, w\), got \(1, 4, 4\)"),
        ({"heat": np.full((4, 4), np.nan)}, ValueError, r"heat must have finite values, got shape \(4, 4\)"),
        ({"heat": np.zeros((0, 4))}, ValueError, r"got shape \(0, 4\)"),
        ({"image": np.zeros((8, 8, 3))}, TypeError, r"uint8 array \(H, W, 3\) or \(H, W\), got float64 \(8, 8, 3\)"),
        ({"image": np.zeros((3, 8, 8), np.uint8)}, TypeError, r"got uint8 \(3, 8, 8\)"),
        ({"opacity": 1.5}, ValueError, "opacity must be at least 0 and at most 1, got 1.5"),
    ],
)
def test_mistakes_are_reported(change, kind, message):
    arguments = {"image": np.zeros((8, 8, 3), np.uint8), "heat": np.zeros((4, 4)), **change}
    with pytest.raises(kind, match=message) as caught:
        explain.overlay(**arguments)
    assert str(caught.value).startswith("overlay: ")

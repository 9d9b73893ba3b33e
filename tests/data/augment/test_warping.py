"""Affine transforms. test_operations compares them with Pillow."""

import numpy as np
import pytest

import lucid
from lucid.data import augment
from tests.reference import augment_cases as cases

IDENTITY = [1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (1, 1, 2, 7), (3, 2, 5, 4), (0, 3, 4, 4)])
def test_the_identity_matrix_changes_nothing(interpolation, shape):
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    matrix = np.tile(np.array(IDENTITY, np.float32), (len(images), 1)).reshape(-1, 6)
    np.testing.assert_array_equal(augment.affine(lucid.tensor(images), matrix, interpolation).numpy(), images)


def test_every_image_has_its_own_matrix_and_fill_covers_the_rest():
    images = cases.images(3)[:3]
    matrix = np.array([IDENTITY, [1, 0, 2, 0, 1, -1], [-1, 0, 13, 0, 1, 0]], np.float32)
    out = augment.affine(lucid.tensor(images), lucid.tensor(matrix), "nearest", [7, 8, 9]).numpy()
    np.testing.assert_array_equal(out[0], images[0])
    np.testing.assert_array_equal(out[1, :, 1:, :-2], images[1, :, :-1, 2:])
    assert (out[1, :, 0] == np.array([[7], [8], [9]])).all() and (out[1, 0, :, -2:] == 7).all()
    np.testing.assert_array_equal(out[2], images[2, :, :, ::-1])


def test_a_shift_by_half_a_pixel_averages_neighbors():
    row = np.array([10, 20, 40, 80], np.uint8).reshape(1, 1, 1, 4)
    out = augment.affine(lucid.tensor(row), np.array([[1, 0, 0.5, 0, 1, 0]], np.float32), "bilinear", 5).numpy()
    assert out.ravel().tolist() == [
        15,
        30,
        60,
        5,
    ]  # the center of the last pixel is on the edge, which counts as outside


def test_host_and_device_matrices_read_the_same_pixels():
    images = lucid.tensor(cases.images(3))
    matrix = np.random.default_rng(1).uniform(-0.4, 0.4, (5, 6)) + IDENTITY
    host = augment.affine(images, matrix).numpy()
    np.testing.assert_array_equal(host, augment.affine(images, lucid.tensor(matrix)).numpy())
    whole = [IDENTITY, [1, 0, 1, 0, 1, 0], IDENTITY, IDENTITY, IDENTITY]
    for one in (whole, lucid.tensor(whole)):  # of integers
        out = augment.affine(images, one).numpy()
        np.testing.assert_array_equal(out[0], images.numpy()[0])
        np.testing.assert_array_equal(out[1, :, :, :-1], images.numpy()[1, :, :, 1:])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x, m: augment.affine(x, m, "cubic"), ValueError, "interpolation must be 'nearest' or 'bilinear'"),
        (lambda x, m: augment.affine(x, m[:, :4]), ValueError, r"matrix must have shape \(2, 6\), got \(2, 4\)"),
        (lambda x, m: augment.affine(x, m * 1e6), ValueError, "matrix must have absolute values below 32768"),
        (lambda x, m: augment.affine(x, m * np.nan), ValueError, "matrix must have absolute values below 32768"),
        (lambda x, m: augment.affine(x.float(), m), TypeError, "images must be uint8, got float32"),
    ],
)
def test_invalid_arguments_raise(call, error, message):
    with pytest.raises(error, match=f"affine: .*{message}"):
        call(lucid.zeros(2, 1, 3, 3, dtype=lucid.uint8), np.tile(np.array(IDENTITY, np.float32), (2, 1)))

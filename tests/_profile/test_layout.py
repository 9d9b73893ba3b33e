"""Layouts against those of NumPy, which has the same notion of views."""

import numpy as np
import pytest

from lucid._profile import layout

SHAPES = [(4, 6), (2, 3, 4), (1, 5), (5, 1), (7,), (1,), ()]


def of(array):
    return layout.Layout(array.shape, tuple(s // array.itemsize for s in array.strides), 0, array.size)


@pytest.mark.parametrize("shape", SHAPES)
def test_dense(shape):
    found = layout.dense(shape, 3)
    expected = np.zeros(shape)
    assert found.strides == tuple(s // 8 for s in expected.strides)
    assert (found.is_row_contiguous, found.is_contiguous, found.buffer) == (True, True, 3)
    assert found.distinct == found.size == expected.size


def test_transposed():
    found = layout.transposed(layout.dense((2, 3, 4), 0), (2, 0, 1))
    assert found.shape == (4, 2, 3)
    assert found.strides == (1, 12, 4)
    assert found.is_contiguous
    assert not found.is_row_contiguous
    assert not found.is_column_contiguous
    assert layout.transposed(layout.dense((3, 4), 0), (1, 0)).is_column_contiguous


def test_broadcast_arrays_are_read_once():
    found = layout.broadcast(layout.dense((3, 1), 0), (5, 3, 4))
    assert found.strides == (0, 1, 0)
    assert found.distinct == 3
    assert not found.is_row_contiguous


def test_slices():
    found = layout.sliced(layout.dense((4, 6), 0), (2, 6), (2, 1))
    assert (found.strides, found.distinct) == ((12, 1), 12)
    assert not found.is_contiguous
    assert layout.sliced(layout.dense((4, 6), 0), (2, 6), (1, 1)).is_row_contiguous


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.zeros((4, 6)), (2, 12)),
        (np.zeros((4, 6)).T, (6, 2, 2)),
        (np.zeros((4, 6)).T, (24,)),
        (np.zeros((2, 3, 4)).transpose(1, 2, 0), (12, 2)),
        (np.zeros((2, 3, 4)).transpose(1, 0, 2), (3, 8)),
        (np.zeros((2, 3, 4)).transpose(1, 0, 2), (3, 2, 2, 2)),
        (np.zeros((1, 5)).T, (5,)),
    ],
)
def test_reshaping_copies_where_numpy_does(array, shape):
    found = layout.reshaped(of(array), shape)
    assert (found is not None) == np.shares_memory(array, array.reshape(shape))
    if found is not None:
        for n, stride, expected in zip(shape, found.strides, array.reshape(shape).strides, strict=True):
            assert n == 1 or stride == expected // 8


def test_elementwise_results():
    row = layout.dense((4, 6), 0)
    column = layout.transposed(layout.dense((6, 4), 1), (1, 0))
    scalar = layout.broadcast(layout.dense((), 2), (4, 6))
    assert layout.elementwise([column], (4, 6), 3).strides == column.strides
    assert layout.elementwise([column, column], (4, 6), 3).strides == column.strides
    assert layout.elementwise([column, scalar], (4, 6), 3).strides == column.strides
    assert layout.elementwise([row, column], (4, 6), 3).is_row_contiguous
    assert layout.compiled([column, column], (4, 6), 3).strides == column.strides
    assert layout.compiled([column, layout.dense((6,), 4)], (4, 6), 3).is_row_contiguous
    assert layout.compiled([column, layout.dense((), 4)], (4, 6), 3).strides == column.strides

"""The parts of floating-point numbers agree with PyTorch and NumPy."""

import numpy as np
import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_number_parts"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def test_the_next_number_is_that_of_numpy():
    x = np.array([1, -1, 0, -0.0, 3, 1e-44, 3.4e38, np.inf, np.nan, 2**-126], np.float32)
    for other in (-7.0, 0.0, 7.0, np.inf, np.nan):
        expected = np.nextafter(x, np.float32(other))
        got = lucid.nextafter(lucid.tensor(x), lucid.full((10,), other)).numpy()
        np.testing.assert_array_equal(
            got.view(np.int32)[expected == expected], expected.view(np.int32)[expected == expected]
        )
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))


def test_mantissa_and_exponent_of_the_smallest_numbers():
    x = np.array([2.0**-140, -(2.0**-149), 2.0**-127, 3.4e38], np.float32)
    mantissa, exponent = lucid.frexp(lucid.tensor(x))
    np.testing.assert_array_equal(mantissa.numpy(), np.frexp(x)[0])
    np.testing.assert_array_equal(exponent.numpy(), np.frexp(x)[1])

"""Arithmetic with special cases agrees with PyTorch and NumPy."""

import numpy as np
import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_pointwise"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8"])
def test_divisors_and_multiples_are_those_of_numpy(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 127, (2, 500)).astype(dtype)
    np.testing.assert_array_equal(lucid.gcd(lucid.tensor(x), lucid.tensor(y)).numpy(), np.gcd(x, y))
    large = (x[:20] % 12).astype(dtype), (y[:20] % 10).astype(dtype)
    np.testing.assert_array_equal(lucid.lcm(*map(lucid.tensor, large)).numpy(), np.lcm(*large))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x: lucid.gcd(x, x), "gcd: operands must be integers, got float32"),
        (lambda x: lucid.frexp(lucid.ones(2, dtype=lucid.int32)), "frexp: int32 is not supported"),
        (lambda x: lucid.heaviside(x, x.half()), "heaviside: input and values must be real and have the same dtype"),
        (lambda x: lucid.nextafter(lucid.arange(3), 1), "nextafter: int64 is not supported"),
        (lambda x: lucid.fmax(x, lucid.ones(2)), "fmax: shapes .* cannot be broadcast together"),
        (lambda x: x.abs().to(lucid.complex64).abs_(), "abs_: the result is float32"),
    ],
)
def test_wrong_operands_raise(use, message):
    with pytest.raises((RuntimeError, TypeError), match=message):
        use(lucid.ones(3))

"""Element-wise functions agree with PyTorch."""

import math

import numpy as np
import pytest

import lucid
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_elementwise"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: lucid.exp("x"), TypeError, "exp: input must be a tensor, a number.*got str 'x'"),
        (lambda: lucid.sqrt(None), TypeError, "sqrt: input must be a tensor.*got NoneType"),
        (lambda: lucid.floor({}), TypeError, "floor: input must be a tensor.*got dict"),
        (lambda: lucid.round(lucid.ones(2), decimals=0.5), TypeError, "round: decimals must be an integer, got 0.5"),
        (lambda: lucid.atan2(lucid.ones(2), lucid.ones(3)), ValueError, r"atan2: shapes \(2,\) and \(3,\) cannot be"),
        (lambda: lucid.ones(2).astype("float12"), TypeError, "astype: dtype must be one of .*got 'float12'"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()


def test_writing_to_a_clone_does_not_change_the_original():
    x = lucid.zeros(3)
    y = x.clone()
    y[0] = 1
    assert x.tolist() == [0, 0, 0] and y.tolist() == [1, 0, 0]


def test_numbers_and_lists_become_tensors():
    assert lucid.exp(0).tolist() == 1 and lucid.exp(0).dtype == lucid.float32
    assert lucid.square([1, 2]).dtype == lucid.int64
    assert lucid.abs([-1.5]).tolist() == [1.5]


def test_astype_takes_every_name_of_a_dtype():
    x = lucid.tensor([1.9, -1.9])
    for name in ("int32", lucid.int32, "int", "torch.int32"):
        assert x.astype(name).tolist() == [1, -1] and x.astype(name).dtype == lucid.int32
    assert x.astype(int).dtype == lucid.int64
    assert x.astype(float) is not None and x.astype(float).dtype == lucid.float32


def test_float64_has_14_digits(on_cpu):
    x = np.random.default_rng(0).uniform(0.1, 0.9, 50)
    tensor = lucid.tensor(x, dtype=lucid.float64)
    for name, formula in {
        "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "log2": np.log2,
        "log10": np.log10, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin,
        "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh,
        "atanh": np.arctanh, "reciprocal": np.reciprocal, "square": np.square, "deg2rad": np.deg2rad,
        "rad2deg": np.rad2deg, "erf": np.vectorize(math.erf), "erfc": np.vectorize(math.erfc),
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "rsqrt": lambda x: 1 / np.sqrt(x),
        "acosh": lambda x: np.arccosh(x + 1),
    }.items():  # fmt: skip
        found = getattr(lucid, name)(tensor + 1 if name == "acosh" else tensor)
        np.testing.assert_allclose(found.numpy(), formula(x), rtol=2e-14, err_msg=name)
    np.testing.assert_allclose(lucid.erf(lucid.erfinv(tensor)).numpy(), x, rtol=2e-14)
    np.testing.assert_allclose(lucid.round(tensor, decimals=3).numpy(), np.round(x, 3), rtol=1e-15)
    assert lucid.nan_to_num(tensor / 0).tolist() == [np.finfo(np.float64).max] * 50


@pytest.mark.parametrize(
    "name", ["erf", "erfinv", "floor", "ceil", "trunc", "frac", "round", "sign", "deg2rad", "atan2"]
)
def test_functions_without_complex_numbers_say_so(name):
    z = lucid.tensor([1 + 2j])
    with pytest.raises(TypeError, match=f"^{name}: complex64 is not supported"):
        lucid.atan2(z, z) if name == "atan2" else getattr(lucid, name)(z)


def test_complex_sigmoid_and_expm1():
    z = np.array([0.3 + 0.4j, -0.5j], np.complex64)
    np.testing.assert_allclose(lucid.sigmoid(lucid.tensor(z)).numpy(), 1 / (1 + np.exp(-z)), rtol=1e-5)
    np.testing.assert_allclose(lucid.expm1(lucid.tensor(z)).numpy(), np.exp(z) - 1, rtol=1e-5)

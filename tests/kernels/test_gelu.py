"""GELU against the formula in float64, up to the second derivative, in all implementations."""

import math

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import _device
from lucid.kernels import gelu as module
from lucid.kernels import native, use_reference
from lucid.kernels.gelu import gelu
from tests.kernels.formulas import float64, gelu_derivatives

X = np.concatenate([np.linspace(-12, 12, 4801), [0.0, -0.0, 1e-30, -1e-30, 5.3, -5.3, 6.0, -6.0, 1e4, -1e4]])


def derivatives(x):
    slope = mx.grad(lambda x: gelu(x).sum())
    return gelu(x), slope(x), mx.grad(lambda x: slope(x).sum())(x)


@pytest.mark.parametrize("version", ["chosen", "erf", "reference"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.float32, 1e-6), (mx.float16, 2e-3), (mx.bfloat16, 1.6e-2)])
def test_value_and_two_derivatives(cpu_kernels, dtype, tolerance, version, monkeypatch):
    if version != "chosen":
        monkeypatch.setattr(module, "implementation", lambda dtype: version)
    x = mx.array(X.astype(np.float32)).astype(dtype)
    exact = gelu_derivatives(float64(x))
    got = derivatives(x)
    for one, formula in zip(got, exact, strict=True):
        assert one.dtype == dtype
        error = np.abs(np.array(one.astype(mx.float32)) - formula) / np.maximum(1, np.abs(formula))
        assert error.max() < tolerance


def test_float64_is_computed_in_float64():
    with mx.stream(mx.cpu):
        x = mx.array(X, mx.float64)
        np.testing.assert_allclose(np.array(gelu(x)), gelu_derivatives(X)[0], rtol=1e-6, atol=1e-6)
        assert gelu(x).dtype == mx.float64


@pytest.mark.parametrize("version", ["chosen", "erf"])
def test_the_declared_gradient_is_the_derived_one(cpu_kernels, version, monkeypatch):
    if version != "chosen":
        monkeypatch.setattr(module, "implementation", lambda dtype: version)
    x, cotangent = mx.random.normal((2, 5), key=mx.random.key(0)), mx.random.normal((2, 5), key=mx.random.key(1))
    [declared] = module.gelu_vjp(cotangent, x)
    assert mx.allclose(declared, mx.vjp(gelu, [x], [cotangent])[1][0], rtol=1e-6, atol=1e-7)
    assert mx.allclose(declared, mx.vjp(module.reference, [x], [cotangent])[1][0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("version", ["chosen", "erf"])
def test_the_cotangent_reaches_every_element(cpu_kernels, version, monkeypatch):
    if version != "chosen":
        monkeypatch.setattr(module, "implementation", lambda dtype: version)
    rng = np.random.default_rng(0)
    x, cotangent, direction = (rng.normal(size=(3, 1, 5)) for _ in range(3))
    _, slope, bend = gelu_derivatives(x)
    as_mx = [mx.array(one.astype(np.float32)) for one in (x, cotangent, direction)]

    def pulled(x, cotangent):
        return mx.vjp(gelu, [x], [cotangent])[1][0]

    [first], [by_x, by_cotangent] = mx.vjp(pulled, as_mx[:2], as_mx[2:])
    np.testing.assert_allclose(np.array(first), cotangent * slope, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.array(by_x), direction * cotangent * bend, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.array(by_cotangent), direction * slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(0,), (1,), (2, 0, 3), ()])
def test_small_and_empty_shapes(cpu_kernels, shape):
    x = mx.zeros(shape)
    [y], [d_x] = mx.vjp(gelu, [x], [mx.ones(shape)])
    assert y.shape == d_x.shape == shape


@pytest.mark.parametrize(
    ("backend", "library", "version"),
    [("cpu", None, "rational"), ("cpu", object(), "native"), ("metal", None, "erf"), ("cuda", None, "erf")],
)
def test_the_device_and_the_compiler_choose(backend, library, version, monkeypatch):
    monkeypatch.setattr(_device, "backend", lambda: backend)
    monkeypatch.setattr(native, "library", lambda: library)
    assert module.implementation(mx.float32) == version
    assert module.implementation(mx.float64) == "reference"
    with use_reference():
        assert module.implementation(mx.float32) == "reference"


def test_nan_stays_nan(cpu_kernels):
    assert mx.isnan(gelu(mx.array([math.nan]))).item()


def test_the_tails_are_exact(cpu_kernels):
    x = mx.array([-6.5, -30.0, -100.0, -1e30])
    assert gelu(x).tolist() == [0, 0, 0, 0]
    assert mx.grad(lambda x: gelu(x).sum())(x).tolist() == [0, 0, 0, 0]
    large = mx.array([30.0, 1e30])
    assert mx.allclose(gelu(large), large, rtol=1e-6)


@pytest.mark.parametrize("dtype", native.DTYPES)
def test_a_gradient_of_nan_or_infinity_does_not_vanish(cpu_kernels, dtype):
    """Where the slope is 0, 0 times NaN or infinity is NaN, as in PyTorch."""
    x = mx.array([-1e4, -50.0, -7.0, -1.0, 0.0, 3.0] * 7).astype(dtype)
    for value in (math.nan, math.inf, -math.inf):
        slope = np.array(module.gelu_vjp(mx.full(x.shape, value, dtype), x)[0].astype(mx.float32))
        assert not np.isfinite(slope).any()
    assert np.array(module.gelu_vjp(mx.ones(x.shape, dtype), x)[0].astype(mx.float32))[:3].tolist() == [0, 0, 0]


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_gradient_of_nan_arrives_in_every_form(cpu_kernels, approximate, compiled):
    def gradient(x):
        x = lucid.Tensor(x).requires_grad_()
        y = lucid.nn.functional.gelu(x, approximate=approximate)
        y.backward(lucid.full_like(y, math.nan))
        return x.grad.mlx

    run = mx.compile(gradient) if compiled else gradient
    assert mx.isnan(run(mx.array([-1e4, -50.0, -7.0, -1.0, 0.0, 3.0]))).all()

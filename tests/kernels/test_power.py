"""Powers of arrays have MLX's values, and PyTorch's gradients where MLX's are NaN."""

import mlx.core as mx
import numpy as np

from lucid.kernels.power import power

NAN, INF = float("nan"), float("inf")


def test_value_and_gradients_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    x, e = (rng.uniform(0.2, 3, (4, 5)).astype(np.float32) for _ in range(2))
    c = rng.normal(size=(4, 5)).astype(np.float32)
    (value,), (dx, de) = mx.vjp(power, [mx.array(x), mx.array(e)], [mx.array(c)])
    np.testing.assert_allclose(value, x**e, rtol=1e-5)
    np.testing.assert_allclose(dx, c * e * x ** (e - 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(de, c * np.log(x) * x**e, rtol=1e-5, atol=1e-6)


def test_second_derivatives_are_finite():
    def slope(x):
        return mx.vjp(power, [x, mx.array([3.0, 2.0, 0.0])], [mx.ones(3)])[1][0]

    found = mx.vjp(slope, [mx.array([2.0, 0.0, 0.0])], [mx.ones(3)])[1][0]
    assert found.tolist() == [12, 2, 0]  # e (e - 1) x ** (e - 2)


def test_gradients_at_0():
    x, e = mx.array([0.0, 0.0, 0.0, 0.0, -2.0, 2.0]), mx.array([0.0, 2.0, 0.5, -1.0, 3.0, 0.0])
    dx, de = mx.vjp(power, [x, e], [mx.ones(6)])[1]
    np.testing.assert_array_equal(dx, [0, 0, INF, -INF, 12, 0])
    np.testing.assert_allclose(de, [0, 0, 0, -INF, NAN, np.log(2)], rtol=1e-6)


def test_operands_broadcast():
    dx, de = mx.vjp(power, [mx.array([[1.0], [2.0]]), mx.array([2.0, 3.0, 1.0])], [mx.ones((2, 3))])[1]
    assert dx.tolist() == [[6], [17]] and de.shape == (3,)


def test_complex_powers_are_those_of_mlx():
    z = mx.array([1 + 1j, 2j])
    np.testing.assert_allclose(power(z, z), np.array(z) ** np.array(z), rtol=1e-5)

"""The product of scattered values has the gradient of a plain loop, at zeros too."""

import mlx.core as mx
import numpy as np

from lucid.kernels.scatter_product import scatter_product

PLACES = mx.array([0, 0, 1, 1, 1, 3, 3])


def plain(x, source):
    factors = [[x[i]] for i in range(4)]
    for at, one in zip(PLACES.tolist(), range(7), strict=True):
        factors[at].append(source[one])
    rows = []
    for row in factors:
        product = row[0]
        for one in row[1:]:
            product = product * one
        rows.append(product)
    return mx.stack(rows)


def test_values_and_gradients_are_those_of_a_loop():
    x, source = mx.array([2.0, 0.0, 3.0, -1.0]), mx.array([1.5, 0.0, 2.0, 3.0, -1.0, 0.0, 0.0])
    cotangent = mx.array([1.0, 2.0, 3.0, 4.0])
    for one in (source, mx.array([1.5, 0.5, 2.0, 3.0, -1.0, 4.0, 5.0])):
        got = mx.vjp(lambda a, b: scatter_product(a, PLACES, b), [x, one], [cotangent])
        expected = mx.vjp(plain, [x, one], [cotangent])
        for ours, theirs in zip([*got[0], *got[1]], [*expected[0], *expected[1]], strict=True):
            np.testing.assert_allclose(np.array(ours), np.array(theirs), rtol=1e-6)

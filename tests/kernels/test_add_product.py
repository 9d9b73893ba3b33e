"""A product added to a map, with one matrix or one for each image."""

import mlx.core as mx
import pytest

from lucid.kernels.add_product import add_product


@pytest.mark.parametrize("images", [(), (2,)])
def test_the_sum(images):
    x, y, matrix = (
        mx.random.normal(one, key=mx.random.key(0)) for one in ((2, 3, 5, 4), (2, 3, 5, 8), (*images, 8, 4))
    )
    assert mx.allclose(add_product(x, y, matrix), x + y @ matrix.reshape(-1, 1, 8, 4), rtol=1e-5, atol=1e-5)


def test_a_shortcut_of_another_dtype():
    """Under autocast: the product is rounded, the sum is not."""
    x, y, matrix = (mx.random.normal(one, key=mx.random.key(0)) for one in ((2, 3, 3, 4), (2, 3, 3, 8), (8, 4)))
    found = add_product(x, y.astype(mx.bfloat16), matrix)
    assert found.dtype == mx.float32
    assert mx.array_equal(found, x + y.astype(mx.bfloat16) @ matrix.astype(mx.bfloat16))

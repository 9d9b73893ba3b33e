import mlx.core as mx
import pytest

from lucid.distributed.buckets import buckets, through


def test_buckets_keep_the_order_the_dtype_and_the_limit():
    arrays = [mx.zeros(n, dtype) for n, dtype in ((2, mx.float32), (1, mx.float16), (1, mx.float32), (9, mx.float32))]
    arrays += [mx.zeros(1, mx.float32), mx.zeros(2, mx.float16)]
    assert buckets(arrays, 12) == [[0, 2], [1, 5], [3], [4]]
    assert buckets(arrays, 1e9) == [[0, 2, 3, 4], [1, 5]]
    assert buckets(arrays, 0.1) == [[0], [1], [2], [3], [4], [5]]
    assert buckets([], 12) == []


@pytest.mark.parametrize("shapes", [[(2, 3)], [(2, 3), (), (0, 4), (5,), (1, 1, 2)]])
def test_through_gives_every_array_its_part_back(shapes):
    arrays = [mx.random.normal(shape) for shape in shapes]
    calls = []

    def doubled(vector):
        calls.append(vector.shape)
        return vector * 2

    results = through(doubled, arrays)
    assert calls == [(sum(one.size for one in arrays),)]
    assert [one.shape for one in results] == shapes
    assert all(mx.array_equal(got, one * 2) for got, one in zip(results, arrays, strict=True))

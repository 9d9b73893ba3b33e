"""``fused`` is ``mx.compile``, and tells a trace what it fuses."""

import mlx.core as mx

from lucid import _deferred
from lucid.kernels.fusion import fused


@fused
def product(x, y):
    """Twice the product."""
    return 2 * x * y


def test_it_computes_and_differentiates_like_the_function():
    x, y = mx.array([1.0, 2.0]), mx.array([3.0, 4.0])
    assert product(x, y).tolist() == [6, 16]
    assert mx.grad(lambda x: product(x, y).sum())(x).tolist() == [6, 8]
    assert product.__doc__ == "Twice the product."


def test_one_kernel_runs(tmp_path):
    x, y = mx.array([1.0, 2.0]), mx.array([3.0, 4.0])
    mx.export_to_dot(str(tmp_path / "graph.dot"), product(x, y))
    assert (tmp_path / "graph.dot").read_text().count("rectangle") == 1


def test_a_trace_can_take_the_call():
    seen = []
    with _deferred.collecting():
        _deferred.memo()["fused"] = lambda function, arrays: seen.append(function.__name__) or function(*arrays)
        assert product(mx.array(2.0), mx.array(3.0)).item() == 12
    assert seen == ["product"]

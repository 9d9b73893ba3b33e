"""The C++ kernels as operations of MLX's graph: threads, streams, compilation, layouts, half precision, bad values.

What they compute is compared with formulas in the tests of each kernel.
"""

import math
import subprocess
import sys
import threading

import mlx.core as mx
import numpy as np
import pytest

from lucid import _threads
from lucid.kernels.depthwise_conv2d import depthwise_conv2d
from lucid.kernels.depthwise_conv2d import native as convolution
from lucid.kernels.depthwise_conv2d.geometry import Geometry
from lucid.kernels.gelu import gelu
from lucid.kernels.layer_norm import layer_norm

DTYPES = (mx.float32, mx.float16, mx.bfloat16)
DENSE = Geometry((9, 15), (7, 7), (1, 1), ((3, 3), (3, 3)), (1, 1))
STRIDED = Geometry((9, 15), (3, 5), (2, 3), ((1, 2), (0, 4)), (1, 2))


def everything(dtype, geometry, channels=37, images=3):
    """All results of all kernels on random values from a fixed seed."""
    mx.random.seed(3)
    x, dy = (mx.random.normal((images, *size, channels)).astype(dtype) for size in (geometry.size, geometry.output))
    weight = mx.random.normal((*geometry.kernel, channels)).astype(dtype)
    bias = mx.random.normal((channels,)).astype(dtype)
    rows = mx.random.normal((1000, 67)).astype(dtype)
    results = [
        convolution.forward(x, weight, bias, geometry),
        convolution.input_gradient(dy, weight, geometry),
        *convolution.weight_gradient(x, dy, geometry),
        *mx.vjp(gelu, [rows], [rows * 2])[0],
        *mx.vjp(gelu, [rows], [rows * 2])[1],
        *mx.vjp(lambda *values: layer_norm(*values, 1e-6), [rows, rows[0], rows[1]], [rows * 2])[0],
        *mx.vjp(lambda *values: layer_norm(*values, 1e-6), [rows, rows[0], rows[1]], [rows * 2])[1],
    ]
    mx.eval(results)
    return results


def assert_equal(got, wanted):
    for one, other in zip(got, wanted, strict=True):
        assert mx.array_equal(one, other)


@pytest.mark.parametrize("geometry", [DENSE, STRIDED], ids=["dense", "strided"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_number_of_threads_changes_no_bit(cpp, dtype, geometry):
    cpp.set_thread_count(1)
    alone = everything(dtype, geometry)
    for threads in (2, 3, 8):
        cpp.set_thread_count(threads)
        assert_equal(everything(dtype, geometry), alone)


def test_the_number_of_threads_changes_no_bit_of_adam(cpp):
    g, p, m = (mx.random.normal((300, 300)) for _ in range(3))
    scalars = mx.array(0.1), mx.array(1e-8), mx.array(0.9)
    results = []
    for threads in (1, 4):
        cpp.set_thread_count(threads)
        results.append(cpp.adam(g, p, m, mx.square(m), *scalars, 0.9, 0.999, 0.1))
        mx.eval(results[-1])
    assert_equal(*results)


@pytest.mark.parametrize("geometry", [DENSE, STRIDED], ids=["dense", "strided"])
def test_several_threads_and_streams_at_once(cpp, geometry):
    """Of several callers one has the pool, and the others compute by themselves."""
    cpp.set_thread_count(3)
    wanted, found = everything(mx.float32, geometry), {}

    def work(number):
        _threads.prepare()
        stream = mx.new_stream(mx.cpu)
        with mx.stream(stream):
            x = mx.random.normal((2, 9, 15, 37), key=mx.random.key(1))
            weight = mx.random.normal((*geometry.kernel, 37), key=mx.random.key(2))
            for _ in range(5):
                y = convolution.forward(x, weight, None, geometry)
                mx.eval(y)
            found[number] = np.array(y)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for one in threads:
        one.start()
    again = everything(mx.float32, geometry)
    for one in threads:
        one.join()
    assert_equal(again, wanted)
    assert len(found) == 3 and all(np.array_equal(found[0], one) for one in found.values())


@pytest.mark.parametrize("geometry", [DENSE, STRIDED], ids=["dense", "strided"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_compiled_and_eager_agree_bit_for_bit(cpp, dtype, geometry):
    x = mx.random.normal((2, *geometry.size, 21)).astype(dtype)
    weight = mx.random.normal((21, 1, *geometry.kernel)).astype(dtype)
    bias, scale = (mx.random.normal((21,)).astype(dtype) for _ in range(2))

    def loss(x, weight, bias, scale):
        y = depthwise_conv2d(x, weight, bias, geometry.stride, geometry.padding, geometry.dilation)
        return gelu(layer_norm(y, scale, bias, 1e-6)).astype(mx.float32).sum()

    step = mx.value_and_grad(loss, argnums=(0, 1, 2, 3))
    eager, compiled = step(x, weight, bias, scale), mx.compile(step)(x, weight, bias, scale)
    checkpointed = mx.grad(mx.checkpoint(loss), argnums=(0, 1, 2, 3))(x, weight, bias, scale)
    assert_equal(compiled[1], eager[1])
    assert_equal(checkpointed, eager[1])


def test_compile_merges_equal_operations_only(cpp):
    x, weight = mx.random.normal((1, 8, 8, 5)), mx.random.normal((3, 3, 5))
    one, other = (Geometry((8, 8), (3, 3), (1, 1), ((a, 2 - a), (1, 1)), (1, 1)) for a in (0, 2))

    def both(x, weight):
        return [convolution.forward(x, weight, None, geometry) for geometry in (one, other, one)]

    first, second, third = mx.compile(both)(x, weight)
    assert mx.array_equal(first, third) and not mx.array_equal(first, second)
    assert_equal([first, second], both(x, weight)[:2])


def test_any_layout_is_read(cpp):
    x = mx.random.normal((2, 9, 15, 6))
    weight = mx.random.normal((7, 7, 6))
    turned = mx.contiguous(x.transpose(3, 0, 2, 1)).transpose(1, 3, 2, 0)
    turned_weight = mx.contiguous(weight.transpose(2, 1, 0)).transpose(2, 1, 0)
    sliced = mx.concatenate([x, x], 3)[..., 6:]
    broadcast = mx.broadcast_to(x[:1, :1, :1], x.shape)
    wanted = convolution.forward(x, weight, None, DENSE)
    for one in (turned, sliced):
        assert_equal(convolution.weight_gradient(one, x, DENSE), convolution.weight_gradient(x, x, DENSE))
        assert mx.array_equal(convolution.forward(one, turned_weight, None, DENSE), wanted)
        assert mx.array_equal(gelu(one), gelu(x))
    assert mx.array_equal(gelu(broadcast), gelu(mx.contiguous(broadcast)))


def test_inputs_are_not_overwritten(cpp):
    """Results take the memory of inputs that nothing else needs."""
    x, dy = mx.random.normal((50, 40)), mx.random.normal((50, 40))
    copies = np.array(x), np.array(dy)
    mx.eval(mx.vjp(gelu, [x], [dy]), mx.vjp(lambda x: layer_norm(x, None, None, 1e-6), [x], [dy]))
    mx.eval(cpp.adam(dy, x, x, x, mx.array(0.1), mx.array(1e-8), None, 0.9, 0.999, 0.0))
    np.testing.assert_array_equal(np.array(x), copies[0])
    np.testing.assert_array_equal(np.array(dy), copies[1])
    np.testing.assert_allclose(np.array(gelu(x + 0)), np.array(gelu(x)))


@pytest.mark.parametrize("channels", [1, 4, 8, 16], ids=lambda count: f"{count} lanes")
@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16], ids=str)
def test_every_half_is_read_and_rounded_as_by_mlx(cpp, dtype, channels):
    """A 1x1 convolution multiplies: by 1, every bit pattern comes back; by 1/3, it is rounded once."""
    x = mx.arange(2**16, dtype=mx.uint16).view(dtype).reshape(1, 256, -1, channels)
    geometry = Geometry(x.shape[1:3], (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))
    for factor in (1.0, 1 / 3, 2**-9):
        weight = mx.full((1, 1, channels), factor, dtype)
        got = convolution.forward(x, weight, None, geometry)
        wanted = (x.astype(mx.float32) * weight.astype(mx.float32)).astype(dtype)
        assert mx.array_equal(got, wanted, equal_nan=True)


def test_bad_values_reach_what_depends_on_them(cpp):
    x, weight = mx.zeros((1, 9, 15, 20)), mx.ones((7, 7, 20))
    for bad in (math.nan, math.inf, -math.inf):
        y = np.array(convolution.forward(x.at[0, 4, 7, 19].add(bad), weight, None, DENSE))
        touched = np.zeros(y.shape, bool)
        touched[0, 1:8, 4:11, 19] = True
        assert np.array_equal(~np.isfinite(y), touched)
        assert np.array_equal(y[touched], np.full(touched.sum(), bad, np.float32), equal_nan=True)
        d_weight, d_bias = convolution.weight_gradient(x, x.at[0, 0, 0, 3].add(bad), DENSE)
        assert not np.isfinite(np.array(d_weight)[3:, 3:, 3]).any() and np.isfinite(np.array(d_weight)[..., 4]).all()
        assert not math.isfinite(d_bias[3].item())


def test_adam_leaves_infinite_parameters_infinite(cpp):
    """Without a penalty, the parameter must not reach the moments: 0 * inf is NaN."""
    p, m, rate, eps = mx.full((5,), math.inf), mx.zeros((5,)), mx.array(0.1), mx.array(1e-8)
    updated, mean, square = cpp.adam(mx.ones(5), p, m, m, rate, eps, mx.array(0.9), 0.9, 0.999, 0.0)
    assert mx.isinf(updated).all() and mx.isfinite(mean).all() and mx.isfinite(square).all()


@pytest.mark.parametrize("penalty", [0.0, 0.1])
@pytest.mark.parametrize("size", [1, 3, 16, 100, 40_000])
def test_adam_follows_the_formula(cpp, size, penalty):
    rng = np.random.default_rng(0)
    g, p, m, v = (rng.normal(size=size) for _ in range(4))
    v = v * v
    arrays = [mx.array(one.astype(np.float32)) for one in (g, p, m, v)]
    got = cpp.adam(*arrays, mx.array(0.1), mx.array(1e-8), mx.array(0.9), 0.8, 0.99, penalty)
    p = p * 0.9
    g = g + penalty * p
    m, v = 0.8 * m + 0.2 * g, 0.99 * v + 0.01 * g * g
    for one, wanted in zip(got, (p - 0.1 * m / (np.sqrt(v) + 1e-8), m, v), strict=True):
        np.testing.assert_allclose(np.array(one), wanted, rtol=2e-5, atol=1e-6)


def test_arguments_that_do_not_fit_are_refused(cpp):
    x, weight = mx.zeros((1, 4, 4, 3)), mx.zeros((3, 3, 2))
    with pytest.raises(ValueError, match="weight \\(KH, KW, C\\)"):
        cpp.depthwise_conv2d(x, weight, None, (2, 2), (1, 1), (0, 0), (1, 1))
    with pytest.raises(ValueError, match="one shape and dtype"):
        cpp.gelu_gradient(x, weight)
    with pytest.raises(ValueError, match="float32 of the last dimension"):
        cpp.layer_norm(x, mx.zeros(4), None, 1e-6)
    with pytest.raises(ValueError, match="float32 of one shape"):
        cpp.adam(x, weight, weight, weight, mx.array(1.0), mx.array(1.0), None, 0.9, 0.9, 0.0)


def test_a_process_ends_while_the_threads_wait(cpp):
    code = (
        "import mlx.core as mx, lucid; from lucid.kernels import native; native.library().set_thread_count(4);"
        "from lucid.kernels.gelu import gelu; mx.eval(gelu(mx.ones((1000, 1000)))); mx.async_eval(gelu(mx.ones(9**6)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")

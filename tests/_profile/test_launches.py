"""Kernels and bytes of single operations, against counts made by hand."""

import mlx.core as mx
import pytest

import lucid
from lucid import nn
from lucid.nn import functional as F

MAP = 64 * 1024 * 4  # bytes of one array below


def kernels(function, *arrays, compiled=False, **options):
    return lucid.profile(function, *arrays, compiled=compiled, **options).kernels


def costs(function, *arrays, **options):
    return [(one.name, one.bytes_read, one.bytes_written) for one in kernels(function, *arrays, **options)]


def array(*shape, dtype=mx.float32):
    return mx.zeros(shape or (64, 1024), dtype)


def test_elementwise():
    assert costs(lambda x, y: x + y, array(), array()) == [("Add", 2 * MAP, MAP)]
    assert costs(lambda x: x + 1, array()) == [("Add", MAP + 4, MAP)]
    assert costs(lambda x, y: x + y, array(), array(1024)) == [("Add", MAP + 4096, MAP)]
    assert costs(lambda x: mx.exp(x), array(dtype=mx.bfloat16)) == [("Exp", MAP // 2, MAP // 2)]
    assert costs(lambda x: x.astype(mx.float16), array()) == [("AsType", MAP, MAP // 2)]


def test_eager_runs_fuse_nothing_and_compiled_ones_do():
    def function(x, y):
        return mx.exp(x * y + 1)

    assert [one.name for one in kernels(function, array(), array())] == ["Multiply", "Add", "Exp"]
    assert costs(function, array(), array(), compiled=True) == [("Multiply+Add+Exp", 2 * MAP + 4, MAP)]


def test_views_cost_nothing_and_copies_do():
    assert costs(lambda x: mx.exp(x.T.reshape(1024, 8, 8)), array()) == [("Exp", MAP, MAP)]
    assert costs(lambda x: mx.exp(x.T.reshape(-1)), array()) == [("copy (reshape)", MAP, MAP), ("Exp", MAP, MAP)]
    assert costs(lambda x: mx.exp(x[:32]), array()) == [("Exp", MAP // 2, MAP // 2)]
    assert costs(lambda x: mx.contiguous(x.T), array()) == [("copy", MAP, MAP)]
    assert costs(lambda x: mx.contiguous(x), array()) == []


def test_matrix_products():
    [one] = kernels(lambda x, w: x @ w, array(2048, 1024), array(1024, 2048))
    assert (one.name, one.bytes_read, one.bytes_written) == ("Matmul", 2 * 2048 * 1024 * 4, 2048 * 2048 * 4)
    assert one.flops == 2 * 2048 * 1024 * 2048
    [one] = kernels(lambda x, w: x @ w.T, array(2048, 1024), array(2048, 1024))  # no copy
    assert one.name == "Matmul"
    [copy, _] = kernels(lambda x, w: x @ w[:, ::2], array(2048, 1024), array(1024, 4096))
    assert copy.name == "copy (matmul)"
    [one] = kernels(lambda x, w, b: mx.addmm(b, x, w), array(2048, 1024), array(1024, 2048), array(2048))
    assert one.bytes_read == 2 * 2048 * 1024 * 4 + 2048 * 4


def test_products_over_a_long_dimension_are_split():
    product, total = kernels(lambda x, y: x.T @ y, array(65536, 96), array(65536, 384))
    assert product.name == "Matmul (split K)"
    assert product.bytes_written == total.bytes_read == 32 * 96 * 384 * 4
    assert total.bytes_written == 96 * 384 * 4


def test_reductions():
    assert costs(lambda x: x.sum(1), array()) == [("Reduce", MAP, 64 * 4)]
    first, second = kernels(lambda x: x.sum(0), array(1024, 64))
    assert (first.bytes_read, first.bytes_written, second.bytes_written) == (MAP, 32 * 64 * 4, 64 * 4)
    first, second = kernels(lambda x: x.sum(), array())
    assert (first.bytes_read, first.bytes_written, second.bytes_read, second.bytes_written) == (MAP, 512, 512, 4)
    assert [one.name for one in kernels(lambda x: x.sum(0), array(16, 1024))] == ["Reduce"]
    names = [one.name for one in kernels(lambda x: x.transpose(1, 2, 0).sum(1), array(64, 32, 32))]
    assert names[0] == "Reduce"


def test_norms():
    x = array(64, 1024)
    assert costs(lambda x, w: mx.fast.layer_norm(x, w, w, 1e-5), x, array(1024)) == [("LayerNorm", MAP + 8192, MAP)]
    gradient = mx.grad(lambda x, w, b: mx.fast.layer_norm(x, w, b, 1e-5).sum(), argnums=(0, 1, 2))
    found = kernels(gradient, array(1024, 64), array(64), array(64))
    norm = next(one for one in found if one.name == "LayerNormVJP")
    assert norm.bytes_written == 2 * MAP  # the gradient of x, and the products for that of the weight
    assert sum(one.name == "Reduce (first pass)" and one.bytes_read == MAP for one in found) == 2
    alone = mx.grad(lambda x: mx.fast.layer_norm(x, None, None, 1e-5).sum())
    [norm] = [one for one in kernels(alone, array(1024, 64)) if one.name == "LayerNormVJP"]
    assert norm.bytes_written == MAP


def test_convolutions():
    x, w = array(8, 32, 32, 64), array(64, 7, 7, 1)
    [one] = kernels(lambda x, w: mx.conv2d(x, w, padding=3, groups=64), x, w)
    assert (one.name, one.bytes_written) == ("Convolution", 8 * 32 * 32 * 64 * 4)
    assert one.flops == 2 * 49 * 8 * 32 * 32 * 64
    names = [
        one.name for one in kernels(lambda x, w: mx.conv2d(x, w, groups=5), array(1, 8, 8, 30), array(85, 3, 3, 6))
    ]
    assert names == ["unfold (convolution)", "Matmul (convolution)"]


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (lambda x: mx.concatenate([x, x]), ["copy (concatenate)"] * 2),
        (lambda x: mx.pad(x, 1), ["Full (pad)", "copy (pad)"]),
        (lambda x: x[mx.array([0, 5])], ["Gather"]),
        (lambda x: mx.softmax(x, 1), ["Softmax"]),
        (lambda x: mx.logsumexp(x, 1), ["LogSumExp"]),
        (lambda x: mx.argmax(x, 1), ["ArgReduce"]),
        (lambda x: mx.ones_like(x) * x, ["Full", "Multiply"]),
        (lambda x: mx.sort(x), ["Sort"]),
    ],
)
def test_other_primitives(function, names):
    assert [one.name for one in kernels(function, array())] == names


def test_lucids_kernels():
    conv = nn.Conv2d(16, 16, 7, padding=3, groups=16, data_format="channels_last")
    x = lucid.zeros(8, 32, 32, 16)
    forward = kernels(lambda x: conv(x), x, state=conv)
    assert [one.name for one in forward] == ["rolling_forward"]  # the weight is not copied
    assert forward[0].bytes_written == 8 * 32 * 32 * 16 * 4
    assert forward[0].flops == 2 * 49 * 8 * 32 * 32 * 16


def test_what_the_backward_pass_reads_is_held():
    def function(w, v, x):
        return mx.value_and_grad(lambda w: (mx.exp(x @ w) @ v).sum())(w)

    found = lucid.profile(function, array(64, 64), array(64, 64), array(1024, 64), compiled=True)
    assert found.held_bytes == MAP  # exp(x @ w), whose gradient needs it; x is an input

    layer = nn.Linear(64, 64)

    def step(x):
        loss = F.relu(layer(x)).sum()
        loss.backward()
        return loss

    assert lucid.profile(step, lucid.zeros(1024, 64), state=layer).held_bytes >= MAP

"""The tape: recording of operations, gradients, higher derivatives."""

import inspect
import re

import mlx.core as mx
import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import tape
from lucid.ops.activation import gelu
from tests.checking import close, leaf


def test_a_product_has_the_gradients_of_the_product_rule():
    a, va = leaf(3, 4, seed=1)
    b, vb = leaf(4, seed=2)
    g = np.random.default_rng(3).normal(size=(3, 4)).astype(np.float32)
    (a * b).backward(lucid.tensor(g))
    close(a.grad, g * vb)
    close(b.grad, (g * va).sum(0))


def test_a_tensor_passed_by_keyword_or_in_a_list_is_recorded():
    @tape.op
    def scaled(x, *, by):
        return x * by

    a, va = leaf(3, seed=1)
    b, vb = leaf(3, seed=2)
    scaled(a, by=b).sum().backward()
    close(a.grad, vb)
    close(b.grad, va)
    a.grad = b.grad = None
    (lucid.cat([a, b, a]) * lucid.arange(9)).sum().backward()
    close(a.grad, [6, 8, 10])
    close(b.grad, [3, 4, 5])


def test_second_and_third_derivatives():
    x, v = leaf(4)
    first = lucid.autograd.grad((x**4).sum(), x, create_graph=True)[0]
    second = lucid.autograd.grad(first.sum(), x, create_graph=True)[0]
    third = lucid.autograd.grad(second.sum(), x)[0]
    close(first, 4 * v**3, 1e-4)
    close(second, 12 * v**2, 1e-4)
    close(third, 24 * v, 1e-4)


def test_create_graph_mixes_inputs():
    a, va = leaf(3, seed=1)
    b, vb = leaf(3, seed=2)
    ga = lucid.autograd.grad((a * a * b).sum(), a, create_graph=True)[0]  # 2ab
    (ga * ga).sum().backward()
    close(b.grad, 8 * va**2 * vb, 1e-4)
    close(a.grad, 8 * va * vb**2, 1e-4)


def test_the_gradient_argument_can_require_grad():
    x, v = leaf(3)
    g = lucid.ones(3).requires_grad_()
    out = lucid.autograd.grad(x * x, x, g, create_graph=True)[0]
    close(lucid.autograd.grad(out.sum(), g)[0], 2 * v)


def test_the_graph_keeps_old_values_when_a_leaf_is_updated():
    x, v = leaf(3)
    y = (x * x).sum()
    with lucid.no_grad():
        x.mul_(100.0)
    y.backward()
    close(x.grad, 2 * v)


def test_integers_and_constants_are_not_recorded():
    x, _ = leaf(3)
    assert (x * 2).grad_fn.name == "mul"
    assert x.argmax().grad_fn is None
    assert (x.detach() * 2).grad_fn is None
    assert not (x > 1).requires_grad


def test_dtypes_of_gradients_are_those_of_the_leaves():
    x = lucid.ones(3, dtype=lucid.bfloat16, requires_grad=True)
    w = lucid.ones(3, requires_grad=True)
    (x * w).sum().backward()
    assert x.grad.dtype == lucid.bfloat16
    assert w.grad.dtype == lucid.float32


def test_random_graphs_agree_with_mlx_itself():
    rng = np.random.default_rng(0)
    for seed in range(20):
        program = [(int(rng.integers(4)), int(rng.integers(100)), int(rng.integers(100))) for _ in range(12)]

        def run(inputs, program=program, lib=mx):
            values = list(inputs)
            for kind, i, j in program:
                a, b = values[i % len(values)], values[j % len(values)]
                values.append([a + b, a * b * 0.5, lib.tanh(a) - b, lib.sigmoid(a) * b][kind])
            return sum(v.sum() for v in values[-3:])

        arrays = [mx.array(np.random.default_rng(seed).normal(size=(2, 3)).astype(np.float32)) for _ in range(2)]
        tensors = [lucid.tensor(a, requires_grad=True) for a in arrays]
        run(tensors, lib=lucid).backward()
        expected = mx.grad(lambda *xs: run(xs), argnums=(0, 1))(*arrays)
        for t, e in zip(tensors, expected, strict=True):
            got = np.zeros((2, 3)) if t.grad is None else t.grad.numpy()
            np.testing.assert_allclose(got, np.array(e), rtol=1e-5, atol=1e-6)


def test_an_array_returned_twice_gets_both_gradients():
    @tape.op
    def twice(x):
        y = x * 3
        return y, y

    x, _ = leaf(4)
    a, b = twice(x)
    (a + 10 * b).sum().backward()
    close(x.grad, np.full(4, 33))


def test_a_gradient_that_two_inputs_share_is_differentiated_for_both():
    a, b = leaf(3)[0], leaf(3, seed=1)[0]
    g = lucid.ones(3).requires_grad_()
    ga, gb = lucid.autograd.grad(a + b, [a, b], g, create_graph=True)
    close(lucid.autograd.grad((ga + 10 * gb).sum(), g)[0], np.full(3, 11))


def test_an_empty_tensor_has_an_empty_gradient():
    x = lucid.zeros(3, 0).requires_grad_()
    b = lucid.ones(3, requires_grad=True)
    y = x.t() + b
    (y * 2).sum().backward()
    assert x.grad.shape == (3, 0) and b.grad.tolist() == [0, 0, 0]


def tripled(cotangent, x, scale=1.0, *, offset=0.0):
    return (3 * scale * cotangent, (cotangent * x).sum()) if offset is not None else None


@tape.op(vjp=tripled)
def scaled(x, scale=1.0, *, offset=0.0):
    return x * scale + (offset or 0.0)


def test_a_declared_gradient_takes_the_place_of_the_one_of_mlx():
    x, values = leaf(3, seed=1)
    scaled(x, 2.0).sum().backward()
    close(x.grad, np.full(3, 6.0))
    scale, _ = leaf(seed=2)
    for call in (lambda: scaled(x, scale), lambda: scaled(scale=scale, x=x), lambda: scaled(x, scale=scale)):
        d_x, d_scale = lucid.autograd.grad(call(), [x, scale], lucid.ones(3))
        close(d_x, np.full(3, 3 * scale.item()))
        close(d_scale, values.sum())


def test_a_recorded_pass_differentiates_the_body_instead():
    x, _ = leaf(3)
    (gradient,) = lucid.autograd.grad(scaled(x, 2.0).sum(), x, create_graph=True)
    close(gradient, np.full(3, 2.0))


def test_a_declared_gradient_can_leave_a_call_to_mlx():
    x, _ = leaf(3)
    scaled(x, 2.0, offset=None).sum().backward()
    close(x.grad, np.full(3, 2.0))


def test_a_declared_gradient_comes_back_in_the_dtype_of_its_input():
    x = lucid.ones(3, dtype=lucid.float16, requires_grad=True)
    scale = lucid.tensor(2.0, requires_grad=True)
    scaled(x, scale).sum().backward()
    assert (x.grad.dtype, scale.grad.dtype) == (lucid.float16, lucid.float32)


@pytest.mark.parametrize(
    "function", [lucid.softmax, lucid.permute, lucid.Tensor.sum, F.conv2d, lucid.linalg.norm, gelu]
)
def test_signatures_say_tensor(function):
    signature = str(inspect.signature(function))
    assert "-> 'Tensor'" in signature
    assert function.__annotations__["return"] == "Tensor"


def test_no_public_signature_names_mlx_arrays():
    owners = (lucid, F, lucid.linalg, lucid.Tensor)
    functions = [getattr(owner, name) for owner in owners for name in dir(owner) if name[0] != "_"]
    lifted = [one for one in functions if hasattr(one, "__wrapped__")]
    assert len(lifted) > 300
    assert [one.__name__ for one in lifted if re.search(r"\bmx\.array|mlx\.core", str(inspect.signature(one)))] == []


def test_annotations_of_an_operation_of_one_s_own_are_of_tensors():
    def double(x: mx.array, by: "mx.array | float" = 2.0, name: str = "") -> tuple[mx.array, mx.array]:
        return x * by, x

    lifted = tape.op(double)
    assert lifted.__annotations__ == {
        "x": "Tensor", "by": "Tensor | float", "name": str, "return": "tuple[Tensor, Tensor]"
    }  # fmt: skip

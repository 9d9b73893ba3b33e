"""The kernel against its reference and a formula: on the GPU of a Mac, elsewhere in the simulator."""

import importlib
import re

import mlx.core as mx
import numpy as np
import pytest

import lucid
from tests.metal_simulator import missing, simulation, stand_in, strict

TOLERANCE = {mx.float32: 1e-5, mx.float16: 2e-3, mx.bfloat16: 1.6e-2}


@pytest.fixture
def example():
    return importlib.import_module("custom_kernel")


@pytest.fixture
def metal(example, monkeypatch):
    """The operation runs its kernels: on the GPU, or else in the simulator, whose runs are yielded."""
    if example.on_metal():
        yield None
        return
    if missing():
        pytest.skip(f"no Metal GPU, and {missing()}")
    runs = stand_in(monkeypatch)
    example.kernel.cache_clear()
    monkeypatch.setattr(example, "on_metal", lambda: True)
    with simulation(order="random", seed=1):
        yield runs
    example.kernel.cache_clear()


def formula(gate, value, d_y):
    """Output and gradients in float64."""
    sigmoid = 1 / (1 + np.exp(-gate))
    return gate * sigmoid * value, d_y * value * sigmoid * (1 + gate * (1 - sigmoid)), d_y * gate * sigmoid


def check(example, shape, dtype):
    rng = np.random.default_rng(0)
    arrays = [mx.array(rng.normal(size=shape).astype(np.float32)).astype(dtype) for _ in range(3)]
    gate, value, d_y = (lucid.tensor(one) for one in arrays)
    gate.requires_grad_()
    value.requires_grad_()
    y = example.swiglu(gate, value)
    y.backward(d_y)
    assert y.dtype == gate.grad.dtype == value.grad.dtype == dtype
    wanted = formula(*(np.array(one.astype(mx.float32)).astype(np.float64) for one in arrays))
    for found, exact in zip((y.detach(), gate.grad, value.grad), wanted, strict=True):
        np.testing.assert_allclose(
            found.float().numpy(), exact, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * np.abs(exact).max()
        )


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (2, 3, 101)])
def test_the_kernels_compute_the_formula(example, metal, shape, dtype):
    check(example, shape, dtype)
    if metal is not None:
        # mx.vjp calls the forward kernel again. On a GPU it is never evaluated, but the simulator is eager.
        assert metal.names == ["example_swiglu_forward"] * 2 + ["example_swiglu_backward"]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_the_reference_computes_the_formula(example, monkeypatch, dtype):
    monkeypatch.setattr(example, "on_metal", lambda: False)
    check(example, (3, 5), dtype)


def test_kernel_and_reference_agree(example, metal):
    for dtype, tolerance in TOLERANCE.items():
        assert example.largest_difference(dtype) < tolerance


def test_the_gradient_of_the_kernel_agrees_with_finite_differences(example, metal):
    gate, value = (lucid.randn(2, 2).requires_grad_() for _ in range(2))
    assert lucid.autograd.gradcheck(example.swiglu, (gate, value))


def test_what_a_thread_reads_and_writes(example, metal):
    if metal is None:
        pytest.skip("on a GPU nothing is counted")
    check(example, (3, 101), mx.float32)
    size = 3 * 101 * 4  # bytes of an array
    for (_, report), loads, stores in zip((metal[0], metal[-1]), (2, 3), (1, 2), strict=True):
        assert report.threads == 3 * 101
        assert sum(buffer.loaded_bytes for buffer in report.buffers.values()) == loads * size
        assert sum(buffer.stored_bytes for buffer in report.buffers.values()) == stores * size


@pytest.mark.skipif(strict.missing() is not None, reason=strict.missing() or "")
@pytest.mark.parametrize("dtype", [mx.float32, mx.float16], ids=str)
@pytest.mark.parametrize("size", [4, 100])
def test_the_shader_is_legal_metal(example, size, dtype):
    x, header = mx.zeros(size, dtype), example.SHADER.read_text()
    for function, inputs, outputs in (
        ("swiglu_forward", ["gate", "value"], ["y"]),
        ("swiglu_backward", ["gate", "value", "d_y"], ["d_gate", "d_value"]),
    ):
        call = f"{function}<T>({', '.join(inputs + outputs)}, thread_position_in_grid.x);"
        found = strict.check(
            header, call, inputs, [x] * len(inputs), outputs, [dtype] * len(outputs), template=[("T", dtype)]
        )
        assert found == []


@pytest.mark.parametrize(("shape", "dtype"), [((3, 4), lucid.float32), ((2, 4), lucid.float16)])
def test_operands_must_match(example, shape, dtype):
    with pytest.raises(ValueError, match="swiglu: gate and value must have the same shape and a dtype of float32"):
        example.swiglu(lucid.zeros(2, 4), lucid.zeros(*shape, dtype=dtype))


def test_empty_tensors(example, metal):
    assert example.swiglu(lucid.zeros(0, 3), lucid.zeros(0, 3)).shape == (0, 3)
    assert metal is None or metal == []


def test_the_network_learns_the_digits(example, capsys):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    example.main()
    out = capsys.readouterr().out
    assert "the gradient agrees with finite differences" in out
    accuracies = [float(one) for one in re.findall(r"epoch \d: loss [\d.]+, test accuracy ([\d.]+)%", out)]
    assert len(accuracies) == 5 and accuracies[-1] > 94

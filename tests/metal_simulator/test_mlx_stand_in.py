"""With the simulator in place of mx.fast.metal_kernel, differentiable functions run end to end."""

import mlx.core as mx
import numpy as np
import pytest

from tests.metal_simulator import SimulationError, simulated, simulation, stand_in


def squares():
    """x ** 2 with one kernel, its gradient with another."""
    forward = mx.fast.metal_kernel(
        name="square",
        input_names=["x"],
        output_names=["y"],
        source="uint i = thread_position_in_grid.x; y[i] = x[i] * x[i];",
    )
    backward = mx.fast.metal_kernel(
        name="square_gradient",
        input_names=["x", "dy"],
        output_names=["dx"],
        source="uint i = thread_position_in_grid.x; dx[i] = T(2.0f) * x[i] * dy[i];",
    )

    def launch(kernel, *inputs):
        x = inputs[0]
        return kernel(
            inputs=list(inputs),
            output_shapes=[x.shape],
            output_dtypes=[x.dtype],
            grid=(x.size, 1, 1),
            threadgroup=(128, 1, 1),
            template=[("T", x.dtype)],
            stream=mx.cpu,
        )[0]

    @mx.custom_function
    def square(x):
        return launch(forward, x)

    @square.vjp
    def square_vjp(primals, cotangent, _):
        @mx.custom_function
        def gradient(x, dy):
            return launch(backward, x, dy)

        @gradient.vjp
        def gradient_vjp(primals, cotangent, _):
            x, dy = primals
            return 2 * dy * cotangent, 2 * x * cotangent

        return gradient(primals, cotangent)

    return square


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
def test_value_gradient_and_second_gradient(simulator, monkeypatch, dtype):
    runs = stand_in(monkeypatch)
    square = squares()
    x = mx.array([[-1.5, 0.0, 2.0], [0.5, 3.0, 1.0]], dtype=dtype)
    weights = mx.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=dtype)
    value, gradient = mx.value_and_grad(lambda x: (square(x) * weights).sum())(x)
    assert value.item() == (x * x * weights).sum().item()
    assert gradient.dtype == dtype
    assert mx.array_equal(gradient, 2 * x * weights)
    assert runs.names == ["square", "square_gradient"]
    second = mx.grad(lambda x: mx.grad(lambda x: (square(x) * weights).sum())(x).sum())(x)
    assert mx.array_equal(second, 2 * weights)


def test_reports_of_all_runs_are_kept(simulator):
    original = mx.fast.metal_kernel
    with simulated() as runs, simulation(order="random"):
        square = squares()
        for size in (8, 24):
            mx.eval(mx.grad(lambda x: square(x).sum())(mx.ones(size)))
    assert mx.fast.metal_kernel is original
    assert len(runs) == 4
    assert [report.threads for report in runs.of("square")] == [8, 24]
    assert sum(report.loaded_bytes for report in runs.of("square_gradient")) == 2 * 4 * 32


def test_faulty_runs_are_recorded_and_raise(simulator):
    with simulated() as runs:
        kernel = mx.fast.metal_kernel(name="faulty", input_names=["x"], output_names=["y"], source="y[1] = x[0];")
        with pytest.raises(SimulationError, match="faulty: 2 fault"):
            kernel(
                inputs=[np.zeros(1)],
                output_shapes=[(1,)],
                output_dtypes=[mx.float32],
                grid=(1, 1, 1),
                threadgroup=(1, 1, 1),
            )
    assert runs.of("faulty")[0].fault_count == 2


def test_monkeypatch_restores_the_original(monkeypatch):
    original = mx.fast.metal_kernel
    with monkeypatch.context() as inner:
        stand_in(inner)
        assert mx.fast.metal_kernel is not original
    assert mx.fast.metal_kernel is original

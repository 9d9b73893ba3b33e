"""Small kernels for the simulator's own tests."""

import mlx.core as mx
import pytest

from tests.metal_simulator import Kernel, missing


@pytest.fixture
def simulator():
    """Skip the test where kernels cannot be simulated."""
    reason = missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def run_kernel(simulator):
    """Run a body on inputs x, x2, ... with one thread per element of x; returns the first output and the report."""

    def run(body, *inputs, header="", shape=None, dtype=mx.float32, grid=None, threadgroup=(64, 1, 1), **arguments):
        inputs = inputs or (mx.arange(64).astype(mx.float32),)
        names = ["x", *(f"x{i}" for i in range(2, len(inputs) + 1))]
        kernel = Kernel("tested", names, ["y"], body, header)
        [y] = kernel(
            inputs=list(inputs),
            output_shapes=[inputs[0].shape if shape is None else shape],
            output_dtypes=[dtype],
            grid=grid or (max(inputs[0].size, 1), 1, 1),
            threadgroup=threadgroup,
            **arguments,
        )
        return y, kernel.report

    return run

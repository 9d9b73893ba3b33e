"""The GPU of the kernels' tests: the real one on a Mac, the simulator everywhere else."""

import mlx.core as mx
import pytest

from lucid import _device
from lucid.kernels import library
from lucid.kernels.depthwise_conv2d import tiling
from tests.metal_simulator import missing, simulation, stand_in


@pytest.fixture
def gpu(monkeypatch):
    """Calls run on Metal: the shaders' own text, on the GPU (gives None) or in the simulator (gives its runs).

    The simulator checks bounds, double and missing writes, and runs the threads in random order.
    """
    monkeypatch.setenv("LUCID_TUNING", "off")
    if _device.backend() == "metal":
        yield None
        return
    reason = missing()
    if reason:
        pytest.skip(f"no Metal GPU, and {reason}")
    runs = stand_in(monkeypatch)
    library.forget()
    monkeypatch.setattr(_device, "backend", lambda: "metal")
    with simulation(order="random", seed=int(mx.random.randint(0, 2**30).item())):
        yield runs
    library.forget()
    tiling.forget()


@pytest.fixture
def simulator(gpu):
    """The simulated runs; skips on a real GPU, which counts and checks nothing."""
    if gpu is None:
        pytest.skip("on a GPU nothing is counted and nothing checked")
    return gpu

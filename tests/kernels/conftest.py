"""The GPU for the kernels' tests: the real one on a Mac, the simulator elsewhere."""

import mlx.core as mx
import pytest

from lucid import _device
from lucid.kernels import library
from lucid.kernels.depthwise_conv2d import tiling
from tests.metal_simulator import missing, simulation, stand_in


@pytest.fixture
def gpu(monkeypatch):
    """Run the shaders, on a Mac's GPU (the fixture is None) or in the simulator (the fixture is its runs).

    The simulator checks bounds and that each output is written once, and runs the threads in random order.
    """
    monkeypatch.setenv("LUCID_TUNING", "off")
    if _device.backend() == "metal":
        yield None
        return
    reason = missing()
    if reason:
        pytest.skip(f"no Metal GPU, and {reason}")
    runs = stand_in(monkeypatch)
    library.clear_cache()
    monkeypatch.setattr(_device, "backend", lambda: "metal")
    with simulation(order="random", seed=int(mx.random.randint(0, 2**30).item())):
        yield runs
    library.clear_cache()
    tiling.clear_cache()


@pytest.fixture
def simulator(gpu):
    """The simulated runs; skipped on a real GPU, which counts and checks nothing."""
    if gpu is None:
        pytest.skip("a GPU counts and checks nothing")
    return gpu

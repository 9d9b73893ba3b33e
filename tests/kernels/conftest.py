"""The GPU for the kernels' tests: the real one on a Mac, the simulator elsewhere."""

import mlx.core as mx
import pytest

from lucid import _device
from lucid.kernels import library, native
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


@pytest.fixture(params=["native", "fallback"])
def cpu_kernels(request, monkeypatch):
    """Both versions of what the CPU runs: the C++ kernels, if they can be compiled, and MLX's operations."""
    if request.param == "fallback":
        monkeypatch.setenv("LUCID_NATIVE", "off")
        return None
    monkeypatch.setenv("LUCID_NATIVE", "auto")
    monkeypatch.setattr(_device, "openblas_core", lambda: "")  # whose AVX-512 kernels would multiply
    if native.library() is None:
        pytest.skip(native.status())
    return native.library()


@pytest.fixture
def cpp(monkeypatch):
    """The C++ kernels; their number of threads is restored."""
    monkeypatch.setenv("LUCID_NATIVE", "auto")
    monkeypatch.setattr(_device, "openblas_core", lambda: "")  # whose AVX-512 kernels would multiply
    if _device.backend() != "cpu":
        pytest.skip("the C++ kernels run on the CPU")
    module = native.library()
    if module is None:
        pytest.skip(native.status())
    threads = module.thread_count()
    yield module
    module.set_thread_count(threads)

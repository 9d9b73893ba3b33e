"""Fixtures for all tests: a fixed seed, and a header that names the machine."""

from lucid import _device  # isort: skip  # First: OpenBLAS gets ahead of MLX's BLAS only before mlx.core is loaded.

import gc
import signal

import mlx.core as mx
import pytest

import lucid


def pytest_report_header():
    blas = f", {_device.openblas}" if _device.openblas else ""
    return f"lucid: on {_device.backend()}{blas}, mlx {mx.__version__}"


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state, alone or in any order."""
    mx.random.seed(0)


@pytest.fixture
def on_cpu():
    """For tests of what only the CPU does, on machines with a GPU too."""
    with lucid.device("cpu"):
        yield


@pytest.fixture
def settled():
    """For tests that measure MLX's memory: finish and free the work of earlier tests first."""
    mx.synchronize()
    gc.collect()


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    """Ctrl-C interrupts tests and their subprocesses, also if a script runs the tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

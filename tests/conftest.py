"""What all tests share: a deterministic start, and a header that says what they ran on."""

from lucid import _device  # isort: skip  # First: OpenBLAS gets ahead of MLX's BLAS only before mlx.core is loaded.

import gc
import signal

import mlx.core as mx
import pytest


def pytest_report_header():
    blas = f", {_device.openblas}" if _device.openblas else ""
    return f"lucid: on {_device.backend()}{blas}, mlx {mx.__version__}"


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state, alone or in any order."""
    mx.random.seed(0)


@pytest.fixture
def settled():
    """For tests that watch MLX's memory: what earlier ones left is done and freed, not at some time in between."""
    mx.synchronize()
    gc.collect()


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    """Ctrl-C interrupts tests and what they start, also where a script runs the tests in its background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

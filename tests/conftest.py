"""Fixtures for all tests: a fixed seed, and a header that names the machine."""

from lucid import _device  # isort: skip  # First: OpenBLAS gets ahead of MLX's BLAS only before mlx.core is loaded.

import gc
import os
import shutil
import signal
import ssl
import subprocess

import mlx.core as mx
import pytest

import lucid
from lucid.kernels import native


def pytest_report_header():
    blas = f", {_device.openblas}" if _device.openblas else ""
    return f"lucid: on {_device.backend()}{blas}, mlx {mx.__version__}"


def pytest_configure():
    """Where the CPU kernels cannot be compiled, say so once: tests read what the programs they start print."""
    if native.library() is None:
        os.environ["LUCID_NATIVE"] = "off"


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state of Lucid's generator and of MLX's, alone or in any order."""
    lucid.manual_seed(0)
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


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """The path of a certificate for 127.0.0.1 and localhost, with its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    files = ["-keyout", path.with_name("key.pem"), "-out", path]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + path.with_name("key.pem").read_bytes())
    return path


@pytest.fixture
def tls(certificate, monkeypatch):
    """A context for servers with a certificate that this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    """Ctrl-C interrupts tests and their subprocesses, also if a script runs the tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

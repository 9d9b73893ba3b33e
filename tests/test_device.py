import copy
import os
import pickle
import subprocess
import sys

import mlx.core as mx
import pytest

from lucid import _device
from lucid._device import backend, device, gpu_backend, is_available, resolve

no_gpu = pytest.mark.skipif(gpu_backend() is not None, reason="this machine has a GPU")
needs_gpu = pytest.mark.skipif(gpu_backend() is None, reason="needs a GPU: Metal or CUDA")


@pytest.fixture(autouse=True)
def former_device():
    former = mx.default_device()
    yield
    mx.set_default_device(former)


class FakeGpu:
    """Stands for mx where the machine has no GPU: remembers which device was set."""

    gpu, cpu, Device, DeviceType = mx.gpu, mx.cpu, mx.Device, mx.DeviceType

    class metal:
        @staticmethod
        def is_available():
            return True

    def __init__(self):
        self.present = mx.Device(mx.gpu, 0)

    def default_device(self):
        return self.present

    def set_default_device(self, wanted):
        self.present = wanted


@pytest.fixture
def fake(monkeypatch):
    fake = FakeGpu()
    monkeypatch.setattr(_device, "mx", fake)
    return fake


def test_calling_sets_and_with_restores(fake):
    assert backend() == "metal"
    device("cpu")
    assert backend() == "cpu"
    device("gpu")
    assert backend() == "metal"
    with device("cpu") as inside:
        assert (backend(), inside.type) == ("cpu", "cpu")
        with device("metal"):
            assert backend() == "metal"
        assert backend() == "cpu"
    assert backend() == "metal"


def test_with_restores_after_an_error(fake):
    with pytest.raises(KeyError), device("cpu"):
        raise KeyError
    assert backend() == "metal"


def test_a_device_can_be_reused_under_another_device(fake):
    cpu = device("cpu")
    with cpu:
        pass
    assert backend() == "metal"  # the device that the call replaced
    for _ in range(2):
        with cpu, device("gpu"), cpu:
            assert backend() == "cpu"
        assert backend() == "metal"


def test_device_without_a_name_is_the_current_device(fake):
    device("cpu")
    assert device().type == str(device()) == "cpu"
    assert repr(device("gpu")) == "lucid.device('metal')"
    assert device("gpu") == device("mps") != device("cpu")
    assert len({device("gpu"), device("metal"), device("cpu")}) == 2


def test_an_unavailable_gpu_backend_raises(fake):
    assert [is_available(name) for name in ("cpu", "gpu", "metal", "mps", "cuda")] == [True, True, True, True, False]
    with pytest.raises(
        RuntimeError, match=r"lucid\.device: 'cuda' is not available here; available devices are 'cpu' and 'gpu' \(m"
    ):
        device("cuda:0")
    assert backend() == "metal"


def test_resolve_takes_names_devices_and_mlx_devices(fake):
    for cpu in ("cpu", "cpu:0", device("cpu"), mx.cpu, mx.Device(mx.cpu, 0)):
        assert resolve("to", cpu) == mx.Device(mx.cpu, 0)
    assert (
        resolve("to", mx.gpu) == resolve("to", "cuda" if gpu_backend() == "cuda" else "metal") == mx.Device(mx.gpu, 0)
    )


@no_gpu
def test_a_missing_gpu_raises():
    assert (gpu_backend(), backend(), is_available()) == (None, "cpu", False)
    for name in ("gpu", "metal", "cuda"):
        with pytest.raises(
            RuntimeError, match=rf"lucid\.device: '{name}' is not available here; the only device is 'cpu'"
        ):
            device(name)
    with pytest.raises(RuntimeError, match=r"Tensor\.to: 'gpu' is not available here"):
        resolve("Tensor.to", mx.gpu)


@needs_gpu
def test_operations_run_on_the_selected_device():
    with device("cpu"):
        assert backend() == "cpu"
        on_cpu = mx.arange(4) * 2
    with device("gpu"):
        assert backend() == gpu_backend()
        both = on_cpu + 1
    assert both.tolist() == [1, 3, 5, 7]


@pytest.mark.parametrize(
    ("name", "error"), [("tpu", ValueError), ("cuda:1", ValueError), ("", ValueError), (3, TypeError)]
)
def test_an_unknown_device_raises(name, error):
    with pytest.raises(
        error, match=r"lucid\.device: the device must be one of 'cpu', 'gpu', 'metal', 'mps', 'cuda', got "
    ):
        device(name)


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="OpenBLAS is loaded on Linux only")
TELL = "import lucid._device as d; print(d.openblas, any('libopenblas' in line for line in open('/proc/self/maps')))"


@linux_only
def test_openblas_is_mapped_if_and_only_if_reported():
    found = run_python(TELL, LUCID_OPENBLAS="").stdout.split()
    assert found in (["None", "False"], ["libopenblas.so.0", "True"], ["libopenblasp.so.0", "True"])
    if found[1] == "False":
        pytest.skip("no OpenBLAS on this machine, or MLX's CUDA build")


@linux_only
@pytest.mark.parametrize("first", ["numpy", "lucid"])
def test_openblas_multiplies_matrices_whatever_is_imported_first(first, tmp_path):
    """The dynamic linker reports where it finds MLX's ``cblas_sgemm``."""
    code = f"import {first}, lucid; lucid.ones(8, 8).matmul(lucid.ones(8, 8)).numpy(); print(lucid._device.openblas)"
    # A library that is bound at the first call, as in wheels, is bound to what has been loaded by then.
    found = run_python(code, LUCID_OPENBLAS="", LD_DEBUG="bindings", LD_DEBUG_OUTPUT=str(tmp_path / "linker"))
    if found.stdout.strip() == "None":
        pytest.skip("no OpenBLAS on this machine, or MLX's CUDA build")
    lines = "".join(path.read_text(errors="replace") for path in tmp_path.glob("linker*")).splitlines()
    bound = [line for line in lines if "`cblas_sgemm'" in line and "libmlx" in line.split(" to ")[0]]
    assert bound, "libmlx.so calls another function"
    assert all("libopenblas" in line.split(" to ")[1] for line in bound)


@linux_only
def test_a_folder_named_mlx_next_to_the_script_has_no_effect(tmp_path):
    (tmp_path / "mlx").mkdir()  # such as a clone of MLX
    (tmp_path / "script.py").write_text(TELL)
    beside = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert beside.stdout == run_python(TELL, LUCID_OPENBLAS="").stdout


@linux_only
def test_openblas_is_not_loaded_if_disabled_or_too_late():
    assert run_python(TELL, LUCID_OPENBLAS="off").stdout.split() == ["None", "False"]
    assert run_python("import mlx.core; " + TELL, LUCID_OPENBLAS="").stdout.split() == ["None", "False"]


@linux_only
def test_a_missing_openblas_raises():
    result = run_python(TELL, LUCID_OPENBLAS="/nowhere/libopenblas.so")
    assert result.returncode == 1
    assert "ImportError: lucid: LUCID_OPENBLAS is '/nowhere/libopenblas.so', which cannot be loaded" in result.stderr


@linux_only
@pytest.mark.parametrize(
    ("quota", "cpus"), [("200000 100000", 2), ("50000 100000", 1), ("max 100000", None), ("", None)]
)
def test_the_cpu_quota_of_a_container_is_read(monkeypatch, quota, cpus):
    monkeypatch.setattr(_device.Path, "read_text", lambda self: quota)
    assert _device._cpu_quota() == cpus


def test_matmul_and_linalg_agree_with_numpy_for_any_blas():
    np = pytest.importorskip("numpy")
    a = np.random.default_rng(0).normal(size=(37, 53)).astype("float32")
    with device("cpu"):
        np.testing.assert_allclose(np.array(mx.array(a) @ mx.array(a).T), a @ a.T, rtol=1e-4, atol=1e-4)
        singular = np.array(mx.linalg.svd(mx.array(a))[1])
    np.testing.assert_allclose(singular, np.linalg.svd(a)[1], rtol=1e-4)


def test_the_cpu_backend_caches_freed_buffers_unless_a_limit_was_set():
    tell = "import mlx.core as mx; former = mx.set_cache_limit(0); print(former, mx.get_memory_limit() // 4)"
    kept, quarter = run_python(f"import lucid; {tell}").stdout.split()
    if _device.gpu_backend() is None:
        assert kept == quarter
    chosen = run_python(f"import mlx.core; mlx.core.set_cache_limit(5_000_000); import lucid; {tell}").stdout.split()
    assert chosen[0] == "5000000"


def test_a_copied_or_unpickled_device_is_equal_and_not_set(fake):
    gpu = device("gpu")
    device("cpu")
    for made in (pickle.loads(pickle.dumps(gpu)), copy.deepcopy(gpu)):  # noqa: S301
        assert made == gpu
        assert backend() == "cpu"
        with made:
            assert backend() == "metal"
        assert backend() == "cpu"

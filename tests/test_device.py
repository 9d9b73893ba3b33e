import copy
import os
import pickle
import subprocess
import sys

import mlx.core as mx
import pytest

import lucid
from lucid import _device, nn
from lucid._device import (
    backend,
    device,
    get_default_device,
    gpu_backend,
    is_available,
    resolve,
    set_default_device,
)  # fmt: skip

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


def test_a_device_is_a_value_and_with_sets_it(fake):
    cpu = device("cpu")
    assert backend() == "metal"  # building one sets nothing
    with cpu as inside:
        assert inside is cpu and (backend(), get_default_device()) == ("cpu", cpu)
        with device("metal"):
            assert backend() == "metal"
        assert backend() == "cpu"
    assert backend() == "metal"


def test_with_restores_after_an_error(fake):
    with pytest.raises(KeyError), device("cpu"):
        raise KeyError
    assert backend() == "metal"


def test_a_device_can_be_reused_inside_itself(fake):
    cpu = device("cpu")
    for _ in range(2):
        with cpu, device("gpu"), cpu:
            assert backend() == "cpu"
        assert backend() == "metal"


def test_the_default_device_is_set_and_restored(fake, monkeypatch):
    monkeypatch.setattr(_device, "_initial", fake.present)
    set_default_device("cpu")
    assert get_default_device() == device("cpu") and backend() == "cpu"
    set_default_device(device("mps"))
    assert get_default_device() == device("mps", 0) and backend() == "metal"
    set_default_device(mx.cpu)
    set_default_device(None)
    assert backend() == "metal"
    with pytest.raises(RuntimeError, match="set_default_device: device 'cuda' is not available here"):
        set_default_device("cuda")


def test_types_indices_and_texts(fake):
    made = [device("cpu"), device("cuda:1"), device("cuda", 1), device(type="mps", index=0), device("cuda", -1)]
    assert [(one.type, one.index) for one in made] == [
        ("cpu", None), ("cuda", 1), ("cuda", 1), ("mps", 0), ("cuda", None),
    ]  # fmt: skip
    assert [str(one) for one in made] == ["cpu", "cuda:1", "cuda:1", "mps:0", "cuda"]
    assert repr(made[0]) == "device(type='cpu')" and repr(made[1]) == "device(type='cuda', index=1)"
    assert device(made[1]) == made[1] and device(0) == device("mps:0") and str(device(1)) == "mps:1"


def test_equality_and_hash(fake):
    for name in ("mps", "metal", "gpu", "mps:0", device("metal"), device("gpu", 0), device(0)):
        assert device("mps") == name and name == device("mps")
    assert device("cpu") == "cpu" != device("mps") and device("cuda:1") != device("cuda:0") == device("cuda")
    assert device("cpu") != "nonsense" and device("cpu") != 3 and device("cpu") is not None
    assert len({device("gpu"), device("metal:0"), device("mps"), device("cpu"), device("cuda:1")}) == 3
    assert {"cpu": 1}[device("cpu")] == {device("cuda:1"): 1}["cuda:1"] == 1


def test_devices_that_are_not_there_are_values_too(fake):
    assert [is_available(name) for name in ("cpu", "gpu", "metal", "mps", "cuda")] == [True, True, True, True, False]
    for name in ("cuda:0", "mps:1", "meta", "xpu"):
        elsewhere = device(name)
        assert str(elsewhere) == name
        with pytest.raises(
            RuntimeError, match=f"device: device '{name}' is not available here; available devices are 'cpu' and 'mps'"
        ):
            elsewhere.__enter__()
    assert backend() == "metal"


def test_resolve_takes_names_devices_and_mlx_devices(fake):
    for cpu in ("cpu", "cpu:0", device("cpu"), mx.cpu, mx.Device(mx.cpu, 0)):
        assert resolve("to", cpu) == mx.Device(mx.cpu, 0)
    assert resolve("to", mx.gpu) == resolve("to", "mps") == resolve("to", 0) == mx.Device(mx.gpu, 0)


@no_gpu
def test_a_missing_gpu_raises():
    assert (gpu_backend(), backend(), is_available()) == (None, "cpu", False)
    for name in ("gpu", "mps", "cuda"):
        assert device(name).type == name
        for use in (set_default_device, lucid.ones(2).to, lambda name: lucid.zeros(2, device=name), nn.Linear(2, 2).to):
            with pytest.raises(
                RuntimeError, match=f": device '{name}' is not available here; the only device is 'cpu'"
            ):
                use(name)
    with pytest.raises(RuntimeError, match=r"Tensor\.to: device 'gpu:0' is not available here"):
        resolve("Tensor.to", mx.gpu)
    with pytest.raises(RuntimeError, match="device: 0 is the number of a GPU, and this machine has none"):
        device(0)


@needs_gpu
def test_operations_run_on_the_selected_device():
    with device("cpu"):
        assert backend() == "cpu"
        on_cpu = mx.arange(4) * 2
    with device("gpu"):
        assert backend() == gpu_backend()
        both = on_cpu + 1
    assert both.tolist() == [1, 3, 5, 7]


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "cuda:-1", "cuda:", "", ":0"])
def test_an_unknown_device_raises(name):
    for error in (RuntimeError, ValueError):
        with pytest.raises(error, match=f"device: device must be one of 'cpu', 'cuda', .*, got '{name}'"):
            device(name)


@pytest.mark.parametrize("arguments", [(3.5,), (None,), (True,), ("cuda:1", 1), ("cpu", "0")])
def test_arguments_of_the_wrong_type_raise(arguments):
    with pytest.raises(TypeError, match="device: (expected a name, a name and an index|index must be an)"):
        device(*arguments)
    with pytest.raises(ValueError, match="device: index must be at least 0, got -2"):
        device("cuda", -2)


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
    set_default_device("cpu")
    for made in (pickle.loads(pickle.dumps(gpu)), copy.deepcopy(gpu)):  # noqa: S301
        assert made == gpu
        assert backend() == "cpu"
        with made:
            assert backend() == "metal"
        assert backend() == "cpu"

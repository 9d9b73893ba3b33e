"""Every kernel is compared: on this machine, in the simulator, and up to the launch on a fake GPU."""

import importlib
import pkgutil

import mlx.core as mx
import pytest

from lucid import _device, kernels
from lucid.benchmark import accuracy
from lucid.kernels import choice, library
from lucid.kernels.depthwise_conv2d import dispatch, tiling
from tests.metal_simulator import missing, simulation, stand_in

SHADED = {"depthwise_conv2d", "biased_gelu", "gelu_grn", "grn_product"}
SHADERS = {
    "rolling_forward", "rolling_weight_gradient", "general_forward", "general_weight_gradient",
    "strided_input_gradient", "biased_gelu_gradient", "gelu_square_sums", "gelu_product_sums", "scaled_gelu_gradient",
    "padded_gelu", "gelu_and_square_sums",
}  # fmt: skip


@pytest.fixture
def metal(monkeypatch):
    """A GPU by name, and no cache of what it can do."""
    monkeypatch.setattr(_device, "backend", lambda: "metal")
    monkeypatch.setenv("LUCID_TUNING", "off")
    accuracy._unsupported.cache_clear()
    yield
    accuracy._unsupported.cache_clear()
    tiling.clear_cache()


@pytest.mark.parametrize("quick", [True, False])
def test_every_kernel_with_a_choice_is_checked(quick):
    modules = [importlib.import_module(f"lucid.kernels.{one.name}") for one in pkgutil.iter_modules(kernels.__path__)]
    named = {one.__name__.rpartition(".")[2] for one in modules if hasattr(one, "implementation")}
    named.remove("quantized_matmul")  # MLX's own kernel
    assert {"gelu", "biased_gelu", "gelu_grn", "matmul"} <= named
    assert {check.kernel for check in accuracy.checks(quick)} == named | {"depthwise_conv2d", "layer_norm", "AdamW"}
    assert len({(check.kernel, check.case) for check in accuracy.checks(quick)}) == len(list(accuracy.checks(quick)))


def test_the_fake_gpu_launches_every_shader(metal, monkeypatch):
    launched = []

    def kernel(language, shader, name, inputs, outputs, call):
        def launch(**arguments):
            assert language == "metal" and len(arguments["inputs"]) == len(inputs)
            launched.append((name, dict(arguments["template"])["T"]))
            pairs = zip(arguments["output_shapes"], arguments["output_dtypes"], strict=True)
            return [mx.zeros(shape, dtype) for shape, dtype in pairs]

        return launch

    monkeypatch.setattr(library, "kernel", kernel)
    monkeypatch.setattr(accuracy, "unsupported", lambda dtype: "")
    for check in accuracy.checks(quick=True):
        for dtype in accuracy.DTYPES:
            line = accuracy.record(check, dtype)
            if check.kernel in SHADED:  # the kernels compute nothing, and that is found
                assert (line["version"], line["is_right"]) == ("metal", False), line
            elif check.kernel == "gelu":
                assert line["version"] == "erf" and line["is_right"]
            else:
                assert line["skipped"] == "here MLX's own operations run"
    big = next(one for one in accuracy.checks() if "9x8" in one.case)
    accuracy.record(big, "float32")
    assert {name for name, _ in launched} == SHADERS
    assert {dtype for _, dtype in launched} == set(accuracy.DTYPES.values())


def test_the_simulated_gpu_is_right(metal, monkeypatch):
    if missing():
        pytest.skip(missing())
    stand_in(monkeypatch)
    library.clear_cache()
    with simulation():
        assert accuracy.unsupported("float16") == ""
        for check in accuracy.checks(quick=True):
            if check.kernel in SHADED:
                line = accuracy.record(check, "float32")
                assert line["version"] == "metal" and line["is_right"], line
    library.clear_cache()


def test_a_dtype_that_mlx_cannot_compute_is_skipped(metal, monkeypatch):
    def metal_kernel(name, inputs, outputs, body):
        def launch(inputs, **options):
            if inputs[0].dtype == mx.bfloat16:
                raise RuntimeError("error: 'bfloat' is not supported on this target\nand more")
            return [mx.zeros((8,))]

        return launch

    monkeypatch.setattr(mx.fast, "metal_kernel", metal_kernel)
    reason = "MLX cannot compute in bfloat16 on this device: error: 'bfloat' is not supported on this target"
    assert accuracy.unsupported("bfloat16") == reason and accuracy.unsupported("float16") == ""
    [check, *_] = accuracy.checks(quick=True)
    assert accuracy.record(check, "bfloat16") == {
        "kernel": "depthwise_conv2d", "case": "2x20x19x5, 7x7, padding 3", "dtype": "bfloat16", "skipped": reason,
    }  # fmt: skip


def test_a_kernel_that_does_not_compile_is_an_error(metal, monkeypatch):
    def kernel(*_):
        raise RuntimeError("unable to build the library\nand more")

    monkeypatch.setattr(library, "kernel", kernel)
    monkeypatch.setattr(accuracy, "unsupported", lambda dtype: "")
    [check, *_] = accuracy.checks(quick=True)
    line = accuracy.record(check, "float32")
    assert (line["version"], line["error"], line["is_right"]) == ("metal", "unable to build the library", False)


@pytest.mark.parametrize("wrong", [1.01, float("nan")])
def test_a_wrong_result_is_found(monkeypatch, wrong):
    right = dispatch.forward

    def forward(*arrays, geometry):
        y = right(*arrays, geometry)
        return y if choice.reference_is_forced() else y * wrong

    monkeypatch.setattr(dispatch, "forward", forward)
    [check, *_] = accuracy.checks(quick=True)
    line = accuracy.record(check, "float32")
    assert not line["is_right"]
    assert line["differences"]["value"] == (pytest.approx(0.01, rel=1e-3) if wrong == 1.01 else None)
    assert set(line["differences"]) == {"value", "gradient of x", "gradient of weight", "gradient of bias"}

"""Shaders are found and kernels built; the same shaders compile as CUDA, without a GPU."""

import mlx.core as mx
import pytest

from lucid.kernels import biased_gelu, library
from tests.kernels import cuda_compiler
from tests.kernels.cuda_compiler import (
    ARCHITECTURES,
    DTYPES,
    compile_cuda,
    joined_source,
    launch_everything,
    launch_gelu,
    recorded,
)

FUNCTIONS = {
    "rolling_forward",
    "general_forward",
    "strided_input_gradient",
    "rolling_weight_gradient",
    "general_weight_gradient",
}
MAX_REGISTERS = 112
needs_nvrtc = pytest.mark.skipif(
    cuda_compiler.folder() is None, reason="NVRTC or CUDA's headers are missing, see tests/kernels/cuda_compiler.py"
)


@pytest.fixture(autouse=True)
def fresh():
    library.clear_cache()
    yield
    library.clear_cache()


def build(language="metal", call="f(x);", name="f"):
    return library.kernel(language, "depthwise_conv2d", name, ("x",), ("y",), call)


def test_a_kernel_is_built_once():
    assert build() is build() and build() is not build(call="g(x);")


def test_a_missing_shader_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(library, "METAL_FOLDER", tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"the shader .*depthwise_conv2d\.metal is missing; the installation is"
    ):
        build()


def test_strided_inputs_are_copied(gpu):
    x, bias = mx.random.normal((2, 3, 6, 5)).transpose(0, 3, 2, 1), mx.zeros(3)
    found = biased_gelu.gradients(x, x, bias)
    expected = biased_gelu.gradients(mx.contiguous(x), mx.contiguous(x), bias)
    assert all(mx.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.fixture
def cuda_kernels(monkeypatch):
    """The arguments of every CUDA kernel that is built."""
    built = []
    monkeypatch.setattr(mx.fast, "cuda_kernel", lambda *arguments: built.append(arguments) or (lambda: None))
    return built


def test_cuda_gets_the_compatibility_header_and_the_shader_itself(cuda_kernels):
    build("cuda")
    [(_, inputs, outputs, call, header)] = cuda_kernels
    assert (inputs, outputs, call) == (("x",), ("y",), "f(x);")
    assert header.startswith(library.source("cuda_compat.h") + library.source("depthwise_conv2d.metal"))


def test_the_name_of_a_cuda_kernel_depends_on_its_source(cuda_kernels, monkeypatch):
    build("cuda")
    build("cuda", call="g(x);")
    library.clear_cache()
    build("cuda")
    source = library.source
    monkeypatch.setattr(library, "source", lambda file: source(file) + "// changed\n")
    library.kernel.cache_clear()
    build("cuda")
    first, other_call, again, other_source = (one[0] for one in cuda_kernels)
    assert first == again and len({first, other_call, other_source}) == 3
    assert all(name.startswith("lucid_f_") and name.isidentifier() for name in (first, other_call, other_source))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_function_is_among_the_launches_to_compile(dtype):
    with recorded() as functions:
        launch_everything(dtype)
    assert {one for one in FUNCTIONS for name in functions if name.startswith(f"lucid_{one}_")} == FUNCTIONS
    assert all(str(dtype).removeprefix("mlx.core.") in name for name in functions)


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_launch_compiles_as_cuda_without_spills(dtype, architecture):
    with recorded() as functions:
        launch_everything(dtype, kernels=((7, 7),))
    log, size = compile_cuda(joined_source(functions), architecture)
    assert size > 0, log
    found = cuda_compiler.registers_and_spills(log, functions)
    assert found.keys() == functions.keys()
    assert all(0 < registers < MAX_REGISTERS and spilled == 0 for registers, spilled in found.values()), found


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_functions_around_gelu_compile_as_cuda(dtype, architecture):
    with recorded() as functions:
        launch_gelu(dtype)
    assert len(functions) == 5
    log, size = compile_cuda(joined_source(functions), architecture)
    assert size > 0, log
    found = cuda_compiler.registers_and_spills(log, functions)
    assert all(0 < registers <= 64 and spilled == 0 for registers, spilled in found.values()), found


@needs_nvrtc
def test_an_invalid_source_does_not_compile():
    with recorded() as functions:
        launch_everything(mx.float32, kernels=((1, 1),))
    log, size = compile_cuda(joined_source(functions) + "wrong", "sm_80")
    assert size == 0 and "error" in log

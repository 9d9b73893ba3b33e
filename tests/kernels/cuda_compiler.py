"""Compiles the shaders as CUDA without an NVIDIA GPU, with NVRTC, as MLX's CUDA backend (0.32) does.

Needs NVRTC and CUDA's headers, both from PyPI: pip install nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cuda-cccl.
They are found where pip installs them, or in the folder ``LUCID_CUDA``, which has ``lib`` and ``include``.

    python -m tests.kernels.cuda_compiler OUT.json    # registers and spills of every kernel that can be launched
"""

import ctypes
import json
import os
import re
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import mlx.core as mx
import pytest

from lucid.kernels import biased_gelu, gelu_grn, library
from lucid.kernels.depthwise_conv2d.geometry import Geometry
from lucid.kernels.depthwise_conv2d.launch import Launcher
from lucid.kernels.depthwise_conv2d.tiling import Tiling, WeightGradientTiling, strips

ARCHITECTURES = ("sm_80", "sm_90a")
DTYPES = (mx.float32, mx.float16, mx.bfloat16)
_TYPES = {mx.float32: "float", mx.float16: "__half", mx.bfloat16: "__nv_bfloat16", mx.int32: "int32_t"}
# The part of MLX's own header that kernels see before ours.
_UTILS = """
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda/std/array>
#include <cuda/std/limits>
#include <cuda/std/tuple>
namespace mlx::core::cu {
using Shape = cuda::std::array<int32_t, 10>;
using Strides = cuda::std::array<int64_t, 10>;
}
"""
_UTILS_NAME = "mlx/backend/cuda/device/utils.cuh"


def folder() -> Path | None:
    """The folder with ``lib/libnvrtc.so.13`` and ``include/cuda_fp16.h``; None if one of them is missing."""
    named = os.environ.get("LUCID_CUDA")
    spec = find_spec("nvidia")
    places = (
        [Path(named)] if named else [Path(one) / "cu13" for one in (spec and spec.submodule_search_locations) or ()]
    )
    needed = ("lib/libnvrtc.so.13", "include/cuda_fp16.h", "include/cooperative_groups.h")
    return next((one for one in places if all((one / file).is_file() for file in needed)), None)


@contextmanager
def recorded():
    """Record (header, function) of every CUDA kernel launched in the block, by name; the kernels compute nothing."""
    functions = {}

    def cuda_kernel(name, input_names, output_names, source, header):
        def launch(*, inputs, output_shapes, output_dtypes, template, **_):
            full = name + "".join(f"_{str(value).removeprefix('mlx.core.')}" for _, value in template)
            function = function_of(full, input_names, output_names, source, inputs, output_dtypes, template)
            functions[full] = header, function
            return [mx.zeros(shape, dtype) for shape, dtype in zip(output_shapes, output_dtypes, strict=True)]

        return launch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mx.fast, "cuda_kernel", cuda_kernel)
        library.clear_cache()
        yield functions
        library.clear_cache()


def function_of(name, input_names, output_names, source, inputs, output_dtypes, template):
    """The function that MLX generates around the source of a kernel."""
    parameters = []
    for one, array in zip(input_names, inputs, strict=True):
        parameters.append(f"const {_TYPES[array.dtype]}* {one}")
        for suffix, kind in (("shape", "Shape"), ("strides", "Strides"), ("ndim", "int")):
            if f"{one}_{suffix}" in source:
                parameters.append(f"const __grid_constant__ {kind} {one}_{suffix}")
    parameters += [f"{_TYPES[dtype]}* {one}" for one, dtype in zip(output_names, output_dtypes, strict=True)]
    constants = []
    for key, value in template:
        if isinstance(value, mx.Dtype):
            constants.append(f"  using {key} = {_TYPES[value]};")
        else:
            constants.append(f"  constexpr {type(value).__name__} {key} = {str(value).lower()};")
    return "\n".join([f"__global__ void {name}({', '.join(parameters)}) {{", *constants, source, "}"])


def joined_source(functions) -> str:
    """What MLX passes to NVRTC, with all functions after one header, which takes longest to compile."""
    [header] = {header for header, _ in functions.values()}
    parts = [f'#include "{_UTILS_NAME}"', "#include <cooperative_groups.h>", header, "namespace mlx::core::cu {"]
    return "\n".join([*parts, *(function for _, function in functions.values()), "}"])


def launch_everything(dtype: mx.Dtype, kernels=((7, 7), (5, 5), (3, 3), (1, 7), (1, 1))) -> None:
    """Launch every function, with every flag and strip width, in one dtype."""
    launcher = Launcher("cuda")
    general = [((9, 9), (1, 1), (1, 1)), ((3, 3), (2, 2), (1, 1)), ((5, 5), (1, 1), (2, 2))]
    for kernel, stride, dilation in [*((one, (1, 1), (1, 1)) for one in kernels), *general]:
        geometry = Geometry((24, 25), kernel, stride, ((1, 1), (2, 1)), dilation)
        x, weight, bias = mx.zeros((2, 24, 25, 5), dtype), mx.zeros((*kernel, 5), dtype), mx.zeros((5,), dtype)
        gradient = mx.zeros((2, *geometry.output, 5), dtype)
        for strip in strips("cuda", kernel):
            for one in (bias, None):
                launcher.forward(x, weight, one, geometry, Tiling(strip))
            launcher.weight_gradient(x, gradient, geometry, WeightGradientTiling(strip, 7, 1, 1))
        launcher.input_gradient(gradient, weight, geometry)
        launcher.input_gradient(gradient, weight, geometry, x)


def launch_gelu(dtype: mx.Dtype) -> None:
    """Launch every function of biased_gelu.metal."""
    h, bias = mx.zeros((2, 5, 7, 33), dtype), mx.zeros((33,), dtype)
    for factor in (None, mx.zeros((2,))):
        biased_gelu._launch("cuda", h, h, bias, factor)
        biased_gelu.launch_padded("cuda", h, bias, factor)
    scale = mx.zeros((2, 1, 1, 33))
    biased_gelu.launch_padded("cuda", h, bias, None, scale, scale)
    gelu_grn._launch_with_square_sums("cuda", h, bias)
    gelu_grn._launch("cuda", h, h, bias, mx.zeros((2, 1, 1, 33)), bias, bias)
    gelu_grn._launch_square_sums("cuda", h, bias)


def compile_cuda(source: str, architecture: str) -> tuple[str, int]:
    """The compiler's log, and the size of the machine code in bytes, 0 if it does not compile."""
    place = folder()
    assert place is not None
    for builtins in (place / "lib").glob("libnvrtc-builtins.so*"):
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    nvrtc = ctypes.CDLL(str(place / "lib" / "libnvrtc.so.13"))
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    texts, names = (ctypes.c_char_p * 1)(_UTILS.encode()), (ctypes.c_char_p * 1)(_UTILS_NAME.encode())
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 1, texts, names) == 0
    options = [f"--gpu-architecture={architecture}", "--device-as-default-execution-space", "--ptxas-options=-v"]
    options += [f"--include-path={place / one}" for one in ("include/cccl", "include")]
    failed = nvrtc.nvrtcCompileProgram(
        program, len(options), (ctypes.c_char_p * len(options))(*map(str.encode, options))
    )
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    size.value = 0
    if not failed:
        nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return log.value.decode(errors="replace"), size.value


def registers_and_spills(log: str, names) -> dict[str, tuple[int, int]]:
    """The registers per thread and the bytes spilled to memory, by kernel."""
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        [name] = [one for one in names if f"{len(one)}{one}" in part.split("'")[0]]
        [registers] = re.findall(r"Used (\d+) registers", part)
        found[name] = int(registers), sum(map(int, re.findall(r"(\d+) bytes spill", part)))
    return found


def main(path: str) -> None:
    lines = []
    for dtype in DTYPES:
        with recorded() as functions:
            launch_everything(dtype)
        for architecture in ARCHITECTURES:
            log, size = compile_cuda(joined_source(functions), architecture)
            if not size:
                raise SystemExit(f"{architecture}: {log}")
            for name, (registers, spilled) in registers_and_spills(log, functions).items():
                kernel = re.sub(r"_[0-9a-f]{12}_", " ", name.removeprefix("lucid_"))
                lines.append({"kernel": kernel, "for": architecture, "registers": registers, "spilled_bytes": spilled})
    versions = f"mlx {mx.__version__}, NVRTC {nvrtc_version()}"
    status = "compiled, not run: no NVIDIA GPU was available"
    rows = ",\n".join(f"  {json.dumps(line)}" for line in lines)
    text = f'{{\n "status": "{status}",\n "versions": "{versions}",\n "kernels": [\n{rows}\n ]\n}}\n'
    Path(path).write_text(text, encoding="utf-8")
    print(f"{len(lines)} kernels, {sum(line['spilled_bytes'] > 0 for line in lines)} of them spill registers")


def nvrtc_version() -> str:
    major, minor = ctypes.c_int(), ctypes.c_int()
    place = folder()
    assert place is not None
    ctypes.CDLL(str(place / "lib" / "libnvrtc.so.13")).nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


if __name__ == "__main__":
    main(sys.argv[1])

"""Every kernel that has a choice of implementation, compared with its reference on the current device.

The kernel runs as a user's call does. The reference is made of MLX's own operations, in float32 on the CPU, from the
same rounded inputs; see ``lucid.kernels.use_reference``. Results and all gradients are compared.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

import lucid
from lucid import _device
from lucid.benchmark.depthwise import DTYPES, TOLERANCES
from lucid.benchmark.timing import difference, first_line
from lucid.kernels import biased_gelu, gelu, gelu_grn, grn_product, layer_norm, matmul, native, use_reference
from lucid.kernels.depthwise_conv2d import dispatch
from lucid.kernels.depthwise_conv2d.geometry import Geometry

import mlx.core as mx  # isort: skip  # After lucid, which loads a fast BLAS before MLX on Linux.

EPS = 1e-6


@dataclass(frozen=True)
class Check:
    """A function of arrays with these names and shapes, and the gradients that it is compared in.

    ``version`` says which implementation runs for the arrays.
    """

    kernel: str
    case: str
    function: Callable[..., mx.array]
    shapes: dict[str, tuple[int, ...]]
    gradients: tuple[str, ...]
    version: Callable[..., str]


# Shape of x, kernel, options. Stages of ConvNeXt, then shapes that need every function of the shader.
_DEPTHWISE: list[tuple[tuple[int, int, int, int], tuple[int, int], dict[str, int]]] = [
    ((2, 20, 19, 5), (7, 7), {"padding": 3}),
    ((2, 13, 9, 33), (3, 3), {"padding": 1, "stride": 2}),
    ((1, 17, 16, 33), (5, 5), {"padding": 4, "dilation": 2}),
    ((1, 1, 1, 1), (1, 1), {}),
    ((1, 56, 56, 96), (7, 7), {"padding": 3}),
    ((2, 28, 28, 192), (7, 7), {"padding": 3}),
    ((4, 14, 14, 384), (7, 7), {"padding": 3}),
    ((4, 7, 7, 768), (7, 7), {"padding": 3}),
    ((2, 12, 11, 130), (9, 8), {"padding": 4}),
    ((2, 15, 14, 160), (7, 7), {"padding": 3, "stride": 2}),
]
_MAPS = [(2, 5, 7, 12), (1, 1, 1, 3), (3, 28, 28, 384), (4, 7, 7, 3072)]
_QUICK = 3


def checks(quick: bool = False) -> Iterator[Check]:
    """All of them, or with ``quick`` those of small shapes."""
    for shape, kernel, options in _DEPTHWISE[: _QUICK if quick else None]:
        yield from _depthwise(shape, kernel, options)
    for shape in _MAPS[: 1 if quick else None]:
        yield from _pointwise(shape)
    for m, k, n in [(64, 96, 80)] if quick else [(64, 96, 80), (196, 384, 1536), (1568, 96, 384)]:
        yield Check(
            "matmul", f"{m}x{k} @ {k}x{n}", matmul.matmul, {"a": (m, k), "b": (k, n), "bias": (n,)}, ("a", "b", "bias"),
            matmul.implementation,
        )  # fmt: skip
    yield Check(
        "AdamW", "one step of 4097 values", _adamw, {"weight": (4097,), "gradient": (4097,)}, (), _native_or_mlx
    )


def _depthwise(shape: tuple[int, int, int, int], kernel: tuple[int, int], options: dict[str, int]) -> Iterator[Check]:
    channels = shape[3]
    geometry = Geometry.checked(
        "bench", shape[1:3], kernel, options.get("stride", 1), options.get("padding", 0), options.get("dilation", 1)
    )
    arrays = {"x": shape, "weight": (channels, 1, *kernel), "bias": (channels,)}
    words = [f"{name} {value}" for name, value in options.items()]
    case = ", ".join([f"{_times(shape)}, {_times(kernel)}", *words])

    def version(x: mx.array, *_: mx.array) -> str:
        return dispatch.implementation(x.shape, x.dtype, geometry)

    def with_start(x: mx.array, weight: mx.array, dy: mx.array, start: mx.array) -> mx.array:
        found = dispatch.gradients(dy, x, weight, geometry, start)
        if found is not None:
            return found[0]
        return mx.vjp(lambda x: dispatch.forward(x, weight, None, geometry), [x], [dy])[1][0] + start

    yield Check(
        "depthwise_conv2d", case, partial(dispatch.forward, geometry=geometry), arrays, ("x", "weight", "bias"), version
    )
    if not options.get("stride") and not options.get("dilation"):
        more = {"dy": (shape[0], *geometry.output, channels), "start": shape}
        yield Check(
            "depthwise_conv2d", f"{case}, added to a gradient", with_start,
            {"x": shape, "weight": arrays["weight"], **more}, (), version,
        )  # fmt: skip


def _pointwise(shape: tuple[int, int, int, int]) -> Iterator[Check]:
    """Kernels of the block's widest map, and layer normalization."""
    n, *_, c = shape
    case, vector = _times(shape), (c,)
    factor = mx.arange(1, n + 1).astype(mx.float32) / n

    def grn(h: mx.array, bias: mx.array, weight: mx.array, shift: mx.array, padded: bool = False) -> mx.array:
        squares = mx.stop_gradient(gelu_grn.square_sums(h, bias))
        return gelu_grn.gelu_grn(h, bias, squares, weight, shift, padded=padded)[..., :c]

    def product(x: mx.array, h: mx.array, bias: mx.array, weight: mx.array, matrix: mx.array) -> mx.array:
        y, squares = map(mx.stop_gradient, gelu_grn.gelu_and_square_sums(h, bias))
        rows = mx.zeros((biased_gelu.padding(h.dtype) - 1, matrix.shape[1]), matrix.dtype)
        return grn_product.grn_product(x, h, bias, y, squares, weight, mx.concatenate([matrix, rows]))

    def norm(x: mx.array, weight: mx.array, bias: mx.array) -> mx.array:
        return layer_norm.layer_norm(x, weight, bias, EPS)

    def biased(h: mx.array, bias: mx.array, *_: mx.array) -> str:
        return biased_gelu.implementation(h, bias)

    both = {"h": shape, "bias": vector}
    yield Check("gelu", case, gelu.gelu, {"x": shape}, ("x",), lambda x: gelu.implementation(x.dtype))
    yield Check("biased_gelu", case, biased_gelu.biased_gelu, both, ("h", "bias"), biased)
    scaled = partial(biased_gelu.biased_gelu, factor=factor)
    yield Check("biased_gelu", f"{case}, with factor", scaled, both, ("h", "bias"), biased)
    four = {**both, "weight": vector, "shift": vector}
    yield Check("gelu_grn", case, grn, four, tuple(four), biased)
    yield Check("gelu_grn", f"{case}, padded", partial(grn, padded=True), four, tuple(four), biased)
    width = max(c // 4, 1)
    five = {"x": (*shape[:3], width), **both, "weight": vector, "matrix": (c + 1, width)}
    yield Check("grn_product", case, product, five, tuple(five), lambda x, h, bias, *_: biased(h, bias))
    three = {"x": shape, "weight": vector, "bias": vector}
    yield Check("layer_norm", case, norm, three, tuple(three), _native_or_mlx)


def _native_or_mlx(*arrays: mx.array) -> str:
    return "mlx" if native.for_arrays(*arrays) is None else "native"


def _adamw(weight: mx.array, gradient: mx.array) -> mx.array:
    parameter = lucid.nn.Parameter(lucid.tensor(weight))
    parameter.grad = lucid.tensor(gradient)
    lucid.optim.AdamW([parameter], lr=0.1, weight_decay=0.1).step()
    return parameter.mlx


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def results_of(check: Check, arrays: list[mx.array]) -> dict[str, np.ndarray]:
    """The value, and the gradients for a fixed output gradient, in float32."""
    names = list(check.shapes)
    places = [names.index(name) for name in check.gradients]

    def function(*chosen: mx.array) -> mx.array:
        given = list(arrays)
        for place, one in zip(places, chosen, strict=True):
            given[place] = one
        return check.function(*given)

    if not places:
        return {"value": _numpy(function())}
    cotangent = _normal(check.function(*arrays).shape, 99).astype(arrays[0].dtype)
    [value], gradients = mx.vjp(function, [arrays[i] for i in places], [cotangent])
    found = {"value": value} | dict(zip((f"gradient of {name}" for name in check.gradients), gradients, strict=True))
    return {name: _numpy(one) for name, one in found.items()}


def _numpy(array: mx.array) -> np.ndarray:
    return np.array(array.astype(mx.float32))


def _normal(shape: tuple[int, ...], seed: int) -> mx.array:
    return mx.array(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def record(check: Check, dtype: str) -> dict[str, Any]:
    """What ran, how far each result is off, relative to its largest value, and whether that is within tolerance."""
    line: dict[str, Any] = {"kernel": check.kernel, "case": check.case, "dtype": dtype}
    if reason := unsupported(dtype):
        return line | {"skipped": reason}
    inputs = [_normal(shape, seed).astype(DTYPES[dtype]) for seed, shape in enumerate(check.shapes.values())]
    line["version"] = check.version(*inputs)
    if line["version"] in ("reference", "mlx", "blas"):
        return line | {"skipped": "here MLX's own operations run"}
    try:
        found = results_of(check, inputs)
    except (RuntimeError, ValueError, OSError) as error:  # the kernel does not compile or run here
        return line | {"error": first_line(error), "is_right": False}
    with lucid.device("cpu"), use_reference():
        expected = results_of(check, [one.astype(mx.float32) for one in inputs])
    differences = {name: difference(found[name], expected[name]) for name in expected}
    right = max(differences.values()) <= TOLERANCES[dtype]
    finite = {name: one if math.isfinite(one) else None for name, one in differences.items()}  # as JSON has it
    return line | {"differences": finite, "tolerance": TOLERANCES[dtype], "is_right": right}


def unsupported(dtype: str) -> str:
    """Why the current device cannot compute in this dtype, or "" if it can.

    MLX itself must add two numbers and run a kernel of one line; the GPUs of virtual machines may lack bfloat16.
    """
    return _unsupported(dtype, _device.backend())


@cache
def _unsupported(dtype: str, backend: str) -> str:
    if backend == "cpu":
        return ""
    x = mx.ones((8,), DTYPES[dtype])
    try:
        mx.eval(x + x)
        if backend == "metal":
            body = "uint i = thread_position_in_grid.x; y[i] = T(float(x[i]) + 1.0f);"
            kernel: Any = mx.fast.metal_kernel("lucid_bench_probe", ["x"], ["y"], body)
            mx.eval(
                kernel(
                    inputs=[x], template=[("T", x.dtype)], grid=(8, 1, 1), threadgroup=(8, 1, 1),
                    output_shapes=[(8,)], output_dtypes=[x.dtype],
                )
            )  # fmt: skip
    except RuntimeError as error:
        return f"MLX cannot compute in {dtype} on this device: {first_line(error)}"
    return ""

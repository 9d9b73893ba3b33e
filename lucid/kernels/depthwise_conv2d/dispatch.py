"""Depthwise two-dimensional convolution, forward and all gradients, on NHWC arrays.

Every channel is convolved with a kernel of its own. The function is linear in x and in the weight, so three maps are
closed under differentiation: the convolution, the gradient of its input and the gradient of its weight. Each is an
``custom_vjp`` whose gradient calls the other two, hence derivatives of every order.

        forward(x, taps, bias)        ->  input_gradient(dy, taps), weight_gradient(x, dy)
        input_gradient(dy, taps)      ->  forward(v, taps), weight_gradient(v, dy)        v: its cotangent, like x
        weight_gradient(x, dy)        ->  input_gradient(dy, v), forward(x, v, u)         (v, u): like (taps, bias)

The gradient of the bias comes with the weight's: a GPU sums it in the same pass. Whatever a caller does not ask for is
never computed: arrays are lazy.

Inside, weights are tap-major, (KH, KW, C): neighbouring threads own neighbouring channels and read neighbouring bytes.
"""

import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import mlx.core as mx

from lucid import _checks, _device
from lucid.kernels.choice import reference_is_forced
from lucid.kernels.custom_vjp import custom_vjp
from lucid.kernels.depthwise_conv2d import launch, position_matrices, shifted_sums
from lucid.kernels.depthwise_conv2d.geometry import Geometry

_CALLER = "depthwise_conv2d"
_MAPS: dict[str, Any] = {
    "shifted_sums": shifted_sums,
    "position_matrices": position_matrices,
    "metal": launch.Launcher("metal"),
    "cuda": launch.Launcher("cuda"),
}
_FLOATS = (mx.float32, mx.float16, mx.bfloat16, mx.float64)


def depthwise_conv2d(
    x: mx.array,
    weight: mx.array,
    bias: mx.array | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | Sequence[Sequence[int]] = 0,
    dilation: int | Sequence[int] = 1,
) -> mx.array:
    """Convolution of every channel with its own kernel, computed with float32 sums, in the dtype of the input.

    Shapes: x (N, H, W, C); weight (C, 1, KH, KW), PyTorch's; bias (C,); out (N, OH, OW, C). ``stride`` and
    ``dilation`` are one integer or (along the height, along the width); ``padding`` also ((top, bottom), (left,
    right)). Arrays of different float dtypes are promoted as MLX does. Differentiable any number of times.

    Raises:
        ValueError: shapes do not belong together, or the kernel is larger than the padded input.
        TypeError: an array is no ``mx.array`` or holds no floating-point numbers.
    """
    _check_arrays(x, weight, bias)
    return forward(
        x, weight, bias, Geometry.checked(_CALLER, x.shape[1:3], weight.shape[2:], stride, padding, dilation)
    )


def forward(x: mx.array, weight: mx.array, bias: mx.array | None, geometry: Geometry) -> mx.array:
    """``depthwise_conv2d`` of arrays whose sizes ``geometry`` holds; nothing is validated again."""
    dtype = mx.result_type(x, weight) if bias is None else mx.result_type(x, weight, bias)
    x, weight, bias = x.astype(dtype), weight.astype(dtype), None if bias is None else bias.astype(dtype)
    version = implementation(x.shape, dtype, geometry)
    if version == "reference":
        return reference(x, weight, bias, geometry)
    taps = weight.squeeze(1).transpose(1, 2, 0)  # (KH, KW, C)
    convolution = _forward(geometry, bias is not None, version)
    return convolution(x, taps) if bias is None else convolution(x, taps, bias)


def gradients(
    cotangent: mx.array, x: mx.array, weight: mx.array, geometry: Geometry
) -> tuple[mx.array, mx.array, mx.array] | None:
    """The gradients of x, weight and bias, given that of the output; None where MLX derives them.

    All arrays have one dtype.
    """
    version = implementation(x.shape, x.dtype, geometry)
    if version == "reference":
        return None
    taps = weight.squeeze(1).transpose(1, 2, 0)  # (KH, KW, C)
    d_x, d_taps, d_bias = _forward(geometry, True, version).vjp(cotangent, x, taps)
    return d_x, mx.expand_dims(d_taps.transpose(2, 0, 1), 1), d_bias


def implementation(shape: Sequence[int], dtype: mx.Dtype, geometry: Geometry) -> str:
    """Which version serves an x of this shape on the present device.

    - "reference": ``use_reference()`` or ``LUCID_KERNELS=reference`` asks for it; and on a GPU what its kernels do not
      take: float64, or images of 2^31 elements and more (their offsets inside an image are 32-bit integers).
    - "position_matrices": the CPU with a fast BLAS (OpenBLAS, or macOS's own), for four images and more of up to 8x8.
    - "shifted_sums": the CPU otherwise; and empty arrays, which leave a GPU nothing to launch.
    - "metal", "cuda": the GPU of that kind.
    """
    if reference_is_forced():
        return "reference"
    backend = _device.backend()
    if backend == "cpu" or 0 in shape:
        has_fast_blas = _device.openblas is not None or sys.platform == "darwin"
        small = 0 not in shape and position_matrices.serves(shape[0], geometry)
        return "position_matrices" if backend == "cpu" and has_fast_blas and small else "shifted_sums"
    images, _, _, channels = shape
    (oh, ow), (height, width) = geometry.output, geometry.size
    largest = max(height * width, oh * ow) * channels
    # CUDA's grids take fewer than 2^16 blocks along the second and third dimension.
    too_many = backend == "cuda" and max(images, height, oh) >= 2**16
    if dtype not in launch.DTYPES or largest >= 2**31 or images * oh >= 2**31 or too_many:
        return "reference"
    return backend


def reference(x: mx.array, weight: mx.array, bias: mx.array | None, geometry: Geometry) -> mx.array:
    """The same through MLX's own convolution, which also derives the gradients. Weight (C, 1, KH, KW)."""
    low, high = zip(*geometry.padding, strict=True)
    y = mx.conv_general(
        x,
        weight.transpose(0, 2, 3, 1),  # (C, KH, KW, 1)
        stride=geometry.stride,
        padding=(list(low), list(high)),
        kernel_dilation=geometry.dilation,
        groups=x.shape[3],
    )
    return y if bias is None else y + bias


@lru_cache(maxsize=512)
def _forward(geometry: Geometry, has_bias: bool, version: str) -> custom_vjp:
    """The convolution of x (N, H, W, C) with taps (KH, KW, C), and bias (C,) if there is one."""
    maps = _MAPS[version]

    def forward(x: mx.array, taps: mx.array, *bias: mx.array) -> mx.array:
        return maps.forward(x, taps, bias[0] if bias else None, geometry)

    def vjp(cotangent: mx.array, x: mx.array, taps: mx.array, *bias: mx.array) -> tuple[mx.array, ...]:
        d_taps, d_bias = _weight_gradient(geometry, version)(x, cotangent)
        d_x = _input_gradient(geometry, version)(cotangent, taps)
        return (d_x, d_taps, d_bias) if has_bias else (d_x, d_taps)

    return custom_vjp(forward, vjp)


@lru_cache(maxsize=512)
def _input_gradient(geometry: Geometry, version: str) -> custom_vjp:
    """Gradient of x (N, H, W, C) from that of the output and the taps."""
    maps = _MAPS[version]

    def input_gradient(dy: mx.array, taps: mx.array) -> mx.array:
        return maps.input_gradient(dy, taps, geometry)

    def vjp(cotangent: mx.array, dy: mx.array, taps: mx.array) -> tuple[mx.array, mx.array]:
        d_taps, _ = _weight_gradient(geometry, version)(cotangent, dy)
        return _forward(geometry, False, version)(cotangent, taps), d_taps

    return custom_vjp(input_gradient, vjp)


@lru_cache(maxsize=512)
def _weight_gradient(geometry: Geometry, version: str) -> custom_vjp:
    """Gradients of taps (KH, KW, C) and bias (C,) from x and that of the output, rounded to the dtype of x."""
    maps = _MAPS[version]

    def weight_gradient(x: mx.array, dy: mx.array) -> tuple[mx.array, mx.array]:
        d_taps, d_bias = maps.weight_gradient(x, dy, geometry)
        return d_taps.astype(x.dtype), d_bias.astype(x.dtype)

    def vjp(cotangents: tuple[mx.array, mx.array], x: mx.array, dy: mx.array) -> tuple[mx.array, mx.array]:
        v, u = cotangents
        return _input_gradient(geometry, version)(dy, v), _forward(geometry, True, version)(x, v, u)

    return custom_vjp(weight_gradient, vjp)


def _check_arrays(x: Any, weight: Any, bias: Any) -> None:
    for name, array in (("x", x), ("weight", weight), ("bias", bias)):
        if array is None and name == "bias":
            continue
        if not isinstance(array, mx.array):
            raise TypeError(f"{_CALLER}: {name} must be an mx.array, got {type(array).__name__}")
        if array.dtype not in _FLOATS:
            dtype = _checks.dtype_name(array.dtype)
            raise TypeError(f"{_CALLER}: {name} must hold floating-point numbers, got {dtype}")
    _checks.rank(_CALLER, "x", x.shape, 4, "(N, H, W, C)")
    _checks.rank(_CALLER, "weight", weight.shape, 4, "(C, 1, KH, KW)")
    channels, filters = x.shape[3], weight.shape[0]
    if channels != filters:
        raise ValueError(f"{_CALLER}: x has {channels} channels but weight has {filters} filters")
    if weight.shape[1] != 1:
        raise ValueError(f"{_CALLER}: weight must have shape (C, 1, KH, KW), got {tuple(weight.shape)}")
    if bias is not None and tuple(bias.shape) != (channels,):
        raise ValueError(f"{_CALLER}: bias must have shape ({channels},), got {tuple(bias.shape)}")

"""Depthwise two-dimensional convolution of NHWC arrays and all of its gradients.

Each channel is convolved with its own kernel. The convolution is linear in x and in the weight, so three functions are
closed under differentiation: the convolution, the gradient of its input and the gradient of its weight. Each has a
``custom_vjp`` that calls the other two, which gives derivatives of every order:

    function                      gradients of its arguments, for a cotangent of its result
    convolution(x, w, bias)       input_gradient(dy, w), weight_gradient(x, dy)                    dy
    input_gradient(dy, w)         convolution(dx, w), weight_gradient(dx, dy)                      dx, like x
    weight_gradient(x, dy)        input_gradient(dy, dw), convolution(x, dw, db)                   dw, db, like w, bias

The gradient of the bias comes with that of the weight: a GPU computes both in one pass. What a caller does not use is
never computed, because arrays are lazy.

Inside the package weights are (KH, KW, C), a view of PyTorch's (C, 1, KH, KW).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import mlx.core as mx

from lucid import _checks, _device
from lucid.kernels.choice import reference_is_forced
from lucid.kernels.custom_vjp import custom_vjp
from lucid.kernels.depthwise_conv2d import launch, native, shifted_sums
from lucid.kernels.depthwise_conv2d.geometry import Geometry

_CALLER = "depthwise_conv2d"
_VERSIONS: dict[str, Any] = {
    "native": native,
    "shifted_sums": shifted_sums,
    "metal": launch.Launcher("metal"),
    "cuda": launch.Launcher("cuda"),
}
_FLOATS = (mx.float32, mx.float16, mx.bfloat16, mx.float64)


def depthwise_conv2d(
    x: mx.array,
    weight: mx.array,
    bias: mx.array | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | Sequence[Sequence[int]] | str = 0,
    dilation: int | Sequence[int] = 1,
) -> mx.array:
    """Convolve each channel with its own kernel, accumulating in float32.

    Differentiable any number of times. Arrays of different dtypes are promoted as in MLX.

    Args:
        x: Images (N, H, W, C).
        weight: One kernel per channel, (C, 1, KH, KW) as in PyTorch.
        bias: One value per channel, (C,).
        stride: One integer or (height, width).
        padding: One integer, (height, width), ((top, bottom), (left, right)), "same" or "valid".
        dilation: One integer or (height, width).

    Returns:
        Images (N, OH, OW, C) in the promoted dtype.

    Raises:
        ValueError: The shapes do not match, or the kernel is larger than the padded input.
        TypeError: An argument is not an ``mx.array`` of floating-point numbers.
    """
    _check_arrays(x, weight, bias)
    return forward(
        x, weight, bias, Geometry.checked(_CALLER, x.shape[1:3], weight.shape[2:], stride, padding, dilation)
    )


def forward(x: mx.array, weight: mx.array, bias: mx.array | None, geometry: Geometry) -> mx.array:
    """``depthwise_conv2d`` with validated sizes."""
    dtype = mx.result_type(x, weight) if bias is None else mx.result_type(x, weight, bias)
    x, weight, bias = x.astype(dtype), weight.astype(dtype), None if bias is None else bias.astype(dtype)
    version = implementation(x.shape, dtype, geometry)
    if version == "reference":
        return reference(x, weight, bias, geometry)
    convolution = _convolution(geometry, bias is not None, version)
    return convolution(x, _channels_last(weight), *(() if bias is None else (bias,)))


def gradients(
    dy: mx.array, x: mx.array, weight: mx.array, geometry: Geometry, start: mx.array | None = None
) -> tuple[mx.array, mx.array, mx.array] | None:
    """The gradients of x, weight and bias from that of the output; ``None`` where MLX derives them.

    The arrays have one dtype. ``start`` is a gradient that x has from elsewhere, to which this one is added.
    """
    version = implementation(x.shape, x.dtype, geometry)
    if version == "reference":
        return None
    module = _VERSIONS[version]
    if start is not None and isinstance(module, launch.Launcher):
        d_x = module.input_gradient(dy, _channels_last(weight), geometry, start)
    else:
        d_x = module.input_gradient(dy, _channels_last(weight), geometry)
        d_x = d_x if start is None else d_x + start
    d_weight, d_bias = module.weight_gradient(x, dy, geometry)
    return d_x, mx.expand_dims(d_weight.transpose(2, 0, 1), 1).astype(x.dtype), d_bias.astype(x.dtype)


def implementation(shape: tuple[int, ...], dtype: mx.Dtype, geometry: Geometry) -> str:
    """The version that runs on the current device, for an x of this shape.

    - "reference": forced by ``use_reference()`` or ``LUCID_KERNELS=reference``, or on a GPU for what the kernels do not
      support: float64, and images of 2^31 elements or more (offsets inside an image are 32-bit integers).
    - "native": on the CPU, where the C++ kernels can be compiled, for all but float64 and empty arrays.
    - "shifted_sums": otherwise on the CPU, and for empty arrays, which give a GPU nothing to launch.
    - "metal", "cuda": on a GPU of that kind.
    """
    if reference_is_forced():
        return "reference"
    backend = _device.backend()
    if backend == "cpu" or 0 in shape:
        return "native" if backend == "cpu" and native.is_available(shape, dtype) else "shifted_sums"
    images, _, _, channels = shape
    (oh, ow), (height, width) = geometry.output, geometry.size
    largest = max(height * width, oh * ow) * channels
    # CUDA's grids have fewer than 2^16 blocks along the second and third dimension.
    exceeds_grid = backend == "cuda" and max(images, height, width, oh, ow) >= 2**16
    if dtype not in launch.DTYPES or largest >= 2**31 or images * oh * ow >= 2**31 or exceeds_grid:
        return "reference"
    return backend


def reference(x: mx.array, weight: mx.array, bias: mx.array | None, geometry: Geometry) -> mx.array:
    """The same with MLX's own convolution, which MLX differentiates. Weight (C, 1, KH, KW)."""
    # MLX's second derivatives are wrong if the padded input has rows after the last position of the kernel.
    (top, bottom), (left, right) = geometry.trimmed().padding
    height, width = geometry.size
    y = mx.conv_general(
        x[:, : height + min(bottom, 0), : width + min(right, 0)],
        weight.transpose(0, 2, 3, 1),  # (C, KH, KW, 1)
        stride=geometry.stride,
        padding=([top, left], [max(bottom, 0), max(right, 0)]),
        kernel_dilation=geometry.dilation,
        groups=x.shape[3],
    )
    return y if bias is None else y + bias


@lru_cache(maxsize=512)
def _convolution(geometry: Geometry, has_bias: bool, version: str) -> Callable[..., Any]:
    """The convolution of x (N, H, W, C) with weight (KH, KW, C) and, with ``has_bias``, bias (C,)."""
    module = _VERSIONS[version]

    def convolution(x: mx.array, weight: mx.array, *bias: mx.array) -> mx.array:
        return module.forward(x, weight, bias[0] if bias else None, geometry)

    def vjp(dy: mx.array, x: mx.array, weight: mx.array, *_: mx.array) -> tuple[mx.array, ...]:
        d_weight, d_bias = _weight_gradient(geometry, version)(x, dy)
        d_x = _input_gradient(geometry, version)(dy, weight)
        return (d_x, d_weight, d_bias) if has_bias else (d_x, d_weight)

    return custom_vjp(convolution, vjp)


@lru_cache(maxsize=512)
def _input_gradient(geometry: Geometry, version: str) -> Callable[..., Any]:
    """The gradient of x (N, H, W, C) from that of the output, dy, and the weight."""
    module = _VERSIONS[version]

    def input_gradient(dy: mx.array, weight: mx.array) -> mx.array:
        return module.input_gradient(dy, weight, geometry)

    def vjp(dx: mx.array, dy: mx.array, weight: mx.array) -> tuple[mx.array, mx.array]:
        d_weight, _ = _weight_gradient(geometry, version)(dx, dy)
        return _convolution(geometry, False, version)(dx, weight), d_weight

    return custom_vjp(input_gradient, vjp)


@lru_cache(maxsize=512)
def _weight_gradient(geometry: Geometry, version: str) -> Callable[..., Any]:
    """The gradients of weight (KH, KW, C) and bias (C,) from x and that of the output, dy; in the dtype of x."""
    module = _VERSIONS[version]

    def weight_gradient(x: mx.array, dy: mx.array) -> tuple[mx.array, mx.array]:
        d_weight, d_bias = module.weight_gradient(x, dy, geometry)
        return d_weight.astype(x.dtype), d_bias.astype(x.dtype)

    def vjp(cotangents: tuple[mx.array, mx.array], x: mx.array, dy: mx.array) -> tuple[mx.array, mx.array]:
        dw, db = cotangents
        return _input_gradient(geometry, version)(dy, dw), _convolution(geometry, True, version)(x, dw, db)

    return custom_vjp(weight_gradient, vjp)


def _channels_last(weight: mx.array) -> mx.array:
    return weight.squeeze(1).transpose(1, 2, 0)  # (KH, KW, C)


def _check_arrays(x: Any, weight: Any, bias: Any) -> None:
    for name, array in (("x", x), ("weight", weight), ("bias", bias)):
        if array is None and name == "bias":
            continue
        if not isinstance(array, mx.array):
            raise TypeError(f"{_CALLER}: {name} must be an mx.array, got {type(array).__name__}")
        if array.dtype not in _FLOATS:
            dtype = _checks.dtype_name(array.dtype)
            raise _checks.DtypeError(f"{_CALLER}: {name} must hold floating-point numbers, got {dtype}")
    _checks.rank(_CALLER, "x", x.shape, 4, "(N, H, W, C)")
    _checks.rank(_CALLER, "weight", weight.shape, 4, "(C, 1, KH, KW)")
    channels, filters = x.shape[3], weight.shape[0]
    if channels != filters:
        raise _checks.ArgumentError(f"{_CALLER}: x has {channels} channels but weight has {filters} filters")
    if weight.shape[1] != 1:
        raise _checks.ArgumentError(f"{_CALLER}: weight must have shape (C, 1, KH, KW), got {tuple(weight.shape)}")
    if bias is not None and tuple(bias.shape) != (channels,):
        raise _checks.ArgumentError(f"{_CALLER}: bias must have shape ({channels},), got {tuple(bias.shape)}")

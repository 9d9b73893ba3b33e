"""``gelu(h + bias) * factor``, whose gradient sums up that of the bias in the pass that computes that of ``h``.

This is what follows the first matrix product of a ConvNeXt block. As separate operations, the gradient of the bias
reads the widest map of the network once more. ``factor`` is one number for each image, drop path's; it costs nothing
here.

The padded result has columns after the C of GELU: ``factor``, or 1, and zeros. A product with a matrix whose row C is a
bias adds that bias, so that a whole map can be added to the product instead; and the gradient of that matrix contains
that of the bias, which otherwise reads a map of its own.

A GPU runs ``metal/biased_gelu.metal`` for the gradient and the padded result. Everything else, and the gradient of the
gradient, is made of MLX's operations: ``reference``.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import mlx.core as mx

from lucid import _device
from lucid.kernels import gelu, library
from lucid.kernels.choice import reference_is_forced
from lucid.kernels.custom_vjp import custom_vjp
from lucid.kernels.fusion import fused

DTYPES = (mx.float32, mx.float16, mx.bfloat16)
_SHADER = "biased_gelu"
_THREADS = 128
_TARGET_THREADS = 65536
_MIN_ROWS = 64  # per chunk: the partial sums are 0.5 % of the traffic at most


def biased_gelu(h: mx.array, bias: mx.array, factor: mx.array | None = None, padded: bool = False) -> mx.array:
    """``gelu(h + bias) * factor`` in the dtype of ``h``; half precision is computed in float32.

    Args:
        h: (N, ..., C).
        bias: (C,).
        factor: One number for each of the N, (N,), or None for 1. It gets no gradient.
        padded: Append ``padding(h.dtype)`` columns: the factor, and zeros.
    """
    language = implementation(h, bias)
    arrays = (h, bias, *(() if factor is None else (factor,)))
    return reference(*arrays, padded=padded) if language == "reference" else _function(language, padded)(*arrays)


def padding(dtype: mx.Dtype) -> int:
    """The columns of a padded result after those of GELU: 16 bytes, so that every row starts at a multiple of them."""
    return 16 // dtype.size


def gradients(
    dy: mx.array, h: mx.array, bias: mx.array, factor: mx.array | None = None
) -> tuple[mx.array, mx.array] | None:
    """The gradients of ``h`` and ``bias`` from that of the result, padded or not; ``None`` where MLX derives them."""
    language = implementation(h, bias)
    if language == "reference":
        return None
    dh, dbias = _launch(language, dy, h, bias, factor)
    return dh, dbias.astype(bias.dtype)


def implementation(h: mx.array, weight: mx.array) -> str:
    """The version for a map like ``h``, (N, ..., C) with any C, and a weight or bias for it.

    "metal" or "cuda" on such a GPU, for the dtypes and sizes that the shader supports; otherwise "reference".
    """
    backend = _device.backend()
    if backend == "cpu" or reference_is_forced() or h.dtype not in DTYPES or weight.dtype not in DTYPES:
        return "reference"
    return backend if 0 < h.size < 2**31 * h.shape[-1] else "reference"


def reference(h: mx.array, bias: mx.array, *factor: mx.array, padded: bool = False) -> mx.array:
    """The same with MLX's operations, which MLX differentiates."""
    wide = mx.float64 if h.dtype == mx.float64 else mx.float32
    y = gelu.reference(h.astype(wide) + bias.astype(wide))
    for one in factor:
        y = y * mx.stop_gradient(_per_image(one, h).astype(wide))
    return with_columns(y.astype(h.dtype), *factor) if padded else y.astype(h.dtype)


def with_columns(y: mx.array, *factor: mx.array) -> mx.array:
    """``y`` with the columns of a padded result."""
    ones = mx.ones((*y.shape[:-1], 1), y.dtype)
    for one in factor:
        ones = mx.stop_gradient(_per_image(one, y).astype(y.dtype)) * ones
    return mx.concatenate([y, ones, mx.zeros((*y.shape[:-1], padding(y.dtype) - 1), y.dtype)], -1)


def _per_image(factor: mx.array, h: mx.array) -> mx.array:
    return factor.reshape(h.shape[0], *(1,) * (h.ndim - 1))


@fused
def _forward(h: mx.array, bias: mx.array, *factor: mx.array) -> mx.array:
    y = gelu.value(h.astype(mx.float32) + bias.astype(mx.float32))
    for one in factor:
        y = y * one.astype(mx.float32)
    return y.astype(h.dtype)


@lru_cache
def _function(language: str, padded: bool) -> Callable[..., mx.array]:
    def forward(h: mx.array, bias: mx.array, *factor: mx.array) -> mx.array:
        if padded:
            return launch_padded(language, h, bias, *factor)
        return _forward(h, bias, *(_per_image(one, h) for one in factor))

    def vjp(dy: mx.array, h: mx.array, bias: mx.array, *factor: mx.array) -> tuple[mx.array, ...]:
        return (*_gradient(language)(dy, h, bias, *factor), *map(mx.zeros_like, factor))

    found: Callable[..., mx.array] = custom_vjp(forward, vjp)
    return found


@lru_cache
def _gradient(language: str) -> Callable[..., tuple[mx.array, mx.array]]:
    """The shader, whose own gradient is that of the reference."""

    def plain(dy: mx.array, h: mx.array, bias: mx.array, *factor: mx.array) -> Sequence[mx.array]:
        padded = dy.shape != h.shape
        return mx.vjp(lambda h, bias: reference(h, bias, *factor, padded=padded), [h, bias], [dy])[1]

    def gradient(dy: mx.array, h: mx.array, bias: mx.array, *factor: mx.array) -> tuple[mx.array, mx.array]:
        dh, dbias = _launch(language, dy, h, bias, factor[0] if factor else None)
        return dh, dbias.astype(bias.dtype)

    def vjp(cotangents: Any, *primals: mx.array) -> Sequence[mx.array]:
        return mx.vjp(plain, list(primals), list(cotangents))[1]

    found: Callable[..., tuple[mx.array, mx.array]] = custom_vjp(gradient, vjp)
    return found


def _launch(
    language: str, dy: mx.array, h: mx.array, bias: mx.array, factor: mx.array | None
) -> tuple[mx.array, mx.array]:
    """The gradients of h, in its dtype, and of the bias, in float32."""
    channels = h.shape[-1]
    rows = h.size // channels
    chunks = chunk_count(rows, channels)
    dh, sums = launch(
        language,
        "biased_gelu_gradient<T, FACTOR>",
        {"dy": dy, "h": h, "bias": bias, "factor": bias if factor is None else factor},
        library.sizes(rows, channels, rows // h.shape[0], dy.shape[-1]),
        {"dh": h.shape, "sums": (chunks, channels)},
        grid=(channels, chunks, 1),
        FACTOR=factor is not None,
    )
    return dh, sums.sum(0)


def launch(
    language: str, function: str, inputs: dict[str, mx.array], sizes: mx.array,
    outputs: dict[str, tuple[int, ...]], grid: tuple[int, int, int], **template: bool,
) -> list[mx.array]:  # fmt: skip
    """Run ``function`` of the shader, with its template arguments, which gets ``inputs``, ``sizes`` and ``outputs``.

    ``outputs`` are shapes; "sums" are float32, the others have the dtype of ``h``. So have "dy" and "h"; all other
    inputs are float32: the dtype of h alone tells the compiled variants apart, see depthwise_conv2d/launch.py.
    """
    names = (*inputs, "sizes")
    call = f"{function}({', '.join((*names, *outputs))}, thread_position_in_grid, threads_per_grid);"
    kernel = library.kernel(language, _SHADER, function.partition("<")[0], names, tuple(outputs), call)
    kind = inputs["h"].dtype
    found: list[mx.array] = kernel(
        inputs=[*(one.astype(kind if name in ("dy", "h") else mx.float32) for name, one in inputs.items()), sizes],
        output_shapes=list(outputs.values()),
        output_dtypes=[mx.float32 if name == "sums" else kind for name in outputs],
        grid=grid,
        threadgroup=(_THREADS, 1, 1),
        template=[("T", kind), *template.items()],
    )
    return found


def launch_padded(
    language: str, h: mx.array, bias: mx.array, factor: mx.array | None = None, scale: mx.array | None = None,
    shift: mx.array | None = None,
) -> mx.array:  # fmt: skip
    """The padded ``gelu(h + bias) * factor``, or ``gelu(h + bias) * scale + shift`` for those (N, 1, ..., 1, C)."""
    images, channels, chunks = image_grid(h)
    width = channels + padding(h.dtype)
    rows = h.size // channels
    optional = {"factor": factor, "scale": scale, "shift": shift}
    [y] = launch(
        language,
        "padded_gelu<T, FACTOR, SCALE>",
        {"h": h, "bias": bias, **{name: bias if one is None else one for name, one in optional.items()}},
        library.sizes(rows, channels, rows // images, width),
        {"y": (*h.shape[:-1], width)},
        grid=(width, chunks, images),
        FACTOR=factor is not None,
        SCALE=scale is not None,
    )
    return y


def image_grid(h: mx.array) -> tuple[int, int, int]:
    """Images, channels, and the chunks of each image, for h (N, ..., C)."""
    images, channels = h.shape[0], h.shape[-1]
    image_rows = h.size // (images * channels)
    return images, channels, max(1, min(-(-_TARGET_THREADS // (channels * images)), image_rows // _MIN_ROWS))


def chunk_count(rows: int, channels: int) -> int:
    """Chunks of rows: enough threads for a large GPU, without many partial sums."""
    return max(1, min(-(-_TARGET_THREADS // channels), rows // _MIN_ROWS))

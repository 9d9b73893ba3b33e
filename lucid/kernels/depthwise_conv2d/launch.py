"""Launches of the shaders in ``metal/depthwise_conv2d.metal``: which function, on which grid, with which constants.

Two families. The rolling kernels serve stride 1, dilation 1 and kernels up to 7x7, with everything in registers; the
general ones serve the rest. Where the stride is 1, the input gradient is the forward function with the taps turned
round; the strided one has a function of its own.

Sizes that would otherwise be compiled in go along as short arrays, so that new shapes compile nothing: the function,
the dtype, the strip and, for the rolling kernels, the kernel's size are all that a compiled kernel depends on. Each of
them is a template argument, used or not: MLX tells the compiled kernels of a function apart by these alone on CUDA.
"""

from functools import lru_cache

import mlx.core as mx

from lucid.kernels import library
from lucid.kernels.depthwise_conv2d import tiling
from lucid.kernels.depthwise_conv2d.geometry import Geometry
from lucid.kernels.depthwise_conv2d.tiling import THREADS

DTYPES = (mx.float32, mx.float16, mx.bfloat16)
_STEM = "depthwise_conv2d"
_ROLLING_KERNEL = 7  # larger kernels do not fit into registers
_STRIP_OF_WEIGHTS = 4
_TAPS = 8  # a thread of the general weight gradient
_SIZES = "x_shape[1], x_shape[2], x_shape[3]"
_AT = "thread_position_in_grid"
_GRID = "threads_per_grid"


class Launcher:
    """The three maps of the convolution on a GPU; ``language`` is "metal" or "cuda". Taps are (KH, KW, C)."""

    def __init__(self, language: str) -> None:
        self.language = language

    def forward(
        self, x: mx.array, taps: mx.array, bias: mx.array | None, geometry: Geometry, cut: tiling.Split | None = None
    ) -> mx.array:
        """The convolution of x (N, H, W, C), out (N, OH, OW, C), in the dtype of x.

        ``cut`` is for who times the ways to cut a rolling convolution; otherwise the shape, or its tuning, decides.
        """
        (kh, kw), (oh, ow) = geometry.kernel, geometry.output
        n, c = x.shape[0], x.shape[3]
        has_bias = bias is not None
        operands = [x, taps, taps if bias is None else bias]  # without a bias its place is not looked at
        if _is_rolling(geometry):
            cut = cut or tiling.forward_split(self.language, x.dtype, (kh, kw), (n, c, oh, ow))
            return self._run(
                "rolling_forward",
                ("x", "taps", "bias", "cut"),
                f"rolling_forward<T, KH, KW, S, BIAS>(x, taps, bias, cut, y, {_SIZES}, {_AT}, {_GRID});",
                [*operands, _cut(geometry)],
                (n, oh, ow, c),
                x.dtype,
                grid=(c * -(-ow // cut.strip), cut.chunks, n),
                template=[("T", x.dtype), ("KH", kh), ("KW", kw), ("S", cut.strip), ("BIAS", has_bias)],
                threads=cut.threads,
            )
        dense = geometry.stride[1] == geometry.dilation[1] == 1
        strip = 8 if dense else 4
        return self._run(
            "general_forward",
            ("x", "taps", "bias", "pattern", "cut"),
            f"general_forward<T, S, DENSE, BIAS>(x, taps, bias, pattern, cut, y, {_SIZES}, {_AT});",
            [*operands, _pattern(geometry), _cut(geometry)],
            (n, oh, ow, c),
            x.dtype,
            grid=(c * -(-ow // strip), oh, n),
            template=[("T", x.dtype), ("S", strip), ("DENSE", dense), ("BIAS", has_bias)],
        )

    def input_gradient(self, gradient: mx.array, taps: mx.array, geometry: Geometry) -> mx.array:
        """What ``gradient`` (N, OH, OW, C) of the output means for the input, out (N, H, W, C)."""
        if geometry.stride == (1, 1):
            return self.forward(gradient, taps[::-1, ::-1], None, geometry.transposed())
        height, width = geometry.size
        n, c = gradient.shape[0], gradient.shape[3]
        strip = 4
        return self._run(
            "strided_input_gradient",
            ("x", "taps", "pattern", "cut", "size"),
            f"strided_input_gradient<T, S>(x, taps, pattern, cut, size, y, x_shape[3], {_AT});",
            [gradient, taps, _pattern(geometry), _cut(geometry), _constants(geometry.size)],
            (n, height, width, c),
            gradient.dtype,
            grid=(c * -(-width // strip), height, n),
            template=[("T", gradient.dtype), ("S", strip)],
        )

    def weight_gradient(self, x: mx.array, gradient: mx.array, geometry: Geometry) -> tuple[mx.array, mx.array]:
        """What ``gradient`` means for the taps, out (KH, KW, C), and the bias, out (C,), both float32."""
        (kh, kw), (oh, ow) = geometry.kernel, geometry.output
        n, c = x.shape[0], x.shape[3]
        sizes = f"x_shape[0], {_SIZES}, {_AT}, {_GRID}"
        if _is_rolling(geometry):
            strip = _STRIP_OF_WEIGHTS
            row_chunks, image_chunks = tiling.weight_split(n, c, oh, ow, kh * kw, strip)
            chunks = image_chunks * row_chunks * -(-ow // strip)
            partial = self._run(
                "rolling_weight_gradient",
                ("x", "dy", "cut"),
                f"rolling_weight_gradient<KH, KW, S>(x, dy, cut, y, {sizes});",
                [x, gradient, _cut(geometry)],
                (chunks, kh * kw + 1, c),
                mx.float32,
                grid=(c * -(-ow // strip), row_chunks, image_chunks),
                template=[("T", x.dtype), ("KH", kh), ("KW", kw), ("S", strip)],
            )
        else:
            blocks = kh * -(-kw // _TAPS)
            chunks = tiling.general_weight_chunks(n, c, oh, ow, kh * kw, blocks)
            dense = geometry.stride[1] == geometry.dilation[1] == 1
            partial = self._run(
                "general_weight_gradient",
                ("x", "dy", "pattern", "cut"),
                f"general_weight_gradient<TAPS, DENSE>(x, dy, pattern, cut, y, {sizes});",
                [x, gradient, _pattern(geometry), _cut(geometry)],
                (chunks, kh * kw + 1, c),
                mx.float32,
                grid=(c, blocks, chunks),
                template=[("T", x.dtype), ("TAPS", _TAPS), ("DENSE", dense)],
            )
        sums = partial.sum(0)
        return sums[:-1].reshape(kh, kw, c), sums[-1]

    def _run(
        self,
        name: str,
        inputs: tuple[str, ...],
        call: str,
        arrays: list[mx.array],
        shape: tuple[int, ...],
        dtype: mx.Dtype,
        grid: tuple[int, int, int],
        template: list[tuple[str, object]],
        threads: int = THREADS,
    ) -> mx.array:
        kernel = library.kernel(self.language, _STEM, name, inputs, ("y",), call)
        [y] = kernel(
            inputs=arrays,
            output_shapes=[shape],
            output_dtypes=[dtype],
            grid=grid,
            threadgroup=(threads, 1, 1),
            template=template,
        )
        return y


def _is_rolling(geometry: Geometry) -> bool:
    return geometry.is_dense and max(geometry.kernel) <= _ROLLING_KERNEL


def _cut(geometry: Geometry) -> mx.array:
    (top, _), (left, _) = geometry.padding
    return _constants((top, left, *geometry.output))


def _pattern(geometry: Geometry) -> mx.array:
    return _constants((*geometry.kernel, *geometry.stride, *geometry.dilation))


@lru_cache(maxsize=1024)
def _constants(values: tuple[int, ...]) -> mx.array:
    """A short array: fewer than 8 elements lie in the GPU's constant memory."""
    return mx.array(values, mx.int32)

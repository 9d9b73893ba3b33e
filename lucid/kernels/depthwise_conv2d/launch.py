"""Launches the shaders in ``metal/depthwise_conv2d.metal``: which function, on which grid, with which constants.

There are two families. The rolling kernels handle stride 1, dilation 1 and kernel sizes up to 7x7, with everything in
registers; the general ones handle the rest. For stride 1 the input gradient is the forward function with the weight
flipped; with a stride it has a function of its own.

Sizes are passed in short arrays instead of being compiled in, so a new shape compiles nothing. A compiled kernel
depends only on the function, the dtype, the strip width and, for the rolling kernels, the kernel size. Each of these is
a template argument, even where the function does not use it: on CUDA, MLX identifies the compiled variants of a
function by their template arguments alone.
"""

import mlx.core as mx

from lucid.kernels import library
from lucid.kernels.depthwise_conv2d import tiling
from lucid.kernels.depthwise_conv2d.geometry import Geometry
from lucid.kernels.depthwise_conv2d.tiling import GROUPS, LANES, THREADS, Tiling, WeightGradientTiling

DTYPES = (mx.float32, mx.float16, mx.bfloat16)
_SHADER = "depthwise_conv2d"
_MAX_ROLLING_KERNEL = 7  # larger kernels do not fit into registers
_TAPS = 8  # kernel columns per thread of the general weight gradient
_SIZES = "x_shape[1], x_shape[2], x_shape[3]"
_POSITION = "thread_position_in_grid"
_GRID = "threads_per_grid"
_LOCAL = "thread_position_in_threadgroup, threads_per_threadgroup"


class Launcher:
    """The convolution and its two gradients on a GPU. ``language`` is "metal" or "cuda".

    Weights are (KH, KW, C) as in the rest of the package. The shaders read (C, KH, KW), so a weight that is a view of
    PyTorch's shape (C, 1, KH, KW) is not copied.
    """

    def __init__(self, language: str) -> None:
        self.language = language

    def forward(
        self,
        x: mx.array,
        weight: mx.array,
        bias: mx.array | None,
        geometry: Geometry,
        override: Tiling | None = None,
        flip: bool = False,
    ) -> mx.array:
        """The convolution of x (N, H, W, C), out (N, OH, OW, C), in the dtype of x.

        Args:
            bias: (C,), or for a rolling convolution also an array like the result.
            override: The tiling of a rolling convolution, for benchmarks. By default shape and tuning decide.
            flip: Use the weight in reverse order of rows and columns.
        """
        (kh, kw), (oh, ow) = geometry.kernel, geometry.output
        n, c = x.shape[0], x.shape[3]
        has_bias = bias is not None
        weight = weight.transpose(2, 0, 1)
        operands = [x, weight, weight if bias is None else bias]  # a kernel without bias does not read the third
        if _is_rolling(geometry):
            tiles = override or tiling.forward_tiling(self.language, x.dtype, (kh, kw), (n, c, oh, ow))
            return self._run(
                "rolling_forward",
                ("x", "weight", "bias", "bounds"),
                "threadgroup R shared[LANES * KH * KW];\n"
                "rolling_forward<T, R, KH, KW, S, FLIP, BIAS, MAP>"
                f"(x, weight, bias, bounds, y, shared, {_SIZES}, {_POSITION}, {_LOCAL});",
                [*operands, _bounds(geometry, -(-oh // tiles.chunks))],
                (n, oh, ow, c),
                x.dtype,
                grid=(c, -(-ow // tiles.strip) * tiles.chunks, n),
                template=[
                    ("T", x.dtype),
                    ("R", self._register_dtype(x.dtype)),
                    ("KH", kh),
                    ("KW", kw),
                    ("S", tiles.strip),
                    ("FLIP", flip),
                    ("BIAS", has_bias),
                    ("MAP", bias is not None and bias.ndim == 4),
                    ("LANES", LANES),
                ],
                threadgroup=(LANES, tiles.threads // LANES, 1),
            )
        dense = geometry.stride[1] == geometry.dilation[1] == 1
        strip = 8 if dense else 4
        return self._run(
            "general_forward",
            ("x", "weight", "bias", "params", "bounds"),
            f"general_forward<T, S, FLIP, DENSE, BIAS>(x, weight, bias, params, bounds, y, {_SIZES}, {_POSITION});",
            [*operands, _params(geometry), _bounds(geometry)],
            (n, oh, ow, c),
            x.dtype,
            grid=(c * -(-ow // strip), oh, n),
            template=[("T", x.dtype), ("S", strip), ("FLIP", flip), ("DENSE", dense), ("BIAS", has_bias)],
        )

    def input_gradient(
        self, dy: mx.array, weight: mx.array, geometry: Geometry, start: mx.array | None = None
    ) -> mx.array:
        """The gradient of the input, (N, H, W, C), from that of the output, ``dy`` (N, OH, OW, C).

        ``start``, an array like the result, is added to it: without a pass of its own if the convolution is rolling.
        """
        if start is not None and not _is_rolling(geometry):
            return self.input_gradient(dy, weight, geometry) + start
        if geometry.stride == (1, 1):
            return self.forward(dy, weight, start, geometry.transposed(), flip=True)
        height, width = geometry.size
        n, c = dy.shape[0], dy.shape[3]
        strip = 4
        return self._run(
            "strided_input_gradient",
            ("x", "weight", "params", "bounds", "size"),
            f"strided_input_gradient<T, S>(x, weight, params, bounds, size, y, x_shape[3], {_POSITION});",
            [dy, weight.transpose(2, 0, 1), _params(geometry), _bounds(geometry), library.sizes(*geometry.size)],
            (n, height, width, c),
            dy.dtype,
            grid=(c * -(-width // strip), height, n),
            template=[("T", dy.dtype), ("S", strip)],
        )

    def weight_gradient(
        self, x: mx.array, dy: mx.array, geometry: Geometry, override: WeightGradientTiling | None = None
    ) -> tuple[mx.array, mx.array]:
        """The gradients of the weight, (KH, KW, C), and of the bias, (C,), from that of the output; both float32.

        Args:
            override: The tiling of a rolling convolution, for benchmarks. By default the shape decides.
        """
        (kh, kw), (oh, ow) = geometry.kernel, geometry.output
        n, c = x.shape[0], x.shape[3]
        shape = (n, c, oh, ow)
        sizes = f"x_shape[0], {_SIZES}, {_POSITION}"
        if _is_rolling(geometry):
            tiles = override or tiling.weight_gradient_tiling(self.language, (kh, kw), shape, x.itemsize)
            partial = self._run(
                "rolling_weight_gradient",
                ("x", "dy", "bounds", "cut"),
                "threadgroup float shared[GROUPS * (KW + 1) * LANES];\n"
                f"rolling_weight_gradient<R, KH, KW, S, LANES, GROUPS>(x, dy, bounds, cut, y, shared, {sizes});",
                [x, dy, _bounds(geometry), library.sizes(tiles.rows, tiles.count)],
                (tiles.chunks, kh * kw + 1, c),
                mx.float32,
                grid=(c, GROUPS * tiles.chunks, 1),
                template=[
                    ("T", x.dtype),
                    ("R", self._register_dtype(x.dtype)),
                    ("KH", kh),
                    ("KW", kw),
                    ("S", tiles.strip),
                    ("LANES", LANES),
                    ("GROUPS", GROUPS),
                ],
                threadgroup=(LANES, GROUPS, 1),
            )
        else:
            blocks = kh * -(-kw // _TAPS)
            chunks = tiling.general_weight_gradient_chunks(self.language, shape, x.itemsize, kh * kw, blocks)
            dense = geometry.stride[1] == geometry.dilation[1] == 1
            partial = self._run(
                "general_weight_gradient",
                ("x", "dy", "params", "bounds"),
                f"general_weight_gradient<TAPS, DENSE>(x, dy, params, bounds, y, {sizes}, {_GRID});",
                [x, dy, _params(geometry), _bounds(geometry)],
                (chunks, kh * kw + 1, c),
                mx.float32,
                grid=(c, blocks, chunks),
                template=[("T", x.dtype), ("TAPS", _TAPS), ("DENSE", dense)],
            )
        if partial.shape[0] == 1:
            sums = partial.squeeze(0)
        else:
            sums = partial.sum(0)
        return sums[:-1].reshape(kh, kw, c), sums[-1]

    def _register_dtype(self, dtype: mx.Dtype) -> mx.Dtype:
        """The type of values and taps in registers; sums are float32.

        float16 stays 16 bits wide on Metal, where registers come in halves. bfloat16, and both on CUDA, are converted
        once when loaded, because each use would take an instruction.
        """
        return mx.float16 if self.language == "metal" and dtype == mx.float16 else mx.float32

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
        threadgroup: tuple[int, int, int] = (THREADS, 1, 1),
    ) -> mx.array:
        kernel = library.kernel(self.language, _SHADER, name, inputs, ("y",), call)
        [y] = kernel(
            inputs=arrays,
            output_shapes=[shape],
            output_dtypes=[dtype],
            grid=grid,
            threadgroup=threadgroup,
            template=template,
        )
        return y


def _is_rolling(geometry: Geometry) -> bool:
    return geometry.is_dense and max(geometry.kernel) <= _MAX_ROLLING_KERNEL


def _bounds(geometry: Geometry, chunk_rows: int = 0) -> mx.array:
    (top, _), (left, _) = geometry.padding
    return library.sizes(top, left, *geometry.output, 0, chunk_rows)


def _params(geometry: Geometry) -> mx.array:
    return library.sizes(*geometry.kernel, *geometry.stride, *geometry.dilation)

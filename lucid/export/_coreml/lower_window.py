"""Pooling and resizing."""

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _deferred, tape
from lucid.export._coreml.builder import Builder, Lowered
from lucid.export._coreml.lower_conv import channels_first, check_batch, spread
from lucid.export._graph import Size, Value
from lucid.ops.resize import interpolate as resize


def _windows(
    b: Builder, input: Value, dims: int, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, data_format: str
) -> tuple[Any, dict[str, Any]]:
    """The order, and the options of a pool."""
    check_batch(b, input, dims)
    order = channels_first(input.ndim, data_format)
    kernel = spread(b.fixed(kernel_size, "kernel_size"), dims)
    pad = [one for one in spread(padding, dims) for _ in range(2)]
    options: dict[str, Any] = {
        "x": b.arranged(input, order),
        "kernel_sizes": kernel,
        "strides": kernel if stride is None or stride == () else spread(stride, dims),
        "pad_type": "custom" if any(pad) else "valid",
    }
    if any(pad):
        options["pad"] = pad
    if ceil_mode:
        options["ceil_mode"] = _rounds_up(b, input, order, options)
    return order, options


def _rounds_up(b: Builder, input: Value, order: Any, options: dict[str, Any]) -> bool:
    """Whether rounding up makes the result larger."""
    dims = len(options["kernel_sizes"])
    places = sorted(range(input.ndim), key=lambda i: order[i])[2:]
    sizes = b.fixed_shape(input, places)
    pad = options.get("pad", [0] * (2 * dims))
    spans = [
        (size + pad[2 * i] + pad[2 * i + 1] - options["kernel_sizes"][i], options["strides"][i])
        for i, size in enumerate(sizes)
    ]
    if any(stride > kernel for stride, kernel in zip(options["strides"], options["kernel_sizes"], strict=True)):
        b.refuse("ceil_mode with strides larger than the kernel")
    return any(span % stride for span, stride in spans)


def _max_pool(dims: int) -> Callable[..., Lowered]:
    def lower(
        b: Builder, input: Value, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
        return_indices: bool, data_format: str,
    ) -> Lowered:  # fmt: skip
        if return_indices:
            b.refuse("return_indices")
        if any(one != 1 for one in spread(dilation, dims)):
            b.refuse("its dilation; Core ML has none in pools")
        order, options = _windows(b, input, dims, kernel_size, stride, padding, ceil_mode, data_format)
        return Lowered(b.emit("max_pool", **options), order)

    return lower


def _avg_pool(dims: int) -> Callable[..., Lowered]:
    def lower(
        b: Builder, input: Value, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
        count_include_pad: bool, data_format: str, divisor_override: Any = None,
    ) -> Lowered:  # fmt: skip
        order, options = _windows(b, input, dims, kernel_size, stride, padding, ceil_mode, data_format)
        if options.get("ceil_mode"):
            b.refuse("ceil_mode where a window goes beyond the image: its divisor is not specified for Core ML")
        found = b.emit("avg_pool", **options, exclude_padding_from_average=not count_include_pad)
        if divisor_override is not None:
            factor = np.prod(options["kernel_sizes"]) / divisor_override
            found = b.emit("mul", x=found, y=np.float32(factor))
        return Lowered(found, order)

    return lower


def _adaptive(dims: int, kind: str) -> Callable[..., Lowered]:
    """Pools to one value, to equal windows, or, for averages, products with a matrix along each dimension."""

    def lower(b: Builder, input: Value, output_size: Any, data_format: str, return_indices: bool = False) -> Lowered:
        if return_indices:
            b.refuse("return_indices")
        check_batch(b, input, dims)
        order = channels_first(input.ndim, data_format)
        x = b.arranged(input, order)
        places = sorted(range(input.ndim), key=lambda i: order[i])[2:]
        wanted = output_size if isinstance(output_size, list | tuple) else [output_size] * dims
        if all(one == 1 for one in wanted):
            operation = "reduce_mean" if kind == "avg" else "reduce_max"
            return Lowered(b.emit(operation, x=x, axes=list(range(2, input.ndim)), keep_dims=True), order)
        sizes = b.fixed_shape(input, places)
        targets = [size if one is None else int(one) for one, size in zip(wanted, sizes, strict=True)]
        if all(size % target == 0 for size, target in zip(sizes, targets, strict=True)):
            kernel = [size // target for size, target in zip(sizes, targets, strict=True)]
            return Lowered(b.emit(f"{kind}_pool", x=x, kernel_sizes=kernel, strides=kernel, pad_type="valid"), order)
        if kind == "max" or dims != 2:
            b.refuse(f"windows of different sizes, from {tuple(sizes)} to {tuple(targets)}")
        matrices = [_averages(size, target) for size, target in zip(sizes, targets, strict=True)]
        return Lowered(_along_both(b, x, *matrices), order)

    return lower


def _averages(size: int, target: int) -> np.ndarray:
    """The matrix (target, size) of adaptive average pooling."""
    found = np.zeros((target, size), np.float32)
    for i in range(target):
        first, last = i * size // target, -(-(i + 1) * size // target)
        found[i, first:last] = 1 / (last - first)
    return found


def _along_both(b: Builder, x: Any, rows: np.ndarray, columns: np.ndarray) -> Any:
    """``rows @ x @ columns.T`` for each map."""
    found = b.emit("matmul", x=x, y=np.ascontiguousarray(columns.T)[None, None])
    return b.emit("matmul", x=rows[None, None], y=found)


def interpolate(
    b: Builder, input: Value, size: Any, scale_factor: Any, mode: str, align_corners: Any, recompute_scale_factor: Any,
    antialias: bool, data_format: str,
) -> Lowered:  # fmt: skip
    """Operations of Core ML where they compute the same, otherwise products with a matrix along each dimension."""
    if input.ndim != 4:
        b.refuse("only images (N, C, H, W) are supported")
    order = channels_first(4, data_format)
    x = b.arranged(input, order)
    places = sorted(range(4), key=lambda i: order[i])[2:]
    output = b.node.output if b.node is not None else input
    before, after = [input.shape[i] for i in places], [output.shape[i] for i in places]
    factors = [_factor(old, new) for old, new in zip(before, after, strict=True)]
    given = scale_factor if isinstance(scale_factor, list | tuple) else [scale_factor] * 2
    # A factor that does not give whole sizes places the pixels differently than the ratio of the sizes.
    exact = (
        scale_factor is None
        or recompute_scale_factor
        or all(
            factor == scale or (not factor and isinstance(old, int) and old * scale == new)
            for factor, scale, old, new in zip(factors, given, before, after, strict=True)
        )
    )
    plain = not antialias and all(factors) and exact
    if plain and mode in ("nearest", "nearest-exact"):
        found = b.emit("upsample_nearest_neighbor", x=x, scale_factor_height=factors[0], scale_factor_width=factors[1])
        return Lowered(found, order)
    if plain and mode == "bilinear" and not align_corners:
        found = b.emit(
            "upsample_bilinear", x=x, scale_factor_height=factors[0], scale_factor_width=factors[1],
            align_corners=False,
        )  # fmt: skip
        return Lowered(found, order)
    olds, news = ([one for one in sizes if isinstance(one, int)] for sizes in (before, after))
    if len(olds) + len(news) < 4:
        b.refuse(f"mode {mode!r} of images of any size, but for whole factors of nearest and bilinear")
    if mode == "bilinear" and not antialias and exact and min(news) > 1:
        found = b.emit(
            "resize_bilinear", x=x, target_size_height=news[0], target_size_width=news[1],
            sampling_mode="STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS",
        )  # fmt: skip
        return Lowered(found, order)
    matrices = [
        _resize_matrix(olds[i], news[i], i, given[i], mode, align_corners, recompute_scale_factor, antialias)
        for i in range(2)
    ]
    return Lowered(_along_both(b, x, *matrices), order)


def _factor(old: int | Size, new: int | Size) -> int:
    """The whole number by which a size grows in all recordings; 0 if there is none."""
    pairs = (
        list(zip(old.values, new.values, strict=True))
        if isinstance(old, Size) and isinstance(new, Size)
        else [(old, new)]
    )
    if any(isinstance(one, Size) for pair in pairs for one in pair):
        return 0
    ratios = {(b // a if b % a == 0 else 0) for a, b in pairs}  # type: ignore[operator]
    return ratios.pop() if len(ratios) == 1 else 0


def _resize_matrix(
    old: int, new: int, dim: int, scale: Any, mode: str, align_corners: Any, recompute: Any, antialias: bool
) -> np.ndarray:
    """The matrix (new, old) with which Lucid's own function resizes one dimension: its result for a unit matrix."""
    unit = mx.eye(old).reshape(1, old, old, 1) if dim == 0 else mx.eye(old).reshape(1, old, 1, old)
    one = [scale, 1.0] if dim == 0 else [1.0, scale]
    shape = [new, 1] if dim == 0 else [1, new]
    resized = resize(
        tape.wrap(unit), None if scale is not None else shape, one if scale is not None else None, mode, align_corners,
        recompute, antialias,
    )  # fmt: skip
    array = _deferred.to_numpy(resized._array).reshape(old, new)
    return np.ascontiguousarray(array.T)


def pixel_shuffle(b: Builder, input: Value, upscale_factor: int) -> Lowered:
    check_batch(b, input, 2)
    return Lowered(b.emit("pixel_shuffle", x=b.straight(input), upscale_factor=int(upscale_factor)), tuple(range(4)))


def pixel_unshuffle(b: Builder, input: Value, downscale_factor: int) -> Lowered:
    """A convolution that picks each pixel of a block: Core ML had no such operation before iOS 16."""
    check_batch(b, input, 2)
    f, channels = int(downscale_factor), input.example[1]
    weight = np.zeros((channels, f * f, 1, f, f), np.float32)
    for i in range(f * f):
        weight[:, i, 0, i // f, i % f] = 1
    found = b.emit(
        "conv", x=b.straight(input), weight=weight.reshape(-1, 1, f, f), strides=[f, f], pad_type="valid",
        groups=channels,
    )  # fmt: skip
    return Lowered(found, tuple(range(4)))


LOWERINGS: dict[str, Any] = {
    **{f"max_pool{n}d": _max_pool(n) for n in (1, 2, 3)},
    **{f"avg_pool{n}d": _avg_pool(n) for n in (1, 2, 3)},
    **{f"adaptive_{kind}_pool{n}d": _adaptive(n, kind) for kind in ("avg", "max") for n in (1, 2, 3)},
    "interpolate": interpolate,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
}

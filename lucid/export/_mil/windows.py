"""Operations on windows: convolutions and pools, in 1, 2 or 3 dimensions."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

Pads = list[tuple[int, int]]
_ALL = (slice(None), slice(None))  # images and channels


def _pads(pad_type: str, pad: Any, sizes: Any, kernel: Any, strides: Any, dilations: Any) -> Pads:
    """The padding before and after each spatial dimension."""
    if pad_type == "valid":
        return [(0, 0)] * len(kernel)
    if pad_type == "custom":
        return [(int(before), int(after)) for before, after in np.reshape(pad, (-1, 2))]
    found = []
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size, 0)
        less, more = total // 2, total - total // 2
        found.append((less, more) if pad_type == "same" else (more, less))
    return found


def _windows(x: np.ndarray, kernel: Any, strides: Any, dilations: Any, sizes: Any) -> Iterator[tuple[Any, np.ndarray]]:
    """For each position in the kernel, what it sees for all outputs: (N, C, *sizes)."""
    for place in itertools.product(*(range(k) for k in kernel)):
        index = tuple(
            slice(at * dilation, at * dilation + (size - 1) * stride + 1, stride)
            for at, dilation, stride, size in zip(place, dilations, strides, sizes, strict=True)
        )
        yield place, x[_ALL + index]


def _sizes(x: np.ndarray, kernel: Any, strides: Any, dilations: Any) -> list[int]:
    return [
        (size - (k - 1) * dilation - 1) // stride + 1
        for size, k, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True)
    ]


def _ints(values: Any, count: int) -> list[int]:
    return [1] * count if values is None else [int(one) for one in np.ravel(values)]


def conv(
    x: np.ndarray, weight: np.ndarray, bias: Any = None, strides: Any = None, pad_type: str = "valid", pad: Any = None,
    dilations: Any = None, groups: int = 1,
) -> np.ndarray:  # fmt: skip
    """Shapes: x (N, C, ...), weight (O, C / groups, ...)."""
    kernel = weight.shape[2:]
    steps, spread = _ints(strides, len(kernel)), _ints(dilations, len(kernel))
    pads = _pads(pad_type, pad, x.shape[2:], kernel, steps, spread)
    padded = np.pad(x, [(0, 0), (0, 0), *pads])
    sizes = _sizes(padded, kernel, steps, spread)
    n, c, outputs = x.shape[0], x.shape[1], weight.shape[0]
    found = np.zeros((n, groups, outputs // groups, int(np.prod(sizes))), np.float32)
    for place, seen in _windows(padded, kernel, steps, spread, sizes):
        part = weight[_ALL + place]  # (O, C / groups)
        grouped = seen.reshape(n, groups, c // groups, -1)
        if c == groups:
            found += part.reshape(groups, -1, 1) * grouped
        else:
            found += part.reshape(groups, outputs // groups, c // groups) @ grouped
    result = found.reshape(n, outputs, *sizes)
    return result if bias is None else result + np.reshape(bias, (1, -1) + (1,) * len(kernel))


def conv_transpose(
    x: np.ndarray, weight: np.ndarray, bias: Any = None, strides: Any = None, pad_type: str = "valid", pad: Any = None,
    dilations: Any = None, groups: int = 1, output_shape: Any = None,
) -> np.ndarray:  # fmt: skip
    """Shapes: x (N, C, ...), weight (C, O / groups, ...). The padding is cut from the result."""
    kernel = weight.shape[2:]
    steps, spread = _ints(strides, len(kernel)), _ints(dilations, len(kernel))
    if pad_type not in ("valid", "custom"):
        raise ValueError(f"conv_transpose with pad_type {pad_type} is not supported")
    n, c, each = x.shape[0], x.shape[1], weight.shape[1]
    full = [
        (size - 1) * stride + (k - 1) * dilation + 1
        for size, stride, k, dilation in zip(x.shape[2:], steps, kernel, spread, strict=True)
    ]
    found = np.zeros((n, groups * each, *full), np.float32)
    grouped = x.reshape(n, groups, c // groups, -1)
    for place, target in _windows(found, kernel, steps, spread, x.shape[2:]):
        part = weight[_ALL + place].reshape(groups, c // groups, each)
        target += (np.swapaxes(part, 1, 2) @ grouped).reshape(target.shape)
    pads = [(0, 0)] * len(kernel) if pad_type == "valid" else _pads("custom", pad, (), kernel, steps, spread)
    if output_shape is not None:
        pads = [
            (before, size - before - int(wanted))
            for (before, _), size, wanted in zip(pads, full, np.ravel(output_shape)[2:], strict=True)
        ]
        if any(after < 0 for _, after in pads):
            raise ValueError(f"conv_transpose cannot give the shape {output_shape}")
    index = tuple(slice(before, size - after) for (before, after), size in zip(pads, full, strict=True))
    result = found[_ALL + index]
    return result if bias is None else result + np.reshape(bias, (1, -1) + (1,) * len(kernel))


def _pooled(
    x: np.ndarray, kernel_sizes: Any, strides: Any, pad_type: str, pad: Any, ceil_mode: bool, fill: float
) -> tuple[Iterator[tuple[Any, np.ndarray]], list[int], Pads]:
    kernel = _ints(kernel_sizes, 0)
    steps, ones = _ints(strides, len(kernel)), [1] * len(kernel)
    pads = _pads(pad_type, pad, x.shape[2:], kernel, steps, ones)
    if ceil_mode:
        more = []
        for (before, after), size, k, stride in zip(pads, x.shape[2:], kernel, steps, strict=True):
            count = -(-(size + before + after - k) // stride) + 1
            if (count - 1) * stride >= size + before and before + after > 0:
                count -= 1
            more.append((before, max(after, (count - 1) * stride + k - size - before)))
        pads = more
    padded = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=fill)
    sizes = _sizes(padded, kernel, steps, ones)
    return _windows(padded, kernel, steps, ones, sizes), sizes, pads


def max_pool(
    x: np.ndarray, kernel_sizes: Any, strides: Any = None, pad_type: str = "valid", pad: Any = None,
    ceil_mode: bool = False,
) -> np.ndarray:  # fmt: skip
    seen, _, _ = _pooled(x, kernel_sizes, strides, pad_type, pad, ceil_mode, -np.inf)
    found = None
    for _, one in seen:
        found = one if found is None else np.maximum(found, one)
    return np.asarray(found)


def avg_pool(
    x: np.ndarray, kernel_sizes: Any, strides: Any = None, pad_type: str = "valid", pad: Any = None,
    exclude_padding_from_average: bool = False, ceil_mode: bool = False,
) -> np.ndarray:  # fmt: skip
    seen, _, _ = _pooled(x, kernel_sizes, strides, pad_type, pad, ceil_mode, 0.0)
    total = np.asarray(sum(one for _, one in seen))
    if not exclude_padding_from_average:
        return total / np.float32(np.prod(_ints(kernel_sizes, 0)))
    ones = np.ones((1, 1, *x.shape[2:]), np.float32)
    inside, _, _ = _pooled(ones, kernel_sizes, strides, pad_type, pad, ceil_mode, 0.0)
    return total / sum(one for _, one in inside)


OPERATIONS: dict[str, Any] = {one.__name__: one for one in (conv, conv_transpose, max_pool, avg_pool)}

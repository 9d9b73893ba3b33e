"""Operations that move, join, cut and repeat elements."""

from typing import Any

import numpy as np


def reshape(x: np.ndarray, shape: Any) -> np.ndarray:
    """A size of -1 is inferred, one of 0 is that of ``x``."""
    wanted = [int(one) for one in np.ravel(shape)]
    return np.reshape(x, [x.shape[i] if n == 0 and len(wanted) == x.ndim else n for i, n in enumerate(wanted)])


def squeeze(x: np.ndarray, axes: Any = None) -> np.ndarray:
    return np.squeeze(x) if axes is None else np.squeeze(x, tuple(int(one) for one in np.ravel(axes)))


def expand_dims(x: np.ndarray, axes: Any) -> np.ndarray:
    return np.expand_dims(x, tuple(int(one) for one in np.ravel(axes)))


def slice_by_index(
    x: np.ndarray, begin: Any, end: Any, stride: Any = None, begin_mask: Any = None, end_mask: Any = None,
    squeeze_mask: Any = None,
) -> np.ndarray:  # fmt: skip
    def flags(mask: Any) -> np.ndarray:
        return np.zeros(x.ndim, bool) if mask is None else np.ravel(mask)

    steps = np.ones(x.ndim, int) if stride is None else np.ravel(stride)
    index: list[Any] = []
    for i, (first, last) in enumerate(zip(np.ravel(begin), np.ravel(end), strict=True)):
        if flags(squeeze_mask)[i]:
            index.append(int(first))
            continue
        start = None if flags(begin_mask)[i] else int(first)
        stop = None if flags(end_mask)[i] else int(last)
        index.append(slice(start, stop, int(steps[i])))
    return x[tuple(index)]


def slice_by_size(x: np.ndarray, begin: Any, size: Any) -> np.ndarray:
    return x[
        tuple(
            slice(int(b), None if n == -1 else int(b) + int(n))
            for b, n in zip(np.ravel(begin), np.ravel(size), strict=True)
        )
    ]


def concat(values: Any, axis: int, interleave: bool = False) -> np.ndarray:
    parts = values if isinstance(values, list) else [values]
    if not interleave:
        return np.concatenate(parts, axis)
    stacked = np.stack(parts, axis % parts[0].ndim + 1)
    shape = list(parts[0].shape)
    shape[axis] *= len(parts)
    return stacked.reshape(shape)


def split(x: np.ndarray, axis: int, num_splits: Any = None, split_sizes: Any = None) -> tuple[np.ndarray, ...]:
    where = int(num_splits) if split_sizes is None else np.cumsum(split_sizes)[:-1]
    return tuple(np.split(x, where, axis))


def pad(x: np.ndarray, pad: Any, mode: str = "constant", constant_val: float = 0.0) -> np.ndarray:
    """``pad`` has a number before and one after, for each of the last dimensions."""
    pairs = np.reshape(pad, (-1, 2)).tolist()
    widths = [[0, 0]] * (x.ndim - len(pairs)) + pairs
    if mode == "constant":
        return np.pad(x, widths, constant_values=constant_val)
    return np.pad(x, widths, mode={"reflect": "reflect", "replicate": "edge"}[mode])  # type: ignore[call-overload]


def gather(
    x: np.ndarray, indices: Any, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False
) -> np.ndarray:
    if batch_dims:
        raise ValueError("gather with batch_dims is not supported")
    return np.take(x, np.asarray(indices), axis)


def gather_along_axis(x: np.ndarray, indices: Any, axis: int = 0, validate_indices: bool = False) -> np.ndarray:
    return np.take_along_axis(x, np.asarray(indices, np.int64), axis)


def pixel_shuffle(x: np.ndarray, upscale_factor: int) -> np.ndarray:
    n, c, h, w = x.shape
    f = int(upscale_factor)
    found = x.reshape(n, c // f**2, f, f, h, w).transpose(0, 1, 4, 2, 5, 3)
    return found.reshape(n, c // f**2, h * f, w * f)


def pixel_unshuffle(x: np.ndarray, downscale_factor: int) -> np.ndarray:
    n, c, h, w = x.shape
    f = int(downscale_factor)
    found = x.reshape(n, c, h // f, f, w // f, f).transpose(0, 1, 3, 5, 2, 4)
    return found.reshape(n, c * f**2, h // f, w // f)


def fill(shape: Any, value: Any = 0.0) -> np.ndarray:
    return np.full([int(one) for one in np.ravel(shape)], value)


def stack(values: Any, axis: int) -> np.ndarray:
    return np.stack(values if isinstance(values, list) else [values], axis)


OPERATIONS: dict[str, Any] = {
    "transpose": lambda x, perm: np.transpose(x, [int(one) for one in np.ravel(perm)]),
    "tile": lambda x, reps: np.tile(x, [int(one) for one in np.ravel(reps)]),
    "reverse": lambda x, axes=None: np.flip(x, None if axes is None else tuple(int(one) for one in np.ravel(axes))),
    "shape": lambda x: np.array(np.shape(x), np.int32),
    "range_1d": lambda start, end, step: np.arange(start, end, step),
    **{
        one.__name__: one
        for one in (
            reshape, squeeze, expand_dims, slice_by_index, slice_by_size, concat, split, pad, gather, gather_along_axis,
            pixel_shuffle, pixel_unshuffle, fill, stack,
        )
    },
}  # fmt: skip

"""Random operations. They take the random key as an argument, so that backward draws the same numbers.

Their callers in ``lucid.nn.functional`` draw the key and check that the rate is in [0, 1].
"""

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import real
from lucid.ops._types import TensorLike
from lucid.ops.normalization import DATA_FORMATS
from lucid.tape import op


@op
def dropout(input: TensorLike, rate: float, key: mx.array | None) -> mx.array:
    """Zero every value with probability ``rate``; scale the rest to keep the mean.

    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html.
    """
    x = real("dropout", input)
    return _apply_mask(x, rate, x.shape, key, True)


@op
def dropout_channels(input: TensorLike, rate: float, key: mx.array | None, data_format: str) -> mx.array:
    """Zero whole channels of (N, C, ...) with probability ``rate``; scale the rest to keep the mean."""
    x = real("dropout2d", input)
    _checks.one_of("dropout2d", "data_format", data_format, DATA_FORMATS)
    _checks.rank("dropout2d", "input", x.shape, (3, 4), "(N, C, H, W)")
    space = range(2, x.ndim) if data_format == "channels_first" else range(1, x.ndim - 1)
    shape = tuple(1 if axis in space else size for axis, size in enumerate(x.shape))
    return _apply_mask(x, rate, shape, key, True)


@op
def drop_path(input: TensorLike, rate: float, key: mx.array | None, scale_by_keep: bool = True) -> mx.array:
    """Zero whole samples with probability ``rate``; with ``scale_by_keep``, scale the rest to keep the mean.

    Shapes: input (N, ...), out the same. Source: Huang et al. 2016, arXiv:1603.09382.
    """
    x = real("drop_path", input)
    if x.ndim == 0:
        raise _checks.ArgumentError("drop_path: input must be (N, ...), got a 0-d tensor")
    return _apply_mask(x, rate, (x.shape[0], *(1,) * (x.ndim - 1)), key, scale_by_keep)


def _apply_mask(x: mx.array, rate: float, shape: tuple[int, ...], key: mx.array | None, scale: bool) -> mx.array:
    if rate == 0:
        return x
    if rate == 1:
        return mx.zeros_like(x)
    kept = mx.random.bernoulli(1 - rate, shape, key=key)
    # A single product with a mask of 0 and 1 / (1 - rate).
    return x * (kept * (1 / (1 - rate)) if scale else kept).astype(x.dtype)

"""Weight normalization. Source: Salimans and Kingma 2016, arXiv:1602.07868."""

import mlx.core as mx

from lucid.ops._common import real_numbers
from lucid.ops._norms import power_norm
from lucid.ops._types import TensorLike
from lucid.tape import op


def _norm(v: mx.array, dim: int | None) -> mx.array:
    """The norm over all dimensions but ``dim``, which are kept with size 1; over all if it is None or -1."""
    if dim is None or dim == -1:
        return power_norm("weight_norm", v, 2, tuple(range(v.ndim)), False)
    return power_norm("weight_norm", v, 2, tuple(at for at in range(v.ndim) if at != dim % v.ndim), True)


@op
def norm_except_dim(v: TensorLike, dim: int | None) -> mx.array:
    """The length of each slice of ``v`` along ``dim``."""
    return _norm(real_numbers("weight_norm", v, "v"), dim)


@op
def weight_norm(v: TensorLike, g: TensorLike, dim: int | None) -> mx.array:
    """``v`` with the slices along ``dim`` scaled to the lengths ``g``."""
    direction = real_numbers("weight_norm", v, "v")
    return direction * (g / _norm(direction, dim))

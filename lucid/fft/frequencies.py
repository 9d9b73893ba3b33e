"""The frequencies that the numbers of a transform belong to, and their order."""

from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid._placement import check_placement
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array, leaf
from lucid.ops._common import array
from lucid.ops._types import TensorLike
from lucid.tape import op

__all__ = ["fftfreq", "fftshift", "ifftshift", "rfftfreq"]


def fftfreq(
    n: int, d: float = 1.0, *, out: None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies of the numbers of ``fft`` of ``n`` samples at a distance of ``d``.

    Example:
        >>> lucid.fft.fftfreq(4).tolist()
        [0.0, 0.25, -0.5, -0.25]
    """
    return _frequencies("fftfreq", np.fft.fftfreq, n, d, out, dtype, layout, device, requires_grad)


def rfftfreq(
    n: int, d: float = 1.0, *, out: None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies of the numbers of ``rfft`` of ``n`` samples at a distance of ``d``."""
    return _frequencies("rfftfreq", np.fft.rfftfreq, n, d, out, dtype, layout, device, requires_grad)


def _frequencies(
    caller: str, function: Any, n: Any, d: Any, out: Any, dtype: Any, layout: Any, device: Any, requires_grad: bool
) -> Tensor:
    check_placement(caller, device, layout, out=out)
    n, d = _checks.integer(caller, "n", n, 1), _checks.number(caller, "d", d)
    if d == 0:
        raise _checks.ArgumentError(f"{caller}: d must not be 0")
    return leaf(as_array(function(n, d), mx.float32 if dtype is None else dtype), requires_grad)


def _shifted(caller: str, input: Any, dim: Any, back: bool) -> mx.array:
    x = array(caller, input)
    axes = _checks.dims(caller, (dim,) if isinstance(dim, int) else dim, x.ndim) if x.ndim else ()
    if not axes:
        return x
    for axis in axes:
        x = mx.roll(x, (x.shape[axis] + back) // 2, axis)
    return x


@op
def fftshift(input: TensorLike, dim: Any = None) -> mx.array:
    """``input`` in ascending order of the frequencies, with 0 in the middle of each dimension in ``dim``."""
    return _shifted("fftshift", input, dim, False)


@op
def ifftshift(input: TensorLike, dim: Any = None) -> mx.array:
    """The inverse of ``fftshift``."""
    return _shifted("ifftshift", input, dim, True)

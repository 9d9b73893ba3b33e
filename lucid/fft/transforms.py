"""Discrete Fourier transforms, as in ``torch.fft``.

``n`` and ``s`` are the sizes to transform: longer inputs are cut at the end, shorter ones padded with zeros. ``norm``
is "backward" (the default: inverse transforms divide by n), "forward" (the others do) or "ortho" (both divide by the
square root of n). Results are complex64, or float32 where they are real: MLX has no transform in float64.
"""

import math
from collections.abc import Callable
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid.ops._common import array
from lucid.ops._types import TensorLike
from lucid.tape import op

Sizes = Any
Plan = tuple[tuple[int, ...], tuple[int, ...]]  # dimensions and the sizes to transform them in

__all__ = [
    "fft", "fft2", "fftn", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn", "ihfft", "ihfft2", "ihfftn", "irfft",
    "irfft2", "irfftn", "rfft", "rfft2", "rfftn",
]  # fmt: skip


def _signal(caller: str, value: Any, is_real: bool) -> mx.array:
    """``value`` as complex64, or as float32 if it has to be real."""
    x = array(caller, value)
    if x.dtype in (mx.float16, mx.bfloat16):
        raise _checks.DtypeError(f"{caller}: half precision is not supported, got {_checks.dtype_name(x.dtype)}")
    if is_real and x.dtype == mx.complex64:
        raise _checks.DtypeError(f"{caller}: input must be real, got complex64")
    return x.astype(mx.float32 if is_real else mx.complex64)


def _factor(caller: str, norm: Any, n: int, inverse: bool) -> float:
    """What an unscaled transform is multiplied by."""
    norm = _checks.one_of(caller, "norm", "backward" if norm is None else norm, ("backward", "forward", "ortho"))
    if norm == "ortho":
        return 1 / math.sqrt(n)
    return 1 / n if inverse == (norm == "backward") else 1.0


def _one(caller: str, x: mx.array, n: Any, dim: Any, default: Callable[[int], int] = lambda size: size) -> Plan:
    """The plan of a transform of one dimension; ``default`` is the size for that of ``x``."""
    if x.ndim == 0:
        raise _checks.DimError(f"{caller}: input must have at least 1 dimension")
    axis = _checks.dim(caller, dim, x.ndim)
    size = default(x.shape[axis]) if n is None else _checks.integer(caller, "n", n)
    return _checked(caller, (axis,), (size,))


def _several(
    caller: str, x: mx.array, s: Any, dim: Any, default: Callable[[int], int] = lambda size: size, least: int = 0
) -> Plan:
    """The plan of a transform of several dimensions; ``default`` is the last size for that of ``x``."""
    sizes = None if s is None else [_checks.integer(caller, "s", one) for one in ((s,) if isinstance(s, int) else s)]
    if dim is not None:
        axes = _checks.dims(caller, dim, x.ndim)
    elif sizes is not None:
        if len(sizes) > x.ndim:
            raise _checks.ArgumentError(f"{caller}: s has {len(sizes)} sizes but input {x.ndim} dimensions")
        axes = tuple(range(x.ndim - len(sizes), x.ndim))
    else:
        axes = tuple(range(x.ndim))
    if sizes is not None and len(sizes) != len(axes):
        raise _checks.ArgumentError(f"{caller}: s and dim must have the same length, got {s} and {dim}")
    if len(axes) < least:
        raise _checks.ArgumentError(f"{caller}: at least {least} dimension must be transformed")
    if x.ndim == 0 and axes:
        raise _checks.DimError(f"{caller}: input must have at least 1 dimension")
    found = []
    for position, axis in enumerate(axes):
        given = -1 if sizes is None else sizes[position]
        usual = default(x.shape[axis]) if position == len(axes) - 1 else x.shape[axis]
        found.append(usual if given == -1 else given)
    return _checked(caller, axes, tuple(found))


def _checked(caller: str, axes: tuple[int, ...], sizes: tuple[int, ...]) -> Plan:
    for axis, size in zip(axes, sizes, strict=True):
        if size < 1:
            raise _checks.ArgumentError(f"{caller}: a size to transform must be at least 1, got {size} for dim {axis}")
    _checks.representable(caller, sizes)
    return axes, sizes


def _resized(x: mx.array, axes: tuple[int, ...], sizes: tuple[int, ...]) -> mx.array:
    for axis, size in zip(axes, sizes, strict=True):
        if x.shape[axis] > size:
            x = x[(slice(None),) * axis + (slice(0, size),)]
        elif x.shape[axis] < size:
            x = mx.pad(x, [(0, size - x.shape[axis] if at == axis else 0) for at in range(x.ndim)])
    return x


def _complex(caller: str, x: mx.array, plan: Plan, norm: Any, inverse: bool) -> mx.array:
    """The transform of complex numbers."""
    axes, sizes = plan
    count = math.prod(sizes)
    factor = _factor(caller, norm, count, inverse)
    x = _resized(x, axes, sizes)
    if not axes or not x.size:
        return x
    found = mx.fft.ifftn(x, axes=axes) * count if inverse else mx.fft.fftn(x, axes=axes)
    return found if factor == 1 else found * factor


def _from_real(caller: str, x: mx.array, plan: Plan, norm: Any, inverse: bool) -> mx.array:
    """The first half, along the last dimension of the plan, of the transform of real numbers."""
    axes, sizes = plan
    factor = _factor(caller, norm, math.prod(sizes), inverse)
    x = _resized(x, axes, sizes)
    if not x.size:
        shape = list(x.shape)
        shape[axes[-1]] = sizes[-1] // 2 + 1
        return mx.zeros(shape, mx.complex64)
    found = mx.fft.rfft(x, axis=axes[-1])
    found = mx.conjugate(found) if inverse else found
    if len(axes) > 1:
        rest = math.prod(sizes[:-1])
        found = mx.fft.ifftn(found, axes=axes[:-1]) * rest if inverse else mx.fft.fftn(found, axes=axes[:-1])
    return found if factor == 1 else found * factor


def _to_real(caller: str, x: mx.array, plan: Plan, norm: Any, inverse: bool) -> mx.array:
    """The real transform of what is the first half, along the last dimension of the plan, of Hermitian numbers."""
    axes, sizes = plan
    factor = _factor(caller, norm, math.prod(sizes), inverse)
    x = _resized(x, axes, (*sizes[:-1], sizes[-1] // 2 + 1))
    if not x.size:
        shape = list(x.shape)
        shape[axes[-1]] = sizes[-1]
        return mx.zeros(shape)
    if len(axes) > 1:
        rest = math.prod(sizes[:-1])
        x = mx.fft.ifftn(x, axes=axes[:-1]) * rest if inverse else mx.fft.fftn(x, axes=axes[:-1])
    x = x if inverse else mx.conjugate(x)
    return mx.fft.irfft(x, n=sizes[-1], axis=axes[-1]) * (sizes[-1] * factor)


def _half(size: int) -> int:
    """The size of real numbers whose transform has ``size`` numbers."""
    return 2 * (size - 1)


@op
def fft(
    input: TensorLike, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: None = None
) -> mx.array:
    """The Fourier transform over one dimension.

    Raises:
        ArgumentError: ``n`` is less than 1, or ``norm`` unknown.
        DtypeError: ``input`` is in half precision.

    Example:
        >>> lucid.fft.fft(lucid.tensor([1.0, 2.0])).tolist()
        [(3+0j), (-1+0j)]
    """
    x = _signal("fft", input, False)
    return _complex("fft", x, _one("fft", x, n, dim), norm, False)


@op
def ifft(
    input: TensorLike, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: None = None
) -> mx.array:
    """The inverse of ``fft``."""
    x = _signal("ifft", input, False)
    return _complex("ifft", x, _one("ifft", x, n, dim), norm, True)


@op
def rfft(
    input: TensorLike, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: None = None
) -> mx.array:
    """The first ``n // 2 + 1`` numbers of ``fft`` of real numbers, which determine the others."""
    x = _signal("rfft", input, True)
    return _from_real("rfft", x, _one("rfft", x, n, dim), norm, False)


@op
def irfft(
    input: TensorLike, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: None = None
) -> mx.array:
    """The inverse of ``rfft``: ``n`` real numbers, by default an even number of them."""
    x = _signal("irfft", input, False)
    return _to_real("irfft", x, _one("irfft", x, n, dim, _half), norm, True)


@op
def hfft(
    input: TensorLike, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: None = None
) -> mx.array:
    """The real ``fft`` of numbers that are Hermitian, of which ``input`` is the first half."""
    x = _signal("hfft", input, False)
    return _to_real("hfft", x, _one("hfft", x, n, dim, _half), norm, False)


@op
def ihfft(
    input: TensorLike, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: None = None
) -> mx.array:
    """The inverse of ``hfft``: the first half of the Hermitian ``ifft`` of real numbers."""
    x = _signal("ihfft", input, True)
    return _from_real("ihfft", x, _one("ihfft", x, n, dim), norm, True)


@op
def fftn(input: TensorLike, s: Sizes = None, dim: Any = None, norm: str | None = None, *, out: None = None) -> mx.array:
    """``fft`` over several dimensions: by default all, or the last ones if ``s`` is given."""
    x = _signal("fftn", input, False)
    return _complex("fftn", x, _several("fftn", x, s, dim), norm, False)


@op
def ifftn(
    input: TensorLike, s: Sizes = None, dim: Any = None, norm: str | None = None, *, out: None = None
) -> mx.array:
    """The inverse of ``fftn``."""
    x = _signal("ifftn", input, False)
    return _complex("ifftn", x, _several("ifftn", x, s, dim), norm, True)


@op
def rfftn(
    input: TensorLike, s: Sizes = None, dim: Any = None, norm: str | None = None, *, out: None = None
) -> mx.array:
    """``fftn`` of real numbers, of which the last dimension in ``dim`` keeps the first half."""
    x = _signal("rfftn", input, True)
    return _from_real("rfftn", x, _several("rfftn", x, s, dim, least=1), norm, False)


@op
def irfftn(
    input: TensorLike, s: Sizes = None, dim: Any = None, norm: str | None = None, *, out: None = None
) -> mx.array:
    """The inverse of ``rfftn``."""
    x = _signal("irfftn", input, False)
    return _to_real("irfftn", x, _several("irfftn", x, s, dim, _half, least=1), norm, True)


@op
def hfftn(
    input: TensorLike, s: Sizes = None, dim: Any = None, norm: str | None = None, *, out: None = None
) -> mx.array:
    """``hfft`` over several dimensions, of which the last in ``dim`` is given by its first half."""
    x = _signal("hfftn", input, False)
    return _to_real("hfftn", x, _several("hfftn", x, s, dim, _half, least=1), norm, False)


@op
def ihfftn(
    input: TensorLike, s: Sizes = None, dim: Any = None, norm: str | None = None, *, out: None = None
) -> mx.array:
    """The inverse of ``hfftn``."""
    x = _signal("ihfftn", input, True)
    return _from_real("ihfftn", x, _several("ihfftn", x, s, dim, least=1), norm, True)


@op
def fft2(
    input: TensorLike, s: Sizes = None, dim: Any = (-2, -1), norm: str | None = None, *, out: None = None
) -> mx.array:
    """``fftn`` over two dimensions, by default the last."""
    x = _signal("fft2", input, False)
    return _complex("fft2", x, _several("fft2", x, s, dim), norm, False)


@op
def ifft2(
    input: TensorLike, s: Sizes = None, dim: Any = (-2, -1), norm: str | None = None, *, out: None = None
) -> mx.array:
    """The inverse of ``fft2``."""
    x = _signal("ifft2", input, False)
    return _complex("ifft2", x, _several("ifft2", x, s, dim), norm, True)


@op
def rfft2(
    input: TensorLike, s: Sizes = None, dim: Any = (-2, -1), norm: str | None = None, *, out: None = None
) -> mx.array:
    """``rfftn`` over two dimensions, by default the last."""
    x = _signal("rfft2", input, True)
    return _from_real("rfft2", x, _several("rfft2", x, s, dim, least=1), norm, False)


@op
def irfft2(
    input: TensorLike, s: Sizes = None, dim: Any = (-2, -1), norm: str | None = None, *, out: None = None
) -> mx.array:
    """The inverse of ``rfft2``."""
    x = _signal("irfft2", input, False)
    return _to_real("irfft2", x, _several("irfft2", x, s, dim, _half, least=1), norm, True)


@op
def hfft2(
    input: TensorLike, s: Sizes = None, dim: Any = (-2, -1), norm: str | None = None, *, out: None = None
) -> mx.array:
    """``hfftn`` over two dimensions, by default the last."""
    x = _signal("hfft2", input, False)
    return _to_real("hfft2", x, _several("hfft2", x, s, dim, _half, least=1), norm, False)


@op
def ihfft2(
    input: TensorLike, s: Sizes = None, dim: Any = (-2, -1), norm: str | None = None, *, out: None = None
) -> mx.array:
    """The inverse of ``hfft2``."""
    x = _signal("ihfft2", input, True)
    return _from_real("ihfft2", x, _several("ihfft2", x, s, dim, least=1), norm, True)

"""Complex numbers: their parts, and tensors made of them. complex64 is the only complex dtype of MLX."""

import builtins
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._memory_format import check_memory_format
from lucid.ops._common import array, floating
from lucid.ops._types import TensorLike
from lucid.tape import TensorBase, op


def _parts(caller: str, first: Any, second: Any, names: tuple[str, str]) -> tuple[mx.array, mx.array]:
    """Two real arrays in one shape, in float32."""
    found = [array(caller, value, name) for value, name in zip((first, second), names, strict=True)]
    for one, name in zip(found, names, strict=True):
        if one.dtype not in (mx.float32, mx.float64, mx.float16):
            raise _checks.DtypeError(f"{caller}: {name} must be float32, got {_checks.dtype_name(one.dtype)}")
    if found[0].dtype != found[1].dtype:
        raise _checks.DtypeError(
            f"{caller}: {names[0]} and {names[1]} must have one dtype, got {_checks.dtype_name(found[0].dtype)} and "
            f"{_checks.dtype_name(found[1].dtype)}"
        )
    shape = _checks.broadcast_shapes(caller, found[0].shape, found[1].shape)
    one, two = (mx.broadcast_to(each.astype(mx.float32), shape) for each in found)
    return one, two


@op
def complex(real: TensorLike, imag: TensorLike, *, out: None = None) -> mx.array:
    """Complex numbers from their real and imaginary parts, float32 of one shape or broadcast.

    Example:
        >>> lucid.complex(lucid.tensor([1.0]), lucid.tensor([2.0])).tolist()
        [(1+2j)]
    """
    re, im = _parts("complex", real, imag, ("real", "imag"))
    return _joined(re, im)


def _joined(re: mx.array, im: mx.array) -> mx.array:
    return re.astype(mx.complex64) + im.astype(mx.complex64) * mx.array(1j)


@op
def polar(abs: TensorLike, angle: TensorLike, *, out: None = None) -> mx.array:
    """Complex numbers from their absolute values and angles in radians."""
    size, turn = _parts("polar", abs, angle, ("abs", "angle"))
    return _joined(size * mx.cos(turn), size * mx.sin(turn))


@op
def view_as_complex(input: TensorLike) -> mx.array:
    """Complex numbers from pairs of float32 in the last dimension, which has size 2. A copy, unlike in PyTorch."""
    x = array("view_as_complex", input)
    if x.dtype not in (mx.float32, mx.float64, mx.float16):
        raise _checks.DtypeError(f"view_as_complex: input must be float32, got {_checks.dtype_name(x.dtype)}")
    if not x.ndim or x.shape[-1] != 2:
        raise _checks.ArgumentError(f"view_as_complex: the last dimension must have size 2, got shape {x.shape}")
    x = x.astype(mx.float32)
    return _joined(x[..., 0], x[..., 1])


@op
def view_as_real(input: TensorLike) -> mx.array:
    """The real and imaginary parts in a new last dimension of size 2. A copy, unlike in PyTorch."""
    x = array("view_as_real", input)
    if x.dtype != mx.complex64:
        raise _checks.DtypeError(f"view_as_real: input must be complex64, got {_checks.dtype_name(x.dtype)}")
    return mx.stack([mx.real(x), mx.imag(x)], -1)


@op
def _real(input: TensorLike) -> mx.array:
    return mx.real(input)


def real(input: Any) -> Any:
    """The real part, which is ``input`` itself if it is real. A copy, unlike in PyTorch."""
    return _real(input) if _checked("real", input).dtype == mx.complex64 else input


@op
def imag(input: TensorLike) -> mx.array:
    """The imaginary part of complex numbers. A copy, unlike in PyTorch."""
    x = array("imag", input)
    if x.dtype != mx.complex64:
        raise _checks.DtypeError(f"imag: input must be complex64, got {_checks.dtype_name(x.dtype)}")
    return mx.imag(x)


@op
def conj_physical(input: TensorLike, *, out: None = None) -> mx.array:
    """The complex conjugate; real numbers are their own."""
    x = array("conj_physical", input)
    return mx.conjugate(x) if x.dtype == mx.complex64 else x


def conj(input: Any) -> Any:
    """The complex conjugate, which is ``input`` itself if it is real."""
    return conj_physical(input) if _checked("conj", input).dtype == mx.complex64 else input


def resolve_conj(input: Any) -> Any:
    """``input``: conjugates are computed at once."""
    _checked("resolve_conj", input)
    return input


def resolve_neg(input: Any) -> Any:
    """``input``: negations are computed at once."""
    _checked("resolve_neg", input)
    return input


def is_conj(input: Any) -> builtins.bool:
    """False: conjugates are computed at once."""
    _checked("is_conj", input)
    return False


def is_neg(input: Any) -> builtins.bool:
    """False: negations are computed at once."""
    _checked("is_neg", input)
    return False


def _checked(caller: str, input: Any) -> Any:
    if not isinstance(input, TensorBase):
        raise TypeError(f"{caller}: input must be a tensor, got {type(input).__name__}")
    return input


@op
def angle(input: TensorLike, *, out: None = None) -> mx.array:
    """The angle of complex numbers in radians, in [-pi, pi]; of real ones, 0 or pi."""
    x = array("angle", input)
    if x.dtype != mx.complex64:
        x = floating("angle", x)
        turned = mx.where(x < 0, mx.array(mx.pi, x.dtype), mx.array(0, x.dtype))
        return mx.where(mx.isnan(x), x, turned)
    re, im = mx.real(x), mx.imag(x)
    origin = (re == 0) & (im == 0)
    found = mx.arctan2(mx.where(origin, 1, im), mx.where(origin, 1, re))
    return mx.where(origin, mx.stop_gradient(mx.arctan2(im, re)), found)


@op
def cfloat(input: TensorLike, memory_format: Any = None) -> mx.array:
    """``input`` converted to complex64."""
    x = array("cfloat", input)
    check_memory_format("cfloat", memory_format, x.ndim)
    return x.astype(mx.complex64)

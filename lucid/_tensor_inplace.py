"""In-place methods and operators of a tensor.

Arrays are never modified in place, because the graph holds them: a tensor is rebound to a new array, and its aliases
follow (``lucid/_aliases.py``).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import mlx.core as mx
import numpy as np

from lucid import _aliases, _checks, _deferred, _grad_mode, _late, _threads, tape
from lucid._dtypes import category
from lucid._memory_format import check_memory_format
from lucid.ops import (
    activation,
    arithmetic,
    comparison,
    elementwise,
    gather_scatter,
    indexing,
    matrix,
    number_parts,
    pointwise,
    reduction,
)
from lucid.ops import shape as shapes
from lucid.ops._common import varargs
from lucid.ops._types import TensorLike

if TYPE_CHECKING:
    from lucid._tensor import Tensor

P = ParamSpec("P")


def _in_place(function: Callable[P, Tensor], converts: bool = True) -> Callable[P, Tensor]:
    """``function`` as the method that writes its result to the tensor: ``add_`` from ``add``.

    ``converts`` is whether a result of another dtype is converted, as far as ``_check_cast`` allows it.
    """
    name = f"{function.__name__}_"

    def write(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        _check_tensor(name, self)
        result = function(self, *args, **kwargs)
        if not converts and result._array.dtype != self._array.dtype:
            raise _cast_error(name, result._array.dtype, self._array.dtype)
        return cast("Tensor", self._become(result, name))

    functools.update_wrapper(write, function)
    write.__name__ = write.__qualname__ = name
    write.__doc__ = f"``{function.__name__}`` in place: write the result to this tensor, and return it."
    return cast("Callable[P, Tensor]", write)


class TensorInplace(tape.TensorBase):
    """Base class of ``lucid.Tensor`` with the in-place methods."""

    __slots__ = ()

    def _write(self, what: str, function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Assign ``function(self, ...)`` to this tensor. All in-place methods do this."""
        return self._become(function(self, *args, **kwargs), what)

    def _become(self, result: Tensor, what: str, *, lazy: bool = False, uniform: bool = False) -> Tensor:
        """Take over the value and the graph node of ``result``, and write both to the aliases of this tensor.

        What was recorded so far does not change, because the graph holds the previous arrays. Without recording, the
        tensor gets the value and keeps its node: its gradient is that of the former value, as in PyTorch.

        Args:
            result: The new value, in the shape of this tensor.
            what: The name of the operation in messages.
            lazy: Whether not to evaluate the value in the next step, as loading replaces initial values.
            uniform: Whether all elements of ``result`` are equal, so that they may share memory.

        Raises:
            RuntimeError: PyTorch's rules forbid the write: this is a leaf that requires grad or a view of one, a view
                made under ``no_grad``, or an expanded view, whose elements share memory.
        """
        self._check_writable(what, result, uniform)
        if result._array.shape != self._array.shape:
            raise _checks.ArgumentError(
                f"{what}: cannot write a result of shape {result.shape} to a tensor of shape {self._array.shape}"
            )
        if result._array.dtype != self._array.dtype:
            _check_cast(what, result._array.dtype, self._array.dtype)
            result = elementwise.astype(result, self._array.dtype)
        with _threads.engine:
            self._array = result._array
            if _grad_mode.is_recording():
                node, index = self._node, self._index
                if node is None and result._node is not None:
                    self._hooks = None
                self._node, self._index = result._node, result._index
                _aliases.move_retained(self, node, index)
            if self._node is None and not lazy:
                _deferred.created(self)
            if self._place is not None:
                _aliases.follow(self, lazy)
        return cast("Tensor", self)

    def _check_writable(self, what: str, result: Tensor, uniform: bool) -> None:
        place = self._place
        if place is not None and place.op is not None:
            layout = place.layout()
            if layout is not None and layout.overlaps and (not uniform or self._node is not None):
                raise RuntimeError(
                    f"{what}: several elements of this expanded tensor share memory, so they cannot be written "
                    "separately; write to tensor.clone(), or to the tensor that it was expanded from"
                )
        if not _grad_mode.is_recording():
            return
        if self._requires_grad:
            raise RuntimeError(
                f"{what}: a leaf that requires grad cannot be modified in place, because it would lose its gradient; "
                "write under lucid.no_grad(), or to a computed tensor"
            )
        base = None if place is None else place.base
        if place is None or base is None:
            if place is not None and place.op is not None and not place.recorded and self._node is not None:
                raise RuntimeError(
                    f"{what}: this is a view, and the tensor that it was taken from cannot follow in the graph: it was "
                    "given other values through .data, or both are arguments of a compiled function; write to "
                    "tensor.clone(), or under lucid.no_grad()"
                )
            return
        if base._requires_grad:
            raise RuntimeError(
                f"{what}: this is a view of a leaf that requires grad, which cannot be modified in place, because it "
                "would lose its gradient; write under lucid.no_grad(), or to a computed tensor"
            )
        if not place.recorded and (base._node is not None or result._node is not None):
            raise RuntimeError(
                f"{what}: this view was made under no_grad and is modified outside of it, so that it is not clear "
                "whether the write belongs to the graph; do both inside no_grad, or both outside"
            )

    def __setitem__(self, index: Any, value: TensorLike) -> None:
        layout = None if self._place is None else self._place.layout()
        if layout is not None and layout.overlaps:
            part = indexing.getitem(self, index)
            if part._place is not None:  # a view, whose elements perhaps do not overlap
                uniform = not isinstance(value, tape.TensorBase) and np.ndim(cast(Any, value)) == 0
                part._become(indexing.setitem(part, ..., value), "tensor[index] = value", uniform=uniform)
                return
        self._write("tensor[index] = value", indexing.setitem, index, value)

    def copy_(self, other: TensorLike, non_blocking: bool = False) -> Tensor:
        """Copy the values of ``other``, broadcast to this shape."""
        return self._write("copy_", indexing.setitem, ..., other)

    def fill_(self, value: TensorLike) -> Tensor:
        """Fill the tensor with ``value``."""
        return self._become(indexing.setitem(self, ..., value), "fill_", uniform=True)

    def zero_(self) -> Tensor:
        """Fill the tensor with zeros."""
        return self.fill_(0)

    @varargs
    def resize_(self, size: Any, *, memory_format: Any = None) -> Tensor:
        """Give this tensor another shape: its elements in row-major order, or the first of them, followed by zeros.

        It does not share its values any more if it did.

        Raises:
            RuntimeError: the tensor requires gradients, as in PyTorch.
        """
        shape = _checks.shape("resize_", (size,))
        check_memory_format("resize_", memory_format, len(shape))
        if self._requires_grad or self._node is not None:
            raise RuntimeError("resize_: a tensor that requires grad cannot be resized; use tensor.detach().clone()")
        flat, count = self._array.reshape(-1), math.prod(shape)
        if count > flat.size:
            flat = mx.concatenate([flat, mx.zeros(count - flat.size, flat.dtype)])
        tensor = cast("Tensor", self)
        if shape != self._array.shape:
            tensor._replace(flat[:count].reshape(shape))
            _deferred.created(self)
        return tensor

    def resize_as_(self, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
        """``resize_`` to the shape of ``the_template``."""
        _check_tensor("resize_as_", the_template)
        return self.resize_(the_template._array.shape, memory_format=memory_format)

    def apply_(self, callable: Callable[[Any], Any]) -> Tensor:
        """Replace each element by ``callable`` of it, a Python number. Waits for the values and is slow.

        Raises:
            RuntimeError: the tensor requires gradients, as in PyTorch.
        """
        return _mapped("apply_", self, (), callable)

    def map_(self, other: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
        """Replace each element by ``callable`` of it and the one of ``other``, which broadcasts; see ``apply_``."""
        return _mapped("map_", self, (other,), callable)

    def map2_(self, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
        """Replace each element by ``callable`` of it and those of ``x`` and ``y``, which broadcast; see ``apply_``."""
        return _mapped("map2_", self, (x, y), callable)

    # Operations that are written to the tensor ------------------------------------------------------------------------
    add_ = _in_place(arithmetic.add)
    sub_ = _in_place(arithmetic.sub)
    subtract_ = _in_place(arithmetic.subtract)
    mul_ = _in_place(arithmetic.mul)
    multiply_ = _in_place(arithmetic.multiply)
    div_ = _in_place(arithmetic.div)
    divide_ = _in_place(arithmetic.divide)
    true_divide_ = _in_place(arithmetic.true_divide)
    floor_divide_ = _in_place(arithmetic.floor_divide)
    remainder_ = _in_place(arithmetic.remainder)
    fmod_ = _in_place(arithmetic.fmod)
    pow_ = _in_place(arithmetic.pow)
    neg_ = _in_place(arithmetic.neg)
    negative_ = _in_place(arithmetic.negative)
    clamp_ = _in_place(arithmetic.clamp)
    clamp_min_ = _in_place(arithmetic.clamp_min)
    clamp_max_ = _in_place(arithmetic.clamp_max)
    clip_ = _in_place(arithmetic.clip)
    lerp_ = _in_place(arithmetic.lerp)
    addcmul_ = _in_place(arithmetic.addcmul)
    addcdiv_ = _in_place(arithmetic.addcdiv)
    hypot_ = _in_place(arithmetic.hypot)
    bitwise_and_ = _in_place(arithmetic.bitwise_and)
    bitwise_or_ = _in_place(arithmetic.bitwise_or)
    bitwise_xor_ = _in_place(arithmetic.bitwise_xor)
    bitwise_not_ = _in_place(arithmetic.bitwise_not)
    bitwise_left_shift_ = _in_place(arithmetic.bitwise_left_shift)
    bitwise_right_shift_ = _in_place(arithmetic.bitwise_right_shift)

    abs_ = _in_place(elementwise.abs, converts=False)
    absolute_ = _in_place(elementwise.absolute, converts=False)
    acos_ = _in_place(elementwise.acos)
    arccos_ = _in_place(elementwise.arccos)
    acosh_ = _in_place(elementwise.acosh)
    arccosh_ = _in_place(elementwise.arccosh)
    asin_ = _in_place(elementwise.asin)
    arcsin_ = _in_place(elementwise.arcsin)
    asinh_ = _in_place(elementwise.asinh)
    arcsinh_ = _in_place(elementwise.arcsinh)
    atan_ = _in_place(elementwise.atan)
    arctan_ = _in_place(elementwise.arctan)
    atan2_ = _in_place(elementwise.atan2)
    arctan2_ = _in_place(elementwise.arctan2)
    atanh_ = _in_place(elementwise.atanh)
    arctanh_ = _in_place(elementwise.arctanh)
    ceil_ = _in_place(elementwise.ceil)
    cos_ = _in_place(elementwise.cos)
    cosh_ = _in_place(elementwise.cosh)
    deg2rad_ = _in_place(elementwise.deg2rad)
    erf_ = _in_place(elementwise.erf)
    erfc_ = _in_place(elementwise.erfc)
    erfinv_ = _in_place(elementwise.erfinv)
    exp_ = _in_place(elementwise.exp)
    exp2_ = _in_place(elementwise.exp2)
    expm1_ = _in_place(elementwise.expm1)
    fix_ = _in_place(elementwise.fix)
    floor_ = _in_place(elementwise.floor)
    frac_ = _in_place(elementwise.frac)
    log_ = _in_place(elementwise.log)
    log10_ = _in_place(elementwise.log10)
    log1p_ = _in_place(elementwise.log1p)
    log2_ = _in_place(elementwise.log2)
    nan_to_num_ = _in_place(elementwise.nan_to_num)
    rad2deg_ = _in_place(elementwise.rad2deg)
    reciprocal_ = _in_place(elementwise.reciprocal)
    round_ = _in_place(elementwise.round)
    rsqrt_ = _in_place(elementwise.rsqrt)
    sigmoid_ = _in_place(elementwise.sigmoid)
    sign_ = _in_place(elementwise.sign)
    sin_ = _in_place(elementwise.sin)
    sinh_ = _in_place(elementwise.sinh)
    sqrt_ = _in_place(elementwise.sqrt)
    square_ = _in_place(elementwise.square)
    tan_ = _in_place(elementwise.tan)
    tanh_ = _in_place(elementwise.tanh)
    trunc_ = _in_place(elementwise.trunc)

    copysign_ = _in_place(number_parts.copysign)
    float_power_ = _in_place(pointwise.float_power, converts=False)
    gcd_ = _in_place(pointwise.gcd)
    heaviside_ = _in_place(pointwise.heaviside)
    lcm_ = _in_place(pointwise.lcm)
    ldexp_ = _in_place(number_parts.ldexp)
    logit_ = _in_place(pointwise.logit)
    nextafter_ = _in_place(number_parts.nextafter)
    sgn_ = _in_place(number_parts.sgn)
    sinc_ = _in_place(pointwise.sinc)
    xlogy_ = _in_place(pointwise.xlogy)

    eq_ = _in_place(comparison.eq)
    ne_ = _in_place(comparison.ne)
    not_equal_ = _in_place(comparison.not_equal)
    lt_ = _in_place(comparison.lt)
    less_ = _in_place(comparison.less)
    le_ = _in_place(comparison.le)
    less_equal_ = _in_place(comparison.less_equal)
    gt_ = _in_place(comparison.gt)
    greater_ = _in_place(comparison.greater)
    ge_ = _in_place(comparison.ge)
    greater_equal_ = _in_place(comparison.greater_equal)
    logical_and_ = _in_place(comparison.logical_and)
    logical_or_ = _in_place(comparison.logical_or)
    logical_xor_ = _in_place(comparison.logical_xor)
    logical_not_ = _in_place(comparison.logical_not)

    cumsum_ = _in_place(reduction.cumsum)
    cumprod_ = _in_place(reduction.cumprod)

    addbmm_ = _in_place(matrix.addbmm)
    addr_ = _in_place(matrix.addr)
    addmm_ = _in_place(matrix.addmm)
    addmv_ = _in_place(matrix.addmv)
    baddbmm_ = _in_place(matrix.baddbmm)

    tril_ = _in_place(shapes.tril)
    triu_ = _in_place(shapes.triu)

    relu_ = _in_place(activation.relu)

    masked_fill_ = _in_place(indexing.masked_fill)

    index_add_ = _in_place(gather_scatter.index_add)
    index_copy_ = _in_place(gather_scatter.index_copy)
    index_fill_ = _in_place(gather_scatter.index_fill)
    scatter_ = _in_place(gather_scatter.scatter)
    scatter_add_ = _in_place(gather_scatter.scatter_add)

    def __iadd__(self, other: TensorLike) -> Tensor:
        return self._write("+=", arithmetic.add, other)

    def __isub__(self, other: TensorLike) -> Tensor:
        return self._write("-=", arithmetic.sub, other)

    def __imul__(self, other: TensorLike) -> Tensor:
        return self._write("*=", arithmetic.mul, other)

    def __itruediv__(self, other: TensorLike) -> Tensor:
        return self._write("/=", arithmetic.div, other)

    def __ifloordiv__(self, other: TensorLike) -> Tensor:
        return self._write("//=", arithmetic.floor_divide, other)

    def __imod__(self, other: TensorLike) -> Tensor:
        return self._write("%=", arithmetic.remainder, other)

    def __ipow__(self, other: TensorLike) -> Tensor:
        return self._write("**=", arithmetic.pow, other)

    def __iand__(self, other: TensorLike) -> Tensor:
        return self._write("&=", arithmetic.bitwise_and, other)

    def __ior__(self, other: TensorLike) -> Tensor:
        return self._write("|=", arithmetic.bitwise_or, other)

    def __ixor__(self, other: TensorLike) -> Tensor:
        return self._write("^=", arithmetic.bitwise_xor, other)

    def __ilshift__(self, other: TensorLike) -> Tensor:
        return self._write("<<=", arithmetic.bitwise_left_shift, other)

    def __irshift__(self, other: TensorLike) -> Tensor:
        return self._write(">>=", arithmetic.bitwise_right_shift, other)


def _mapped(caller: str, tensor: Any, others: tuple[Any, ...], function: Callable[..., Any]) -> Tensor:
    if not callable(function):
        raise TypeError(f"{caller}: callable must be a function, got {type(function).__name__}")
    for one in (tensor, *others):
        _check_tensor(caller, one)
        if one._requires_grad or one._node is not None:
            raise RuntimeError(f"{caller}: a tensor that requires grad cannot be changed; use tensor.detach().{caller}")
        if one._array.dtype != tensor._array.dtype:
            raise _checks.DtypeError(f"{caller}: all tensors must have the dtype {_checks.dtype_name(tensor.dtype)}")
        if _checks.broadcast_shapes(caller, tensor.shape, one.shape) != tensor.shape:
            raise _checks.ArgumentError(f"{caller}: shape {one.shape} cannot be broadcast to {tensor.shape}")
    rows = [mx.broadcast_to(one._array, tensor.shape).reshape(-1) for one in (tensor, *others)]
    values = [function(*items) for items in zip(*(_deferred.to_numpy(row).tolist() for row in rows), strict=True)]
    found = mx.array(np.array([_truncated(one, tensor.dtype) for one in values]), tensor.dtype).reshape(tensor.shape)
    return cast("Tensor", tensor._become(tape.wrap(found), caller))


def _truncated(value: Any, dtype: mx.Dtype) -> Any:
    """A number, truncated for an integer dtype."""
    return int(value) if mx.issubdtype(dtype, mx.integer) else value


def _late_in_place(name: str) -> Callable[..., Tensor]:
    """The method that writes the result of ``lucid.<name>``, which is imported at the first call."""

    def write(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        _check_tensor(f"{name}_", self)
        return cast("Tensor", self._become(_late.load(name)(self, *args, **kwargs), f"{name}_"))

    write.__name__ = write.__qualname__ = f"{name}_"
    write.__doc__ = f"``{name}`` in place: write the result to this tensor, and return it."
    return write


def _reshaping(name: str) -> Callable[..., Tensor]:
    """The method that gives the tensor another shape, as ``lucid.<name>`` gives a view of one."""
    function = getattr(shapes, name)

    def reshape(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        if self._requires_grad and _grad_mode.is_recording():
            raise RuntimeError(f"{name}_: a leaf that requires grad cannot be changed in place; use {name}()")
        if self._place is None:
            view = function(tape.wrap(self._array, self._node, self._index), *args, **kwargs)
            self._array, self._node, self._index = view._array, view._node, view._index
        elif self._node is not None:
            raise RuntimeError(f"{name}_: this tensor is in a graph and shares its values with others; use {name}()")
        else:
            view = function(self.detach(), *args, **kwargs)
            place = view._place.without_base()
            _aliases.leave(self)
            self._array, self._place = view._array, place
            place.cell.add(self)
        return cast("Tensor", self)

    reshape.__name__ = reshape.__qualname__ = f"{name}_"
    reshape.__doc__ = f"``{name}`` in place: this tensor gets the other shape, and its aliases keep theirs."
    return reshape


for _name in ("squeeze", "swapaxes", "swapdims", "t", "transpose", "unsqueeze"):
    setattr(TensorInplace, f"{_name}_", _reshaping(_name))

_LATE = (
    "digamma", "i0", "igamma", "igammac", "index_put", "index_reduce", "lgamma", "masked_scatter", "mvlgamma",
    "polygamma", "put", "renorm", "scatter_reduce",
)  # fmt: skip
for _name in _LATE:
    setattr(TensorInplace, f"{_name}_", _late_in_place(_name))


def _check_tensor(what: str, value: Any) -> None:
    if not isinstance(value, tape.TensorBase):
        raise TypeError(f"{what}: input must be a tensor to write to, got {type(value).__name__}")


def _check_cast(what: str, found: mx.Dtype, kept: mx.Dtype) -> None:
    """Raise if ``found``, the dtype of a result, is of a higher kind (bool, integer, float, complex) than ``kept``."""
    if category(found) > category(kept):
        raise _cast_error(what, found, kept)


def _cast_error(what: str, found: mx.Dtype, kept: mx.Dtype) -> Exception:
    return _checks.DtypeError(
        f"{what}: the result is {_checks.dtype_name(found)}, which cannot be written to a tensor of dtype "
        f"{_checks.dtype_name(kept)}"
    )

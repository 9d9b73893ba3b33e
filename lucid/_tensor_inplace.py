"""In-place methods and operators of a tensor.

Arrays are never modified in place, because the graph holds them: a tensor is rebound to a new array, and its aliases
follow (``lucid/_aliases.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import mlx.core as mx
import numpy as np

from lucid import _aliases, _checks, _deferred, _grad_mode, tape
from lucid.ops import arithmetic, elementwise, indexing
from lucid.ops._common import category
from lucid.ops._types import TensorLike

if TYPE_CHECKING:
    from lucid._tensor import Tensor


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

    def add_(self, other: TensorLike, *, alpha: float = 1) -> Tensor:
        return self._write("add_", arithmetic.add, other, alpha=alpha)

    def sub_(self, other: TensorLike, *, alpha: float = 1) -> Tensor:
        return self._write("sub_", arithmetic.sub, other, alpha=alpha)

    def mul_(self, other: TensorLike) -> Tensor:
        return self._write("mul_", arithmetic.mul, other)

    def div_(self, other: TensorLike, *, rounding_mode: str | None = None) -> Tensor:
        return self._write("div_", arithmetic.div, other, rounding_mode=rounding_mode)

    def pow_(self, exponent: TensorLike) -> Tensor:
        return self._write("pow_", arithmetic.pow, exponent)

    def neg_(self) -> Tensor:
        return self._write("neg_", arithmetic.neg)

    def lerp_(self, end: TensorLike, weight: TensorLike) -> Tensor:
        return self._write("lerp_", arithmetic.lerp, end, weight)

    def clamp_(self, min: TensorLike = None, max: TensorLike = None) -> Tensor:
        return self._write("clamp_", arithmetic.clamp, min, max)

    def addcmul_(self, tensor1: TensorLike, tensor2: TensorLike, *, value: float = 1) -> Tensor:
        return self._write("addcmul_", arithmetic.addcmul, tensor1, tensor2, value=value)

    def addcdiv_(self, tensor1: TensorLike, tensor2: TensorLike, *, value: float = 1) -> Tensor:
        return self._write("addcdiv_", arithmetic.addcdiv, tensor1, tensor2, value=value)

    def sign_(self) -> Tensor:
        return self._write("sign_", elementwise.sign)

    def square_(self) -> Tensor:
        return self._write("square_", elementwise.square)

    def reciprocal_(self) -> Tensor:
        return self._write("reciprocal_", elementwise.reciprocal)

    def rsqrt_(self) -> Tensor:
        return self._write("rsqrt_", elementwise.rsqrt)

    def sqrt_(self) -> Tensor:
        return self._write("sqrt_", elementwise.sqrt)

    def exp_(self) -> Tensor:
        return self._write("exp_", elementwise.exp)

    def masked_fill_(self, mask: TensorLike, value: TensorLike) -> Tensor:
        return self._write("masked_fill_", indexing.masked_fill, mask, value)

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


def _check_cast(what: str, found: mx.Dtype, kept: mx.Dtype) -> None:
    """Raise if ``found``, the dtype of a result, is of a higher kind (bool, integer, float, complex) than ``kept``."""
    if category(found) > category(kept):
        raise _checks.DtypeError(
            f"{what}: the result is {_checks.dtype_name(found)}, which cannot be written to a tensor of dtype "
            f"{_checks.dtype_name(kept)}"
        )

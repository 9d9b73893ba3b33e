"""In-place methods and operators of a tensor.

Arrays are never modified in place, because the graph holds them: a tensor is rebound to a new array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import mlx.core as mx

from lucid import _checks, _deferred, _grad_mode, tape
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
        base = self._base
        owner = None if base is None else base.owner()
        if base is not None and owner is not None:  # the owner may have changed since the view was taken
            fresh = base.view_of(owner)
            if fresh._array.shape == self._array.shape and fresh._array.dtype == self._array.dtype:
                self._array, self._node, self._index = fresh._array, fresh._node, fresh._index
        return self._become(function(self, *args, **kwargs), what)

    def _become(self, result: Tensor, what: str, *, lazy: bool = False) -> Tensor:
        """Take over the value and the graph node of ``result``.

        The next step evaluates the value, unless it is ``lazy``, as initial values are: loading replaces them.

        What was recorded so far does not change, because the graph holds the previous arrays. If this is a view, the
        tensor that it was taken from is written too.
        """
        base = self._base
        owner: Any = None if base is None else base.owner()
        self._check_writable(what)
        if base is not None and owner is not None and not base.detached:
            owner._check_writable(what)
        if result._array.shape != self._array.shape:
            raise _checks.ArgumentError(
                f"{what}: cannot write a result of shape {result.shape} to a tensor of shape {self._array.shape}"
            )
        if result._array.dtype != self._array.dtype:
            _check_cast(what, result._array.dtype, self._array.dtype)
            result = elementwise.astype(result, self._array.dtype)
        self._array = result._array
        if self._node is None and result._node is not None:
            self._hooks = None
        self._node, self._index = result._node, result._index
        if self._node is None and not lazy:
            _deferred.created(self)
        if base is None or owner is None:
            return cast("Tensor", self)
        if base.detached:  # as in PyTorch, the owner gets the new value but its graph is unchanged
            with _grad_mode.set_recording(False):
                owner._array = _write_at(owner, base.positions(owner.shape), self)._array if base.steps else self._array
        else:
            written = _write_at(owner, base.positions(owner.shape), self)
            owner._array, owner._node, owner._index = written._array, written._node, written._index
        if owner._node is None and not lazy:
            _deferred.created(owner)
        return cast("Tensor", self)

    def _check_writable(self, what: str) -> None:
        if self._requires_grad and _grad_mode.is_recording():
            raise RuntimeError(
                f"{what}: a leaf that requires grad cannot be modified in place, because it would lose its gradient; "
                "write under lucid.no_grad(), or to a computed tensor"
            )
        if self._node is not None and not _grad_mode.is_recording():
            raise RuntimeError(
                f"{what}: this tensor was computed by '{self._node.name}' and is part of a graph; writing to it under "
                "no_grad would make its gradient wrong; write to tensor.clone() or tensor.detach()"
            )

    def __setitem__(self, index: Any, value: TensorLike) -> None:
        self._write("tensor[index] = value", indexing.setitem, index, value)

    def copy_(self, other: TensorLike, non_blocking: bool = False) -> Tensor:
        """Copy the values of ``other``, broadcast to this shape."""
        return self._write("copy_", indexing.setitem, ..., other)

    def fill_(self, value: TensorLike) -> Tensor:
        """Fill the tensor with ``value``."""
        return self._write("fill_", indexing.setitem, ..., value)

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


def _check_cast(what: str, found: mx.Dtype, kept: mx.Dtype) -> None:
    """Raise if ``found``, the dtype of a result, is of a higher kind (bool, integer, float, complex) than ``kept``."""
    if category(found) > category(kept):
        raise _checks.DtypeError(
            f"{what}: the result is {_checks.dtype_name(found)}, which cannot be written to a tensor of dtype "
            f"{_checks.dtype_name(kept)}"
        )


@tape.op
def _write_at(x: TensorLike, positions: mx.array, values: TensorLike) -> mx.array:
    """``x`` with ``values`` at flat ``positions``."""
    flat = x.reshape(-1)
    flat[positions.reshape(-1)] = values.reshape(-1)  # rebinds the name: the original array keeps its values
    return flat.reshape(x.shape)

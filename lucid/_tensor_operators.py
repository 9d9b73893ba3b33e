"""The operators of a tensor: those of Python, indexing, and its size."""

from __future__ import annotations

import functools
import inspect
import numbers
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast, overload

import mlx.core as mx
import numpy as np

from lucid import _checks, tape
from lucid.ops import arithmetic, comparison, elementwise, indexing, matrix
from lucid.ops._types import TensorLike

if TYPE_CHECKING:
    from lucid._tensor import Tensor


def _operator(function: Callable[..., Tensor], reflected: bool = False) -> Callable[[Any, Any], Tensor]:
    """``function`` as an operator, which leaves other operands than numbers to their own type, as in PyTorch.

    So ``x + other`` tries ``other.__radd__``, and ``x == None`` is False.
    """
    call: Callable[..., Tensor] = (lambda self, other: function(other, self)) if reflected else function
    body, name = inspect.unwrap(function), function.__name__
    is_plain = not reflected and getattr(function, "autocast", 0) is getattr(function, "vjp", 0) is None

    def operator(self: Any, other: Any) -> Tensor:
        try:
            return call(self, other)
        except TypeError:
            if isinstance(other, _OPERANDS):
                raise
            return NotImplemented

    def plain_operator(self: Any, other: Any) -> Tensor:
        try:
            return cast("Tensor", tape.apply(body, (self, other), {}, name))  # what ``call`` does, one call less
        except TypeError:
            if isinstance(other, _OPERANDS):
                raise
            return NotImplemented

    return functools.update_wrapper(plain_operator if is_plain else operator, function)


_OPERANDS = (tape.TensorBase, mx.array, numbers.Number, np.ndarray, np.generic, list, tuple)


class TensorOperators(tape.TensorBase):
    """Base class of ``lucid.Tensor`` with the operators."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Tensor:
        return indexing.getitem(self, index)

    @overload
    def size(self, dim: None = None) -> tuple[int, ...]: ...
    @overload
    def size(self, dim: int) -> int: ...
    def size(self, dim: int | None = None) -> tuple[int, ...] | int:
        """The shape, or the size of dimension ``dim``."""
        if dim is None:
            return self._array.shape
        try:
            return self._array.shape[dim]
        except (IndexError, TypeError):
            _checks.integer("size", "dim", dim)
            raise IndexError(
                f"size: dim {dim} is out of range for a tensor with {self._array.ndim} dimensions"
            ) from None

    # Operators -------------------------------------------------------------------------------------------------------

    __add__ = _operator(arithmetic.add)
    __sub__ = _operator(arithmetic.sub)
    __mul__ = _operator(arithmetic.mul)
    __truediv__ = _operator(arithmetic.div)
    __floordiv__ = _operator(arithmetic.floor_divide)
    __mod__ = _operator(arithmetic.remainder)
    __pow__ = _operator(arithmetic.pow)
    __neg__ = arithmetic.neg
    __abs__ = elementwise.abs
    __matmul__ = _operator(matrix.matmul)
    __lt__ = _operator(comparison.lt)
    __le__ = _operator(comparison.le)
    __gt__ = _operator(comparison.gt)
    __ge__ = _operator(comparison.ge)
    __and__ = _operator(arithmetic.bitwise_and)
    __or__ = _operator(arithmetic.bitwise_or)
    __xor__ = _operator(arithmetic.bitwise_xor)
    __invert__ = arithmetic.bitwise_not
    __lshift__ = _operator(arithmetic.bitwise_left_shift)
    __rshift__ = _operator(arithmetic.bitwise_right_shift)
    __rand__ = _operator(arithmetic.bitwise_and)
    __ror__ = _operator(arithmetic.bitwise_or)
    __rxor__ = _operator(arithmetic.bitwise_xor)
    __radd__ = _operator(arithmetic.add)
    __rmul__ = _operator(arithmetic.mul)

    if TYPE_CHECKING:  # a plain assignment would have the type of object's

        def __eq__(self, other: TensorLike) -> Tensor: ...  # type: ignore[override]

        def __ne__(self, other: TensorLike) -> Tensor: ...  # type: ignore[override]
    else:
        __eq__ = _operator(comparison.eq)
        __ne__ = _operator(comparison.ne)

    __hash__ = object.__hash__  # __eq__ compares elements

    def __pos__(self) -> Tensor:
        return cast("Tensor", self)

    __rsub__ = _operator(arithmetic.sub, reflected=True)
    __rtruediv__ = _operator(arithmetic.div, reflected=True)
    __rdiv__ = __rtruediv__  # the name of Python 2, which PyTorch keeps
    __rfloordiv__ = _operator(arithmetic.floor_divide, reflected=True)
    __rmod__ = _operator(arithmetic.remainder, reflected=True)
    __rpow__ = _operator(arithmetic.pow, reflected=True)
    __rmatmul__ = _operator(matrix.matmul, reflected=True)
    __rlshift__ = _operator(arithmetic.bitwise_left_shift, reflected=True)
    __rrshift__ = _operator(arithmetic.bitwise_right_shift, reflected=True)

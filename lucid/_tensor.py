"""``lucid.Tensor``: PyTorch's API around one lazily evaluated ``mx.array``.

This file has what makes up a tensor: its value, its gradient, and the protocols of Python and NumPy. Operators and
methods that compute are in ``lucid/_tensor_methods.py``, in-place methods in ``lucid/_tensor_inplace.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import mlx.core as mx
import numpy as np

from lucid import _aliases, _checks, _deferred, _grad_mode, _late, _overwritten, _threads, tape
from lucid._backward import RemovableHandle, backward_into, run_backward
from lucid._checks import dtype_name
from lucid._device import device, get_default_device
from lucid._memory_format import check_memory_format, contiguous_format
from lucid._placement import check_placement
from lucid._tensor_attributes import TensorAttributes
from lucid._tensor_casting import TensorCasting
from lucid._tensor_convert import as_array, leaf
from lucid._tensor_inplace import TensorInplace
from lucid._tensor_methods import TensorMethods
from lucid._tensor_operators import TensorOperators
from lucid._tensor_random import TensorRandom
from lucid._tensor_repr import describe
from lucid.ops import comparison, elementwise, indexing, joining, reduction
from lucid.ops import shape as shapes  # ``shape`` is a property of the class below
from lucid.ops._types import TensorLike


class Tensor(TensorOperators, TensorMethods, TensorInplace, TensorRandom, TensorAttributes, TensorCasting):
    """A multi-dimensional array with automatic differentiation.

    Make tensors with ``lucid.tensor(data)``. As in PyTorch, ``Tensor(2, 3)`` is a float32 tensor of that shape with
    unspecified values, ``Tensor([2, 3])`` holds the two numbers in float32, and ``Tensor(tensor)`` is ``detach()``.

    Memory is unified: all devices share it, and ``to("gpu")`` copies nothing. Values are computed when they are read
    (``item``, ``numpy``, ``print``) or when an optimizer step schedules their evaluation.
    """

    __slots__ = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if type(self).__new__ is not object.__new__:  # a subclass makes its objects there, see ``as_subclass``
            return
        made = construct(type(self).__name__, mx.float32, args, kwargs)
        self._set_leaf(made._array)
        if made._place is not None:
            _aliases.detached(made, into=self)

    def _set_leaf(self, array: mx.array, requires_grad: bool = False) -> None:
        """Make this object, which is not initialized, a leaf that holds ``array``."""
        self._array = array
        self._node = None
        self._index = 0
        self._place = None
        self._hooks = None
        self.grad = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad_()

    # Attributes ------------------------------------------------------------------------------------------------------

    @property
    def mlx(self) -> mx.array:
        """The underlying ``mx.array``. Do not modify it in place: the recorded graph may use it."""
        return _threads.value_of(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each dimension."""
        return self._array.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    @property
    def dtype(self) -> mx.Dtype:
        """The type of the elements."""
        return self._array.dtype

    @property
    def device(self) -> device:
        """The device that operations run on now. Tensors belong to none: memory is unified."""
        return get_default_device()

    def dim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    nelement = numel
    ndimension = dim

    def is_floating_point(self) -> bool:
        """Whether the dtype is a real floating-point type."""
        return mx.issubdtype(self._array.dtype, mx.floating)

    def is_contiguous(self, *, memory_format: Any = contiguous_format) -> bool:
        """Whether the elements lie in row-major order, as those of a tensor do that is no view of another one.

        MLX manages the memory layout, so this is the same for all memory formats.
        """
        check_memory_format("is_contiguous", memory_format)
        return self._place is None or self._place.is_contiguous

    def contiguous(self, *, memory_format: Any = contiguous_format) -> Tensor:
        """The tensor itself if it ``is_contiguous``, otherwise a copy."""
        check_memory_format("contiguous", memory_format, self._array.ndim)
        return self if self.is_contiguous() else elementwise.clone(self)

    # Gradients -------------------------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded for gradients."""
        return self._requires_grad or self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set whether to compute gradients for this tensor, and return it.

        Raises:
            RuntimeError: the tensor is not floating point, or was computed from tensors that require gradients.
        """
        if requires_grad and not mx.issubdtype(self._array.dtype, mx.inexact):
            raise RuntimeError(
                f"requires_grad_: only floating-point tensors can require gradients, got {dtype_name(self.dtype)}"
            )
        if not requires_grad and self._node is not None:
            raise RuntimeError(
                "requires_grad_: requires_grad can only be cleared on a leaf; use detach() on a computed tensor"
            )
        with _threads.engine:
            self._requires_grad = self._node is None and bool(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation computed this tensor."""
        return self._node is None

    @property
    def grad_fn(self) -> tape.Node | None:
        """The recorded operation that computed this tensor, or ``None`` for a leaf."""
        return self._node

    def backward(
        self,
        gradient: TensorLike = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None:
        """Compute the gradient of this tensor and add it to ``.grad`` of every leaf that it was computed from.

        Args:
            gradient: The gradient with respect to this tensor, in its shape; optional for a single element.
            retain_graph: Whether to keep the graph for another backward pass, by default ``create_graph``.
            create_graph: Whether to record the backward pass, so that it can be differentiated again.
            inputs: Add gradients to ``.grad`` of these tensors only.

        Raises:
            RuntimeError: the tensor does not require gradients, ``gradient`` is missing, or the graph was freed.
            ValueError: ``gradient`` has the wrong shape.
        """
        if not self.requires_grad:
            raise RuntimeError(
                "backward: this tensor does not require grad and was not computed from one that does "
                "(under no_grad, or from detached tensors)"
            )
        keep = create_graph if retain_graph is None else retain_graph
        start = [cotangent_for(self, gradient, "backward")]
        if inputs is None:
            run_backward([self], start, retain_graph=keep, create_graph=create_graph)
        else:
            backward_into(inputs, [self], start, retain_graph=keep, create_graph=create_graph)

    def detach(self) -> Tensor:
        """The same values outside of the graph. A write to one of the two tensors is seen by both."""
        return _aliases.detached(self)

    def detach_(self) -> Tensor:
        """Detach this tensor from the graph, and return it."""
        with _threads.engine:
            _ = self._array  # with its present value, if it is a view
            self._node, self._index, self._requires_grad = None, 0, False
            if self._place is not None:
                self._place = self._place.without_base()
                self._place.recorded = True
        return self

    @property
    def data(self) -> Tensor:
        """``detach()``. Assign a tensor to it to share its values from then on, instead of the former ones."""
        return _aliases.data_of(self)

    @data.setter
    def data(self, value: TensorLike) -> None:
        if self._place is not None and self._place.base is not None and self._node is not None:
            raise RuntimeError(
                "data: this is a view that is part of a graph, and cannot be given the values of another tensor; use "
                "copy_(), or assign to the data of tensor.clone()"
            )
        if isinstance(value, Tensor):
            if value is not self:
                alias = value.detach()
                _overwritten.note_tensor(self)
                self._replace(alias._array)
                _aliases.data_of(alias, into=self)
        else:
            _overwritten.note_tensor(self)
            self._replace(as_array(value, self.dtype))
        _deferred.created(self)

    def retain_grad(self) -> None:
        """Have ``backward()`` store the gradient of this computed tensor in ``.grad`` as well."""
        if not self.requires_grad:
            raise RuntimeError("retain_grad: this tensor does not require grad")
        if self._node is not None:
            self._node.retain(self)

    @_threads.between_traces
    def register_hook(self, hook: Callable[[Tensor], Any]) -> RemovableHandle:
        """Call ``hook(gradient)`` when the gradient of this tensor is computed; a returned tensor replaces it.

        Returns:
            A handle with ``remove()``, which is also a context manager.

        Raises:
            RuntimeError: the tensor does not require gradients.
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: this tensor does not require grad, so the hook would never be called")
        if self._node is not None:
            return RemovableHandle(self._node.hooks_of(self._index), hook)
        if self._hooks is None:
            self._hooks = {}
        return RemovableHandle(self._hooks, hook)

    # Values in and out -----------------------------------------------------------------------------------------------

    def item(self) -> int | float:
        """The value of a tensor with one element as a Python number. Waits for the value.

        Raises:
            RuntimeError: the tensor does not have exactly one element.
        """
        if self._array.size != 1:
            raise _checks.ArgumentError(f"item: expected a tensor with one element, got shape {self.shape}")
        return cast("int | float", _deferred.item(_threads.value_of(self)))  # complex for complex64

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers, or a number for a 0-d tensor."""
        with _threads.lock:
            return self._array.tolist()

    def where(self, condition: TensorLike, other: TensorLike) -> Tensor:
        """``lucid.where(condition, self, other)``: this tensor where ``condition`` is True, otherwise ``other``."""
        return indexing.where(condition, self, other)

    # The value --------------------------------------------------------------------------------------------------------

    @_threads.between_traces
    def _clear_grad(self, set_to_none: bool) -> None:
        """Set ``.grad`` to ``None``, or its value to zeros."""
        if set_to_none:
            self.grad = None
        elif self.grad is not None:
            _threads.prepare()
            self.grad.detach_()._rebind(mx.zeros_like(self.grad._array))

    def _rebind(self, array: mx.array) -> None:
        """Write ``array``, of the same shape and dtype, without recording it, as optimizers do. Aliases follow."""
        with _threads.engine:
            self._array = array
            if self._place is not None:
                with _grad_mode.set_recording(False):
                    _aliases.follow(self)

    def _replace(self, array: mx.array) -> None:
        """Replace the value, perhaps by one of another shape or dtype. Aliases keep the former one."""
        with _threads.engine:
            _aliases.leave(self)
            if (memo := _deferred.memo()) is not None:  # see lucid/_compile/trace.py
                memo.setdefault("replaced", {})[id(self)] = self
            self._array = array

    def _update(self, array: mx.array) -> None:
        """``_rebind`` for state that a layer keeps between calls, such as running statistics.

        The next optimizer step evaluates it. Recomputing a checkpointed layer in the backward pass does not update it.
        """
        if not _grad_mode.is_replaying():
            self._rebind(array)
            _deferred.track(self)

    # Python ----------------------------------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise RuntimeError(
                f"bool: the truth value of a tensor of shape {self.shape} with {self.numel()} elements is ambiguous; "
                "use any() or all()"
            )
        return bool(_deferred.item(_threads.value_of(self)))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if not mx.issubdtype(self.dtype, mx.integer) and self.dtype != mx.bool_:
            raise TypeError(f"__index__: only integer tensors can be used as an index, got {dtype_name(self.dtype)}")
        return int(self.item())

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len: a 0-d tensor has no length")
        return self._array.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self._array.ndim == 0:
            raise TypeError("iter: a 0-d tensor cannot be iterated over")
        return iter(joining.unbind(self, 0))

    def __contains__(self, value: TensorLike) -> bool:
        return bool(reduction.any(comparison.eq(self, value)))

    def __copy__(self) -> Tensor:
        new = self._with_value_of(self)
        if self._node is None:
            _aliases.detached(self, into=new)
        return new

    @_threads.between_traces
    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise RuntimeError("deepcopy: only leaf tensors support deepcopy; use detach() or clone()")
        if id(self) not in memo:
            new = memo[id(self)] = self._with_value_of(self)  # arrays never change, so the copy can share them
            if self.grad is not None:
                new.grad = tape.wrap(self.grad._array)
            if self._place is not None:
                _aliases.copy_alias(self, new, memo)
        return memo[id(self)]

    def _with_value_of(self, other: Tensor) -> Tensor:
        kind = _aliases.fresh_class(self)
        new: Any = object.__new__(kind)
        with _threads.engine:
            new._array, new._node, new._index = other._array, other._node, other._index
            new._place, new._hooks, new.grad = None, None, None
            new._requires_grad = other._requires_grad
        return new

    def __reduce__(self) -> Any:
        raise TypeError("Tensor does not support pickling; save tensors with lucid.save (safetensors)")

    def __repr__(self) -> str:
        return describe(self, "tensor")

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self._array.size == 1 else repr(self)

    # Properties that are operations ----------------------------------------------------------------------------------

    @property
    def T(self) -> Tensor:
        """The tensor with its dimensions reversed."""
        return shapes.permute(self, tuple(reversed(range(self.ndim))))

    @property
    def mT(self) -> Tensor:
        """The tensor with its last two dimensions swapped."""
        if self._array.ndim == 1:
            raise _checks.ArgumentError(f"mT: expected matrices, got shape {self.shape}")
        return shapes.transpose(self, -2, -1) if self._array.ndim else self

    @property
    def H(self) -> Tensor:
        """The matrix transposed and, if complex, conjugated."""
        if self._array.ndim not in (0, 2):
            raise _checks.ArgumentError(f"H: expected a matrix, got shape {self.shape}; mT takes batches of them")
        if self._array.dtype == mx.complex64 and self._array.ndim:
            return shapes.H(self)
        return self.mT

    @property
    def mH(self) -> Tensor:
        """The matrices of the last two dimensions transposed and, if complex, conjugated."""
        return cast("Tensor", _late.load("conj")(self.mT))

    @property
    def real(self) -> Tensor:
        """The real part: ``lucid.real(self)``."""
        return cast("Tensor", _late.load("real")(self))

    @property
    def imag(self) -> Tensor:
        """The imaginary part of complex numbers: ``lucid.imag(self)``."""
        return cast("Tensor", _late.load("imag")(self))


tape.TensorBase._facade = Tensor


def cotangent_for(root: Tensor, gradient: TensorLike, caller: str) -> Tensor:
    """``gradient`` as a tensor in the shape and dtype of ``root``; by default 1 for a ``root`` with one element."""
    _threads.prepare()
    if gradient is None:
        if root.numel() != 1:
            raise RuntimeError(
                f"{caller}: gradient can only be omitted for a tensor with one element, got shape {root.shape}; "
                "pass gradient=, or reduce it with sum() or mean()"
            )
        if root.dtype == mx.complex64:
            raise RuntimeError(
                f"{caller}: gradient can only be omitted for a real tensor, got complex64; pass gradient="
            )
        return tape.wrap(mx.ones(root.shape, root.dtype))
    tensor = gradient if isinstance(gradient, Tensor) else tape.wrap(as_array(gradient, root.dtype))
    if tensor.shape != root.shape:
        raise _checks.ArgumentError(
            f"{caller}: gradient must have the shape of the tensor, {root.shape}, got {tensor.shape}"
        )
    return tensor if tensor.dtype == root.dtype else elementwise.astype(tensor, root.dtype)


def construct(caller: str, dtype: mx.Dtype, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """What ``Tensor(...)`` and ``FloatTensor(...)`` make: from sizes, from data, or from a tensor of that dtype.

    Raises:
        TypeError: the arguments are neither, or the tensor has another dtype.
    """
    kwargs = dict(kwargs)
    check_placement(caller, kwargs.pop("device", None))
    if not args and kwargs.keys() == {"size"}:
        args = tuple(kwargs.pop("size"))
    elif not args and kwargs.keys() <= {"data", "other"}:
        args = tuple(kwargs.pop(name) for name in ("data", "other") if name in kwargs)
    if kwargs or (len(args) > 1 and not all(isinstance(one, int | np.integer) for one in args)):
        listed = [type(one).__name__ for one in args] + [f"{name}=" for name in kwargs]
        raise TypeError(
            f"{caller}: expected sizes, a list of numbers or a tensor, got {', '.join(listed)}; lucid.tensor takes "
            "dtype= and requires_grad="
        )
    if not args:
        return tape.wrap(as_array([], dtype))
    data = args[0]
    if len(args) > 1 or (isinstance(data, int | np.integer) and not isinstance(data, bool)):
        return tape.wrap(as_array(np.zeros(_checks.shape(caller, args), np.float32), dtype))
    if isinstance(data, Tensor):
        if caller != "Tensor" and data.dtype != dtype:
            raise TypeError(f"{caller}: tensor must be {dtype_name(dtype)}, got {dtype_name(data.dtype)}")
        return data.detach()
    if data is None or isinstance(data, bool | float | complex | str):
        raise TypeError(f"{caller}: data must be a sequence, got {type(data).__name__}; lucid.tensor takes numbers")
    return tape.wrap(as_array(data, dtype))


def tensor(
    data: TensorLike, dtype: object = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A new leaf tensor with the values of ``data``.

    Args:
        data: A number, nested lists of numbers, a tensor, or an array of NumPy, MLX or another library with DLPack.
        dtype: By default that of ``data``, but float32 for float64; int64 for Python integers, float32 for floats.
        device: Has to be available and has no effect, because memory is unified.
        requires_grad: Whether to compute gradients for the tensor.
        pin_memory: Has no effect.

    Raises:
        TypeError: ``data`` is of an unsupported type.
        ValueError: nested lists have unequal lengths.

    Example:
        >>> lucid.tensor([[1, 2], [3, 4]])
        tensor([[1, 2],
                [3, 4]])
        >>> lucid.tensor([0.5, 1.5], dtype=lucid.float16).dtype == lucid.float16
        True
    """
    check_placement("tensor", device)
    return leaf(as_array(data, dtype), requires_grad)

"""Methods of a tensor that convert it: to dtypes and devices, to NumPy and other libraries, and to new tensors."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any, NamedTuple, cast, overload

import mlx.core as mx
import numpy as np

from lucid import _aliases, _checks, _device, _threads, tape
from lucid._dtypes import as_dtype, is_dtype_name
from lucid._memory_format import check_memory_format
from lucid._placement import check_placement
from lucid._tensor_convert import as_array, filled, leaf, to_numpy
from lucid.ops import elementwise
from lucid.ops._common import varargs
from lucid.ops._types import TensorLike
from lucid.ops.strided import memory_order, zeros_in_order

if TYPE_CHECKING:
    from lucid._tensor import Tensor

_MAX_DLPACK_DIMS = 128  # MLX ends the process for more
_TYPE_NAMES = {
    mx.float32: "Float", mx.float64: "Double", mx.float16: "Half", mx.bfloat16: "BFloat16", mx.int64: "Long",
    mx.int32: "Int", mx.int16: "Short", mx.int8: "Char", mx.uint8: "Byte", mx.uint16: "UInt16", mx.uint32: "UInt32",
    mx.uint64: "UInt64", mx.bool_: "Bool", mx.complex64: "ComplexFloat",
}  # fmt: skip


def _dtype_of_type(kind: Any) -> mx.Dtype:
    """The dtype of a type of tensor: "torch.LongTensor", ``lucid.LongTensor``, or a dtype."""
    if isinstance(kind, str) and kind.endswith("Tensor"):
        for dtype, name in _TYPE_NAMES.items():
            if kind.rpartition(".")[2] == f"{name}Tensor":
                return dtype
        raise ValueError(f"type: there is no type {kind!r}; expected torch.FloatTensor, torch.LongTensor or another")
    return as_dtype(getattr(kind, "dtype", kind))


class Conversion(NamedTuple):
    """What the arguments of ``Tensor.to`` ask for."""

    dtype: mx.Dtype | None
    copy: bool
    memory_format: Any


def conversion(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Conversion:
    """Parse the arguments of ``to(dtype)``, ``to(device, dtype)`` and ``to(other)``; see ``Tensor.to``.

    Raises:
        TypeError: an argument is of the wrong type or unknown.
        RuntimeError: a device is not available on this machine.
    """
    known = ("device", "dtype", "non_blocking", "copy")
    given: dict[str, Any] = {name: kwargs.pop(name) for name in known if name in kwargs}
    memory_format = kwargs.pop("memory_format", None)
    if kwargs:
        raise TypeError(f"to: got an unexpected keyword argument {sorted(kwargs)[0]!r}")
    first: Any = args[0] if args else None
    names: tuple[str, ...]
    if isinstance(first, tape.TensorBase):
        names, args = ("non_blocking", "copy"), args[1:]
        given.setdefault("dtype", first._array.dtype)
    elif isinstance(first, mx.Dtype | type | np.dtype) or is_dtype_name(first):
        names = ("dtype", "non_blocking", "copy")
    elif first is None or isinstance(first, str | int | _device.device | mx.Device | mx.DeviceType):
        names = ("device", "dtype", "non_blocking", "copy")
    else:
        raise TypeError(f"to: expected a dtype, a device or a tensor, got {type(first).__name__} {first!r:.60}")
    if len(args) > len(names):
        raise TypeError(f"to: expected at most {len(names)} positional arguments here, got {len(args)}")
    for name, value in zip(names, args, strict=False):
        if name in given:
            raise TypeError(f"to: {name} is given twice")
        given[name] = value
    if given.get("device") is not None:
        _device.resolve("to", given["device"])
    dtype = given.get("dtype")
    return Conversion(None if dtype is None else _checks.dtype("to", dtype), bool(given.get("copy")), memory_format)


class TensorCasting(tape.TensorBase):
    """Base class of ``lucid.Tensor`` with the methods that convert."""

    __slots__ = ()
    __array_priority__ = 1000  # so that ``numpy_array * tensor`` calls ``Tensor.__rmul__``

    # Dtypes and devices ----------------------------------------------------------------------------------------------

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """``to(dtype)``, ``to(device)``, ``to(device, dtype)`` or ``to(other)`` (its dtype), as in PyTorch.

        The tensor itself if it has that dtype already, unless ``copy`` is true. A device has to be available and has no
        other effect, because memory is unified: ``lucid.set_default_device`` sets where to compute. ``non_blocking``
        and ``memory_format`` have no effect.
        """
        if len(args) == 1 and not kwargs and isinstance(args[0], mx.Dtype):  # the common case
            return cast("Tensor", self) if args[0] == self._array.dtype else elementwise.astype(self, args[0])
        wanted = conversion(args, kwargs)
        check_memory_format("to", wanted.memory_format, self._array.ndim)
        if wanted.dtype is not None and wanted.dtype != self._array.dtype:
            return elementwise.astype(self, wanted.dtype)
        return elementwise.clone(self) if wanted.copy else cast("Tensor", self)

    @overload
    def type(self, dtype: None = None, non_blocking: bool = False) -> str: ...
    @overload
    def type(self, dtype: Any, non_blocking: bool = False) -> Tensor: ...
    def type(self, dtype: Any = None, non_blocking: bool = False) -> str | Tensor:
        """PyTorch's name of this kind of tensor, such as ``"torch.FloatTensor"``, or the tensor in another dtype.

        ``dtype`` is a dtype, such a name, or a class such as ``lucid.FloatTensor``.
        """
        if dtype is None:
            return f"torch.{_TYPE_NAMES[self._array.dtype]}Tensor"
        return self.to(_dtype_of_type(dtype))

    def cpu(self, memory_format: Any = None) -> Tensor:
        """The tensor itself: memory is unified."""
        check_memory_format("cpu", memory_format, self._array.ndim)
        return cast("Tensor", self)

    def cuda(self, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
        """The tensor itself: memory is unified. Without ``device``, machines without a CUDA GPU accept the call too.

        Raises:
            RuntimeError: ``device`` is not available on this machine.
        """
        if device is not None:
            _device.resolve("cuda", device)
        check_memory_format("cuda", memory_format, self._array.ndim)
        return cast("Tensor", self)

    def as_subclass(self, cls: builtins.type[Tensor]) -> Any:
        """This tensor as an instance of ``cls``, a subclass of ``Tensor``, in the same graph and with the same values.

        Operations on it give plain tensors.

        Raises:
            TypeError: ``cls`` is no subclass of ``Tensor``.
        """
        if not (isinstance(cls, builtins.type) and issubclass(cls, tape.TensorBase._facade)):
            raise TypeError(f"as_subclass: cls must be a subclass of Tensor, got {cls!r}")
        made: Any = object.__new__(cls)
        made._set_leaf(self._array)
        if self._node is None:
            _aliases.detached(self, into=made)
            made._requires_grad = self._requires_grad
        else:
            made._node, made._index = self._node, self._index
        return made

    # NumPy and other libraries ---------------------------------------------------------------------------------------

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """A read-only NumPy array that shares memory with the tensor; bfloat16 is copied to float32.

        Args:
            force: Whether to detach the tensor first.

        Raises:
            RuntimeError: the tensor requires gradients and ``force`` is false.
            ValueError: the tensor has more dimensions than NumPy supports.
        """
        if (self._requires_grad or self._node is not None) and not force:
            raise RuntimeError("numpy: this tensor requires grad; use tensor.detach().numpy()")
        return to_numpy(_threads.value_of(self))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"__array__: {array.dtype} cannot be converted to {np.dtype(dtype)} without a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __array_wrap__(self, array: np.ndarray, context: Any = None, return_scalar: bool = False) -> Tensor:
        """The result of a NumPy function, such as ``np.sqrt(tensor)``, as a tensor."""
        return tape.wrap(as_array(array))

    def __dlpack__(self, **kwargs: Any) -> Any:
        if self._requires_grad or self._node is not None:
            raise RuntimeError("__dlpack__: this tensor requires grad; export tensor.detach()")
        if self._array.ndim > _MAX_DLPACK_DIMS:
            raise BufferError(f"__dlpack__: MLX exports at most {_MAX_DLPACK_DIMS} dimensions, got {self._array.ndim}")
        with _threads.lock:
            return self._array.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    def __mlx_array__(self) -> mx.array:
        return _threads.value_of(self)

    # New tensors -----------------------------------------------------------------------------------------------------

    def new_tensor(
        self, data: TensorLike, dtype: object = None, device: Any = None, requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:  # fmt: skip
        """A new tensor with the values of ``data``, by default in this tensor's dtype."""
        check_placement("new_tensor", device)
        return leaf(as_array(data, self._dtype_or(dtype)), requires_grad)

    def new_full(
        self, size: Any, fill_value: TensorLike, *, dtype: object = None, layout: Any = None, device: Any = None,
        pin_memory: bool = False, requires_grad: bool = False,
    ) -> Tensor:  # fmt: skip
        """A tensor of shape ``size`` filled with ``fill_value``, by default in this tensor's dtype."""
        check_placement("new_full", device, layout)
        return self._filled("new_full", size, fill_value, dtype, requires_grad)

    @varargs
    def new_zeros(
        self, size: Any, *, dtype: object = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
        requires_grad: bool = False,
    ) -> Tensor:  # fmt: skip
        """Zeros of shape ``size``, by default in this tensor's dtype."""
        check_placement("new_zeros", device, layout)
        return self._filled("new_zeros", size, 0, dtype, requires_grad)

    @varargs
    def new_ones(
        self, size: Any, *, dtype: object = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
        requires_grad: bool = False,
    ) -> Tensor:  # fmt: skip
        """Ones of shape ``size``, by default in this tensor's dtype."""
        check_placement("new_ones", device, layout)
        return self._filled("new_ones", size, 1, dtype, requires_grad)

    @varargs
    def new_empty(
        self, size: Any, *, dtype: object = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
        requires_grad: bool = False,
    ) -> Tensor:  # fmt: skip
        """A tensor of shape ``size`` with unspecified values (zeros in fact), by default in this tensor's dtype."""
        check_placement("new_empty", device, layout)
        return self._filled("new_empty", size, 0, dtype, requires_grad)

    def new_empty_strided(
        self, size: Any, stride: Any, *, dtype: object = None, layout: Any = None, device: Any = None,
        pin_memory: bool = False, requires_grad: bool = False,
    ) -> Tensor:  # fmt: skip
        """``lucid.empty_strided``, by default in this tensor's dtype."""
        check_placement("new_empty_strided", device, layout)
        sizes, order = memory_order("new_empty_strided", size, stride)
        found = zeros_in_order(sizes, order, self._dtype_or(dtype))
        return found.requires_grad_(_checks.flag("new_empty_strided", "requires_grad", requires_grad))

    def _filled(self, caller: str, size: Any, value: TensorLike, dtype: object, requires_grad: bool) -> Tensor:
        return leaf(filled(caller, _checks.shape(caller, (size,)), value, self._dtype_or(dtype)), requires_grad)

    def _dtype_or(self, dtype: object) -> mx.Dtype:
        return self._array.dtype if dtype is None else as_dtype(dtype)

"""``lucid.Tensor``: PyTorch's words around one lazily evaluated ``mx.array``.

A method that computes is the very function of ``lucid.ops`` (``Tensor.sum is lucid.sum``): this file only lists them.
What is written out here is what a tensor is: its value, its place in the record, and how it meets Python and NumPy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks, _deferred, _grad_mode, _views, tape
from lucid._backward import run_backward
from lucid._checks import dtype_name
from lucid._device import device as Device
from lucid._dtypes import as_dtype, converted
from lucid.ops import activation, arithmetic, comparison, elementwise, indexing, matrix, reduction, sorting
from lucid.ops import shape as shapes  # ``shape`` is a property of the class below
from lucid.ops._types import TensorLike

_PLACES = ("cpu", "gpu", "metal", "cuda", "mps")
_SHAPE_IS_SHOWN_FROM = 1000  # elements: from here on the values are abbreviated, and the shape is printed


class Tensor(tape.TensorBase):
    """A multi-dimensional array that can be differentiated.

    ``Tensor(data)`` takes what ``lucid.tensor`` takes. Tensors live in unified memory: every device sees the same
    bytes, and ``to("gpu")`` copies nothing. Values are computed when they are read (``item``, ``numpy``, ``print``) or
    when an optimizer step schedules them.
    """

    __slots__ = ()
    __array_ufunc__ = None  # so that ``numpy_array * tensor`` comes to ``Tensor.__rmul__``

    def __init__(self, data: TensorLike = (), dtype: mx.Dtype | str | None = None, requires_grad: bool = False) -> None:
        self._array = as_array(data, dtype)
        self._node = None
        self._index = 0
        self._base = None
        self._hooks = None
        self.grad = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad_()

    # What it is ------------------------------------------------------------------------------------------------------

    @property
    def mlx(self) -> mx.array:
        """The ``mx.array`` inside. Treat it as a value: changing it in place would change what was recorded."""
        return self._array

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def dtype(self) -> mx.Dtype:
        return self._array.dtype

    @property
    def itemsize(self) -> int:
        return self._array.itemsize

    @property
    def nbytes(self) -> int:
        return self._array.nbytes

    @property
    def device(self) -> str:
        """The kind of device that computes now, ``"gpu"`` or ``"cpu"``; the memory is shared by both."""
        return "gpu" if mx.default_device().type == mx.DeviceType.gpu else "cpu"

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of dimension ``dim``."""
        if dim is None:
            return self._array.shape
        if not -self.ndim <= dim < self.ndim:
            raise IndexError(f"size: dim {dim} is out of range for a tensor of {self.ndim} dimensions")
        return self._array.shape[dim]

    def dim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    nelement = numel
    ndimension = dim

    def element_size(self) -> int:
        """Bytes of one element."""
        return self._array.itemsize

    def is_floating_point(self) -> bool:
        return mx.issubdtype(self._array.dtype, mx.floating)

    def is_contiguous(self) -> bool:
        """True: layout is MLX's affair, and every tensor can be viewed in any shape of its size."""
        return True

    def contiguous(self) -> Tensor:
        """The tensor itself; for code written for PyTorch."""
        return self

    # Gradients -------------------------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad or self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for (or stop asking for) the gradient of this tensor; returns it.

        Raises:
            RuntimeError: the tensor is not floating point, or was computed from others that require gradients.
        """
        if requires_grad and not mx.issubdtype(self._array.dtype, mx.floating):
            raise RuntimeError(
                f"requires_grad_: only floating-point tensors have gradients, this one is {dtype_name(self.dtype)}"
            )
        if not requires_grad and self._node is not None:
            raise RuntimeError(
                "requires_grad_: only a leaf can stop requiring gradients; use detach() for a computed tensor"
            )
        self._requires_grad = self._node is None and bool(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        return self._node is None

    @property
    def grad_fn(self) -> tape.Node | None:
        """The recorded operation that computed this tensor, ``None`` for a leaf."""
        return self._node

    def backward(
        self, gradient: TensorLike = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Add the gradient of this tensor to ``.grad`` of every leaf that it was computed from.

        ``gradient`` has the tensor's shape; only a tensor of one element can do without. The record is freed
        unless ``retain_graph`` or ``create_graph`` (which records the backward pass itself) is true.

        Raises:
            RuntimeError: nothing to differentiate, no ``gradient`` for several elements, or the record was freed.
            ValueError: ``gradient`` has another shape.
        """
        if not self.requires_grad:
            raise RuntimeError(
                "backward: this tensor does not require grad and was not computed from one that does "
                "(under no_grad, or from detached tensors)"
            )
        keep = create_graph if retain_graph is None else retain_graph
        run_backward([self], [cotangent_for(self, gradient, "backward")], retain_graph=keep, create_graph=create_graph)

    def detach(self) -> Tensor:
        """The same value, outside the record. Writing to it writes to a leaf that it was taken from."""
        value = tape.wrap(self._array)
        if self._node is None:
            _views.based_on(value, self, None)
        return value

    def detach_(self) -> Tensor:
        """Take this tensor out of the record; returns it."""
        self._node, self._index, self._requires_grad = None, 0, False
        return self

    @property
    def data(self) -> Tensor:
        """``detach()``; assign to it to replace the value."""
        return self.detach()

    @data.setter
    def data(self, value: TensorLike) -> None:
        self._rebind(as_array(value, self.dtype))

    def retain_grad(self) -> None:
        """Keep the gradient of this computed tensor in ``.grad`` as well."""
        if self._node is not None:
            self._node.retain(self)

    def register_hook(self, hook: Callable[[Tensor], Any]) -> RemovableHandle:
        """Call ``hook(gradient)`` when the gradient of this tensor is known; what it returns replaces it.

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

    def item(self) -> Any:
        """The Python number of a tensor of one element (waits for its value).

        Raises:
            RuntimeError: the tensor has no or several elements.
        """
        if self._array.size != 1:
            raise RuntimeError(f"item: a tensor of shape {self.shape} has {self.numel()} elements, not one")
        return self._array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers; a number for a tensor without dimensions."""
        return self._array.tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """A NumPy array on the same memory, read-only because a recorded value must not change; bfloat16 is copied to
        float32, which NumPy has. ``force`` detaches first.

        Raises:
            RuntimeError: the tensor requires gradients and ``force`` is false.
        """
        if self.requires_grad and not force:
            raise RuntimeError("numpy: this tensor requires grad; use tensor.detach().numpy()")
        return _to_numpy(self._array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"__array__: {array.dtype} cannot become {np.dtype(dtype)} without a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, **kwargs: Any) -> Any:
        if self.requires_grad:
            raise RuntimeError("__dlpack__: this tensor requires grad; export tensor.detach()")
        return self._array.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    def __mlx_array__(self) -> mx.array:
        return self._array

    def where(self, condition: TensorLike, other: TensorLike) -> Tensor:
        """This tensor where ``condition`` is True, else ``other``: ``lucid.where(condition, self, other)``."""
        return indexing.where(condition, self, other)

    def type(self, dtype: object) -> Tensor:
        """``to(dtype)``."""
        return self.to(as_dtype(dtype))

    def cpu(self) -> Tensor:
        """The tensor itself: memory is unified."""
        return self

    def cuda(self, device: object = None) -> Tensor:
        """The tensor itself: memory is unified."""
        return self

    def to(self, *args: Any, dtype: mx.Dtype | str | None = None, device: object = None, **kwargs: Any) -> Tensor:
        """``to(dtype)``, ``to(device)``, ``to(device, dtype)`` or ``to(other)`` (its dtype), as in PyTorch.

        A device ("cpu", "gpu", "metal") changes nothing: memory is unified and nothing is copied.
        ``lucid.device`` says where to compute. ``copy`` and ``non_blocking`` are accepted.
        """
        for arg in args:
            if isinstance(arg, Tensor):
                dtype = arg.dtype
            elif isinstance(arg, mx.Dtype) or (isinstance(arg, str) and arg.split(":")[0] not in _PLACES):
                dtype = as_dtype(arg)
            elif isinstance(arg, str):
                device = arg
            elif not isinstance(arg, bool | Device | mx.Device) and arg is not None:
                raise TypeError(f"to: wanted a dtype, a device or a tensor, got {type(arg).__name__}")
        if isinstance(device, str) and device.split(":")[0] not in _PLACES:
            raise ValueError(f"to: unknown device {device!r}, wanted one of {', '.join(_PLACES)}")
        unknown = set(kwargs) - {"copy", "non_blocking", "memory_format"}
        if unknown:
            raise TypeError(f"to: unknown argument {sorted(unknown)[0]!r}")
        return self if dtype is None or as_dtype(dtype) == self.dtype else elementwise.astype(self, as_dtype(dtype))

    def new_tensor(self, data: TensorLike, dtype: object = None, requires_grad: bool = False) -> Tensor:
        """A tensor with the values of ``data`` in this tensor's dtype."""
        return Tensor(data, self.dtype if dtype is None else as_dtype(dtype), requires_grad)

    def new_full(self, size: Any, fill_value: TensorLike, dtype: object = None) -> Tensor:
        """``fill_value`` in shape ``size`` and this tensor's dtype."""
        value = as_array(fill_value, self.dtype if dtype is None else as_dtype(dtype))
        return tape.wrap(mx.full(_checks.shape("new_full", (size,)), value))

    def new_zeros(self, *size: Any, dtype: object = None) -> Tensor:
        """Zeros in shape ``size`` and this tensor's dtype."""
        return self.new_full(_checks.shape("new_zeros", size), 0, dtype)

    def new_ones(self, *size: Any, dtype: object = None) -> Tensor:
        """Ones in shape ``size`` and this tensor's dtype."""
        return self.new_full(_checks.shape("new_ones", size), 1, dtype)

    def new_empty(self, *size: Any, dtype: object = None) -> Tensor:
        """A tensor in shape ``size`` and this tensor's dtype whose values nobody should read; they are zeros."""
        return self.new_full(_checks.shape("new_empty", size), 0, dtype)

    # Writing ---------------------------------------------------------------------------------------------------------

    def _rebind(self, array: mx.array) -> None:
        """Give this tensor another value without recording it: what optimizers and running statistics do."""
        self._array = array

    def _update(self, array: mx.array) -> None:
        """``_rebind`` for what a layer keeps from call to call (running statistics): the next step evaluates it, and
        a checkpointed layer that runs again in the backward pass does not count twice."""
        if not _grad_mode.is_replaying():
            self._array = array
            _deferred.track(self)

    def _write(self, what: str, function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Become ``function(self, ...)``: what every writing method does."""
        base = self._base
        owner = None if base is None else base.owner()
        if base is not None and owner is not None:  # a view is written as its owner stands now
            fresh = base.view_of(owner)
            if fresh._array.shape == self._array.shape and fresh._array.dtype == self._array.dtype:
                self._array, self._node, self._index = fresh._array, fresh._node, fresh._index
        return self._become(function(self, *args, **kwargs), what)

    def _become(self, result: Tensor, what: str) -> Tensor:
        """Take over the value and the record of ``result``.

        Nothing recorded so far changes, because the record holds the former arrays. The tensor that a view was taken
        from is written as well.
        """
        base = self._base
        owner: Any = None if base is None else base.owner()
        self._check_writable(what)
        if base is not None and owner is not None and not base.detached:
            owner._check_writable(what)
        if result._array.shape != self._array.shape:
            raise ValueError(f"{what}: a tensor of shape {self.shape} cannot hold a result of shape {result.shape}")
        if result._array.dtype != self._array.dtype:
            result = elementwise.astype(result, self._array.dtype)
        self._array = result._array
        if self._node is None and result._node is not None:
            self._hooks = None
        self._node, self._index = result._node, result._index
        if base is None or owner is None:
            return self
        if base.detached:  # as in PyTorch, the owner has the new value and its record does not know
            with _grad_mode.set_recording(False):
                owner._array = _write_at(owner, base.positions(owner.shape), self)._array if base.steps else self._array
        else:
            written = _write_at(owner, base.positions(owner.shape), self)
            owner._array, owner._node, owner._index = written._array, written._node, written._index
        return self

    def _check_writable(self, what: str) -> None:
        if self._requires_grad and _grad_mode.is_recording():
            raise RuntimeError(
                f"{what}: this tensor is a leaf that requires grad, and writing to it would cut it off from its "
                "gradient; write under lucid.no_grad(), or to a computed tensor"
            )
        if self._node is not None and not _grad_mode.is_recording():
            raise RuntimeError(
                f"{what}: this tensor was computed by '{self._node.name}' and is part of a recorded graph; writing to "
                "it under no_grad would make its gradient wrong; write to tensor.clone() or tensor.detach()"
            )

    def __getitem__(self, index: Any) -> Tensor:
        item = indexing.getitem(self, index)
        if _takes_a_view(index):
            _views.based_on(item, self, lambda array: indexing.getitem(tape.wrap(array), index)._array)
        return item

    def __setitem__(self, index: Any, value: TensorLike) -> None:
        self._write("tensor[index] = value", indexing.setitem, index, value)

    def copy_(self, other: TensorLike, non_blocking: bool = False) -> Tensor:
        """Write the values of ``other``, broadcast to this shape."""
        return self._write("copy_", indexing.setitem, ..., other)

    def fill_(self, value: TensorLike) -> Tensor:
        """Write one value everywhere."""
        return self._write("fill_", indexing.setitem, ..., value)

    def zero_(self) -> Tensor:
        """Write zeros."""
        return self.fill_(0)

    def add_(self, other: TensorLike, *, alpha: float = 1) -> Tensor:
        return self._write("add_", arithmetic.add, other, alpha=alpha)

    def sub_(self, other: TensorLike, *, alpha: float = 1) -> Tensor:
        return self._write("sub_", arithmetic.sub, other, alpha=alpha)

    def mul_(self, other: TensorLike) -> Tensor:
        return self._write("mul_", arithmetic.mul, other)

    def div_(self, other: TensorLike) -> Tensor:
        return self._write("div_", arithmetic.div, other)

    def pow_(self, exponent: TensorLike) -> Tensor:
        return self._write("pow_", arithmetic.pow, exponent)

    def neg_(self) -> Tensor:
        return self._write("neg_", arithmetic.neg)

    def lerp_(self, end: TensorLike, weight: TensorLike) -> Tensor:
        return self._write("lerp_", arithmetic.lerp, end, weight)

    def clamp_(self, min: TensorLike = None, max: TensorLike = None) -> Tensor:
        return self._write("clamp_", arithmetic.clamp, min, max)

    def sqrt_(self) -> Tensor:
        return self._write("sqrt_", elementwise.sqrt)

    def exp_(self) -> Tensor:
        return self._write("exp_", elementwise.exp)

    def masked_fill_(self, mask: TensorLike, value: TensorLike) -> Tensor:
        return self._write("masked_fill_", indexing.masked_fill, mask, value)

    def __iadd__(self, other: TensorLike) -> Tensor:  # type: ignore[misc]
        return self._write("+=", arithmetic.add, other)

    def __isub__(self, other: TensorLike) -> Tensor:  # type: ignore[misc]
        return self._write("-=", arithmetic.sub, other)

    def __imul__(self, other: TensorLike) -> Tensor:  # type: ignore[misc]
        return self._write("*=", arithmetic.mul, other)

    def __itruediv__(self, other: TensorLike) -> Tensor:  # type: ignore[misc]
        return self._write("/=", arithmetic.div, other)

    # Python ----------------------------------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise RuntimeError(
                f"bool: a tensor of shape {self.shape} has {self.numel()} elements and is neither true nor false; "
                "use any() or all()"
            )
        return bool(self._array.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if not mx.issubdtype(self.dtype, mx.integer) and self.dtype != mx.bool_:
            raise TypeError(f"only integer tensors can be used as an index, this one is {dtype_name(self.dtype)}")
        return int(self.item())

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len: a tensor without dimensions has no length")
        return self._array.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self._array.ndim == 0:
            raise TypeError("iter: a tensor without dimensions cannot be iterated over")
        return iter(shapes.unbind(self, 0))

    def __contains__(self, value: TensorLike) -> bool:
        return bool(reduction.any(comparison.eq(self, value)))

    __hash__ = object.__hash__

    def __copy__(self) -> Tensor:
        return self._with_value_of(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise RuntimeError("deepcopy: only leaves can be copied deeply; use detach() or clone()")
        if id(self) not in memo:
            memo[id(self)] = self._with_value_of(self)  # arrays never change in place, so the copy may share them
            if self.grad is not None:
                memo[id(self)].grad = self.grad.detach()
        return memo[id(self)]

    def _with_value_of(self, other: Tensor) -> Tensor:
        new = type(self).__new__(type(self))
        new._array, new._node, new._index, new._hooks, new.grad = other._array, other._node, other._index, None, None
        new._requires_grad, new._base = other._requires_grad, None
        return new

    def __reduce__(self) -> Any:
        raise TypeError("a Tensor is not pickled; save tensors with lucid.save (safetensors)")

    def __repr__(self) -> str:
        return _describe(self, "tensor")

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self._array.size == 1 else repr(self)

    # Properties that are operations ----------------------------------------------------------------------------------

    @property
    def T(self) -> Tensor:
        """The dimensions in reverse order."""
        return shapes.permute(self, tuple(reversed(range(self.ndim))))

    @property
    def mT(self) -> Tensor:
        """The last two dimensions exchanged."""
        return shapes.transpose(self, -2, -1)

    H = mT

    # Operators -------------------------------------------------------------------------------------------------------

    __add__ = arithmetic.add
    __sub__ = arithmetic.sub
    __mul__ = arithmetic.mul
    __truediv__ = arithmetic.div
    __floordiv__ = arithmetic.floor_divide
    __mod__ = arithmetic.remainder
    __pow__ = arithmetic.pow
    __neg__ = arithmetic.neg
    __abs__ = elementwise.abs
    __matmul__ = matrix.matmul
    __eq__ = comparison.eq  # type: ignore[assignment]
    __ne__ = comparison.ne  # type: ignore[assignment]
    __lt__ = comparison.lt
    __le__ = comparison.le
    __gt__ = comparison.gt
    __ge__ = comparison.ge
    __and__ = arithmetic.bitwise_and
    __or__ = arithmetic.bitwise_or
    __xor__ = arithmetic.bitwise_xor
    __invert__ = arithmetic.bitwise_not
    __lshift__ = arithmetic.bitwise_left_shift
    __rshift__ = arithmetic.bitwise_right_shift
    __rand__ = arithmetic.bitwise_and
    __ror__ = arithmetic.bitwise_or
    __rxor__ = arithmetic.bitwise_xor
    __radd__ = arithmetic.add
    __rmul__ = arithmetic.mul

    def __pos__(self) -> Tensor:
        return self

    def __rsub__(self, other: TensorLike) -> Tensor:
        return arithmetic.sub(other, self)

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return arithmetic.div(other, self)

    def __rfloordiv__(self, other: TensorLike) -> Tensor:
        return arithmetic.floor_divide(other, self)

    def __rmod__(self, other: TensorLike) -> Tensor:
        return arithmetic.remainder(other, self)

    def __rpow__(self, other: TensorLike) -> Tensor:
        return arithmetic.pow(other, self)

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return matrix.matmul(other, self)

    # Methods that are functions of lucid.ops (lucid.x and Tensor.x are one object) -----------------------------------
    add = arithmetic.add
    sub = arithmetic.sub
    true_divide = arithmetic.div
    subtract = arithmetic.subtract
    mul = arithmetic.mul
    multiply = arithmetic.multiply
    div = arithmetic.div
    divide = arithmetic.divide
    floor_divide = arithmetic.floor_divide
    remainder = arithmetic.remainder
    fmod = arithmetic.fmod
    pow = arithmetic.pow
    neg = arithmetic.neg
    negative = arithmetic.negative
    maximum = arithmetic.maximum
    minimum = arithmetic.minimum
    clamp = arithmetic.clamp
    clip = arithmetic.clip
    lerp = arithmetic.lerp
    addcmul = arithmetic.addcmul
    addcdiv = arithmetic.addcdiv
    logaddexp = arithmetic.logaddexp
    hypot = arithmetic.hypot
    positive = arithmetic.positive

    exp = elementwise.exp
    log = elementwise.log
    log1p = elementwise.log1p
    log2 = elementwise.log2
    log10 = elementwise.log10
    expm1 = elementwise.expm1
    exp2 = elementwise.exp2
    sqrt = elementwise.sqrt
    rsqrt = elementwise.rsqrt
    square = elementwise.square
    abs = elementwise.abs
    absolute = elementwise.absolute
    sign = elementwise.sign
    sin = elementwise.sin
    cos = elementwise.cos
    tan = elementwise.tan
    asin = elementwise.asin
    acos = elementwise.acos
    atan = elementwise.atan
    atan2 = elementwise.atan2
    sinh = elementwise.sinh
    cosh = elementwise.cosh
    tanh = elementwise.tanh
    asinh = elementwise.asinh
    acosh = elementwise.acosh
    atanh = elementwise.atanh
    arcsin = elementwise.arcsin
    arccos = elementwise.arccos
    arctan = elementwise.arctan
    arctan2 = elementwise.arctan2
    arcsinh = elementwise.arcsinh
    arccosh = elementwise.arccosh
    arctanh = elementwise.arctanh
    erf = elementwise.erf
    erfinv = elementwise.erfinv
    erfc = elementwise.erfc
    deg2rad = elementwise.deg2rad
    rad2deg = elementwise.rad2deg
    floor = elementwise.floor
    ceil = elementwise.ceil
    round = elementwise.round
    trunc = elementwise.trunc
    fix = elementwise.fix
    frac = elementwise.frac
    reciprocal = elementwise.reciprocal
    sigmoid = elementwise.sigmoid
    isnan = elementwise.isnan
    isinf = elementwise.isinf
    isfinite = elementwise.isfinite
    nan_to_num = elementwise.nan_to_num
    astype = elementwise.astype
    clone = elementwise.clone
    float = elementwise.float
    half = elementwise.half
    bfloat16 = elementwise.bfloat16
    double = elementwise.double
    int = elementwise.int
    long = elementwise.long
    short = elementwise.short
    bool = elementwise.bool
    type_as = elementwise.type_as

    eq = comparison.eq
    ne = comparison.ne
    lt = comparison.lt
    le = comparison.le
    gt = comparison.gt
    ge = comparison.ge
    logical_and = comparison.logical_and
    logical_or = comparison.logical_or
    logical_not = comparison.logical_not
    logical_xor = comparison.logical_xor
    isclose = comparison.isclose
    allclose = comparison.allclose
    equal = comparison.equal
    not_equal = comparison.not_equal
    less = comparison.less
    less_equal = comparison.less_equal
    greater = comparison.greater
    greater_equal = comparison.greater_equal
    bitwise_and = arithmetic.bitwise_and
    bitwise_or = arithmetic.bitwise_or
    bitwise_xor = arithmetic.bitwise_xor
    bitwise_not = arithmetic.bitwise_not
    bitwise_left_shift = arithmetic.bitwise_left_shift
    bitwise_right_shift = arithmetic.bitwise_right_shift

    sum = reduction.sum
    mean = reduction.mean
    var = reduction.var
    std = reduction.std
    max = reduction.max
    min = reduction.min
    amax = reduction.amax
    amin = reduction.amin
    aminmax = reduction.aminmax
    argmax = reduction.argmax
    argmin = reduction.argmin
    prod = reduction.prod
    any = reduction.any
    all = reduction.all
    logsumexp = reduction.logsumexp
    norm = reduction.norm
    cumsum = reduction.cumsum
    cumprod = reduction.cumprod
    count_nonzero = reduction.count_nonzero
    median = reduction.median
    kthvalue = reduction.kthvalue

    reshape = shapes.reshape
    view = shapes.view
    flatten = shapes.flatten
    unflatten = shapes.unflatten
    permute = shapes.permute
    transpose = shapes.transpose
    swapaxes = shapes.swapaxes
    swapdims = shapes.swapdims
    movedim = shapes.movedim
    moveaxis = shapes.moveaxis
    squeeze = shapes.squeeze
    unsqueeze = shapes.unsqueeze
    expand = shapes.expand
    expand_as = shapes.expand_as
    repeat = shapes.repeat
    tile = shapes.tile
    repeat_interleave = shapes.repeat_interleave
    split = shapes.split
    chunk = shapes.chunk
    unbind = shapes.unbind
    flip = shapes.flip
    fliplr = shapes.fliplr
    flipud = shapes.flipud
    rot90 = shapes.rot90
    roll = shapes.roll
    pad = shapes.pad
    broadcast_to = shapes.broadcast_to
    t = shapes.t
    tril = shapes.tril
    triu = shapes.triu
    diag = shapes.diag
    diagonal = shapes.diagonal
    diag_embed = shapes.diag_embed
    trace = shapes.trace
    reshape_as = shapes.reshape_as
    view_as = shapes.view_as
    narrow = shapes.narrow

    softmax = activation.softmax
    log_softmax = activation.log_softmax
    relu = activation.relu

    gather = indexing.gather
    scatter = indexing.scatter
    scatter_add = indexing.scatter_add
    index_select = indexing.index_select
    take = indexing.take
    take_along_dim = indexing.take_along_dim
    masked_fill = indexing.masked_fill
    masked_select = indexing.masked_select
    index_add = indexing.index_add
    index_copy = indexing.index_copy
    index_fill = indexing.index_fill
    nonzero = indexing.nonzero
    argwhere = indexing.argwhere
    select = shapes.select

    matmul = matrix.matmul
    mm = matrix.mm
    bmm = matrix.bmm
    mv = matrix.mv
    dot = matrix.dot
    inner = matrix.inner
    outer = matrix.outer
    addmm = matrix.addmm
    addmv = matrix.addmv
    baddbmm = matrix.baddbmm

    sort = sorting.sort
    argsort = sorting.argsort
    topk = sorting.topk
    unique = sorting.unique
    bincount = sorting.bincount


tape.TensorBase._facade = Tensor


@tape.op
def _write_at(x: TensorLike, positions: mx.array, values: TensorLike) -> mx.array:
    """``x`` with ``values`` at flat ``positions``."""
    flat = x.reshape(-1)
    flat[positions.reshape(-1)] = values.reshape(-1)  # rebinds the name: the array that was passed in keeps its values
    return flat.reshape(x.shape)


def _takes_a_view(index: Any) -> bool:
    """Whether indexing gives a view, as in NumPy: with integers, slices, None and ... alone."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or (isinstance(p, int | slice) and not isinstance(p, bool)) for p in parts)


class RemovableHandle:
    """What registering a hook returns: ``remove()``, or the end of a ``with`` block, takes the hook off again."""

    _ids = itertools.count()  # never the same one again: removing twice must not hit another hook

    def __init__(self, hooks: dict[int, Any], hook: Any, prepend: bool = False) -> None:
        self._hooks = hooks
        self.id = next(self._ids)
        others = dict(hooks) if prepend else {}
        if prepend:
            hooks.clear()
        hooks[self.id] = hook
        hooks.update(others)

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def as_array(data: Any, dtype: mx.Dtype | str | None = None) -> mx.array:
    """The ``mx.array`` of anything that ``lucid.tensor`` takes.

    Python floats become float32 and Python integers int64, as in PyTorch; float64 data becomes float32.

    Raises:
        TypeError: the data is of another kind.
        ValueError: nested lists of unequal lengths.
    """
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(data, tape.TensorBase):
        array = data._array
    elif isinstance(data, mx.array):
        array = data
    elif isinstance(data, bool | int | float | complex):
        if isinstance(data, int) and not -(2**63) <= data < 2**64:
            raise ValueError(f"tensor: {data} does not fit in 64 bits")
        array = mx.array(data, wanted or _default_dtype(data))
    elif isinstance(data, np.ndarray | np.generic):
        array = _from_numpy(np.asarray(data))
    elif isinstance(data, list | tuple | range):
        array = _from_sequence(list(data))
    elif hasattr(data, "__dlpack__"):
        array = _single(mx.array(data))  # copies: the other library may go on changing its memory
    elif hasattr(data, "__array__"):
        array = _from_numpy(np.asarray(data))
    else:
        raise TypeError(
            f"tensor: data of type {type(data).__name__} cannot become a tensor; "
            "wanted a number, (nested) lists of numbers, or an array of NumPy, MLX or another library with DLPack"
        )
    return array if wanted is None or array.dtype == wanted else converted(array, wanted)


def _default_dtype(value: Any) -> mx.Dtype:
    if isinstance(value, bool):
        return mx.bool_
    if isinstance(value, int):
        return mx.int64
    return mx.float32 if isinstance(value, float) else mx.complex64


def _single(array: mx.array) -> mx.array:
    return converted(array, mx.float32) if array.dtype == mx.float64 else array


def _from_numpy(array: np.ndarray) -> mx.array:
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    elif array.dtype == np.complex128:
        array = array.astype(np.complex64)
    elif array.dtype.kind not in "biufc":
        raise TypeError(f"tensor: NumPy data of dtype {array.dtype} has no counterpart")
    # Laid out anew if empty: MLX's sums over an empty array with the strides of a slice may never end.
    return mx.array(array if array.size else np.zeros(array.shape, array.dtype))


def _from_sequence(values: list[Any]) -> mx.array:
    if _holds_arrays(values):
        parts = [as_array(v) for v in values]
        if any(p.shape != parts[0].shape for p in parts):
            raise ValueError(f"tensor: the parts have different shapes: {', '.join(str(p.shape) for p in parts[:6])}")
        return mx.stack(parts)
    try:
        array = np.array(values)
    except ValueError as error:
        raise ValueError(f"tensor: nested lists must have equal lengths ({error})") from None
    if array.dtype.kind not in "biufc":
        raise TypeError(f"tensor: lists must hold numbers, these hold {array.dtype}")
    return _from_numpy(array) if array.size else mx.zeros(array.shape, mx.float32)


def _holds_arrays(values: list[Any]) -> bool:
    for value in values:
        if isinstance(value, tape.TensorBase | mx.array):
            return True
        if isinstance(value, list | tuple) and _holds_arrays(list(value)):
            return True
    return False


def cotangent_for(root: Tensor, gradient: TensorLike, where: str) -> Tensor:
    """``gradient`` as a tensor that fits ``root``; ones when there is none and ``root`` has one element."""
    if gradient is None:
        if root.numel() != 1:
            raise RuntimeError(
                f"{where}: only a tensor of one element can start without a gradient, this one has shape {root.shape}; "
                "pass gradient=, or reduce it with sum() or mean()"
            )
        return tape.wrap(mx.ones(root.shape, root.dtype))
    tensor = gradient if isinstance(gradient, Tensor) else tape.wrap(as_array(gradient, root.dtype))
    if tensor.shape != root.shape:
        raise ValueError(f"{where}: gradient has shape {tensor.shape}, the tensor has {root.shape}")
    return tensor if tensor.dtype == root.dtype else elementwise.astype(tensor, root.dtype)


def _to_numpy(array: mx.array) -> np.ndarray:
    if array.dtype == mx.bfloat16:
        array = array.astype(mx.float32)
    view = np.asarray(array)
    view.flags.writeable = False
    return view


def _describe(tensor: Tensor, name: str) -> str:
    """``tensor([...], dtype=..., requires_grad=True)`` as PyTorch prints it; the shape is added to large ones."""
    parts = [_values(tensor._array, len(name) + 1)]
    if tensor.numel() >= _SHAPE_IS_SHOWN_FROM or tensor.numel() == 0:
        parts.append(f"shape={tensor.shape}")
    if tensor.dtype not in (mx.float32, mx.int64, mx.bool_):
        parts.append(f"dtype=lucid.{dtype_name(tensor.dtype)}")
    if tensor._node is not None:
        parts.append(f"grad_fn=<{tensor._node.name}>")
    elif tensor._requires_grad:
        parts.append("requires_grad=True")
    return f"{name}({', '.join(parts)})"


def _values(array: mx.array, indent: int) -> str:
    values = _to_numpy(array)
    if values.ndim == 0:
        return np.array2string(values, precision=4)
    return np.array2string(
        values,
        precision=4,
        suppress_small=False,
        separator=", ",
        prefix=" " * indent,
        threshold=_SHAPE_IS_SHOWN_FROM - 1,
    )


def tensor(
    data: TensorLike, dtype: mx.Dtype | str | None = None, device: object = None, requires_grad: bool = False
) -> Tensor:
    """A new leaf tensor with the values of ``data``: numbers, nested lists, NumPy, MLX, DLPack arrays or tensors.

    Python integers become int64, floats and float64 arrays float32, unless ``dtype`` says otherwise. ``device`` is
    accepted and changes nothing (unified memory).
    """
    return Tensor(data, dtype, requires_grad)

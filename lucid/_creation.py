"""Functions that create tensors."""

from __future__ import annotations

import math
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks, _threads
from lucid._aliases import place_of
from lucid._checks import dtype_name
from lucid._dtypes import as_dtype, get_default_dtype
from lucid._memory_format import check_memory_format
from lucid._placement import check_placement
from lucid._tensor import Tensor, tensor
from lucid._tensor_convert import ReadOnly, as_array, filled, leaf
from lucid.ops._common import number_as, sized
from lucid.ops._types import TensorLike
from lucid.ops.strided import memory_order, zeros_in_order


@sized
def zeros(
    size: Any = (), *, out: None = None, dtype: object = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Zeros of the given shape, float32 by default.

    Like all functions that create tensors, it checks ``layout`` and ``device``, which has to be available. They and
    ``pin_memory`` have no effect, because memory is unified.
    """
    check_placement("zeros", device, layout, out)
    return leaf(mx.zeros(_checks.shape("zeros", (size,)), _dtype(dtype)), requires_grad)


@sized
def ones(
    size: Any = (), *, out: None = None, dtype: object = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Ones of the given shape, float32 by default."""
    check_placement("ones", device, layout, out)
    return leaf(mx.ones(_checks.shape("ones", (size,)), _dtype(dtype)), requires_grad)


@sized
def empty(
    size: Any = (), *, out: None = None, dtype: object = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor of the given shape with unspecified values (zeros in fact)."""
    check_placement("empty", device, layout, out)
    shape = _checks.shape("empty", (size,))
    check_memory_format("empty", memory_format, len(shape))
    return leaf(mx.zeros(shape, _dtype(dtype)), requires_grad)


def empty_strided(
    size: Any, stride: Any, *, dtype: object = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``empty`` whose dimensions lie in memory in the order of ``stride``; there are no gaps between elements.

    Raises:
        ValueError: the lengths differ, or a number is negative.
    """
    check_placement("empty_strided", device, layout)
    sizes, order = memory_order("empty_strided", size, stride)
    return zeros_in_order(sizes, order, _dtype(dtype)).requires_grad_(
        _checks.flag("empty_strided", "requires_grad", requires_grad)
    )


def empty_permuted(
    size: Any, physical_layout: Any, *, dtype: object = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``empty`` whose dimensions lie in memory in the order ``physical_layout``.

    Raises:
        ValueError: ``physical_layout`` is not a permutation of the dimensions.
    """
    where = "empty_permuted"
    check_placement(where, device, layout)
    sizes, order = _checks.shape(where, (size,)), list(_checks.shape(where, (physical_layout,), "physical_layout"))
    if sorted(order) != list(range(len(sizes))):
        raise _checks.ArgumentError(f"{where}: physical_layout must be a permutation of the dimensions, got {order}")
    return zeros_in_order(sizes, order, _dtype(dtype)).requires_grad_(
        _checks.flag(where, "requires_grad", requires_grad)
    )


def scalar_tensor(
    s: complex, *, dtype: object = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor without dimensions that holds the number ``s``, of the default dtype."""
    check_placement("scalar_tensor", device, layout)
    return leaf(number_as("scalar_tensor", "s", s, _dtype(dtype)), requires_grad)


def full(
    size: Any, fill_value: TensorLike, *, out: None = None, dtype: object = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor filled with ``fill_value``, by default in the dtype of the value (int64 for an integer).

    Example:
        >>> lucid.full((2, 3), 7.0)
        tensor([[7., 7., 7.],
                [7., 7., 7.]])
    """
    check_placement("full", device, layout, out)
    found = None if dtype is None else as_dtype(dtype)
    return leaf(filled("full", _checks.shape("full", (size,)), fill_value, found), requires_grad)


def zeros_like(
    input: TensorLike, *, dtype: object = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Zeros in the shape and dtype of ``input``."""
    check_placement("zeros_like", device, layout)
    return _filled_like("zeros_like", input, 0, dtype, requires_grad, memory_format)


def ones_like(
    input: TensorLike, *, dtype: object = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Ones in the shape and dtype of ``input``."""
    check_placement("ones_like", device, layout)
    return _filled_like("ones_like", input, 1, dtype, requires_grad, memory_format)


def empty_like(
    input: TensorLike, *, dtype: object = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor in the shape and dtype of ``input`` with unspecified values (zeros in fact)."""
    check_placement("empty_like", device, layout)
    return _filled_like("empty_like", input, 0, dtype, requires_grad, memory_format)


def full_like(
    input: TensorLike, fill_value: TensorLike, *, dtype: object = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor in the shape and dtype of ``input`` filled with ``fill_value``."""
    check_placement("full_like", device, layout)
    return _filled_like("full_like", input, fill_value, dtype, requires_grad, memory_format)


def _filled_like(
    caller: str, input: TensorLike, fill_value: TensorLike, dtype: object, requires_grad: bool, memory_format: Any
) -> Tensor:
    array = as_array(input)
    check_memory_format(caller, memory_format, array.ndim)
    found = array.dtype if dtype is None else as_dtype(dtype)
    return leaf(filled(caller, array.shape, fill_value, found), requires_grad)


def eye(
    n: int, m: int | None = None, *, out: None = None, dtype: object = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The (n, m) matrix with ones on the diagonal, by default (n, n)."""
    check_placement("eye", device, layout, out)
    rows = _checks.integer("eye", "n", n, 0)
    columns = rows if m is None else _checks.integer("eye", "m", m, 0)
    return leaf(mx.eye(rows, columns, dtype=_dtype(dtype)), requires_grad)


def arange(
    start: Any = None, end: Any = None, step: Any = 1, *, out: None = None, dtype: object = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``start``, ``start + step``, ... up to but excluding ``end``; ``arange(end)`` starts at 0.

    int64 if all arguments are integers, otherwise float32. With int64, the arguments are truncated to integers first;
    with other integer dtypes the results are.

    Raises:
        ArgumentError: ``step`` is 0 or leads away from ``end``, or an argument is not finite.

    Example:
        >>> lucid.arange(1, 10, 4).tolist()
        [1, 5, 9]
    """
    check_placement("arange", device, layout, out)
    if end is None:
        start, end = (0, start) if start is not None else (None, None)
    elif start is None:
        start = 0
    if end is None:
        raise TypeError("arange: end is missing")
    limits = [_end("arange", name, v) for name, v in (("start", start), ("end", end), ("step", step))]
    for name, one in zip(("start", "end", "step"), limits, strict=True):
        if isinstance(one, int):
            _checks.integer("arange", name, one)
        elif not math.isfinite(_checks.number("arange", name, one)):
            raise _checks.ArgumentError(f"arange: {name} must be finite, got {one!r}")
    whole = all(isinstance(one, int) for one in limits)
    found = as_dtype(dtype) if dtype is not None else (mx.int64 if whole else get_default_dtype())
    if found in (mx.bool_, mx.complex64):
        raise _checks.DtypeError(f"arange: dtype must hold integers or floating-point numbers, got {dtype_name(found)}")
    first, last, stride = limits
    if found == mx.int64:
        first, last, stride = int(first), int(last), int(stride)
    count = _count(first, last, stride)
    if mx.issubdtype(found, mx.integer):
        first, stride = int(first), int(stride)
    # Computed in NumPy: MLX's arange rounds int64 through double and adds in float32.
    values: Any = np.arange(count, dtype=np.int64 if mx.issubdtype(found, mx.integer) else np.float64)
    return leaf(as_array(values * stride + first, found), requires_grad)


def _count(start: Any, end: Any, step: Any) -> int:
    """The number of elements of ``arange``."""
    if not step or (end - start) * step < 0:
        raise _checks.ArgumentError(f"arange: step {step} must lead from start {start} to end {end}")
    count = -((start - end) // step) if isinstance(step, int) else math.ceil((end - start) / step)
    return _checks.representable("arange", (count,))[0]


def linspace(
    start: Any, end: Any, steps: int, *, out: None = None, dtype: object = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``steps`` evenly spaced numbers from ``start`` to ``end``, both included.

    With an integer dtype, the ends are truncated to integers first, then the numbers between them.

    Example:
        >>> lucid.linspace(0, 1, 5).tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    check_placement("linspace", device, layout, out)
    values, found = _spaced("linspace", start, end, steps, dtype)
    return leaf(as_array(_truncated(values, found), found), requires_grad)


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, out: None = None, dtype: object = None,
    layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``steps`` numbers from ``base**start`` to ``base**end``, evenly spaced on a logarithmic scale.

    With an integer dtype, ``start`` and ``end`` are truncated to integers first, then the numbers.
    """
    check_placement("logspace", device, layout, out)
    exponents, found = _spaced("logspace", start, end, steps, dtype)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        values = np.power(float(_checks.number("logspace", "base", base)), exponents)
    return leaf(as_array(_truncated(values, found), found), requires_grad)


def _spaced(caller: str, start: Any, end: Any, steps: Any, dtype: object) -> tuple[np.ndarray, mx.Dtype]:
    """Evenly spaced float64 numbers, each computed from the nearer end, and the dtype of the result."""
    first, last = _end(caller, "start", start), _end(caller, "end", end)
    is_complex = isinstance(first, complex) or isinstance(last, complex)
    found = mx.complex64 if is_complex and dtype is None else _dtype(dtype)
    if found == mx.bool_ or (is_complex and found != mx.complex64):
        raise _checks.DtypeError(f"{caller}: numbers from {start} to {end} do not fit in {dtype_name(found)}")
    count = _checks.integer(caller, "steps", steps, 0)
    if not is_complex and mx.issubdtype(found, mx.integer) and not (math.isfinite(first) and math.isfinite(last)):
        raise _checks.ArgumentError(f"{caller}: numbers from {start} to {end} do not fit in {dtype_name(found)}")
    if mx.issubdtype(found, mx.integer):
        first, last = int(first), int(last)
    numbers = np.arange(*_checks.representable(caller, (count,)))
    step = (last - first) / (count - 1) if count > 1 else 0.0
    with np.errstate(invalid="ignore"):
        from_start, from_end = first + step * numbers, last - step * (count - 1 - numbers)
    return np.where(numbers < count // 2 if count > 1 else True, from_start, from_end), found


def _truncated(values: np.ndarray, dtype: mx.Dtype) -> np.ndarray:
    return np.trunc(values) if mx.issubdtype(dtype, mx.integer) else values


def _end(caller: str, name: str, value: Any) -> Any:
    """``value``, a number or a 0-d tensor, as a number; integers stay int."""
    if isinstance(value, Tensor | np.generic | np.ndarray):
        if value.ndim:
            raise _checks.ArgumentError(f"{caller}: {name} must be a number or a 0-d tensor, got shape {value.shape}")
        value = value.item()
    if isinstance(value, int | float | complex):
        return int(value) if isinstance(value, bool) else value
    return _checks.number(caller, name, value)


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor with the values of a NumPy array.

    In PyTorch the two share memory. MLX copies the values, so a later write to the array would not be seen by the
    tensor: the array is read-only as long as the tensor, or a view of it, is alive. Writes to the tensor do not change
    the array. ``lucid.tensor(array)`` leaves the array as it is.

    Raises:
        TypeError: ``ndarray`` is not a NumPy array.

    Example:
        >>> lucid.from_numpy(np.arange(3)).tolist()
        [0, 1, 2]
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array, got {type(ndarray).__name__}")
    found = tensor(ndarray)
    guard = ReadOnly.of(ndarray)
    if guard is not None:
        place_of(found).cell.guard = guard
    return found


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor with the values of another library's array, copied through DLPack.

    Raises:
        TypeError: ``ext_tensor`` does not offer DLPack.
        ValueError: ``copy`` is False; values are always copied.
    """
    if not hasattr(ext_tensor, "__dlpack__"):
        raise TypeError(f"from_dlpack: {type(ext_tensor).__name__} has no __dlpack__")
    if copy is not None and not copy:
        raise ValueError("from_dlpack: copy must be True or None, got False; values are always copied")
    check_placement("from_dlpack", device)
    return tensor(ext_tensor)


def as_tensor(data: TensorLike, dtype: object = None, device: Any = None) -> Tensor:
    """``data`` itself if it is a tensor of that dtype, otherwise a new tensor, which does not share memory with it."""
    check_placement("as_tensor", device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(as_dtype(dtype))
    return tensor(data, None if dtype is None else as_dtype(dtype))


def asarray(
    obj: TensorLike, *, dtype: object = None, device: Any = None, copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Tensor:  # fmt: skip
    """A tensor of ``obj``: itself if it is a tensor of that dtype, unless ``copy`` is true.

    Raises:
        ArgumentError: ``copy`` is False and ``obj`` is no tensor of that dtype: MLX copies the values.
    """
    check_placement("asarray", device)
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(obj, Tensor) and (wanted is None or wanted == obj.dtype):
        found = obj.clone() if copy else obj
    elif copy is False:
        raise _checks.ArgumentError(f"asarray: copy=False needs a tensor of that dtype, got {type(obj).__name__}")
    else:
        found = as_tensor(obj, wanted)
    return found.detach().requires_grad_() if requires_grad else found


def frombuffer(buffer: Any, *, dtype: object, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A tensor (count,) with a copy of the values in an object with the buffer protocol, such as bytes.

    Args:
        buffer: The object.
        dtype: The type of its values.
        count: How many values to read, -1 for all.
        offset: The number of bytes to skip.

    Raises:
        TypeError: ``buffer`` has no buffer protocol.
        ArgumentError: the buffer has fewer values, or its size is no multiple of that of a value.

    Example:
        >>> lucid.frombuffer(bytes([1, 2, 3]), dtype=lucid.uint8, offset=1).tolist()
        [2, 3]
    """
    wanted = as_dtype(dtype)
    try:
        data = memoryview(buffer).cast("B")
    except TypeError:
        raise TypeError(
            f"frombuffer: buffer must have the buffer protocol, as bytes do, got {type(buffer).__name__}"
        ) from None
    start = _checks.integer("frombuffer", "offset", offset, 0)
    count = _checks.integer("frombuffer", "count", count, -1)
    size = wanted.size
    found = (len(data) - start) // size if count == -1 else count
    if found * size > len(data) - start or (count == -1 and (len(data) - start) % size) or found <= 0:
        raise _checks.ArgumentError(
            f"frombuffer: {len(data)} bytes from {start} on do not hold {'whole' if count == -1 else found} values of "
            f"{size} bytes"
        )
    values = np.frombuffer(data, np.uint8, found * size, start)
    bits = mx.array(values)
    return leaf(bits != 0 if wanted == mx.bool_ else bits.view(wanted), requires_grad)


def is_tensor(obj: object) -> bool:
    """Whether ``obj`` is a ``lucid.Tensor``."""
    return isinstance(obj, Tensor)


def _dtype(dtype: object) -> mx.Dtype:
    _threads.prepare()
    return get_default_dtype() if dtype is None else as_dtype(dtype)


__all__ = [
    "arange", "as_tensor", "asarray", "empty", "empty_like", "empty_permuted", "empty_strided", "eye", "from_dlpack",
    "from_numpy", "frombuffer", "full", "full_like", "is_tensor", "linspace", "logspace", "ones", "ones_like",
    "scalar_tensor", "tensor", "zeros", "zeros_like",
]  # fmt: skip

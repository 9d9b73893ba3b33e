"""Argument checks with consistent error messages, such as "Conv2d: stride must be at least 1, got 0".

``caller`` is the function or layer that the user called, ``name`` the argument.

Which error to raise:

* ``ArgumentError`` if an operation cannot take the shape or value of an argument: a RuntimeError as in PyTorch, and a
  ValueError, which is what Python calls it. Most checks are of this kind.
* ``DtypeError`` for a tensor of a dtype that an operation cannot take: a RuntimeError as in PyTorch, and a TypeError.
* ``DimError`` for a dimension that does not exist, ``BoundsError`` for an index outside of a dimension, and
  ``IndexTypeError`` for an index of the wrong type.
* ``TypeError`` for anything else of the wrong type, such as a string for a tensor.
* ``ValueError`` where PyTorch checks in Python and raises it: in constructors of layers, optimizers and datasets, and a
  few functions such as interpolate.
"""

import math
import operator
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import mlx.core as mx

# The package "lucid" of PyPI, another project, has the same import name. Installed or removed after lucid-mlx, it
# replaces or removes lucid/__init__.py and leaves the other files.
if getattr(sys.modules.get("lucid"), "_distribution", None) != "lucid-mlx":
    raise ImportError(
        "lucid: the package 'lucid' of PyPI, another project, was installed or removed after lucid-mlx and took its "
        "files. Run: pip uninstall lucid; pip install --force-reinstall --no-deps lucid-mlx"
    )

_PACKAGE = os.path.join(os.path.dirname(__file__), "")
_DTYPES: dict[str, mx.Dtype] = {
    "float32": mx.float32,
    "float16": mx.float16,
    "bfloat16": mx.bfloat16,
    "float64": mx.float64,
    "int8": mx.int8,
    "int16": mx.int16,
    "int32": mx.int32,
    "int64": mx.int64,
    "uint8": mx.uint8,
    "uint16": mx.uint16,
    "uint32": mx.uint32,
    "uint64": mx.uint64,
    "bool": mx.bool_,
    "complex64": mx.complex64,
}
# PyTorch's aliases, and Python's types with PyTorch's meaning.
_DTYPE_ALIASES: dict[object, mx.Dtype] = {
    "float": mx.float32,
    "half": mx.float16,
    "double": mx.float64,
    "short": mx.int16,
    "int": mx.int32,
    "long": mx.int64,
    "bool_": mx.bool_,
    float: mx.float32,
    int: mx.int64,
    bool: mx.bool_,
    complex: mx.complex64,
}


class ArgumentError(RuntimeError, ValueError):
    """A shape or value that an operation cannot take: a RuntimeError as in PyTorch, and a ValueError."""


class EmptyError(ArgumentError, IndexError):
    """A dimension of size 0 that has no extreme value: an IndexError too, because PyTorch raises one or the other."""


class DtypeError(RuntimeError, TypeError):
    """A dtype that an operation cannot take: a RuntimeError as in PyTorch, and a TypeError."""


class DivisionError(RuntimeError, ZeroDivisionError):
    """An integer division by 0: a RuntimeError as in PyTorch, and a ZeroDivisionError."""


class LinAlgError(ArgumentError):
    """A matrix that has no inverse or factorization, as ``torch.linalg.LinAlgError``."""


class DimError(IndexError, ValueError):
    """A dimension out of range: an IndexError as in PyTorch, and a ValueError like other invalid arguments."""


class IndexTypeError(IndexError, TypeError):
    """An index of a type that cannot index: an IndexError as in PyTorch, and a TypeError."""


class BoundsError(IndexError, RuntimeError):
    """An index out of range: an IndexError, and a RuntimeError because PyTorch raises one or the other."""


def integer(caller: str, name: str, value: Any, minimum: int | None = None) -> int:
    """``value`` as int. Bools are rejected, because they nearly always come from swapped arguments."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{caller}: {name} must be an integer, got {_shown(value)}") from None
    if not -(2**63) <= number < 2**63:
        raise ArgumentError(f"{caller}: {name} must fit in 64 bits, got {number}")
    if minimum is not None and number < minimum:
        raise ArgumentError(f"{caller}: {name} must be at least {minimum}, got {number}")
    return number


def _shown(value: Any) -> str:
    """``value`` in an error message: arrays are not evaluated."""
    return f"a tensor of shape {value.shape}" if isinstance(value, mx.array) and value.ndim else repr(value)


def tuple_of(caller: str, name: str, value: Any, length: int, minimum: int | None = None) -> tuple[int, ...]:
    """``length`` integers, from as many or from one that is repeated: stride=2 and stride=(2,) mean (2, 2)."""
    if isinstance(value, mx.array):
        value = value.tolist()
    if isinstance(value, Iterable) and not isinstance(value, str):
        values = tuple(value)
        if len(values) == 1:
            values *= length
        if len(values) != length:
            raise ArgumentError(f"{caller}: {name} must be an integer or a tuple of {length}, got {value!r}")
        return tuple(_small(caller, name, one, minimum) for one in values)
    return (_small(caller, name, value, minimum),) * length


def _small(caller: str, name: str, value: Any, minimum: int | None) -> int:
    """``value`` as an integer that MLX accepts as a size."""
    number = integer(caller, name, value, minimum)
    if abs(number) >= 2**31:
        raise ArgumentError(f"{caller}: {name} must be less than 2**31, got {number}")
    return number


def pair(caller: str, name: str, value: Any, minimum: int | None = None) -> tuple[int, int]:
    """Two integers (height, width), from two or from one that is used for both."""
    first, second = tuple_of(caller, name, value, 2, minimum)
    return first, second


def flag(caller: str, name: str, value: Any) -> bool:
    """``value`` if it is a bool; NumPy's are converted."""
    if value is True or value is False:
        return value
    if type(value).__name__ not in ("bool", "bool_"):  # numpy.bool, which is numpy.bool_ before NumPy 2
        raise TypeError(f"{caller}: {name} must be a bool, got {_shown(value)}")
    return bool(value)


def strict_flag(caller: str, name: str, value: Any) -> bool:
    """``value`` if it is Python's True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{caller}: {name} must be True or False, got {value!r}")
    return value


def no_out(caller: str, out: Any) -> None:
    """Raise if ``out`` is given: results are new arrays."""
    if out is not None:
        raise TypeError(f"{caller}: out= is not supported; use the tensor that {caller} returns")


def number(
    caller: str, name: str, value: Any, minimum: float | None = None, maximum: float | None = None, above: bool = False
) -> float:
    """``value`` as float in [minimum, maximum], or above the minimum with ``above``. NaN is rejected."""
    try:
        if isinstance(value, bool | str):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError, RuntimeError):  # the last is of a tensor with several elements
        raise TypeError(f"{caller}: {name} must be a number, got {_shown(value)}") from None
    low = minimum is None or (result > minimum if above else result >= minimum)
    if not (low and (maximum is None or result <= maximum) and not math.isnan(result)):
        bounds = [] if minimum is None else [f"{'above' if above else 'at least'} {minimum:g}"]
        bounds += [] if maximum is None else [f"at most {maximum:g}"]
        raise ArgumentError(f"{caller}: {name} must be {' and '.join(bounds) or 'a number'}, got {value!r}")
    return result


def probability(caller: str, name: str, value: Any) -> float:
    """``value`` as float in [0, 1]."""
    return number(caller, name, value, 0.0, 1.0)


def one_of(caller: str, name: str, value: Any, choices: Sequence[str]) -> str:
    """``value`` if it is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise ArgumentError(f"{caller}: {name} must be {_either(choices)}, got {value!r}")
    return value


def divisible(caller: str, name: str, value: int, by_name: str, by: int) -> int:
    """``value`` if it is divisible by ``by``, as channels by groups."""
    if value % by:
        raise ArgumentError(f"{caller}: {name} {value} must be divisible by {by_name} {by}")
    return value


def dim(caller: str, value: Any, ndim: int, name: str = "dim") -> int:
    """A dimension as a non-negative index. As in PyTorch, 0-d tensors accept 0 and -1."""
    index = integer(caller, name, value)
    size = max(ndim, 1)
    if not -size <= index < size:
        raise DimError(f"{caller}: {name} must be in [{-size}, {size - 1}] for {ndim} dimensions, got {index}")
    return index % size


def dims(caller: str, value: Any, ndim: int, name: str = "dim") -> tuple[int, ...]:
    """Distinct dimensions as non-negative indices, from one, several, or ``None`` for all."""
    if value is None:
        return tuple(range(ndim))
    values = tuple(value) if isinstance(value, Iterable) and not isinstance(value, mx.array) else (value,)
    result = tuple(dim(caller, one, ndim, name) for one in values)
    if len(set(result)) != len(result):
        raise ArgumentError(f"{caller}: {name} contains a dimension twice, got {value!r} for {ndim} dimensions")
    return result


def dtype(caller: str, value: Any) -> mx.Dtype:
    """MLX's dtype, from an MLX dtype, a name ("float32", "half"), a NumPy dtype or a Python type.

    Raises:
        TypeError: ``value`` is not a dtype, or MLX does not have it.
    """
    if isinstance(value, mx.Dtype):
        return value
    if isinstance(value, str | type) and value in _DTYPE_ALIASES:
        return _DTYPE_ALIASES[value]
    # NumPy dtypes have .name and scalar types __name__, so NumPy does not have to be imported.
    name = value if isinstance(value, str) else getattr(value, "name", None) or getattr(value, "__name__", "")
    name = str(name).rpartition(".")[2]
    if name not in _DTYPES and name not in _DTYPE_ALIASES:
        raise TypeError(f"{caller}: dtype must be one of {', '.join(_DTYPES)}, got {value!r}")
    return _DTYPES.get(name) or _DTYPE_ALIASES[name]


def dtype_name(value: mx.Dtype) -> str:
    """The name of a dtype, such as "float32"."""
    name = str(value).rpartition(".")[2]
    return "bool" if name == "bool_" else name


def shape(caller: str, value: Any, name: str = "size") -> tuple[int, ...]:
    """Sizes from ``f(2, 3)`` or ``f((2, 3))``, where ``value`` is the tuple of positional arguments. 0 is allowed."""
    sizes = tuple(value)
    is_listed = len(sizes) == 1 and isinstance(sizes[0], Iterable) and not isinstance(sizes[0], str | bytes)
    if is_listed and getattr(sizes[0], "ndim", 1) != 0:
        sizes = tuple(sizes[0])
    for one in sizes:
        if type(one) is not int or not 0 <= one < 2**16:  # such as a 0-d tensor
            return representable(caller, tuple([integer(caller, name, one, 0) for one in sizes]))
    return sizes if len(sizes) < 3 else representable(caller, sizes)


def representable(caller: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """``shape`` if a tensor can have it: MLX stores sizes in 32 bits."""
    if any(size >= 2**31 for size in shape) or math.prod(shape) >= 2**48:
        raise ArgumentError(f"{caller}: a tensor of shape {shape} is too large")
    return shape


def rank(caller: str, name: str, got: Sequence[int], wanted: int | Sequence[int], layout: str = "") -> None:
    """Raise if a shape has the wrong number of dimensions; ``layout`` describes them, as in "(N, C, H, W)"."""
    allowed = (wanted,) if isinstance(wanted, int) else tuple(wanted)
    if len(got) not in allowed:
        counts = " or ".join(str(one) for one in allowed)
        raise ArgumentError(
            f"{caller}: {name} must have {counts} dimensions{layout and ' ' + layout}, got {tuple(got)}"
        )


def layout_hint(shape: Sequence[int], channels: int, data_format: str = "channels_first", spatial: int = 2) -> str:
    """What to add to an error about the number of channels if ``shape`` has them where the other layout does."""
    batch = list(range(len(shape) - spatial - 1))
    if len(batch) > 1:
        return ""
    first, last = len(batch), len(shape) - 1
    here, there = (first, last) if data_format == "channels_first" else (last, first)
    if shape[here] == channels or shape[there] != channels:
        return ""
    if here == first:
        order, which = (*batch, last, *range(first, last)), "last"
    else:
        order, which = (*batch, *range(first + 1, len(shape)), first), "second" if batch else "first"
    return f"; if the {which} dimension has the channels, use .permute{order}"


def broadcast_shapes(caller: str, *shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that ``shapes`` broadcast to.

    Raises:
        ArgumentError: sizes differ and neither is 1.
    """
    length = max((len(one) for one in shapes), default=0)
    result = [1] * length
    for one in shapes:
        for position, size in enumerate(one, start=length - len(one)):
            if size != 1 and result[position] not in (1, size):
                listed = " and ".join(str(tuple(each)) for each in shapes)
                met = f"{result[position]} and {size} in dim {position}"
                raise ArgumentError(f"{caller}: shapes {listed} cannot be broadcast together: {met}")
            if size != 1:
                result[position] = size
    return tuple(result)


def _either(choices: Sequence[str]) -> str:
    words = [repr(one) for one in choices]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def level_of_user() -> int:
    """The ``stacklevel`` with which a warning of the calling function points to the user's code, outside of Lucid."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level

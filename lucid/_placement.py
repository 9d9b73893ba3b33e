"""PyTorch's arguments for where a tensor is and how it lies in memory. They are checked and have no effect.

Memory is unified, and MLX chooses the order of the elements.
"""

from __future__ import annotations

from typing import Any

from lucid import _checks, _device


class _Named:
    """A constant with the name that PyTorch gives it."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"lucid.{self._name}"

    def __reduce__(self) -> Any:
        return _constant, (self._name,)


class layout(_Named):
    """The type of ``lucid.strided``, the layout of all tensors."""

    __slots__ = ()


class memory_format(_Named):
    """The type of ``lucid.contiguous_format``, ``preserve_format``, ``channels_last`` and ``channels_last_3d``."""

    __slots__ = ()


strided = layout("strided")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
_RANKS = {channels_last: 4, channels_last_3d: 5}


def _constant(name: str) -> Any:
    return globals()[name]


def check_placement(
    caller: str, device: Any = None, layout_: Any = None, generator: Any = None, out: Any = None
) -> None:
    """Check arguments that all functions that create tensors share.

    Raises:
        ArgumentError: there is no such device.
        RuntimeError: the device is not available on this machine.
        TypeError: an argument is of the wrong type, or is ``out`` or ``generator``, which only take ``None``.
    """
    if device is not None:
        _device.resolve(caller, device)
    if layout_ is not None and layout_ is not strided:
        raise TypeError(f"{caller}: layout must be lucid.strided, got {layout_!r}")
    if generator is not None:
        raise TypeError(
            f"{caller}: generator is not supported, got {type(generator).__name__}; lucid.manual_seed seeds all numbers"
        )
    if out is not None:
        raise TypeError(f"{caller}: out= is not supported; use the tensor that {caller} returns")


def check_memory_format(caller: str, value: Any, ndim: int | None = None) -> None:
    """Check a ``memory_format`` for a tensor of ``ndim`` dimensions.

    Raises:
        TypeError: ``value`` is not a memory format.
        ArgumentError: it is for another number of dimensions.
    """
    if value is None:
        return
    if not isinstance(value, memory_format):
        raise TypeError(f"{caller}: memory_format must be a format such as lucid.channels_last, got {value!r}")
    wanted = _RANKS.get(value)
    if wanted is not None and ndim is not None and ndim != wanted:
        raise _checks.ArgumentError(f"{caller}: {value!r} needs {wanted} dimensions, got {ndim}")

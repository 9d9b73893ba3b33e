"""PyTorch's memory formats. MLX manages the layout in memory, so they are accepted and checked, and have no effect."""

from typing import Any, Final

from lucid import _checks


class memory_format:
    """A memory format: ``lucid.contiguous_format``, ``channels_last``, ``channels_last_3d`` or ``preserve_format``."""

    def __init__(self, name: str, ndim: int | None = None) -> None:
        self._name = name
        self._ndim = ndim

    def __repr__(self) -> str:
        return f"lucid.{self._name}"

    def __reduce__(self) -> str:
        return self._name


contiguous_format: Final = memory_format("contiguous_format")
preserve_format: Final = memory_format("preserve_format")
channels_last: Final = memory_format("channels_last", 4)
channels_last_3d: Final = memory_format("channels_last_3d", 5)


def check_memory_format(caller: str, value: Any, ndim: int | None = None) -> None:
    """Raise if ``value`` is neither ``None`` nor a memory format for ``ndim`` dimensions, if given.

    Raises:
        TypeError: it is not a memory format.
        ArgumentError: it needs another number of dimensions.
    """
    if value is None:
        return
    if not isinstance(value, memory_format):
        raise TypeError(f"{caller}: memory_format must be a lucid.memory_format, got {value!r}")
    if ndim is not None and value._ndim not in (None, ndim):
        raise _checks.ArgumentError(f"{caller}: {value} needs a tensor with {value._ndim} dimensions, got {ndim}")

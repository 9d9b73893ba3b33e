"""PyTorch's arguments for where a tensor is. They are checked, and have no effect, because memory is unified."""

from typing import Any, Final

from lucid import _checks, _device


class layout:
    """The type of ``lucid.strided``, the layout of all tensors."""

    def __repr__(self) -> str:
        return "lucid.strided"

    def __reduce__(self) -> str:
        return "strided"


strided: Final = layout()


def check_placement(caller: str, device: Any = None, layout_: Any = None, out: Any = None) -> None:
    """Check arguments that all functions that create tensors share.

    Raises:
        ArgumentError: there is no such device.
        RuntimeError: the device is not available on this machine.
        TypeError: an argument is of the wrong type, or is ``out``, which only takes ``None``.
    """
    if device is None and layout_ is None and out is None:
        return
    if device is not None:
        _device.resolve(caller, device)
    if layout_ is not None and layout_ is not strided:
        raise TypeError(f"{caller}: layout must be lucid.strided, got {layout_!r}")
    _checks.no_out(caller, out)

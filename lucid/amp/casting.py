"""``autocast``: half precision for the operations that gain by it, float32 for those that need it."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from lucid import _checks, _precision

_DEVICES = ("cpu", "gpu", "metal", "cuda", "mps")


class autocast(_precision.autocasting):
    """A ``with`` block or a decorator in which every operation is computed in the precision that suits it.

    Matrix products and convolutions cast their float32 operands to ``dtype``. Norms, softmax, losses, reductions,
    exponentials, logarithms and powers cast half precision to float32, and their result is float32. All other
    operations follow their inputs, and where these differ, the wider one. An operation declares what applies to it:
    ``@op(autocast=...)``.

    Parameters stay as they are, float32, and so do their gradients, the optimizer's state and checkpoints: use it for
    the forward pass and the loss, nothing else has to change. It does not matter whether ``backward()`` is called
    inside. bfloat16 has float32's range; float16 wants a ``GradScaler``.

    ``device_type`` is PyTorch's first argument. It names a device and changes nothing here: memory is unified and
    ``lucid.device`` says where to compute. ``cache_enabled`` is accepted for PyTorch's sake: nothing is cached.

    Raises:
        ValueError: ``dtype`` is not float16 or bfloat16, or there is no such device.
        TypeError: ``device_type`` is no string.
    """

    def __init__(
        self,
        device_type: str | None = None,
        dtype: Any = mx.bfloat16,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if device_type is not None:
            if not isinstance(device_type, str):
                raise TypeError(f"autocast: device_type must be a string, got {device_type!r}; a dtype is dtype=...")
            _checks.one_of("autocast", "device_type", device_type.partition(":")[0], _DEVICES)
        found = mx.bfloat16 if dtype is None else _checks.dtype("autocast", dtype)
        if found not in (mx.float16, mx.bfloat16):
            raise ValueError(f"autocast: dtype must be float16 or bfloat16, got {_checks.dtype_name(found)}")
        super().__init__(found if enabled else None)


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether autocast is on in this thread. ``device_type`` is accepted for PyTorch's sake."""
    return _precision.autocast_dtype() is not None

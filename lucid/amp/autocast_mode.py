"""``autocast``: half precision for operations that benefit from it, float32 for those that need it."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from lucid import _checks, _precision

_DEVICES = ("cpu", "gpu", "metal", "cuda", "mps")


class autocast(_precision.autocasting):
    """A context manager or decorator that runs every operation in a suitable precision.

    Matrix products and convolutions cast their float32 operands to ``dtype``. Norms, softmax, losses, reductions,
    exponentials, logarithms and powers cast half precision to float32 and return float32. All other operations keep
    the dtype of their inputs, or the widest if they differ. An operation declares its policy: ``@op(autocast=...)``.

    Parameters, gradients, optimizer state and checkpoints stay float32. Wrap the forward pass and the loss;
    ``backward()`` may be inside or outside. bfloat16 has the range of float32; float16 needs a ``GradScaler``.

    Args:
        device_type: Accepted for compatibility with PyTorch; memory is unified.
        dtype: ``bfloat16``, the default, or ``float16``.
        enabled: With False, operations run as without autocast.
        cache_enabled: Accepted for compatibility with PyTorch; nothing is cached.

    Raises:
        ValueError: ``dtype`` is not float16 or bfloat16, or ``device_type`` is unknown.
        TypeError: ``device_type`` is not a string.

    Example:
        >>> layer = nn.Linear(4, 2)
        >>> with lucid.autocast(dtype=lucid.bfloat16):
        ...     y = layer(lucid.ones(1, 4))
        ...
        >>> y.dtype == lucid.bfloat16, layer.weight.dtype == lucid.float32
        (True, True)
    """

    def __init__(
        self,
        device_type: str | None = None,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if device_type is not None:
            if not isinstance(device_type, str):
                raise TypeError(
                    f"autocast: device_type must be a string, got {device_type!r}; pass a dtype as dtype=..."
                )
            _checks.one_of("autocast", "device_type", device_type.partition(":")[0], _DEVICES)
        found = mx.bfloat16 if dtype is None else _checks.dtype("autocast", dtype)
        if found not in (mx.float16, mx.bfloat16):
            raise ValueError(f"autocast: dtype must be float16 or bfloat16, got {_checks.dtype_name(found)}")
        super().__init__(found if enabled else None)


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether autocast is on in this thread. ``device_type`` is accepted for compatibility with PyTorch."""
    return _precision.autocast_dtype() is not None

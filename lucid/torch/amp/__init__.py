"""``torch.amp``: autocast and GradScaler."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from lucid import amp as _amp
from lucid.amp import GradScaler as GradScaler
from lucid.amp import autocast as autocast
from lucid.torch._names import fallback

__getattr__ = fallback(__name__, _amp)


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast works on a device: on all of them."""
    return True


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str | None = None, cast_inputs: Any = None
) -> Callable[..., Any]:
    """The decorated ``forward`` of an ``autograd.Function``, with floating-point tensors cast to ``cast_inputs``."""
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)
    if cast_inputs is None:
        return fwd

    @functools.wraps(fwd)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _amp.is_autocast_enabled():
            args = tuple(_cast(one, cast_inputs) for one in args)
            kwargs = {name: _cast(one, cast_inputs) for name, one in kwargs.items()}
        with autocast(enabled=False):
            return fwd(*args, **kwargs)

    return call


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str | None = None) -> Callable[..., Any]:
    """The decorated ``backward`` itself: the backward pass never runs under autocast."""
    return functools.partial(custom_bwd, device_type=device_type) if bwd is None else bwd


def _cast(value: Any, dtype: Any) -> Any:
    is_floating = callable(getattr(value, "is_floating_point", None)) and value.is_floating_point()
    return value.to(dtype) if is_floating else value

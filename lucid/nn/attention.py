"""``torch.nn.attention``: which implementations ``scaled_dot_product_attention`` may use."""

import enum
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(enum.IntEnum):
    """PyTorch's implementations of attention. MLX has a fused one, and the formula itself, ``MATH``.

    Example:
        >>> nn.attention.SDPBackend.MATH.name
        'MATH'
    """

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


class _Allowed(threading.local):
    backends: frozenset[SDPBackend] | None = None


_allowed = _Allowed()


def may_fuse() -> bool:
    """Whether MLX's fused attention may be used."""
    return _allowed.backends is None or _allowed.backends != {SDPBackend.MATH}


@contextmanager
def sdpa_kernel(backends: list[SDPBackend] | SDPBackend, set_priority: bool = False) -> Iterator[None]:
    """Within the block, attention uses one of ``backends``: the plain formula if ``MATH`` is the only one.

    ``set_priority`` is accepted for compatibility with PyTorch.

    Example:
        >>> x = lucid.randn(1, 2, 5, 8)
        >>> with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        ...     y = F.scaled_dot_product_attention(x, x, x)
        ...
    """
    listed = [backends] if isinstance(backends, SDPBackend) else backends
    if not isinstance(listed, list | tuple | set) or not all(isinstance(one, SDPBackend) for one in listed):
        raise TypeError(f"sdpa_kernel: backends must be an SDPBackend or a list of them, got {backends!r:.60}")
    if not listed:
        raise ValueError("sdpa_kernel: backends must not be empty")
    before = _allowed.backends
    _allowed.backends = frozenset(listed)
    try:
        yield
    finally:
        _allowed.backends = before

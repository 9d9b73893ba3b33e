"""``torch.backends.mps``: whether this is a Mac with Metal."""

import platform

from lucid.torch.mps import is_available as is_available


def is_built() -> bool:
    """Whether MLX was built with Metal, which it is on every Mac."""
    return is_available()


def is_macos_or_newer(major: int, minor: int) -> bool:
    """Whether this is macOS of that version or newer."""
    found = platform.mac_ver()[0]
    return bool(found) and tuple(int(one) for one in found.split(".")[:2]) >= (major, minor)

"""Signal processing, as in ``torch.signal``: window functions."""

from lucid.signal import windows

__all__ = ["windows"]

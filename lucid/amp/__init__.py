"""Mixed precision: ``autocast`` computes in half precision where that is safe, ``GradScaler`` serves float16."""

from lucid.amp.autocast_mode import autocast, is_autocast_enabled
from lucid.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "is_autocast_enabled"]

"""Mixed precision: ``autocast`` runs operations in half precision where safe; float16 also needs ``GradScaler``."""

from lucid.amp.autocast_mode import autocast, is_autocast_enabled
from lucid.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "is_autocast_enabled"]

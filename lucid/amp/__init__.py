"""Mixed precision: ``autocast`` computes in half precision where that is safe, ``GradScaler`` serves float16."""

from lucid.amp.casting import autocast, is_autocast_enabled

__all__ = ["autocast", "is_autocast_enabled"]

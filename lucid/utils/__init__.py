"""Tools around training: recomputing instead of storing."""

from lucid.utils._checkpoint import checkpoint

__all__ = ["checkpoint"]

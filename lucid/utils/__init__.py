"""Tools around training: recomputing instead of storing."""

from lucid.utils.recompute import checkpoint

__all__ = ["checkpoint"]

"""Training utilities: activation checkpointing."""

from lucid.utils._checkpoint import checkpoint

__all__ = ["checkpoint"]

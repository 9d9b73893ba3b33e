"""Helpers for work that only rank 0 does, and for random numbers that differ by rank."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from lucid import random, tape
from lucid._tensor import Tensor
from lucid.distributed.group import get_rank, get_world_size


def is_main() -> bool:
    """Whether this is rank 0, which prints and writes checkpoints and results."""
    return get_rank() == 0


def fold_in_rank(key: Any = None) -> Any:
    """Derive this rank's own random key from one shared by all ranks, e.g. for augmentation and dropout.

    With a single process the key is unchanged.

    Args:
        key: A tensor or an array. Without it, Lucid's global random state is changed: call it once, after building the
            model and before training.
    """
    if key is None:
        random.set_state(fold_in_rank(random.get_state()))
        return None
    size = get_world_size()
    if size == 1:
        return key
    array = key._array if isinstance(key, Tensor) else key
    own = mx.random.split(array, size)[get_rank()]
    return tape.wrap(own) if isinstance(key, Tensor) else own

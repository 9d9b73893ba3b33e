"""What is for one rank only, and what has to differ between ranks."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from lucid import random, tape
from lucid._tensor import Tensor
from lucid.distributed.group import get_rank, get_world_size


def is_main() -> bool:
    """Whether this is rank 0: the one that prints, and writes checkpoints and results."""
    return get_rank() == 0


def fold_in_rank(key: Any = None) -> Any:
    """This rank's own key, made of one that all ranks have: for augmentation and dropout that differ by rank.

    ``key`` is a tensor or an array. Without one, Lucid's own random state is changed: call it once, when the model is
    built and before training. With one process nothing changes.
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

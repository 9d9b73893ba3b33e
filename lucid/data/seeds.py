"""Random generators for sampling and transforms.

One seed serves a whole run. Every use derives its own ``np.random.Generator`` from the seed, its purpose and a position
(epoch, batch), so there is no state to carry: any epoch or batch can be reproduced on its own, in any thread and order.
"""

import secrets
from typing import Any

import numpy as np

from lucid import _checks, _deferred
from lucid._generator import Generator, key

# First element of the key, so that orders, transforms, splits and samples never share a stream.
ORDER, TRANSFORM, SPLIT, SAMPLES = 0, 1, 2, 3


# What the arguments ``generator`` take.
RandomSource = int | np.random.Generator | Generator


def resolve_seed(caller: str, seed: int | None, generator: RandomSource | None) -> int:
    """The seed from ``seed`` or ``generator``, or a random one if both are None.

    ``generator``, as in PyTorch's arguments, is a ``lucid.Generator`` or a NumPy generator, from which one number is
    drawn, or an int.

    Raises:
        ValueError: both are given, or the seed is negative.
        TypeError: the seed is neither an int nor a generator.
    """
    if seed is not None and generator is not None:
        raise ValueError(f"{caller}: seed and generator are mutually exclusive")
    chosen = generator if seed is None else seed
    if chosen is None:
        return secrets.randbits(63)
    if isinstance(chosen, np.random.Generator):
        return int(chosen.integers(2**63))
    if isinstance(chosen, Generator):
        high, low = _deferred.to_numpy(key(chosen, caller)).tolist()
        return (high << 31) ^ low
    return as_seed(caller, "seed" if generator is None else "generator", chosen)


def as_seed(caller: str, name: str, value: Any) -> int:
    """``value`` as a seed, a non-negative integer of any size."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return _checks.integer(caller, name, value, 0)


def derived_generator(seed: int, *key: int) -> np.random.Generator:
    """An independent generator for each ``key``. The same seed and key always give the same numbers."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))

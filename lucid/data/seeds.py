"""Where the randomness of sampling and transforms comes from.

One seed serves a whole run. Each use derives its own ``np.random.Generator`` from the seed and from what it is for
(epoch, batch), so no generator is carried along: any epoch or batch can be produced again on its own, in any thread,
in any order.
"""

import secrets

import numpy as np

from lucid import _checks

# First word of the key, so that orders and transforms never share a stream.
ORDER, TRANSFORM, SPLIT = 0, 1, 2


def resolve_seed(where: str, seed: int | None, generator: int | np.random.Generator | None) -> int:
    """A seed from the two ways to give one; a fresh one from the system when neither is given.

    ``generator`` is PyTorch's word: a NumPy generator (one number is drawn from it) or an integer.

    Raises:
        ValueError: both are given, or the seed is negative.
        TypeError: neither an integer nor a NumPy generator.
    """
    if seed is not None and generator is not None:
        raise ValueError(f"{where}: give seed or generator, not both")
    chosen = generator if seed is None else seed
    if chosen is None:
        return secrets.randbits(63)
    if isinstance(chosen, np.random.Generator):
        return int(chosen.integers(2**63))
    return _checks.integer(where, "seed" if generator is None else "generator", chosen, 0)


def derived_generator(seed: int, *key: int) -> np.random.Generator:
    """A generator of its own for ``key``; the same seed and key always give the same numbers."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))

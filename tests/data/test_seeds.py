import numpy as np
import pytest

import lucid
from lucid.data import DataLoader, RandomSampler, SubsetRandomSampler, WeightedRandomSampler, random_split
from lucid.data.seeds import ORDER, TRANSFORM, derived_generator, resolve_seed


def test_equal_keys_give_equal_numbers_and_other_keys_others():
    keys = [(ORDER,), (ORDER, 0), (ORDER, 1), (TRANSFORM, 0), (TRANSFORM, 0, 0), (TRANSFORM, 0, 1), (TRANSFORM, 1, 0)]
    draws = [tuple(derived_generator(7, *key).integers(2**62, size=4)) for key in keys]
    assert draws == [tuple(derived_generator(7, *key).integers(2**62, size=4)) for key in keys]
    assert len(set(draws)) == len(keys)
    assert tuple(derived_generator(8, ORDER).integers(2**62, size=4)) not in draws


def test_the_derivation_is_stable():
    """Runs can resume with a later release only if the derivation never changes."""
    expected = np.random.Generator(np.random.PCG64(np.random.SeedSequence(3, spawn_key=(1, 2)))).random(5)
    np.testing.assert_array_equal(derived_generator(3, 1, 2).random(5), expected)


def test_a_seed_comes_from_seed_or_generator():
    assert resolve_seed("f", 3, None) == resolve_seed("f", None, 3) == resolve_seed("f", np.int64(3), None) == 3
    assert resolve_seed("f", 2**63, None) == 2**63
    drawn = [resolve_seed("f", None, np.random.default_rng(1)) for _ in range(2)]
    assert drawn[0] == drawn[1] and 0 <= drawn[0] < 2**63
    rng = np.random.default_rng(1)
    assert resolve_seed("f", None, rng) != resolve_seed("f", None, rng)


def test_without_a_seed_one_is_drawn():
    seeds = {resolve_seed("f", None, None) for _ in range(20)}
    assert len(seeds) == 20 and all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("seed", "generator", "error", "message"),
    [
        (1, 2, ValueError, "^f: seed and generator are mutually exclusive"),
        (-1, None, ValueError, "^f: seed must be at least 0, got -1"),
        (None, -1, ValueError, "^f: generator must be at least 0, got -1"),
        ("1", None, TypeError, "^f: seed must be an integer, got '1'"),
        (None, 1.0, TypeError, "^f: generator must be an integer, got 1.0"),
        (True, None, TypeError, "^f: seed must be an integer, got True"),
    ],
)
def test_invalid_seeds_raise(seed, generator, error, message):
    with pytest.raises(error, match=message):
        resolve_seed("f", seed, generator)


def test_a_generator_of_lucid_seeds_once_and_advances():
    one, other = lucid.Generator().manual_seed(3), lucid.Generator().manual_seed(3)
    seeds = [resolve_seed("f", None, one) for _ in range(3)]
    assert seeds == [resolve_seed("f", None, other) for _ in range(3)] and len(set(seeds)) == 3
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    "use",
    [
        lambda g: [b.tolist() for b in DataLoader(np.arange(20), batch_size=4, shuffle=True, generator=g)],
        lambda g: [part.indices for part in random_split(range(20), [12, 8], generator=g)],
        lambda g: list(RandomSampler(range(20), generator=g)),
        lambda g: list(SubsetRandomSampler(range(20), generator=g)),
        lambda g: list(WeightedRandomSampler([1.0] * 5, 20, generator=g)),
    ],
)
def test_equal_generators_give_equal_orders(use):
    found = [use(lucid.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]

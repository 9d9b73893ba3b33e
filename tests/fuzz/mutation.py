"""Random changes of bytes."""

import random

_INTERESTING = (
    0,
    1,
    2,
    7,
    8,
    16,
    100,
    127,
    128,
    255,
    256,
    1000,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
)


def mutated(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """``data`` with one to six changes; ``others`` are inputs to splice it with."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        place = rng.randrange(len(changed) + 1)
        end = min(len(changed), place + int(rng.expovariate(1 / 12)))
        match rng.randrange(9):
            case 0 | 1 if place < len(changed):
                changed[place] ^= 1 << rng.randrange(8)
            case 2 if place < len(changed):
                changed[place] = rng.randrange(256)
            case 3:
                size = rng.choice((1, 2, 4, 8))
                number = rng.choice(_INTERESTING) % 256**size
                changed[place : place + size] = number.to_bytes(size, rng.choice(("little", "big")))
            case 4:
                del changed[place:end]
            case 5:
                changed[place:place] = changed[place:end] * rng.randint(1, 4)
            case 6:
                changed[place:place] = rng.randbytes(rng.randint(1, 16))
            case 7:
                other = rng.choice(others)
                cut = rng.randrange(len(other) + 1)
                changed[place:end] = other[cut : cut + rng.randint(1, 64)]
            case 8 if rng.random() < 0.2:
                del changed[place:]
    return bytes(changed)

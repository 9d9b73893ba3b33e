"""Compare results of Lucid with PyTorch's, element by element, or with what is recorded of PyTorch's.

A result may differ from PyTorch's in float64 by ``RELATIVE`` of the largest value of its tensor, plus ``NOISE`` times
its noise, the largest difference of PyTorch in float32. What is recorded of a tensor: its noise, its largest value, its
norm, its product with random signs, and some elements; norm and product depend on all elements.

Where terms cancel, as in the gradient of a bias before a norm, MLX's sums on a CPU have up to six times that noise.
"""

import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.architectures.architecture import Results, largest

FILE = Path(__file__).parent / "recorded.npz"
RELATIVE = 1e-5
NOISE = 8
SAMPLES = 8


def live_differences(found: Results, exact: Results, noise: dict[str, float]) -> list[str]:
    """What differs between Lucid and PyTorch in float64, given the noise of PyTorch in float32."""

    def differ(name: str, array: np.ndarray) -> float:
        return _excess(largest(array - exact[name]), largest(exact[name]), noise[name])

    return _differences(found, {name: array.shape for name, array in exact.items()}, differ)


def recorded_differences(found: Results, records: dict[str, np.ndarray], architecture: str) -> list[str]:
    """What differs between Lucid and the records of an architecture."""
    names, shapes, values = (records[f"{architecture}|{part}"] for part in ("names", "shapes", "values"))
    rows = dict(zip(names.tolist(), values.astype(np.float64), strict=True))

    def differ(name: str, array: np.ndarray) -> float:
        noise, scale, *wanted = rows[name]
        got = _summary(name, array)
        spread = np.array([math.sqrt(array.size)] * 2 + [1] * SAMPLES)
        return _excess(largest((got - wanted) / spread), scale, noise)

    texts = dict(zip(names.tolist(), shapes.tolist(), strict=True))
    return _differences(found, {n: tuple(int(d) for d in text.split()) for n, text in texts.items()}, differ)


def record(architecture: str, exact: Results, noise: dict[str, float]) -> dict[str, np.ndarray]:
    """What ``recorded_differences`` reads, from PyTorch's results in float64 and their noise in float32."""
    values = [np.concatenate([[noise[name], largest(array)], _summary(name, array)]) for name, array in exact.items()]
    return {
        f"{architecture}|names": np.array(list(exact)),
        f"{architecture}|shapes": np.array([" ".join(map(str, array.shape)) for array in exact.values()]),
        f"{architecture}|values": np.array(values, np.float32),
    }


def _differences(
    found: Results, shapes: dict[str, tuple[int, ...]], differ: Callable[[str, np.ndarray], float]
) -> list[str]:
    """``differ`` returns how many times the tolerance an array differs."""
    lines = [f"{name}: only one of the two has it" for name in found.keys() ^ shapes.keys()]
    for name in found.keys() & shapes.keys():
        if found[name].shape != shapes[name]:
            lines.append(f"{name}: shape {found[name].shape}, wanted {shapes[name]}")
        elif not (times := differ(name, found[name])) <= 1:
            lines.append(f"{name}: {times:.3g} times the tolerance")
    return sorted(lines)


def _summary(name: str, array: np.ndarray) -> np.ndarray:
    """Norm, product with random signs, and ``SAMPLES`` elements."""
    flat = array.astype(np.float64).reshape(-1)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    signs = rng.choice([-1.0, 1.0], flat.size)
    return np.concatenate([[np.linalg.norm(flat), signs @ flat], rng.choice(flat, SAMPLES)])


def _excess(difference: float, scale: float, noise: float) -> float:
    return difference / (RELATIVE * scale + NOISE * noise + 1e-12)

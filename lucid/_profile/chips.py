"""Bandwidth and arithmetic of GPUs as their makers state them, for estimates.

Apple states the memory bandwidth. It does not state arithmetic per second: the numbers here are cores x 128 lanes x 2
operations x the clock that is commonly measured, and half precision is taken to be no faster, as on M1 to M4. NVIDIA
states both for the H200 (SXM): 4.8 TB/s, 67 TFLOP/s in float32 and 989 in half precision with tensor cores.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Chip:
    """Bytes per second, and operations per second in float32 and in half precision."""

    name: str
    bandwidth: float
    float32: float
    half: float


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("M1", 68e9, 2.6e12, 2.6e12),
        Chip("M1 Pro", 200e9, 5.2e12, 5.2e12),
        Chip("M1 Max", 400e9, 10.4e12, 10.4e12),
        Chip("M2", 100e9, 3.6e12, 3.6e12),
        Chip("M2 Max", 400e9, 13.5e12, 13.5e12),
        Chip("M3", 100e9, 3.5e12, 3.5e12),
        Chip("M3 Max", 400e9, 14.1e12, 14.1e12),
        Chip("M4", 120e9, 4.3e12, 4.3e12),
        Chip("M4 Max", 546e9, 17.2e12, 17.2e12),
        Chip("H200", 4.8e12, 67e12, 989e12),
    )
}

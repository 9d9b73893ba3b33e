"""How a launch tiles the depthwise convolution, by default and as tuned on this machine.

A thread of the rolling kernels computes one channel of a strip of output columns and a chunk of output rows. More and
smaller tiles occupy a larger GPU; fewer and larger ones load less, because neighboring tiles both load the rows and
columns at their border. Outputs are bitwise equal for every tiling. In the weight gradient the tiling decides in which
order the sums are added, so it depends on language, shape and dtype alone and is never tuned.

The benchmark of the depthwise convolution times the candidates with ``--tune`` and stores the fastest tilings in the
user's cache folder, where a launch looks them up. ``LUCID_TUNING=off`` ignores the file. A file that is damaged, or
comes from a different GPU or version, counts as empty.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import mlx.core as mx

from lucid._checks import dtype_name
from lucid._files import cache_folder, write_atomically
from lucid._version import __version__

THREADS = 128  # a threadgroup size that every pipeline supports, however many registers it uses
STRIPS = (4, 3, 2, 1)  # output columns per thread
_MAX_CUDA_TAPS = 25  # of a kernel with strips above 2: for 7x7 NVRTC counts 122 to 128 registers, with 2 at most 106
# The threads that a GPU runs at 100 registers each: 8 cores of an M-series GPU; an M Max, an M Ultra; an H200.
_MIN_THREADS = 4096
_MAX_THREADS, _ULTRA_THREADS, _CUDA_THREADS = 16384, 32768, 65536
_TARGET_THREADS = 16384  # more chunks do not help beyond this, unless the GPU runs more threads
# Strips and rows per chunk, from the fewest loads to the most threads.
_TILES = ((4, 14), (4, 7), (2, 7), (1, 7), (1, 4))
_WEIGHT_GRADIENT_THREADS = {"metal": 32768, "cuda": 65536}
LANES = 32  # channels of a threadgroup of the rolling weight gradient
GROUPS = 8  # its threads per channel; 256 threads are supported whatever the number of registers
_EVEN = 0.7  # the share of the threads that should have units
_FORMAT = 1
_THREADGROUPS = (32, 64, 128, 256)

Shape = tuple[int, int, int, int]  # images, channels, height, width of the output


@dataclass(frozen=True)
class Tiling:
    """``strip`` output columns per thread, rows in ``chunks`` chunks, ``threads`` threads per threadgroup."""

    strip: int = STRIPS[0]
    chunks: int = 1
    threads: int = THREADS


@dataclass(frozen=True)
class WeightGradientTiling:
    """Units of ``strip`` columns and ``rows`` rows of dy, ``count`` units per thread, ``chunks`` partial sums."""

    strip: int
    rows: int
    count: int
    chunks: int


def strips(language: str, kernel: tuple[int, ...]) -> tuple[int, ...]:
    """The strip widths to choose from."""
    narrow = language == "cuda" and kernel[0] * kernel[1] > _MAX_CUDA_TAPS
    return tuple(one for one in STRIPS if one <= 2 or not narrow)


def forward_tiling(language: str, dtype: mx.Dtype, kernel: tuple[int, ...], shape: Shape) -> Tiling:
    """The tiling of the rolling forward kernel: tuned for such a shape, or the default."""
    found = _table().get(key(language, dtype, kernel, shape)) if _is_on() else None
    if found is not None and found.chunks <= shape[2] and found.strip in strips(language, kernel):
        return found
    return default_forward_tiling(language, kernel, shape)


def default_forward_tiling(language: str, kernel: tuple[int, ...], shape: Shape) -> Tiling:
    """The tiling for an output of this shape: whole columns if there is enough work.

    Strips of 4 and chunks of at least 14 rows load 16 bytes per output (float32, 7x7). If that gives too few threads
    for the GPU, as for single images in the later stages, chunks shrink to 7 rows and then strips to 2 and 1.
    """
    images, channels, height, width = shape
    wanted = threads_of_gpu(language)
    found = Tiling()
    for strip, rows in _TILES:
        if strip not in strips(language, kernel):
            continue
        lanes = channels * -(-width // strip) * images
        chunks = max(1, min(-(-max(_TARGET_THREADS, wanted) // max(lanes, 1)), -(-height // rows)))
        found = Tiling(strip, chunks)
        if lanes * chunks >= wanted:
            return found
    return found


@cache
def threads_of_gpu(language: str) -> int:
    """About as many threads as the GPU runs at a time."""
    if language == "cuda":
        return _CUDA_THREADS
    # "applegpu_g13s", as MLX reads it: the last letter is s for a Max, d for an Ultra.
    name = str(mx.device_info().get("architecture", ""))
    family = name[-1:] if name.startswith("applegpu") else ""
    return {"s": _MAX_THREADS, "d": _ULTRA_THREADS}.get(family, _MIN_THREADS)


def weight_gradient_tiling(language: str, kernel: tuple[int, ...], shape: Shape, itemsize: int) -> WeightGradientTiling:
    """The tiling of the rolling weight gradient for an output of this shape in values of ``itemsize`` bytes.

    Larger units load less at their borders, so the first that spread evenly over the wanted threads are chosen.
    """
    images, channels, height, width = shape
    blocks = -(-channels // LANES)
    wanted = -(-_WEIGHT_GRADIENT_THREADS[language] // (blocks * LANES * GROUPS))
    chunks = min(wanted, _most_partial_sums(shape, itemsize, kernel[0] * kernel[1], blocks * LANES * GROUPS))
    widths = strips(language, kernel)
    found = WeightGradientTiling(widths[0], height, 1, 1)
    best = 0.0
    for strip, rows in _units(height, widths):
        units = images * -(-height // rows) * -(-width // strip)
        count = -(-units // (chunks * GROUPS))
        even = units / (chunks * GROUPS * count)  # the share of the wanted threads that have units
        if even > best:
            found, best = WeightGradientTiling(strip, rows, count, -(-units // (count * GROUPS))), even
        if best >= _EVEN:
            break
    return found


def _units(height: int, widths: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Strips and rows of the units of the weight gradient, from large to small."""
    for chunks in range(1, max(height // 14, 1) + 1):
        yield widths[0], -(-height // chunks)
    for strip in widths:
        yield strip, min(height, 7)


def _most_partial_sums(shape: Shape, itemsize: int, kernel_area: int, threads: int) -> int:
    """The number of partial sums, each by ``threads`` threads, whose write and read take 10 % of the bytes of x and dy.

    But at least as many as the smallest GPU needs.
    """
    images, _, height, width = shape
    return max(images * height * width * itemsize // (40 * (kernel_area + 1)), -(-_MIN_THREADS // threads), 1)


def general_weight_gradient_chunks(language: str, shape: Shape, itemsize: int, kernel_area: int, blocks: int) -> int:
    """Chunks of the images * height rows in the general weight gradient with ``blocks`` blocks of kernel columns."""
    images, channels, height, _ = shape
    rows, threads = images * height, channels * blocks
    wanted = -(-_WEIGHT_GRADIENT_THREADS[language] // threads)
    chunks = max(1, min(wanted, rows, _most_partial_sums(shape, itemsize, kernel_area, threads)))
    return -(-rows // -(-rows // chunks))  # chunks have equal numbers of rows; none has no rows


def key(language: str, dtype: mx.Dtype, kernel: tuple[int, ...], shape: Shape) -> str:
    """The class of shapes that share a tiling: batch sizes are rounded up to a power of two."""
    images, channels, height, width = shape
    batch = 1 << max(images - 1, 0).bit_length()
    return f"{language} {dtype_name(dtype)} {kernel[0]}x{kernel[1]} {batch}x{height}x{width}x{channels}"


def candidates(language: str, kernel: tuple[int, ...], shape: Shape) -> Iterator[Tiling]:
    """The tilings worth timing for an output of this shape, the default first."""
    images, channels, height, width = shape
    default = default_forward_tiling(language, kernel, shape)
    yield default
    chunks = sorted({1, *(-(-height // rows) for rows in (4, 7, 14, 28))})
    for strip in strips(language, kernel):
        for count in chunks:
            for threads in _THREADGROUPS:
                one = Tiling(strip, count, threads)
                columns = -(-width // strip) * count  # CUDA's grids have fewer than 2^16 blocks along y
                if one != default and channels * columns * images >= threads and columns < 2**16:
                    yield one


def tune(
    language: str, dtype: mx.Dtype, kernel: tuple[int, ...], shape: Shape, seconds_of: Callable[[Tiling], float]
) -> tuple[Tiling, float]:
    """The fastest tiling by ``seconds_of``, and its seconds. It is used from now on; ``save`` stores it."""
    timed = [(seconds_of(one), number, one) for number, one in enumerate(candidates(language, kernel, shape))]
    seconds, _, best = min(timed)
    _table()[key(language, dtype, kernel, shape)] = best
    return best, seconds


def path() -> Path:
    """The file: ``tuning.json`` in ``LUCID_CACHE``, or in the folder ``lucid`` of the system's cache folder."""
    return cache_folder() / "tuning.json"


def save() -> Path:
    """Write the tuned tilings to ``path()``, which is returned."""
    tilings = {name: [one.strip, one.chunks, one.threads] for name, one in sorted(_table().items())}
    target = path()
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, json.dumps({**_identity(), "cuts": tilings}, indent=1).encode())
    return target


def clear_cache() -> None:
    """Read the file again on the next launch."""
    _table.cache_clear()


def _is_on() -> bool:
    value = os.environ.get("LUCID_TUNING", "on") or "on"
    if value not in ("on", "off"):
        raise ValueError(f"LUCID_TUNING must be 'on' or 'off', got {value!r}")
    return value == "on"


def _identity() -> dict[str, Any]:
    """What a file must contain to apply here."""
    device = mx.device_info()
    return {
        "format": _FORMAT,
        "gpu": f"{device.get('device_name', '')} {device.get('architecture', '')}",
        "mlx": mx.__version__,  # type: ignore[attr-defined]
        "lucid": __version__,
    }


@cache
def _table() -> dict[str, Tiling]:
    """The stored tilings by key; empty if there is no file that applies here."""
    try:
        stored = json.loads(path().read_text(encoding="utf-8"))
        if any(stored[name] != value for name, value in _identity().items()):
            return {}
        return {name: _tiling(values) for name, values in stored["cuts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _tiling(values: Any) -> Tiling:
    strip, chunks, threads = values
    if strip not in STRIPS or threads not in _THREADGROUPS or type(chunks) is not int or chunks < 1:
        raise ValueError
    return Tiling(strip, chunks, threads)

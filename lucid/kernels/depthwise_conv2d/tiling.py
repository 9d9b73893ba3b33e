"""How a launch cuts the work of the depthwise convolution into threads.

A thread of the rolling kernels owns one channel, a strip of output columns and a chunk of output rows. More and smaller
pieces fill a larger GPU; fewer and larger ones load less: the rows and columns at the border of a piece are loaded by
its neighbour again. Outputs do not depend on the choice, bit for bit. The weight gradient adds one partial sum for
each piece, so its pieces depend on the shape alone and are never tuned.

The cuts that were fastest on this machine's own GPU, from a file in the user's cache folder.

``python examples/benchmark_depthwise.py --tune`` times the candidates and writes the file; the launch looks in it. A
result never depends on it: outputs are bit for bit the same for every cut. ``LUCID_TUNING=off`` leaves it alone. A file
that is damaged, of another GPU or of other versions counts as empty.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import mlx.core as mx

from lucid._checks import dtype_name
from lucid._files import write_atomically
from lucid._version import __version__

THREADS = 128  # a threadgroup that every pipeline can run, whatever its registers
STRIPS = (4, 2, 1)  # output columns a thread; 4 keeps a 7x7 kernel and its sums in 97 registers
_ENOUGH_THREADS = 4096  # an 8-core GPU holds as many at 100 registers each
_FULL_THREADS = 16384  # from here on more chunks bring nothing
_FULL_THREADS_OF_WEIGHTS = 32768
_FORMAT = 1
_THREADS = (32, 64, 128, 256)

Shape = tuple[int, int, int, int]  # images, channels, height, width of the output


@dataclass(frozen=True)
class Split:
    """``strip`` output columns a thread, rows cut into ``chunks``, ``threads`` threads a threadgroup."""

    strip: int = STRIPS[0]
    chunks: int = 1
    threads: int = THREADS


def default_split(images: int, channels: int, height: int, width: int) -> Split:
    """For an output of (images, height, width, channels): whole columns where there is work enough.

    Strips of 4 and chunks of at least 14 rows load 16 bytes an output (float32, 7x7); where that gives too few
    threads, as for single images in the later stages, chunks of 7 rows, then strips of 2.
    """
    found = Split()
    for strip, rows in ((4, 14), (4, 7), (2, 7)):
        lanes = channels * -(-width // strip) * images
        chunks = max(1, min(-(-_FULL_THREADS // max(lanes, 1)), -(-height // rows)))
        found = Split(strip, chunks)
        if lanes * chunks >= _ENOUGH_THREADS:
            return found
    return found


def weight_split(images: int, channels: int, height: int, width: int, taps: int, strip: int) -> tuple[int, int]:
    """Chunks of rows and of images for the rolling weight gradient of an output (images, height, width, channels).

    Images first, then rows, never fewer than 14. The partial sums may be as many as half of the values of x and dy:
    at 7x7 that leaves 23,000 threads of the 33,000 wanted at batch 32, because every 49 values have 50 partial sums.
    """
    strips = -(-width // strip)
    lanes = max(channels * strips, 1)
    room = max(1, images * height * width // (strips * (taps + 1)))  # (x.size + dy.size) / 2 partial sums
    image_chunks = max(1, min(-(-_FULL_THREADS_OF_WEIGHTS // lanes), images, room))
    rows = -(-_FULL_THREADS_OF_WEIGHTS // (lanes * image_chunks))
    return max(1, min(rows, height // 14, room // image_chunks)), image_chunks


def general_weight_chunks(images: int, channels: int, height: int, width: int, taps: int, blocks: int) -> int:
    """Chunks of the images * height rows for the general weight gradient with ``blocks`` blocks of taps."""
    lines = images * height
    room = max(1, lines * width // (taps + 1))
    return max(1, min(math.ceil(_FULL_THREADS_OF_WEIGHTS / max(channels * blocks, 1)), lines, room))


def forward_split(language: str, dtype: mx.Dtype, kernel: tuple[int, int], shape: Shape) -> Split:
    """How to cut the rolling forward: as tuned for such a shape, else as ``default_split`` says."""
    found = _table().get(key(language, dtype, kernel, shape)) if _is_on() else None
    return found if found is not None and found.chunks <= shape[2] else default_split(*shape)


def key(language: str, dtype: mx.Dtype, kernel: tuple[int, int], shape: Shape) -> str:
    """The class of shapes that share a cut: batches up to the next power of two are one."""
    images, channels, height, width = shape
    batch = 1 << max(images - 1, 0).bit_length()
    return f"{language} {dtype_name(dtype)} {kernel[0]}x{kernel[1]} {batch}x{height}x{width}x{channels}"


def candidates(shape: Shape) -> Iterator[Split]:
    """The cuts worth timing for an output of this shape; the one of ``default_split`` is the first."""
    images, channels, height, width = shape
    first = default_split(*shape)
    yield first
    chunks = sorted({1, *(-(-height // rows) for rows in (4, 7, 14, 28))})
    for strip in STRIPS:
        for count in chunks:
            for threads in _THREADS:
                one = Split(strip, count, threads)
                if one != first and channels * -(-width // strip) * count * images >= threads:
                    yield one


def tune(
    language: str, dtype: mx.Dtype, kernel: tuple[int, int], shape: Shape, seconds_of: Callable[[Split], float]
) -> tuple[Split, float]:
    """The fastest cut by ``seconds_of``, and its seconds; it is in force from now on, and stored by ``save``."""
    timed = [(seconds_of(one), number, one) for number, one in enumerate(candidates(shape))]
    seconds, _, best = min(timed)
    _table()[key(language, dtype, kernel, shape)] = best
    return best, seconds


def path() -> Path:
    """The file: ``LUCID_CACHE``, else the system's folder for caches, and in it ``lucid/tuning.json``."""
    folder = os.environ.get("LUCID_CACHE")
    if folder:
        return Path(folder) / "tuning.json"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "lucid" / "tuning.json"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lucid" / "tuning.json"


def save() -> Path:
    """Write what was tuned, under a temporary name first; the file's path."""
    cuts = {name: [one.strip, one.chunks, one.threads] for name, one in sorted(_table().items())}
    target = path()
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, json.dumps({**_identity(), "cuts": cuts}, indent=1).encode())
    return target


def forget() -> None:
    """Read the file again on the next launch."""
    _table.cache_clear()


def _is_on() -> bool:
    word = os.environ.get("LUCID_TUNING", "on") or "on"
    if word not in ("on", "off"):
        raise ValueError(f"LUCID_TUNING must be 'on' or 'off', got {word!r}")
    return word == "on"


def _identity() -> dict[str, Any]:
    """What a file must agree in to be believed."""
    device = mx.device_info()
    return {
        "format": _FORMAT,
        "gpu": f"{device.get('device_name', '')} {device.get('architecture', '')}",
        "mlx": mx.__version__,  # type: ignore[attr-defined]
        "lucid": __version__,
    }


@cache
def _table() -> dict[str, Split]:
    """The stored cuts by key; empty where there is no file, or none to be believed."""
    try:
        stored = json.loads(path().read_text(encoding="utf-8"))
        if any(stored[name] != value for name, value in _identity().items()):
            return {}
        return {name: _split(values) for name, values in stored["cuts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _split(values: Any) -> Split:
    strip, chunks, threads = values
    if strip not in STRIPS or threads not in _THREADS or type(chunks) is not int or chunks < 1:
        raise ValueError
    return Split(strip, chunks, threads)

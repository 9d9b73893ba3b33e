"""How a launch cuts the work of the depthwise convolution into threads.

A thread of the rolling kernels owns one channel, a strip of output columns and a chunk of output rows. More and smaller
pieces fill a larger GPU; fewer and larger ones load less: the rows and columns at the border of a piece are loaded by
its neighbour again. Outputs do not depend on the choice, bit for bit. The weight gradient adds one partial sum for
each piece, so its pieces depend on the shape alone and are never tuned.
"""

import math
from dataclasses import dataclass

THREADS = 128  # a threadgroup that every pipeline can run, whatever its registers
STRIPS = (4, 2, 1)  # output columns a thread; 4 keeps a 7x7 kernel and its sums in 97 registers
_ENOUGH_THREADS = 4096  # an 8-core GPU holds as many at 100 registers each
_FULL_THREADS = 16384  # from here on more chunks bring nothing
_FULL_THREADS_OF_WEIGHTS = 32768


@dataclass(frozen=True)
class Split:
    """``strip`` output columns a thread, rows cut into ``chunks``, ``threads`` threads a threadgroup."""

    strip: int = STRIPS[0]
    chunks: int = 1
    threads: int = THREADS


def forward_split(images: int, channels: int, height: int, width: int) -> Split:
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

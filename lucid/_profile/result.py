"""What ``lucid.profile`` returns."""

import math
from dataclasses import dataclass

from lucid import _checks
from lucid._profile.chips import CHIPS
from lucid._profile.launches import Kernel

_HALF = ("float16", "bfloat16")


@dataclass(frozen=True)
class Profile:
    """The kernels of a step, in order; prints as a table of operations.

    Attributes:
        kernels: Every launch.
        held_bytes: Memory that the forward pass writes and the rest of the step reads, inputs and parameters left out.
        compiled: Whether the step was counted as one compiled graph.
    """

    kernels: tuple[Kernel, ...]
    held_bytes: int
    compiled: bool

    @property
    def launches(self) -> int:
        return len(self.kernels)

    @property
    def bytes_read(self) -> int:
        return sum(one.bytes_read for one in self.kernels)

    @property
    def bytes_written(self) -> int:
        return sum(one.bytes_written for one in self.kernels)

    @property
    def bytes(self) -> int:
        return self.bytes_read + self.bytes_written

    @property
    def flops(self) -> int:
        return sum(one.flops for one in self.kernels)

    def within(self, module: str) -> "Profile":
        """The kernels that a module asked for, such as "stages.0.1", its children included.

        ``held_bytes`` is 0, because memory belongs to no module.
        """
        kernels = tuple(one for one in self.kernels if f"{one.module}.".startswith(f"{module}."))
        return Profile(kernels, 0, self.compiled)

    def seconds(self, chip: str) -> float:
        """An estimate, not a measurement: every kernel at the full stated bandwidth or arithmetic of a chip.

        Launch overhead, imperfect kernels and caches are left out, so a real step takes longer.

        Args:
            chip: "M1", "M1 Pro", "M1 Max", "M2", "M2 Max", "M3", "M3 Max", "M4", "M4 Max" or "H200".
        """
        found = CHIPS[_checks.one_of("Profile.seconds", "chip", chip, tuple(CHIPS))]
        total = 0.0
        for one in self.kernels:
            is_half = any(dtype in _HALF for _, dtype in (*one.inputs, *one.outputs))
            total += max(one.bytes / found.bandwidth, one.flops / (found.half if is_half else found.float32))
        return total

    def __str__(self) -> str:
        totals: dict[tuple[str, ...], list[int]] = {}
        for one in self.kernels:
            key = (one.direction or "-", one.operation or "-", one.line or "-")
            found = totals.setdefault(key, [0, 0, 0])
            for i, value in enumerate((1, one.bytes_read, one.bytes_written)):
                found[i] += value
        head = ("Direction", "Operation", "Line", "Launches", "MB read", "MB written")
        rows = [
            (*key, f"{count:,}", _megabytes(read), _megabytes(written))
            for key, (count, read, written) in sorted(totals.items(), key=lambda one: -one[1][1] - one[1][2])
        ]
        total = ("all", "", "", f"{self.launches:,}", _megabytes(self.bytes_read), _megabytes(self.bytes_written))
        kind = "compiled" if self.compiled else "eager"
        end = f"{kind}; held for the backward pass: {_megabytes(self.held_bytes)} MB; {self.flops / 1e9:,.1f} GFLOP"
        return _table([head, *rows, total]) + "\n" + end

    __repr__ = __str__

    def listing(self, unit_bytes: float = 1e6) -> str:
        """A table of every kernel in order, with bytes as multiples of ``unit_bytes``."""
        head = ("Kernel", "Read", "Written", "Largest input", "Operation", "Direction", "Module", "Line")
        rows = [
            (
                one.name if len(one.name) <= 40 else one.name[:37] + "...",
                f"{one.bytes_read / unit_bytes:.2f}",
                f"{one.bytes_written / unit_bytes:.2f}",
                _largest(one),
                one.operation,
                one.direction,
                one.module,
                one.line,
            )
            for one in self.kernels
        ]
        return _table([head, *rows])


def _largest(kernel: Kernel) -> str:
    shape, dtype = max(kernel.inputs or kernel.outputs, key=lambda one: math.prod(one[0]))
    return f"{'x'.join(map(str, shape)) or 'scalar'} {dtype}"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f}"


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]

    def is_number(text: str) -> bool:
        return text[:1].isdigit() and not any(one.isalpha() for one in text)

    def line(row: tuple[str, ...]) -> str:
        cells = [
            one.rjust(width) if is_number(rows[-1][i]) else one.ljust(width)
            for i, (one, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join([line(rows[0]), "─" * (sum(widths) + 2 * len(widths) - 2), *map(line, rows[1:])])

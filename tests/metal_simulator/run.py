"""Runs a kernel's library in a process of its own and reads the report."""

import contextlib
import json
import signal
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tests.metal_simulator.build import lines_of, machine

RUN_TIMEOUT_S = 600
ORDERS = ("forward", "reverse", "random")


class SimulationError(AssertionError):
    """The kernel had faults, which the message lists, or did not compile.

    It is an AssertionError, so that pytest reports a failed test.
    """


@dataclass(frozen=True)
class Options:
    """How kernels are run.

    Attributes:
        check: Check bounds exactly, races and unwritten outputs, and count. Without it only the pages around each
            buffer are guarded, which is several times faster.
        order: The order of threads between two barriers.
        seed: For the order "random".
        low_guard: Without ``check``, guard the start of each buffer instead of its end.
        round_up_grid: Launch whole threadgroups, as CUDA does.
        lines: Count the cache lines that simdgroups access. Requires ``check``; takes twice the time.
        raises: Raise on a fault, instead of only listing it in the report.
    """

    check: bool = True
    order: str = "forward"
    seed: int = 0
    low_guard: bool = False
    round_up_grid: bool = False
    lines: bool = False
    raises: bool = True

    def __post_init__(self):
        if self.order not in ORDERS:
            raise ValueError(f"simulation: order must be one of {ORDERS}, got {self.order!r}")
        if self.check and self.low_guard:
            raise ValueError(
                "simulation: low_guard requires check=False; with check=True bounds are exact at both ends"
            )

        if self.lines and not self.check:
            raise ValueError("simulation: lines requires check=True, which counts accesses")

    @property
    def flags(self) -> int:
        """The options as bits, as main.cpp reads them."""
        reverse, shuffled = self.order == "reverse", self.order == "random"
        bits = (self.check, self.low_guard, self.round_up_grid, reverse, shuffled, self.lines)
        return sum(1 << place for place, on in enumerate(bits) if on)


_options: ContextVar[Options] = ContextVar("metal_simulator_options", default=Options())  # noqa: B039 (frozen)


def current_options() -> Options:
    return _options.get()


@contextlib.contextmanager
def simulation(**changes) -> Iterator[Options]:
    """Run every kernel in the block with these options; others keep their values."""
    token = _options.set(replace(_options.get(), **changes))
    try:
        yield _options.get()
    finally:
        _options.reset(token)


@dataclass(frozen=True)
class Buffer:
    """One buffer of a run. ``contents`` is None for an output that starts unwritten."""

    name: str
    is_output: bool
    element_bytes: int
    size_bytes: int
    contents: bytes | None

    def description(self) -> bytes:
        """The buffer's description, as main.cpp reads it."""
        name = self.name.encode()
        numbers = struct.pack("<3IQ", self.is_output, self.contents is not None, self.element_bytes, self.size_bytes)
        return struct.pack("<I", len(name)) + name + numbers


@dataclass(frozen=True)
class BufferReport:
    """Accesses to one buffer. ``rewritten`` counts stores of a thread to an element that it wrote before.

    With the option ``lines``: the accesses of whole simdgroups, and the distinct lines of 128 bytes in each, summed.
    """

    is_output: bool
    loads: int
    loaded_bytes: int
    stores: int
    stored_bytes: int
    load_accesses: int
    load_lines: int
    store_accesses: int
    store_lines: int
    rewritten: int
    unwritten: int


@dataclass(frozen=True)
class Report:
    """The faults and counters of one run; without ``check`` few things are counted.

    Loads and stores are those that remain in optimized code: of two successive loads of one address the compiler keeps
    one, as on a GPU. Multiply-adds are calls of ``fma``.
    """

    completed: bool
    fault_count: int
    faults: list[str]
    threads: int
    threadgroups: int
    partial_threadgroups: int
    barriers: int
    simd_operations: int
    multiply_adds: int
    threadgroup_bytes: int
    threadgroup_loads: int
    threadgroup_loaded_bytes: int
    threadgroup_stores: int
    threadgroup_stored_bytes: int
    buffers: dict[str, BufferReport] = field(default_factory=dict)
    companions: frozenset[str] = frozenset()  # names of the shapes, strides and numbers of axes among the buffers

    @property
    def loaded_bytes(self) -> int:
        """Bytes loaded from all buffers except shapes and strides, which a GPU keeps in registers."""
        return sum(buffer.loaded_bytes for name, buffer in self.buffers.items() if name not in self.companions)

    @property
    def stored_bytes(self) -> int:
        return sum(buffer.stored_bytes for buffer in self.buffers.values())

    @property
    def lines(self) -> int:
        """Lines that simdgroups load, from all buffers but shapes and strides, and store; see ``Options.lines``."""
        loaded = sum(buffer.load_lines for name, buffer in self.buffers.items() if name not in self.companions)
        return loaded + sum(buffer.store_lines for buffer in self.buffers.values())

    @property
    def rewritten(self) -> int:
        return sum(buffer.rewritten for buffer in self.buffers.values())


_COUNTERS = {counter.name for counter in fields(Report)} - {"faults", "buffers", "companions"}


def _report(line: bytes, library: Path, companions: frozenset[str]) -> Report:
    values: dict[str, Any] = json.loads(line)
    lines = lines_of(library, [instruction for _, instruction in values["faults"]])
    faults = [
        message + (f" ({line})" if line else "") for (message, _), line in zip(values["faults"], lines, strict=True)
    ]
    return Report(
        **{name: values[name] for name in _COUNTERS},
        faults=faults,
        buffers={name: BufferReport(**counts) for name, counts in values["buffers"].items()},
        companions=companions,
    )


def run(
    library: Path,
    grid: Sequence[int],
    threadgroup: Sequence[int],
    buffers: Sequence[Buffer],
    options: Options,
    companions: frozenset[str] = frozenset(),
) -> tuple[Report, list[bytes]]:
    """Run a kernel's library; returns the report, and the contents of the outputs if the run completed.

    Each run is a process of its own, so a crash of the kernel does not affect the caller. It takes a few milliseconds.
    """
    job = struct.pack("<3I3I3I", *grid, *threadgroup, options.flags, options.seed, len(buffers))
    job += b"".join(buffer.description() for buffer in buffers)
    job += b"".join(buffer.contents or b"" for buffer in buffers)
    try:
        done = subprocess.run([machine(), library], input=job, capture_output=True, timeout=RUN_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise SimulationError(f"the kernel did not finish in {RUN_TIMEOUT_S} s") from None
    if done.returncode != 0:
        ended = signal.Signals(-done.returncode).name if done.returncode < 0 else f"code {done.returncode}"
        raise SimulationError(f"the run ended with {ended}: {done.stderr.decode(errors='replace').strip()}")
    line, _, contents = done.stdout.partition(b"\n")
    report = _report(line, library, companions)
    outputs, start = [], 0
    if report.completed:
        for buffer in buffers:
            if buffer.is_output:
                outputs.append(contents[start : start + buffer.size_bytes])
                start += buffer.size_bytes
    return report, outputs

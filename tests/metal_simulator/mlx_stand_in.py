"""Replaces ``mx.fast.metal_kernel`` by the simulator, so that the library's own code runs end to end on the CPU."""

import contextlib
from collections.abc import Iterator

import mlx.core as mx

from tests.metal_simulator.kernel import Kernel
from tests.metal_simulator.run import Report


class Runs(list[tuple[str, Report]]):
    """Every run as (name of the kernel, report), in order, including runs with faults."""

    def of(self, name: str) -> list[Report]:
        return [report for kernel, report in self if kernel == name]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self]


def _recording(runs: Runs):
    class RecordedKernel(Kernel):
        def __call__(self, **arguments):
            self.report = None
            try:
                return super().__call__(**arguments)
            finally:
                if self.report is not None:
                    runs.append((self.name, self.report))

    return RecordedKernel


def stand_in(monkeypatch) -> Runs:
    """Replace ``mx.fast.metal_kernel`` until the test ends.

    A library that caches kernel objects must clear its cache before and after, or it keeps using them.
    """
    runs = Runs()
    monkeypatch.setattr(mx.fast, "metal_kernel", _recording(runs))
    return runs


@contextlib.contextmanager
def simulated() -> Iterator[Runs]:
    """Replace ``mx.fast.metal_kernel`` inside a ``with`` block."""
    runs = Runs()
    original = mx.fast.metal_kernel
    mx.fast.metal_kernel = _recording(runs)
    try:
        yield runs
    finally:
        mx.fast.metal_kernel = original

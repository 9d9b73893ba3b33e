"""The simulator in place of ``mx.fast.metal_kernel``, so that the library's own path runs end to end on the CPU."""

import contextlib
from collections.abc import Iterator

import mlx.core as mx

from tests.metal_simulator.kernel import Kernel
from tests.metal_simulator.run import Report


class Runs(list[tuple[str, Report]]):
    """Every run of the block as (kernel's name, report), in order, faulty ones included."""

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
    """Replace ``mx.fast.metal_kernel`` until the test ends. A library that keeps kernel objects must forget them
    before and after, or it goes on using those it has."""
    runs = Runs()
    monkeypatch.setattr(mx.fast, "metal_kernel", _recording(runs))
    return runs


@contextlib.contextmanager
def simulated() -> Iterator[Runs]:
    """The same for the length of a block."""
    runs = Runs()
    original = mx.fast.metal_kernel
    mx.fast.metal_kernel = _recording(runs)
    try:
        yield runs
    finally:
        mx.fast.metal_kernel = original

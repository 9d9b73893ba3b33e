"""Compare Lucid with PyTorch on PyTorch's own test inputs: ``python -m tests.conformance.live --ops 'add|mul'``.

Needs PyTorch. Prints one line per kind of difference: operation, form of the call, kind, how often, dtypes, and the
first case.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from collections import defaultdict
from typing import Any

from tests.conformance import deliberate, replay
from tests.conformance.run import lookup
from tests.conformance.torch_modules import DTYPES as MODULE_DTYPES
from tests.conformance.torch_modules import module_samples, modules
from tests.conformance.torch_optimizers import optimizer_samples, optimizers, schedule_samples
from tests.conformance.torch_samples import DTYPES, names, operations, samples
from tests.conformance.values import Difference


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ops", metavar="PATTERN", help="operations whose whole name matches")
    parser.add_argument(
        "--file", metavar="NAME", help="operations that are defined in lucid/ops/NAME.py (or nn.functional)"
    )
    parser.add_argument("--dtypes", nargs="*", default=list(DTYPES))
    parser.add_argument("--limit", type=int, metavar="N", help="samples per operation and dtype")
    parser.add_argument("--kinds", nargs="*", help="only these kinds of differences")
    parser.add_argument("--width", type=int, default=400, help="characters per line")
    parser.add_argument("--modules", metavar="PATTERN", nargs="?", const=".*")
    parser.add_argument("--optimizers", metavar="PATTERN", nargs="?", const=".*")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    report = Report(options.kinds, options.width)
    if options.ops or options.file or not (options.modules or options.optimizers):
        _operations(options, report)
    if options.modules:
        _modules(options, report)
    if options.optimizers:
        _optimizers(options, report)
    print(f"{report.summary()}, {time.perf_counter() - start:.0f} s")
    return bool(report.count)


def _operations(options: argparse.Namespace, report: Report) -> None:
    pattern = re.compile(options.ops or ".*")
    for name, infos in operations().items():
        for info in infos:
            wanted = [
                one
                for one in names(info)
                if pattern.fullmatch(one)
                and replay.exists(one)
                and (not options.file or replay.home(one).endswith(options.file.removesuffix(".py").replace("/", ".")))
            ]
            for dtype in options.dtypes if wanted else ():
                try:
                    for sample in samples(info, dtype, wanted, options.limit):
                        report.add(sample, replay.all_differences(sample))
                except Exception as error:
                    print(f"{name} {info.variant_test_name} {dtype}: no samples: {type(error).__name__}: {error}")
        report.flush()


def _modules(options: argparse.Namespace, report: Report) -> None:
    for name, info in modules().items():
        if re.fullmatch(options.modules, name.removeprefix("nn.")) and lookup(replay.lucid, name):
            for dtype in options.dtypes:
                for sample in module_samples(info, dtype, options.limit) if dtype in MODULE_DTYPES else ():
                    report.add(sample, replay.all_differences(sample))
            report.flush()


def _optimizers(options: argparse.Namespace, report: Report) -> None:
    dtypes = [one for one in options.dtypes if one in ("float32", "float64")]
    for name, info in optimizers().items():
        if re.fullmatch(options.optimizers, name.removeprefix("optim.")) and lookup(replay.lucid, name):
            for sample in optimizer_samples(info, dtypes):
                report.add(sample, replay.all_differences(sample))
            report.flush()
    for schedule in schedule_samples():
        short = schedule.op.rpartition(".")[2]
        if re.fullmatch(options.optimizers, short) and lookup(replay.lucid, schedule.op):
            report.add(schedule, replay.all_differences(schedule))
    report.flush()


class Report:
    """Collects differences, and prints one line per kind of them."""

    def __init__(self, kinds: list[str] | None, width: int) -> None:
        self.kinds, self.width = kinds, width
        self.samples = 0
        self.count = 0
        self.deliberate = 0
        self.ops: set[str] = set()
        self.wrong: set[str] = set()
        self.groups: dict[tuple[str, ...], list[Difference]] = defaultdict(list)

    def add(self, sample: Any, found: list[Difference]) -> None:
        self.samples += 1
        self.ops.add(sample.op)
        for one in found:
            if deliberate.explained(one):
                self.deliberate += 1
            elif self.kinds is None or one.kind in self.kinds:
                self.groups[one.op, one.form, one.kind, self._gist(one)].append(one)

    def _gist(self, one: Difference) -> str:
        """What differences of one group have in common: for errors, the message without its numbers."""
        text = one.detail if one.kind in ("raises", "obscure", "keyword", "error type", "dtype") else ""
        return re.sub(r"[-\d.]+|\[.*?\]|\(.*?\)", "", text)[:60]

    def flush(self) -> None:
        for (op, form, kind, _), found in self.groups.items():
            self.count += len(found)
            self.wrong.add(op)
            dtypes = ",".join(dict.fromkeys(one.sample.dtype for one in found))
            first = found[0]
            print(
                f"{form} | {kind} | {len(found)} | {dtypes} | {first.detail} | {first.sample!r}"[: self.width],
                flush=True,
            )
        self.groups.clear()

    def summary(self) -> str:
        return (
            f"{self.samples} samples of {len(self.ops)} names: {self.count} differences in {len(self.wrong)} names, "
            f"{self.deliberate} deliberate ones"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

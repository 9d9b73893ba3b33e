"""Record PyTorch's samples: ``python -m tests.conformance.record_samples [family ...]``, all by default. Needs PyTorch.

Writes a file per family of operations into ``recorded``: the smallest samples of each kind of arguments (see
``selection.py``) of everything that Lucid has.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

from tests.conformance import replay, storage
from tests.conformance.run import lookup
from tests.conformance.selection import LARGEST, Selection, kind, pattern, size
from tests.conformance.torch_modules import DTYPES as MODULE_DTYPES
from tests.conformance.torch_modules import module_samples, modules
from tests.conformance.torch_optimizers import optimizer_samples, optimizers, schedule_samples
from tests.conformance.torch_samples import DTYPES, names, operations, samples


def families() -> dict[str, list[tuple[str, object]]]:
    """(name, entry of op_db) of the operations in each family: a namespace, or PyTorch's class of operations."""
    found: dict[str, list[tuple[str, object]]] = {}
    for infos in operations().values():
        for info in infos:
            for name in names(info):
                if replay.exists(name):
                    kind_of_op = type(info).__name__.removesuffix("Info").removesuffix("Ufunc").removesuffix("Op")
                    family = name.rpartition(".")[0].replace(".", "_") or kind_of_op.lower() or "other"
                    found.setdefault(family, []).append((name, info))
    return found


def record_operations(entries: list[tuple[str, object]]) -> Selection:
    selection = Selection()
    for name, info in entries:
        for dtype in DTYPES:
            for sample in samples(info, dtype, [name], wants=lambda one: selection.wants(one, kind(one))):
                error = sample.outcome.error
                selection.add(sample, kind(sample) if error is None else (kind(sample), error[1][:40]))
    return selection


def record_modules() -> Selection:
    selection = Selection()
    for name, info in modules().items():
        for dtype in MODULE_DTYPES if lookup(replay.lucid, name) else ():
            for one in module_samples(info, dtype):
                error = one.outcome.error[1][:40] if one.outcome.error else one.order == 2
                given = (one.init_args, one.init_kwargs, one.args, one.kwargs)
                half = "half" if "16" in dtype else dtype
                selection.seen += 1
                selection.add(one, (name, half, one.training, *map(pattern, given), error))
    return selection


def record_optimizers() -> Selection:
    selection = Selection()
    for name, info in optimizers().items():
        for sample in optimizer_samples(info, ["float32", "float64"]) if lookup(replay.lucid, name) else ():
            selection.seen += 1
            selection.add(sample, (name, repr(sample), sample.dtype))
    for schedule in schedule_samples():
        if lookup(replay.lucid, schedule.op):
            selection.seen += 1
            selection.add(schedule, (schedule.op, repr(schedule)))
    return selection


def main(wanted: list[str]) -> int:
    warnings.simplefilter("ignore")
    jobs = {family: lambda entries=entries: record_operations(entries) for family, entries in families().items()}
    jobs |= {"modules": record_modules, "optimizers": record_optimizers}
    for family in wanted or sorted(jobs):
        start = time.perf_counter()
        selection = jobs[family]()
        chosen = selection.samples()
        path = storage.save(family, chosen)
        large = {one.op for one in chosen} - {one.op for one in chosen if size(one) <= LARGEST}
        print(
            f"{path.name}: {len(chosen)} of {selection.seen} samples, {path.stat().st_size // 1000} kB, "
            f"{time.perf_counter() - start:.0f} s" + (f", only large samples of {sorted(large)}" if large else ""),
            flush=True,
        )
    everything = {name for infos in operations().values() for info in infos for name in names(info)}
    storage.NAMES.write_text(json.dumps(sorted(everything | modules().keys() | optimizers().keys()), indent=0) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

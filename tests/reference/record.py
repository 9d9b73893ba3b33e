"""Record PyTorch's results for the cases: ``python -m tests.reference.record [family ...]``, all families by default.

Needs PyTorch and NumPy, not Lucid. Values are computed in float64, so that the reference is exact; dtypes are those of
a second run in the dtypes of the inputs. The files are written beside this one and committed.
"""

import importlib
import sys
import warnings
from typing import Any

import numpy as np
import torch

from tests.reference.case import FLOATS, HERE, Case, Record, save


def record(case: Case) -> Record:
    rng = case.rng()
    arrays = [np.asarray(one.values(rng)) for one in case.inputs]
    exact = [
        torch.tensor(a, dtype=torch.float64 if i.dtype in FLOATS else getattr(torch, i.dtype)).requires_grad_(i.grad)
        for a, i in zip(arrays, case.inputs, strict=True)
    ]
    plain = [
        torch.tensor(a, dtype=getattr(torch, i.dtype)).requires_grad_(i.grad)
        for a, i in zip(arrays, case.inputs, strict=True)
    ]
    dtypes = [
        str(o.dtype).rpartition(".")[2] if isinstance(o, torch.Tensor) else "python"
        for o in flat(case.recorded(torch, *plain))
    ]
    torch.set_default_dtype(torch.float64)
    try:
        outputs = flat(case.recorded(torch, *exact))
        found = Record(dtypes, arrays, [numpy(o) for o in outputs])
        if case.order:
            differentiate(case, exact, [o for o in outputs if isinstance(o, torch.Tensor) and o.requires_grad], found)
    finally:
        torch.set_default_dtype(torch.float32)
    return found


def differentiate(case: Case, inputs: list[torch.Tensor], outputs: list[torch.Tensor], found: Record) -> None:
    rng = np.random.default_rng([1, *case.rng().integers(0, 2**31, 2)])
    leaves = [x for x in inputs if x.requires_grad]
    if not outputs:
        raise ValueError(f"{case.name}: no output depends on the inputs; say order=0")
    found.cotangents = [rng.uniform(-1, 1, o.shape).astype(np.float32) for o in outputs]
    cotangents = [torch.tensor(c, dtype=torch.float64, requires_grad=True) for c in found.cotangents]
    gradients = torch.autograd.grad(
        outputs, leaves, cotangents, create_graph=case.order > 1, materialize_grads=True, allow_unused=True
    )
    found.gradients = [numpy(g) for g in gradients]
    if case.order < 2:
        return
    found.directions = [rng.uniform(-1, 1, g.shape).astype(np.float32) for g in gradients]
    live = [(g, torch.tensor(d, dtype=torch.float64)) for g, d in zip(gradients, found.directions, strict=True)]
    live = [(g, d) for g, d in live if g.requires_grad]
    variables = [*leaves, *cotangents]
    if live:  # otherwise every gradient is constant
        targets, directions = zip(*live, strict=True)
        second = torch.autograd.grad(targets, variables, directions, materialize_grads=True, allow_unused=True)
    else:
        second = tuple(torch.zeros_like(v) for v in variables)
    found.second = [numpy(s) for s in second]


def flat(out: Any) -> list[Any]:
    """All tensors and numbers of a nested result."""
    return [one for part in out for one in flat(part)] if isinstance(out, tuple | list) else [out]


def numpy(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy(force=True)
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.int64)


def main(families: list[str]) -> int:
    """Record the families, and return the number of cases that fail. Families with failures are not written."""
    warnings.simplefilter(
        "ignore"
    )  # some cases are about values that PyTorch warns of, such as the variance of one number
    families = families or sorted(path.stem.removeprefix("cases_") for path in HERE.glob("cases_*.py"))
    refused = 0
    for family in families:
        cases = importlib.import_module(f"tests.reference.cases_{family}").CASES
        records: dict[str, Record] = {}
        wrong = []
        for case in cases:
            try:
                if case.name in records:
                    raise ValueError("another case has this name")
                with np.errstate(over="ignore"):
                    records[case.name] = record(case)
            except Exception as error:
                wrong.append(f"{family}: {case.name!r}: {type(error).__name__}: {str(error).splitlines()[0]}")
        refused += len(wrong)
        print("\n".join(wrong), end="\n" if wrong else "")
        if not wrong:
            path = save(family, records)
            print(f"{path.name}: {len(records)} cases, {path.stat().st_size // 1000} kB, torch {torch.__version__}")
    return refused


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))

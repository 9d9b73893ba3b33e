"""Compare Lucid with what PyTorch recorded for a case, see ``tests/reference/case.py``::

@pytest.mark.parametrize(("case", "record"), recorded("ops_reduction"))
def test_reductions_agree_with_pytorch(case, record):
    check(case, record)
"""

import importlib
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import _checks
from tests.reference.case import Case, Record, load


def recorded(family: str) -> list[Any]:
    """The cases of a family with their records, as parameters of a test."""
    records = load(family)
    cases = importlib.import_module(f"tests.reference.cases_{family}").CASES
    return [pytest.param(case, records.get(case.name), id=case.name) for case in cases]


def check(case: Case, record: Record | None, lib: Any = lucid) -> None:
    """Assert that values, dtypes, shapes, gradients and second derivatives agree with the record."""
    assert record is not None, f"{case.name!r} has no recorded values: python -m tests.reference.record <family>"
    assert [a.shape for a in record.inputs] == [i.values(case.rng()).shape for i in case.inputs], "record it again"
    inputs = [
        lucid.tensor(a, dtype=i.dtype, requires_grad=i.grad) for a, i in zip(record.inputs, case.inputs, strict=True)
    ]
    outputs = flat(case.run(lib, *inputs))
    assert len(outputs) == len(record.outputs), "number of outputs"
    for at, (got, dtype, want) in enumerate(zip(outputs, record.dtypes, record.outputs, strict=True)):
        compare(f"output {at}", got, want, case.rtol)
        if dtype == "python":
            assert not isinstance(got, lucid.Tensor), f"output {at} is a tensor, wanted a number"
        else:
            assert _checks.dtype_name(got.dtype) == dtype, f"dtype of output {at}"
    if not case.order:
        return

    leaves = [x for x in inputs if x.requires_grad]
    live = [o for o in outputs if isinstance(o, lucid.Tensor) and o.requires_grad]
    cotangents = [
        lucid.tensor(c, dtype=o.dtype, requires_grad=True) for c, o in zip(record.cotangents, live, strict=True)
    ]
    again = case.order > 1
    gradients = lucid.autograd.grad(live, leaves, cotangents, create_graph=again, materialize_grads=True)
    for at, (got, want) in enumerate(zip(gradients, record.gradients, strict=True)):
        compare(f"gradient {at}", got, want, case.rtol)
        assert got.dtype == leaves[at].dtype, f"dtype of gradient {at}"
    if not again:
        return
    pairs = [(g, lucid.tensor(d)) for g, d in zip(gradients, record.directions, strict=True) if g.requires_grad]
    variables = [*leaves, *cotangents]
    if pairs:
        targets, directions = zip(*pairs, strict=True)
        second = lucid.autograd.grad(targets, variables, directions, materialize_grads=True)
    else:
        second = tuple(lucid.zeros_like(v) for v in variables)
    for at, (got, want) in enumerate(zip(second, record.second, strict=True)):
        of = f"input {at}" if at < len(leaves) else f"cotangent {at - len(leaves)}"
        compare(f"second derivative, {of}", got, want, case.rtol * 4)


def flat(out: Any) -> list[Any]:
    """All tensors and numbers of a nested result."""
    return [one for part in out for one in flat(part)] if isinstance(out, tuple | list) else [out]


def compare(what: str, got: Any, want: np.ndarray, rtol: float) -> None:
    """Assert equal shapes, and values that differ by ``rtol`` of themselves and of the largest finite one at most.

    Where all are nearly 0, something of that size has canceled: the largest counts as 0.1 then.
    """
    values = got.detach().numpy() if isinstance(got, lucid.Tensor) else np.asarray(got)
    assert values.shape == want.shape, f"shape of {what}"
    if want.dtype.kind != "f" and values.dtype.kind != "f":
        np.testing.assert_array_equal(values, want, what)
        return
    finite = np.abs(want[np.isfinite(want)]).max(initial=0.1)
    np.testing.assert_allclose(values.astype(np.float64), want.astype(np.float64), rtol, rtol * finite, err_msg=what)


def leaf(*shape: int, seed: int = 0) -> tuple[lucid.Tensor, np.ndarray]:
    """A leaf that requires a gradient, uniform in [0.5, 2], and its values."""
    values = np.random.default_rng(seed).uniform(0.5, 2.0, shape).astype(np.float32)
    return lucid.tensor(values, requires_grad=True), values


def close(tensor: lucid.Tensor, values: Any, tol: float = 1e-5) -> None:
    """Assert that a tensor holds ``values`` to within ``tol``, absolute and relative."""
    np.testing.assert_allclose(np.asarray(tensor.detach().numpy(), np.float64), values, rtol=tol, atol=tol)

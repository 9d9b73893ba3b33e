"""Every optimizer matches PyTorch: parameters and state after 50 steps, in all configurations."""

import json

import numpy as np
import pytest

import lucid
from tests.reference.optim_cases import CASES, FILE, RECORDED_STEPS

RECORDS = np.load(FILE)


def assert_close(got, want, what, atol):
    error = np.abs(got - want)
    allowed = 1e-5 * np.abs(want) + atol
    assert got.shape == want.shape and (error <= allowed).all(), f"{what}: off by up to {error.max()}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_steps_agree_with_pytorch(case):
    # In float32; the Newton-Schulz iterations amplify small singular values, and their rounding errors with them.
    atol = 1e-5 if case.optimizer == "Muon" else 3e-6
    found, saved = case.run(lucid, lucid.tensor)
    for step, got, want in zip(RECORDED_STEPS, found, RECORDS[f"{case.name}|parameters"], strict=True):
        assert_close(got, want, f"parameters after step {step}", atol)

    names = json.loads(str(RECORDS[f"{case.name}|names"]))
    assert {(i, name) for i, name, _ in names} == {(i, name) for i, one in saved["state"].items() for name in one}
    states = [saved["state"][i][name] for i, name, _ in names]
    assert [list(state.shape) for state in states] == [shape for _, _, shape in names]
    if states:
        got = np.concatenate([np.ravel(state.numpy()) for state in states])
        assert_close(got, RECORDS[f"{case.name}|state"], "state", atol)


@pytest.mark.parametrize("case", [case for case in CASES if case.optimizer == "Muon"], ids=lambda case: case.name)
def test_muon_is_within_bfloat16_of_pytorch(case):
    """PyTorch rounds inside each update, whose elements are at most about lr; 5 % of that is allowed per step."""
    found, _ = case.run(lucid, lucid.tensor)
    for count, got, want in zip(RECORDED_STEPS, found, RECORDS[f"{case.name}|bfloat16"], strict=True):
        lr = case.options.get("lr", 1e-3)
        assert np.abs(got - want).max() < 0.05 * lr * count, f"after {count} steps"


def test_every_optimizer_is_recorded():
    # PyTorch has no Lion, EMA is not an optimizer, SparseAdam takes sparse gradients, LBFGS a closure: see their tests.
    others = {"Optimizer", "Lion", "EMA", "SparseAdam", "LBFGS"}
    words = {name for name in lucid.optim.__all__ if name[0].isupper()} - others
    assert words == {case.optimizer for case in CASES}

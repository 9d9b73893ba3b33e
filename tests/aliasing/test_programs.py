"""Random programs of views and in-place writes compute what PyTorch computes, or raise."""

import contextlib
import gc
import importlib.util

import numpy as np
import pytest

import lucid
from tests.aliasing.programs import run, run_compiled
from tests.aliasing.record import FILE

CHUNK = 500
# Why a program may raise where PyTorch does not.
EXPECTED = (
    "several elements of this expanded tensor share memory",  # PyTorch allows fill_ and masked writes, with a warning
    "was changed through .data since",  # PyTorch would use the new values in backward() without noticing
    "is a view that is part of a graph, and cannot be given the values",
    "was given other values through .data, or both are arguments",
)
EXPECTED_COMPILED = (
    *EXPECTED,
    "values that require grad were written to a tensor with aliases",
    "was assigned a tensor that is used elsewhere",
    "MLX cannot compile this graph",
)


@pytest.fixture(scope="module")
def recorded():
    with np.load(FILE) as data:
        return {name: data[name] for name in data.files}


def compare(recorded, numbers, execute, expected):
    """The programs that raised; asserts that all others agree."""
    raised, wrong = [], []
    for i in numbers:
        seed = int(recorded["seed"][i])
        refused = [number for number in range(64) if int(recorded["refused"][i]) >> number & 1]
        try:
            found = execute(lucid, seed, refused)
            error = None if found.differentiated or not recorded["differentiated"][i] else found.error
        except RuntimeError as caught:
            error = caught
        if error is not None:
            assert any(text in str(error) for text in expected), f"program {seed}: {error}"
            raised.append(seed)
            continue
        same = found.digests[0] == recorded["values"][i]
        if recorded["differentiated"][i]:
            same = same and found.digests[1] == recorded["gradients"][i]
        if not same:
            wrong.append(seed)
    assert wrong == []
    return raised


@pytest.mark.parametrize("start", range(0, 5000, CHUNK))
def test_programs_compute_what_pytorch_computes(recorded, start):
    raised = compare(recorded, range(start, start + CHUNK), run, EXPECTED)
    assert len(raised) <= 0.03 * CHUNK


def test_compiled_programs_compute_what_pytorch_computes(recorded):
    gc.collect()
    gc.freeze()  # a trace looks at all objects that the collector knows
    try:
        raised = compare(recorded, range(60), run_compiled, EXPECTED_COMPILED)
    finally:
        gc.unfreeze()
    assert len(raised) <= 12


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")
def test_pytorch_computes_what_was_recorded(recorded):
    import torch

    for i in range(0, 5000, 50):
        found = run(torch, int(recorded["seed"][i]))
        assert found.digests == (recorded["values"][i], recorded["gradients"][i])


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")
def test_programs_that_were_not_recorded():
    import torch

    for seed in range(5000, 5200):
        expected = run(torch, seed)
        with contextlib.suppress(RuntimeError):  # the messages are checked above
            found = run(lucid, seed, expected.refused)
            assert found.digests[0] == expected.digests[0], seed
            if found.differentiated and expected.differentiated:
                assert found.digests[1] == expected.digests[1], seed

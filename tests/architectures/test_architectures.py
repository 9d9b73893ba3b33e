"""Lucid trains every architecture as PyTorch does: outputs, gradients, buffers, five steps of optimizers."""

import numpy as np
import pytest

import lucid
from tests.architectures.architecture import run
from tests.architectures.comparison import FILE, recorded_differences
from tests.architectures.table import ARCHITECTURES

RECORDS = dict(np.load(FILE))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_lucid_agrees_with_pytorch(name):
    assert recorded_differences(run(lucid, ARCHITECTURES[name]), RECORDS, name) == []


@pytest.mark.parametrize("name", ["loss", "output 0", "gradient 13.bias", "buffer 1.running_var", "SGD 13.bias"])
def test_a_wrong_element_is_found(name):
    found = run(lucid, ARCHITECTURES["vgg_bn"])
    wrong = found[name].reshape(-1).copy()
    wrong[-1] += 1e-3 * np.abs(wrong).max()
    found[name] = wrong.reshape(found[name].shape)
    [line] = recorded_differences(found, RECORDS, "vgg_bn")
    assert line.startswith(name)


def test_a_missing_result_is_found():
    found = run(lucid, ARCHITECTURES["lenet"])
    del found["gradient 0.weight"]
    assert recorded_differences(found, RECORDS, "lenet") == ["gradient 0.weight: only one of the two has it"]

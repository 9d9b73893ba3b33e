"""Every layer agrees with PyTorch: names and shapes of its state, values, gradients, and its state afterwards."""

import importlib

import numpy as np
import pytest

import lucid
from tests.checking import compare
from tests.reference import nn_cases

RECORDS, CASES = {}, []
for family in nn_cases.FAMILIES:
    cases = importlib.import_module(f"tests.reference.{family}")
    RECORDS |= dict(np.load(cases.FILE)) if cases.FILE.exists() else {}
    CASES += cases.CASES
# Compared by formula, no layers, and layers without a counterpart in PyTorch.
UNRECORDED = {
    "CrossMapLRN2d", "FractionalMaxPool2d", "FractionalMaxPool3d",
    "ParameterDict", "ParameterList",
    "Module", "Parameter", "ModuleList", "ModuleDict", "RNNBase", "RNNCellBase", "DropPath", "GlobalResponseNorm",
    "Buffer", "Container", "LinearCrossEntropyLoss", "QuantizedLinear",
}  # fmt: skip


def test_case_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_modules_agree_with_pytorch(case):
    module = case.build(lucid)
    names = [f"{name} {one.shape}" for name, one in module.state_dict().items()]
    assert names == RECORDS[f"{case.name}|names"].tolist()

    found = case.run(module, lucid.tensor)
    wanted = {key.partition("|")[2]: key for key in RECORDS if key.startswith(f"{case.name}|")}
    assert found.keys() == wanted.keys() - {"names"}
    for key, value in found.items():
        compare(key, value, RECORDS[wanted[key]], 2e-5)


def test_twenty_steps_of_a_convnet_agree_with_pytorch():
    losses = nn_cases.train(lucid, nn_cases.convnet(lucid), lucid.tensor)
    assert losses[-1] < losses[0] * 0.8
    np.testing.assert_allclose(losses, RECORDS["losses"], atol=1e-4)


def test_every_layer_is_recorded():
    layers = {name for name in lucid.nn.__all__ if name[0].isupper() and not name.startswith(("Lazy", "Uninitialized"))}
    recorded = {type(module).__name__ for case in CASES for module in case.build(lucid).modules()}
    assert layers == recorded - {"Whole"} | UNRECORDED

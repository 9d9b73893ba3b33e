"""PyTorch's own samples, recorded: Lucid gives PyTorch's results, but for the deliberate differences."""

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest

from tests.conformance import deliberate, document, replay, storage
from tests.conformance.values import Array, Named, Outcome, Sample, cotangent

NEEDS_ALL = "needs the tests of all families, in this process"
RAN: set[str] = set()
RECORDED: set[str] = set()
USED: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def on_the_cpu(on_cpu):
    """Where PyTorch's results come from, and where float64 is."""


@pytest.mark.parametrize("family", storage.names())
def test_results_are_those_of_pytorch(family):
    wrong = {}
    RAN.add(family)
    for sample in storage.load(family):
        RECORDED.add(sample.op)
        for found in replay.all_differences(sample):
            rule = next((one for one in deliberate.SAMPLES if one.covers(found)), None)
            if rule is not None:
                USED[rule.title] += 1
            else:
                wrong.setdefault(f"{found.form}: {found.kind}", str(found)[:400])
    assert wrong == {}


def test_all_that_exists_has_samples():
    if set(storage.names()) != RAN:
        pytest.skip(NEEDS_ALL)
    # The samples of the one are built from another layer, which no file holds; the other is a layer and a function that
    # have samples. tests/nn compares both.
    names = set(json.loads(storage.NAMES.read_text())) - {"nn.TransformerEncoder", "nn.LinearCrossEntropyLoss"}
    names -= {"torch.special.gammainc", "torch.special.gammaincc"}  # igamma and igammac, which have samples
    missing = [one for one in sorted(names) if one not in RECORDED and replay.exists(one)]
    assert missing == [], "run: python -m tests.conformance.record_samples, in an environment with PyTorch"


def test_every_deliberate_difference_is_seen():
    if set(storage.names()) != RAN:
        pytest.skip(NEEDS_ALL)
    assert [one.title for one in deliberate.SAMPLES if not USED[one.title]] == []


def test_the_documentation_lists_the_deliberate_differences():
    assert document.FILE.read_text(encoding="utf-8") == document.text(), "run: python -m tests.conformance.document"


def _sample(**changes):
    """The square of a tensor as x * x, right unless changed."""
    x = Array(np.float32([[1, 2], [3, 4]]), "float32", grad=True)
    gradient = Array(2 * x.data * cotangent((2, 2), 0).astype(np.float32), "float32")
    right = Outcome(structure="t", outputs=[Array(x.data**2, "float32")], grads=[gradient])
    return Sample("mul", [x, x], {}, dataclasses.replace(right, **changes), "float32", ["input", "other"], ["other"])


def test_a_right_sample_differs_in_nothing():
    assert replay.differences(_sample()) == []


@pytest.mark.parametrize(
    ("changes", "kind", "detail"),
    [
        ({"outputs": [Array(np.float32([[1, 4], [9, 17]]), "float32")]}, "value", "1 of 4 values: 16.0 at [1, 1]"),
        ({"outputs": [Array(np.float32([[1, 4], [9, np.nan]]), "float32")]}, "value", "PyTorch nan"),
        ({"outputs": [Array(np.float32([1, 4, 9, 16]), "float32")]}, "shape", "(2, 2), PyTorch (4,)"),
        ({"outputs": [Array(np.float64([[1, 4], [9, 16]]), "float64")]}, "dtype", "float32, PyTorch float64"),
        ({"outputs": [3]}, "value", "PyTorch 3"),
        ({"structure": "(tt)"}, "structure", "t, PyTorch (tt)"),
        ({"grads": [Array(np.ones((2, 2), np.float32), "float32")]}, "grad", "of input 0"),
        ({"error": ("RuntimeError", "no")}, "accepts", "PyTorch RuntimeError: no"),
    ],
)
def test_the_comparison_finds(changes, kind, detail):
    found = replay.differences(_sample(**changes))
    assert {one.kind for one in found} == {kind}
    assert detail in found[0].detail


def test_the_comparison_tells_messages_of_lucid_from_those_of_others():
    x, y = (Array(np.ones(shape, np.float32), "float32") for shape in ((2, 3), (4, 5)))
    sample = Sample("matmul", [x, y], {}, Outcome(error=("RuntimeError", "mat1 and mat2 ...")))
    assert [one.kind for one in replay.differences(sample)] == []
    wanted = Outcome(error=("RuntimeError", "no"))
    got = Outcome(error=("ValueError", "[matmul] Last dimension of first input ..."), bases=("ValueError",))
    assert [kind for kind, _ in replay.compare(wanted, got)] == ["obscure"]


def test_samples_survive_their_file(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "FOLDER", tmp_path)
    x = Array(np.float32(1.5).reshape(()), "float32", grad=True)
    half = Array(np.float32([1.5, -0.0]), "bfloat16")
    args = [
        x,
        x,
        Array(x.data, "float32", grad=True),
        half,
        (1, [2.5, None]),
        float("inf"),
        1 + 2j,
        slice(1, None, x),
        ...,
    ]
    kwargs = {
        "dtype": Named("dtype", "float64"),
        "nan": float("nan"),
        "flag": True,
        "empty": Array(np.ones((0, 2)), "float64"),
    }
    storage.save("one", [Sample("add", args, kwargs, Outcome(outputs=[Array(np.array([True]), "bool")]), "float32")])
    [again] = storage.load("one")
    assert repr(again) == repr(Sample("add", args, kwargs, Outcome()))
    assert again.args[0] is again.args[1] and again.args[0] is not again.args[2] and again.args[7].step is again.args[0]
    assert [one.grad for one in again.args[:4]] == [True, True, True, False]
    assert [(one.data.dtype, one.data.shape) for one in (again.args[0], again.args[3], again.kwargs["empty"])] == [
        (np.float32, ()), (np.float32, (2,)), (np.float64, (0, 2)),
    ]  # fmt: skip
    assert np.signbit(again.args[3].data[1])
    assert again.outcome.outputs[0].data.tolist() == [True]

"""The comparison with recorded values finds differences, and files preserve the records."""

import dataclasses
import importlib

import numpy as np
import pytest

from tests.checking import check, recorded
from tests.reference import case as cases
from tests.reference.case import Case, Record, real, whole

SQUARE = Case("square", lambda lib, x: lib.square(x), real(2, 3))


def record_of_square():
    x = SQUARE.inputs[0].values(SQUARE.rng())
    c, d = np.full_like(x, 0.5), np.full_like(x, -2.0)
    return Record(["float32"], [x], [x * x], [c], [2 * x * c], [d], [2 * c * d, 2 * x * d])


def test_correct_values_pass():
    check(SQUARE, record_of_square())


@pytest.mark.parametrize(
    ("part", "at", "message"),
    [
        ("outputs", 0, "output 0"),
        ("gradients", 0, "gradient 0"),
        ("second", 0, "second derivative, input 0"),
        ("second", 1, "second derivative, cotangent 0"),
    ],
)
def test_a_wrong_value_is_found(part, at, message):
    record = record_of_square()
    getattr(record, part)[at] = getattr(record, part)[at] * np.float32(1.001)
    with pytest.raises(AssertionError, match=message):
        check(SQUARE, record)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda lib, x: x[0], "shape of output 0"),
        (lambda lib, x: lib.square(x).half().to(lib.bfloat16), "output 0"),
        (lambda lib, x: (lib.square(x), x), "number of outputs"),
        (lambda lib, x: lib.square(x).tolist(), "number of outputs"),
    ],
)
def test_a_wrong_result_is_found(run, message):
    with pytest.raises(AssertionError, match=message):
        check(Case("square", run, real(2, 3)), record_of_square())


def test_a_wrong_dtype_is_found():
    record = dataclasses.replace(record_of_square(), dtypes=["float16"])
    with pytest.raises(AssertionError, match="dtype of output 0"):
        check(SQUARE, record)


def test_a_case_without_a_record_fails():
    with pytest.raises(AssertionError, match=r"'square' has no recorded values: python -m tests.reference.record"):
        check(SQUARE, None)


def test_a_case_that_changed_since_it_was_recorded_fails():
    with pytest.raises(AssertionError, match="record it again"):
        check(Case("square", lambda lib, x: lib.square(x), real(3, 2)), record_of_square())


def test_files_keep_what_was_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(cases, "HERE", tmp_path)
    integers = whole(3).values(np.random.default_rng(0))
    saved = {"a": record_of_square(), "b": Record(["int64", "python"], [integers], [np.zeros((0, 2), np.int64)])}
    cases.save("some", saved)
    found = cases.load("some")
    assert list(found) == ["a", "b"] and found["b"].dtypes == ["int64", "python"]
    for name, record in saved.items():
        for part in ("inputs", "outputs", "cotangents", "gradients", "directions", "second"):
            for want, got in zip(getattr(record, part), getattr(found[name], part), strict=True):
                np.testing.assert_array_equal(got, want)
    assert cases.load("none") == {}


def test_parameters_are_the_cases_of_the_family():
    found = recorded("ops_reduction")
    assert all(isinstance(one.values[0], Case) and one.id == one.values[0].name for one in found)


@pytest.mark.parametrize("family", sorted(p.stem.removeprefix("cases_") for p in cases.HERE.glob("cases_*.py")))
def test_every_case_has_a_record_and_every_record_a_case(family):
    found = importlib.import_module(f"tests.reference.cases_{family}").CASES
    assert list(cases.load(family)) == [case.name for case in found]
    assert (cases.HERE / f"{family}.npz").stat().st_size < 1_000_000  # a repository keeps every version

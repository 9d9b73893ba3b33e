"""Every public operation of these families is covered by a case that was recorded with PyTorch."""

import importlib
import inspect

import pytest

import lucid
from lucid import _views, ops, tape
from tests.checking import flat
from tests.reference.case import load

FAMILIES = [
    "arithmetic", "assembling", "comparison", "difference", "elementwise", "gather_scatter", "indexing", "integration",
    "joining", "matrix", "nan_reduction", "number_parts", "padding", "pointwise", "quantiles", "reduction", "scan",
    "shape", "sorting", "splitting",
]  # fmt: skip


class Noting:
    """A module that records the names that are looked up in it."""

    def __init__(self, module, seen):
        self._module, self._seen = module, seen

    def __getattr__(self, name):
        self._seen.add(name)
        found = getattr(self._module, name)
        return Noting(found, self._seen) if inspect.ismodule(found) else found


def called_by_the_cases(monkeypatch):
    """The names looked up in the library, and the bodies that ran, which methods share with functions."""
    seen, apply = set(), tape.apply

    def noting(body, *rest):
        seen.add(body)
        return apply(body, *rest)

    monkeypatch.setattr(tape, "apply", noting)
    monkeypatch.setattr(_views, "apply", noting)
    for family in FAMILIES:
        records = load(f"ops_{family}")
        for case in importlib.import_module(f"tests.reference.cases_ops_{family}").CASES:
            inputs = [
                lucid.tensor(a, dtype=i.dtype) for a, i in zip(records[case.name].inputs, case.inputs, strict=True)
            ]
            flat(case.run(Noting(lucid, seen), *inputs))
    return seen


def names_of(family):
    module = importlib.import_module(f"lucid.ops.{family}")
    return set(module.__all__)


@pytest.fixture(scope="module")
def seen():
    with pytest.MonkeyPatch.context() as monkeypatch:
        return called_by_the_cases(monkeypatch)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_operation_has_a_case(family, seen):
    assert names_of(family), f"lucid.ops offers nothing of {family}"
    called = {name for name in names_of(family) if {name, getattr(getattr(ops, name), "__wrapped__", None)} & seen}
    assert sorted(names_of(family) - called) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_exports_are_sorted_and_reachable(family):
    module = importlib.import_module(f"lucid.ops.{family}")
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(lucid, name) is getattr(ops, name) is getattr(module, name), name


@pytest.mark.parametrize("family", FAMILIES)
def test_every_operation_is_exported_or_a_method(family):
    module = importlib.import_module(f"lucid.ops.{family}")
    defined = {
        name
        for name, value in vars(module).items()
        if hasattr(value, "__wrapped__") and value.__module__ == module.__name__ and not name.startswith("_")
    }
    assert defined - set(module.__all__) <= {*dir(lucid.Tensor), "getitem", "setitem"}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_method_is_the_function(family):
    for name in names_of(family) & set(dir(lucid.Tensor)):
        if name not in ("contiguous", "norm", "where"):  # the tensor itself; has no out; takes the condition second
            assert inspect.getattr_static(lucid.Tensor, name) is getattr(ops, name), name

"""``out=`` is taken where PyTorch takes it, as None, and refused by name as a tensor."""

import re

import pytest

import lucid
from tests.conformance import storage
from tests.conformance.replay import LUCID
from tests.conformance.run import called, rearranged, run
from tests.conformance.signatures import recorded
from tests.conformance.values import Sample


def _samples():
    """The first sample of each function that has ``out`` in PyTorch."""
    found = {}
    for family in storage.names():
        for one in storage.load(family):
            is_new = isinstance(one, Sample) and one.op not in found and one.dtype == "float32"
            if is_new and one.outcome.error is None and one.keywords is not None:
                overloads = recorded().get(one.op, [])
                if any(parameter[0] == "out" for overload in overloads for parameter in overload):
                    found[one.op] = one
    return found


def test_out_is_refused_by_name(on_cpu):
    samples = _samples()
    assert len(samples) > 100
    wrong = {}
    for name, sample in samples.items():
        function, args = called(LUCID, name), rearranged(name, sample.args)
        without = run(LUCID, function, args, {**sample.kwargs, "out": None}, 0)
        if without.error is not None:
            wrong[f"{name}(out=None)"] = without.error
        native_args, native_kwargs = LUCID.native([args, sample.kwargs], {})
        with pytest.raises(TypeError) as error:
            function(*native_args, **native_kwargs, out=lucid.zeros(1))
        if not re.match(r"\w+: out", str(error.value)):
            wrong[f"{name}(out=tensor)"] = repr(error.value)
    assert sorted(wrong) == []

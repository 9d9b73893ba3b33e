"""Every function, method, layer and optimizer takes PyTorch's parameter names, positions and defaults."""

import pytest

from tests.conformance.deliberate import PARAMETERS, explained_parameter
from tests.conformance.signatures import existing, mismatches

NAMES = dict(existing())


def test_the_table_covers_what_exists():
    assert len(NAMES) > 700
    assert {"add", "Tensor.add", "nn.functional.linear", "nn.Linear", "optim.SGD", "data.DataLoader"} <= NAMES.keys()


def test_signatures_are_those_of_pytorch():
    found = {}
    for name, one in NAMES.items():
        unlike = [what for what in mismatches(name, one) if not explained_parameter(name, what)]
        if unlike:
            found[name] = unlike
    assert found == {}


def test_every_deliberate_parameter_is_seen():
    found = [(name, what) for name, one in NAMES.items() for what in mismatches(name, one)]
    assert [rule.title for rule in PARAMETERS if not any(rule.covers(*one) for one in found)] == []


def _extra(input, other, *, alpha=1, axis=None): ...
def _other_name(x, other, *, alpha=1): ...
def _other_order(other, input, alpha=1): ...
def _other_default(input, other, *, alpha=2): ...
def _positional_only(input, other, /, *, alpha=1): ...
def _without(input, other): ...
def _anything(*args, **kwargs): ...


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (_extra, []),
        (_anything, []),
        (_other_name, ["input is missing"]),
        (_other_order, ["input is not at position 0", "other is not at position 1"]),
        (_other_default, ["alpha is 2 by default, PyTorch 1"]),
        (_positional_only, ["input is no keyword", "other is no keyword"]),
        (_without, ["alpha is missing"]),
    ],
)
def test_the_comparison_finds(function, found):
    assert mismatches("add", function) == found

"""20,000 wrong calls of everything public; ``python -m tests.fuzz.wrong_calls --calls 1000000`` makes more."""

import pytest

import lucid
from tests.fuzz import call_seeds, wrong_calls

WRONG = 36  # errors of each function


def test_wrong_calls_raise_errors_of_lucid():
    raised, faults = wrong_calls.run(list(wrong_calls.targets()), WRONG)
    assert not faults, "\n".join(one for found in faults.values() for one in found)
    assert raised >= 20_000


def test_everything_public_is_called():
    assert call_seeds.without_seeds() == []


@pytest.mark.filterwarnings("ignore:NLLLoss2d is deprecated:FutureWarning", "ignore:upsample.* is deprecated")
def test_correct_calls_are_correct():
    """A seed that fails tests nothing: all its wrong calls would fail for the same reason."""
    for name, (function, calls) in wrong_calls.targets().items():
        for call in calls:
            failed, what = wrong_calls.fault(function, call)
            assert not failed and not what, f"{name}{call}: {what or 'raises'}"


def test_calls_are_reproducible_and_differ():
    _, calls = wrong_calls.targets()["lucid.sum"]
    made = [str(wrong_calls.wrong_call("lucid.sum", calls, index)) for index in range(50)]
    assert made == [str(wrong_calls.wrong_call("lucid.sum", calls, index)) for index in range(50)]
    assert len(set(made)) > 40


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda: lucid.ones(2).mlx @ lucid.ones(3).mlx, "ValueError: [matmul]"),
        (lambda: lucid.ones(2).mlx.sum("a"), "TypeError: sum(): incompatible"),
        (lambda: len(3), "TypeError: object of type"),
        (lambda: lucid.Tensor([1.0]).numpy()[3], "IndexError: "),
    ],
)
def test_errors_of_others_are_found(function, what):
    failed, found = wrong_calls.fault(function, ((), {}))
    assert failed
    assert found.startswith(what)


def test_own_errors_are_none():
    for call in (lambda: lucid.ones(2) + lucid.ones(3), lambda: lucid.sum(lucid.ones(2), wrong=1)):
        assert wrong_calls.fault(call, ((), {})) == (True, "")

"""A few hundred wrong calls of everything public; ``python -m tests.fuzz.wrong_calls`` makes 20,000."""

import pytest

import lucid
from tests.fuzz import call_seeds, wrong_calls

# Functions that still raise errors of MLX or Python for some wrong calls. Nothing may be added here.
KNOWN = {
    "Tensor.new_full",
    "Tensor.relu",
    "Tensor.size",
    "functional.batch_norm",
    "functional.huber_loss",
    "init.calculate_gain",
    "init.dirac_",
    "init.orthogonal_",
    "init.trunc_normal_",
    "init.xavier_normal_",
    "init.xavier_uniform_",
    "lr_scheduler.MultiStepLR",
    "lr_scheduler.PolynomialLR",
    "lucid.arange",
    "lucid.bernoulli",
    "lucid.empty_like",
    "lucid.linspace",
    "lucid.multinomial",
    "lucid.ones_like",
    "lucid.uniform",
    "nn.GroupNorm",
    "optim.SGD",
}
WRONG = 8  # errors of each function


def test_wrong_calls_raise_errors_of_lucid():
    names = sorted(set(wrong_calls.targets()) - KNOWN)
    raised, faults = wrong_calls.run(names, WRONG)
    assert not faults, "\n".join(one for found in faults.values() for one in found)
    assert raised > 0.9 * WRONG * len(names)


def test_everything_public_is_called():
    assert call_seeds.without_seeds() == []


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

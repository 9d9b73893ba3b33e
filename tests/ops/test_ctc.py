"""The functions of ``lucid/ops/ctc.py`` agree with PyTorch and reject invalid arguments."""

import itertools
import math

import numpy as np
import pytest

import lucid
from lucid.nn import functional as F
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_ctc"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def brute_force(log_probs, target, blank=0):
    """The log-likelihood as a sum over all alignments."""
    steps, classes = log_probs.shape
    total = 0.0
    for path in itertools.product(range(classes), repeat=steps):
        merged = [label for label, _ in itertools.groupby(path)]
        if [label for label in merged if label != blank] == list(target):
            total += math.exp(sum(log_probs[i, label] for i, label in enumerate(path)))
    return math.log(total)


def test_sums_over_all_alignments():
    log_probs = F.log_softmax(lucid.tensor(np.sin(np.arange(15.0)).reshape(5, 3)), dim=1)
    for target in ([1], [1, 1], [2, 1], [1, 2, 1], []):
        found = F.ctc_loss(log_probs, lucid.tensor(target, dtype="int64"), (5,), (len(target),), reduction="sum")
        assert found.item() == pytest.approx(-brute_force(log_probs.numpy(), target), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((lucid.zeros(4, 2, 3), lucid.ones(2, 2).long(), (4, 5), (2, 2)), "input_lengths must be at most 4, got 5"),
        ((lucid.zeros(4, 2, 3), lucid.ones(2, 2).long(), (4,), (2, 2)), r"input_lengths must have shape .2,., got"),
        (
            (lucid.zeros(4, 2, 3), lucid.ones(2, 2).long(), (4, 4), (2, 3)),
            "with S of at least 3",
        ),
        ((lucid.zeros(4, 2, 3), lucid.ones(3).long(), (4, 4), (2, 2)), "concatenated targets must have length 4"),
        ((lucid.zeros(4, 2, 3), lucid.ones(2, 2).long(), (4, 4), (2, -1)), "target_lengths must not be negative"),
        ((lucid.zeros(4, 2, 3), lucid.ones(2, 2).long(), (4, 4), (2, 2), 3), r"blank must be in .0, 3., got 3"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        F.ctc_loss(*arguments)


def test_a_label_out_of_range_is_named():
    with pytest.raises(IndexError, match="targets 3 is out of range for 3 classes"):
        F.ctc_loss(lucid.zeros(4, 1, 3), lucid.tensor([[3]]), (4,), (1,))


def test_padding_of_targets_is_not_read():
    log_probs = F.log_softmax(lucid.zeros(4, 1, 3), dim=2)
    with_padding = F.ctc_loss(log_probs, lucid.tensor([[1, -7]]), (4,), (1,))
    assert with_padding.item() == F.ctc_loss(log_probs, lucid.tensor([[1]]), (4,), (1,)).item()


def test_compiles():
    log_probs = F.log_softmax(lucid.randn(8, 2, 3), dim=2)
    targets = lucid.tensor([[1, 2], [2, 2]])
    compiled = lucid.compile(lambda x: F.ctc_loss(x, targets, (8, 6), (2, 1)))
    assert compiled(log_probs).item() == pytest.approx(F.ctc_loss(log_probs, targets, (8, 6), (2, 1)).item(), rel=1e-5)

"""Losses agree with PyTorch and reject invalid targets."""

import math

import numpy as np
import pytest

import lucid
from lucid.nn import functional as F
from tests.checking import check, recorded


@pytest.mark.parametrize(("case", "record"), recorded("ops_loss"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


@pytest.mark.parametrize("op", [F.mse_loss, F.l1_loss, F.huber_loss, F.smooth_l1_loss, F.kl_div])
def test_broadcasting_targets_warns(op):
    with pytest.warns(
        UserWarning, match=r"input has shape \(3, 1\) but target has shape \(3,\); both are broadcast to"
    ):
        assert op(lucid.ones(3, 1), lucid.ones(3), reduction="none").shape == (3, 3)


def test_the_warning_points_to_the_caller():
    with pytest.warns(UserWarning, match="mse_loss") as seen:
        F.mse_loss(lucid.ones(3, 1), lucid.ones(3))
    assert seen[0].filename == __file__


def test_regression_targets_may_be_integers():
    assert F.mse_loss(lucid.tensor([1.5, 2.0]), lucid.tensor([1, 4])).item() == pytest.approx(2.125)


@pytest.mark.parametrize("target", [-1, 5, 7])
@pytest.mark.parametrize("op", [F.cross_entropy, F.nll_loss])
def test_a_class_out_of_range_gives_nan(op, target):
    assert math.isnan(op(lucid.zeros(2, 5), lucid.tensor([1, target])).item())
    losses = op(lucid.zeros(2, 5), lucid.tensor([1, target]), reduction="none")
    assert not math.isnan(losses[0].item()) and math.isnan(losses[1].item())


def test_a_class_out_of_range_gives_nan_with_smoothing_too():
    assert math.isnan(F.cross_entropy(lucid.zeros(2, 5), lucid.tensor([1, 9]), label_smoothing=0.1).item())


def test_targets_may_be_numpy_arrays_and_lists():
    x = lucid.randn(3, 4)
    want = F.cross_entropy(x, lucid.tensor([0, 3, 1])).item()
    assert F.cross_entropy(x, [0, 3, 1]).item() == want
    assert F.cross_entropy(x, np.array([0, 3, 1], np.int32)).item() == want


def test_a_sum_of_half_precision_is_computed_in_float32():
    x = lucid.full((4096,), 4.0, dtype=lucid.float16)
    assert F.mse_loss(x, x * 0).item() == 16


def test_soft_targets_have_gradients():
    target = lucid.tensor([[0.25, 0.75]], requires_grad=True)
    F.cross_entropy(lucid.zeros(1, 2), target).backward()
    np.testing.assert_allclose(target.grad.numpy(), [[math.log(2)] * 2], rtol=1e-6)


def ones(*shape):
    return lucid.ones(*shape)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda: F.mse_loss(ones(2), ones(2), "average"),
            ValueError,
            "mse_loss: reduction must be 'mean', 'sum' or 'none', got 'average'",
        ),
        (lambda: F.l1_loss(ones(2), ones(3)), ValueError, r"l1_loss: shapes \(2,\) and \(3,\) cannot be broadcast"),
        (lambda: F.huber_loss(ones(2), ones(2), delta=0), ValueError, "huber_loss: delta must be above 0, got 0"),
        (lambda: F.smooth_l1_loss(ones(2), ones(2), beta=-1), ValueError, "smooth_l1_loss: beta must be at least 0"),
        (
            lambda: F.kl_div(ones(2), ones(2), "batch"),
            ValueError,
            "kl_div: reduction must be 'mean', 'sum', 'none' or 'batchmean', got 'batch'",
        ),
        (
            lambda: F.binary_cross_entropy(ones(2, 1), ones(2)),
            ValueError,
            r"binary_cross_entropy: target must have the shape of the input, \(2, 1\), got \(2,\)",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(ones(2), ones(3)),
            ValueError,
            r"binary_cross_entropy_with_logits: target must have the shape of the input, \(2,\), got \(3,\)",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(ones(2), ones(2), pos_weight=ones(3)),
            ValueError,
            r"binary_cross_entropy_with_logits: shapes \(2,\) and \(3,\) cannot be broadcast",
        ),
        (
            lambda: F.binary_cross_entropy(ones(2), ones(2), ones(3)),
            ValueError,
            r"binary_cross_entropy: shapes \(2,\) and \(3,\) cannot be broadcast",
        ),
        (
            lambda: F.binary_cross_entropy(ones(2).long(), ones(2)),
            TypeError,
            "binary_cross_entropy: input must hold floating-point numbers, got int64",
        ),
        (
            lambda: F.cross_entropy(ones(2, 3), lucid.tensor([0])),
            ValueError,
            r"cross_entropy: target must have shape \(2,\) for an input of shape \(2, 3\), got \(1,\)",
        ),
        (
            lambda: F.cross_entropy(ones(2, 3), ones(2)),
            ValueError,
            r"cross_entropy: class probabilities must have the shape of the input, \(2, 3\), got \(2,\); "
            "class indices must be integers",
        ),
        (
            lambda: F.cross_entropy(ones(2, 3), lucid.tensor([0, 1]), ones(2)),
            ValueError,
            r"cross_entropy: weight must have shape \(3,\), one value per class, got \(2,\)",
        ),
        (
            lambda: F.cross_entropy(ones(2, 3), lucid.tensor([0, 1]), label_smoothing=1.5),
            ValueError,
            "cross_entropy: label_smoothing must be at least 0 and at most 1, got 1.5",
        ),
        (
            lambda: F.cross_entropy(ones(2, 3).long(), lucid.tensor([0, 1])),
            TypeError,
            "cross_entropy: input must hold floating-point numbers, got int64",
        ),
        (
            lambda: F.cross_entropy(lucid.tensor(1.0), lucid.tensor(0)),
            ValueError,
            r"cross_entropy: input must be \(N, C, ...\) or \(C,\), got a 0-d tensor",
        ),
        (
            lambda: F.cross_entropy(ones(2, 3), lucid.tensor([True, False])),
            TypeError,
            "cross_entropy: target must hold integer class indices, got bool",
        ),
        (
            lambda: F.cross_entropy(ones(2, 3), lucid.tensor([0, 1]), ignore_index=0.5),
            TypeError,
            "cross_entropy: ignore_index must be an integer, got 0.5",
        ),
        (
            lambda: F.nll_loss(ones(2, 3), ones(2)),
            TypeError,
            "nll_loss: target must hold integer class indices, got float32",
        ),
        (
            lambda: F.nll_loss(ones(2, 3), lucid.tensor([0, 1]), reduction="max"),
            ValueError,
            "nll_loss: reduction must be 'mean', 'sum' or 'none', got 'max'",
        ),
        (
            lambda: F.cosine_similarity(ones(2, 3), ones(2, 4)),
            ValueError,
            r"cosine_similarity: shapes \(2, 3\) and \(2, 4\) cannot be broadcast",
        ),
        (lambda: F.cosine_similarity(ones(3), ones(3)), IndexError, r"cosine_similarity: dim must be in \[-1, 0\]"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()

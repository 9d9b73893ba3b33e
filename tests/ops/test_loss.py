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


@pytest.mark.parametrize("op", [F.mse_loss, F.l1_loss, F.huber_loss, F.smooth_l1_loss])
def test_broadcasting_targets_warns(op):
    with pytest.warns(
        UserWarning, match=r"input has shape \(3, 1\) but target has shape \(3,\); both are broadcast to"
    ):
        assert op(lucid.ones(3, 1), lucid.ones(3), reduction="none").shape == (3, 3)


def test_the_warning_points_to_the_caller():
    with pytest.warns(UserWarning, match="mse_loss") as seen:
        F.mse_loss(lucid.ones(3, 1), lucid.ones(3))
    assert seen[0].filename == __file__


def test_warnings_come_once(recwarn):
    x = lucid.ones(3, 1, requires_grad=True)
    with pytest.warns(UserWarning, match="l1_loss: ") as seen:
        F.l1_loss(x, lucid.ones(3), reduce=True).backward()
    assert sorted(str(one.message)[:26] for one in seen) == ["l1_loss: input has shape (", "l1_loss: size_average and "]
    assert len(recwarn) == 0


@pytest.mark.parametrize(
    ("call", "reduction"),
    [
        (lambda x, y: F.mse_loss(x, y, False), "sum"),
        (lambda x, y: F.mse_loss(x, y, None, False), "none"),
        (lambda x, y: F.mse_loss(x, y, size_average=True, reduction="sum"), "mean"),
        (lambda x, y: F.mse_loss(input=x, target=y, reduce=False), "none"),
    ],
)
def test_deprecated_arguments_override_the_reduction(call, reduction):
    x, y = lucid.tensor([1.0, 2.0]), lucid.tensor([0.0, 4.0])
    with pytest.warns(
        UserWarning, match=f"mse_loss: size_average and reduce are deprecated; pass reduction='{reduction}'"
    ):
        found = call(x, y)
    assert found.tolist() == F.mse_loss(x, y, reduction=reduction).tolist()


def test_regression_targets_may_be_integers():
    assert F.mse_loss(lucid.tensor([1.5, 2.0]), lucid.tensor([1, 4])).item() == pytest.approx(2.125)


@pytest.mark.parametrize("target", [-1, 5, 10**12])
@pytest.mark.parametrize("op", [F.cross_entropy, F.nll_loss])
def test_a_class_out_of_range_raises(op, target, on_cpu):
    with pytest.raises(IndexError, match=rf"{op.__name__}: target {target} is out of range for 5 classes"):
        op(lucid.zeros(2, 5), lucid.tensor([1, target]))
    with pytest.raises(IndexError, match="out of range for 5 classes"):  # also if it is computed lazily
        op(lucid.zeros(2, 5), lucid.tensor([0, target - 1]) + 1, reduction="none")
    assert op(lucid.zeros(2, 5), lucid.tensor([1, target]), ignore_index=target).item() >= 0


@pytest.mark.parametrize("kind", [list, np.array, lambda values: np.array(values, np.uint8), lucid.tensor])
def test_labels_from_1_are_recognized(kind, on_cpu):
    with pytest.raises(IndexError, match="target 5 .* numbered from 0 to 4; if the labels start at 1, subtract 1"):
        F.cross_entropy(lucid.zeros(3, 5), kind([1, 3, 5]))
    with pytest.raises(IndexError, match="numbered from 0 to 4$"):
        F.cross_entropy(lucid.zeros(3, 5), kind([0, 3, 5]))


def test_the_error_of_a_negative_label_names_ignore_index(on_cpu):
    with pytest.raises(IndexError, match="target -1 .*; to ignore such targets, pass ignore_index=-1"):
        F.cross_entropy(lucid.zeros(3, 5), lucid.tensor([1, -1, -100]))


@pytest.mark.parametrize("target", [-1, 5, 7])
@pytest.mark.parametrize("op", [F.cross_entropy, F.nll_loss])
def test_a_class_out_of_range_gives_nan_where_it_is_not_checked(op, target):
    labels = lucid.tensor([1, target])
    with lucid.debug(False):
        assert math.isnan(op(lucid.zeros(2, 5), labels).item())
    losses = lucid.compile(lambda labels: op(lucid.zeros(2, 5), labels, reduction="none"))(labels)
    assert not math.isnan(losses[0].item()) and math.isnan(losses[1].item())


def test_a_class_out_of_range_gives_nan_with_smoothing_too():
    with lucid.debug(False):
        assert math.isnan(F.cross_entropy(lucid.zeros(2, 5), lucid.tensor([1, 9]), label_smoothing=0.1).item())


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 3.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("reduction", "loss"), [("mean", math.nan), ("sum", 0.0), ("none", [0.0, 0.0])])
def test_without_targets_that_count_the_gradient_is_zero(reduction, loss, smoothing, weight):
    """As in PyTorch."""
    x = lucid.randn(2, 3, requires_grad=True)
    options = {"reduction": reduction, "weight": None if weight is None else lucid.tensor(weight)}
    target = lucid.tensor([-100, -100])
    for found in (
        F.cross_entropy(x, target, label_smoothing=smoothing, **options),
        F.nll_loss(x.log_softmax(1), target, **options),
    ):
        np.testing.assert_array_equal(found.detach().numpy(), np.float32(loss))
        x.grad = None
        found.backward(lucid.ones(found.shape), create_graph=True)
        np.testing.assert_array_equal(x.grad.detach().numpy(), 0)
        second = x.grad.sum()
        x.grad = None
        second.backward()
        np.testing.assert_array_equal(x.grad.detach().numpy(), 0)


def test_weights_survive_a_batch_without_targets():
    model = lucid.nn.Linear(3, 4)
    before = model.weight.detach().numpy().copy()
    optimizer = lucid.optim.SGD(model.parameters(), 0.1)
    F.cross_entropy(model(lucid.randn(2, 3)), lucid.tensor([-100, -100])).backward()
    optimizer.step()
    np.testing.assert_array_equal(model.weight.detach().numpy(), before)


@pytest.mark.parametrize(("x", "target"), [(-0.1, 0.5), (1.1, 0.5), (0.5, -0.1), (0.5, 1.1), (math.nan, 0.5)])
def test_a_number_that_is_no_probability_gives_nan(x, target):
    assert math.isnan(F.binary_cross_entropy(lucid.tensor([x]), lucid.tensor([target])).item())


@pytest.mark.parametrize(
    ("loss", "dtypes", "wanted"),
    [
        (F.huber_loss, ("float32", "float64"), "float32"),
        (F.smooth_l1_loss, ("float32", "float64"), "float64"),
        (F.binary_cross_entropy_with_logits, ("float32", "float64"), "float64"),
        (F.cross_entropy, ("float32", "float64"), "float64"),
        (F.l1_loss, ("complex64", "complex64"), "float32"),
        (F.mse_loss, ("float16", "int64"), "float16"),
    ],
)
def test_dtypes_of_the_result_are_those_of_pytorch(loss, dtypes, wanted, on_cpu):
    x, target = (lucid.ones(2, 3, dtype=dtype) for dtype in dtypes)
    assert loss(x, target).dtype == lucid.tensor(0, dtype=wanted).dtype


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint16", "uint32", "uint64"])
def test_targets_of_any_integer_dtype(dtype):
    x = lucid.randn(3, 4)
    want = F.cross_entropy(x, lucid.tensor([0, 3, 1])).item()
    assert F.cross_entropy(x, lucid.tensor([0, 3, 1], dtype=dtype)).item() == want


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
            lambda: F.mse_loss(ones(2), ones(2), reduction="average"),
            ValueError,
            "mse_loss: reduction must be 'mean', 'sum' or 'none', got 'average'",
        ),
        (lambda: F.l1_loss(ones(2), ones(3)), ValueError, r"l1_loss: shapes \(2,\) and \(3,\) cannot be broadcast"),
        (lambda: F.huber_loss(ones(2), ones(2), delta=0), ValueError, "huber_loss: delta must be above 0, got 0"),
        (lambda: F.smooth_l1_loss(ones(2), ones(2), beta=-1), ValueError, "smooth_l1_loss: beta must be at least 0"),
        (
            lambda: F.kl_div(ones(2), ones(2), reduction="batch"),
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
        (lambda: F.kl_div(ones(2), ones(2), log_target=ones(2)), TypeError, "kl_div: log_target must be a bool"),
        (
            lambda: F.cosine_similarity(ones(2, 3), ones(2, 3), eps=ones(2)),
            TypeError,
            "cosine_similarity: eps must be a number",
        ),
        (
            lambda: F.cross_entropy(ones(2, 3), ones(2, 3), ignore_index=1),
            RuntimeError,
            "cross_entropy: ignore_index requires class indices, got 1 with probabilities",
        ),
        (
            lambda: F.mse_loss(ones(2, 3), ones(2, 3), weight=ones(3)),
            ValueError,
            r"mse_loss: weight must have the shape of the input, \(2, 3\), got \(3,\)",
        ),
        (
            lambda: F.binary_cross_entropy(ones(2), ones(2), ones(3, 2)),
            RuntimeError,
            r"binary_cross_entropy: weight must broadcast to \(2,\), got \(3, 2\)",
        ),
        (
            lambda: F.mse_loss(ones(2).to(lucid.complex64), ones(2)),
            TypeError,
            "mse_loss: input and target must hold real numbers, got complex64",
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

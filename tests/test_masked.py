"""Masked reductions against NumPy on the elements that count."""

import math

import numpy as np
import pytest

import lucid
from lucid import masked

X = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
MASK = np.random.default_rng(1).random((4, 5)) < 0.6
MASK[:, 2] = True


def rows(function):
    return np.array([function(x[m].astype(np.float64)) for x, m in zip(X, MASK, strict=True)])


def lse(x):
    return np.log(np.exp(x).sum())


REDUCTIONS = {
    "sum": np.sum,
    "prod": np.prod,
    "amax": np.max,
    "amin": np.min,
    "mean": np.mean,
    "logsumexp": lse,
    "norm": np.linalg.norm,
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_see_what_counts(name):
    function = getattr(masked, name)
    options = {"mask": lucid.tensor(MASK)}
    found = function(lucid.tensor(X), dim=1, **options)
    np.testing.assert_allclose(found.numpy(), rows(REDUCTIONS[name]), rtol=1e-5)
    assert function(lucid.tensor(X), dim=1, keepdim=True, **options).shape == (4, 1)
    everything = function(lucid.tensor(X), **options)
    np.testing.assert_allclose(everything.numpy(), REDUCTIONS[name](X[MASK].astype(np.float64)), rtol=1e-4)
    np.testing.assert_allclose(
        function(lucid.tensor(X), dim=1).numpy(), [REDUCTIONS[name](x.astype(np.float64)) for x in X], rtol=1e-5
    )


@pytest.mark.parametrize("correction", [0, 1, 1.5])
def test_variance(correction):
    found = masked.var(lucid.tensor(X), 1, correction=correction, mask=lucid.tensor(MASK))

    def formula(x):
        left = len(x) - correction
        return ((x - x.mean()) ** 2).sum() / max(left, 0) if left > 0 else math.inf if len(x) > 1 else math.nan

    np.testing.assert_allclose(found.numpy(), rows(formula), rtol=1e-4)
    deviation = masked.std(lucid.tensor(X), 1, correction=correction, mask=lucid.tensor(MASK))
    np.testing.assert_allclose(deviation.numpy(), np.sqrt(rows(formula)), rtol=1e-4)


def test_places_medians_and_running_values():
    x, mask = lucid.tensor(X), lucid.tensor(MASK)
    low, high = np.where(MASK, X, -np.inf), np.where(MASK, X, np.inf)
    np.testing.assert_array_equal(masked.argmax(x, 1, mask=mask).numpy(), low.argmax(1))
    np.testing.assert_array_equal(masked.argmin(x, 1, dtype=lucid.int64, mask=mask).numpy(), high.argmin(1))
    lower = rows(lambda values: np.sort(values)[(len(values) - 1) // 2])
    np.testing.assert_allclose(masked.median(x, 1, mask=mask).numpy(), lower, rtol=1e-6)
    np.testing.assert_allclose(masked.cumsum(x, 1, mask=mask).numpy(), np.where(MASK, X, 0).cumsum(1), atol=1e-6)
    np.testing.assert_allclose(masked.cumprod(x, 1, mask=mask).numpy(), np.where(MASK, X, 1).cumprod(1), atol=1e-6)


def test_softmax_and_normalize_give_zero_to_the_rest():
    x, mask = lucid.tensor(X, requires_grad=True), lucid.tensor(MASK)
    weights = np.where(MASK, np.exp(X), 0)
    soft = weights / weights.sum(1, keepdims=True)
    np.testing.assert_allclose(masked.softmax(x, 1, mask=mask).detach().numpy(), soft, rtol=1e-5)
    with np.errstate(divide="ignore"):
        wanted = np.log(soft)
    np.testing.assert_allclose(masked.log_softmax(x, 1, mask=mask).detach().numpy(), wanted, rtol=1e-5)
    weights = np.where(MASK, np.exp(-X), 0)
    soft = weights / weights.sum(1, keepdims=True)
    np.testing.assert_allclose(masked.softmin(x, 1, mask=mask).detach().numpy(), soft, rtol=1e-5)
    kept = np.where(MASK, X, 0)
    length = np.sqrt((kept**2).sum(1, keepdims=True))
    np.testing.assert_allclose(masked.normalize(x, 2.0, 1, mask=mask).detach().numpy(), kept / length, rtol=1e-5)
    masked.softmax(x, 1, mask=mask)[:, 2].sum().backward()
    assert (x.grad.numpy()[~MASK] == 0).all() and np.isfinite(x.grad.numpy()).all()


def test_logaddexp_of_two_masks():
    one, other = lucid.tensor([1.0, 2.0, 3.0]), lucid.tensor([0.5, 0.5, 0.5])
    found = masked.logaddexp(
        one, other, input_mask=lucid.tensor([True, False, False]), other_mask=lucid.tensor([True, True, False])
    )
    np.testing.assert_allclose(found.numpy(), [np.logaddexp(1, 0.5), 0.5, -np.inf], rtol=1e-6)


def test_integers_and_masks_that_leave_nothing():
    x, none = lucid.tensor([[3, 5]]), lucid.tensor([[False, False]])
    assert masked.sum(lucid.tensor([1, 2], dtype=lucid.int8)).dtype == lucid.int64
    assert masked.amax(x, 1, mask=none).item() == -(2**63) and masked.sum(x, 1, mask=none).item() == 0
    assert math.isnan(masked.mean(x.float(), 1, mask=none).item())
    with pytest.raises(ValueError, match="masked out wholly"):
        masked.median(x, 1, mask=none)
    with pytest.raises(TypeError, match="dtype must be floating-point or complex, got int64"):
        masked.mean(x)
    with pytest.raises(ValueError, match=r"mask must have at most the 1 dimensions"):
        masked.sum(lucid.ones(3), mask=none)
    with pytest.raises(ValueError, match="cannot be broadcast"):
        masked.sum(lucid.ones(3), mask=lucid.tensor([True, False]))
    with pytest.raises(ValueError, match="mutually exclusive"):
        masked.var(lucid.ones(3), unbiased=True, correction=1)

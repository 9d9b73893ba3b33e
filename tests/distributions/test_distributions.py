"""Densities integrate to one and agree with closed formulas; draws have the moments that the distribution states."""

import math

import numpy as np
import pytest

import lucid
from lucid import distributions as D

CONTINUOUS = [
    (D.Normal(0.5, 1.5), -12, 13),
    (D.LogNormal(0.2, 0.5), 1e-6, 25),
    (D.Laplace(-1.0, 0.7), -25, 25),
    (D.Gumbel(0.3, 1.2), -8, 40),
    (D.HalfNormal(1.3), 0, 13),
    (D.Exponential(0.8), 0, 40),
    (D.Uniform(-1.0, 2.5), -1, 2.499),
]
# A distribution, a value, and SciPy's logpdf, entropy, mean, variance and cdf there.
OF_SCIPY = [
    (D.Gamma(0.7, 2.0), 0.4, -0.300777001, -0.0982870001, 0.35, 0.175, 0.696300813),
    (D.Gamma(7.5, 0.5), 9.0, -2.95100834, 3.07358777, 15, 30, 0.122482548),
    (D.Chi2(3.0), 2.0, -1.57236494, 2.05411996, 3, 6, 0.427593296),
    (D.Beta(0.5, 2.0), 0.3, -0.0423706142, -0.765278955, 0.2, 0.0457142857, None),
    (D.Beta(4.0, 3.0), 0.55, 0.703818168, -0.344344562, 0.571428571, 0.0306122449, None),
    (D.StudentT(5.0, 1.0, 2.0), 0.4, -1.71528652, 2.32064985, 1, 6.66666667, None),
]
DISCRETE = [D.Bernoulli(0.3), D.Bernoulli(logits=1.2), D.Geometric(0.35), D.Categorical(lucid.tensor([0.2, 0.5, 0.3]))]


def name(one):
    return type(one).__name__ if isinstance(one, D.Distribution) else ""


@pytest.mark.parametrize(("one", "low", "high"), CONTINUOUS, ids=name)
def test_density_cdf_moments_and_entropy_are_of_one_distribution(one, low, high):
    x = np.linspace(low, high, 200001)
    log_density = one.log_prob(lucid.tensor(x.astype(np.float32))).numpy().astype(np.float64)
    density = np.exp(log_density)
    assert np.trapezoid(density, x) == pytest.approx(1, abs=2e-3)
    mean = np.trapezoid(x * density, x)
    assert one.mean.item() == pytest.approx(mean, abs=5e-3)
    assert one.variance.item() == pytest.approx(np.trapezoid((x - mean) ** 2 * density, x), rel=5e-3)
    assert one.stddev.item() == pytest.approx(math.sqrt(one.variance.item()), rel=1e-6)
    assert one.entropy().item() == pytest.approx(-np.trapezoid(density * log_density, x), abs=5e-3)
    half = x[len(x) // 3]
    below = np.trapezoid(density[x <= half], x[x <= half])
    assert one.cdf(lucid.tensor(half, dtype=lucid.float32)).item() == pytest.approx(below, abs=2e-3)
    assert one.icdf(one.cdf(1.0)).item() == pytest.approx(1.0, abs=1e-4)
    if not math.isnan(one.mode.item()):
        assert one.log_prob(one.mode).item() == pytest.approx(log_density.max(), abs=1e-3)


@pytest.mark.parametrize(("one", "value", "log_prob", "entropy", "mean", "variance", "cdf"), OF_SCIPY, ids=name)
def test_values_are_those_of_scipy(one, value, log_prob, entropy, mean, variance, cdf):
    found = one.log_prob(value), one.entropy(), one.mean, one.variance
    assert [x.item() for x in found] == pytest.approx([log_prob, entropy, mean, variance], rel=1e-5, abs=3e-6)
    if cdf is not None:
        assert one.cdf(value).item() == pytest.approx(cdf, rel=1e-5)
    assert one.log_prob(one.mode).item() >= one.log_prob(value).item() or one.mode.item() == 0


DRAWN = [*(one for one, _, _ in CONTINUOUS), *(one for one, *_ in OF_SCIPY), *DISCRETE]


@pytest.mark.parametrize("one", DRAWN, ids=name)
def test_draws_have_the_stated_moments(one):
    lucid.manual_seed(0)
    draws = one.sample((20000,)).numpy().astype(np.float64)
    assert draws.shape == (20000,)
    if isinstance(one, D.Categorical):
        np.testing.assert_allclose(np.bincount(draws.astype(int)) / 20000, one.probs.numpy(), atol=0.02)
        return
    spread = one.stddev.item()
    assert draws.mean() == pytest.approx(one.mean.item(), abs=0.05 * spread)
    assert draws.std() == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize("one", DISCRETE, ids=name)
def test_probabilities_add_up_to_one(one):
    values = np.arange(60) if isinstance(one, D.Geometric) else one.enumerate_support().numpy()
    log_probs = one.log_prob(lucid.tensor(values)).numpy().astype(np.float64)
    assert np.exp(log_probs).sum() == pytest.approx(1, abs=1e-5)
    assert one.entropy().item() == pytest.approx(-(np.exp(log_probs) * log_probs).sum(), abs=1e-4)


def test_cauchy():
    one = D.Cauchy(1.0, 2.0)
    assert one.log_prob(4.0).item() == pytest.approx(-math.log(math.pi * 2 * (1 + 1.5**2)), rel=1e-6)
    assert one.cdf(3.0).item() == pytest.approx(0.75) and one.icdf(0.75).item() == pytest.approx(3.0, rel=1e-6)
    assert one.entropy().item() == pytest.approx(math.log(8 * math.pi), rel=1e-6)
    assert math.isnan(one.mean.item()) and math.isinf(one.variance.item())
    lucid.manual_seed(0)
    assert np.median(one.sample((20000,)).numpy()) == pytest.approx(1, abs=0.1)


def test_dirichlet():
    one = D.Dirichlet(lucid.tensor([0.5, 2.0, 3.0]))
    assert one.batch_shape == () and one.event_shape == (3,)
    assert one.log_prob(lucid.tensor([0.2, 0.3, 0.5])).item() == pytest.approx(0.90675366, rel=1e-5)
    assert one.entropy().item() == pytest.approx(-1.914677, rel=1e-5)
    np.testing.assert_allclose(one.mean.numpy(), [1 / 11, 4 / 11, 6 / 11], rtol=1e-6)
    np.testing.assert_allclose(one.variance.numpy(), [0.01271456, 0.03560076, 0.03814367], rtol=1e-5)
    np.testing.assert_allclose(one.mode.numpy(), [0, 1 / 3, 2 / 3], rtol=1e-6)
    assert D.Dirichlet(lucid.tensor([0.5, 0.7])).mode.tolist() == [0, 1]
    lucid.manual_seed(0)
    draws = one.sample((10000,)).numpy().astype(np.float64)
    np.testing.assert_allclose(draws.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(draws.mean(0), one.mean.numpy(), atol=0.01)
    np.testing.assert_allclose(draws.var(0), one.variance.numpy(), rtol=0.1)
    assert one.expand((4, 2)).rsample((5,)).shape == (5, 4, 2, 3)


@pytest.mark.parametrize(
    ("make", "start", "wanted"),
    [
        (lambda a: D.Gamma(a, 2.0), 0.6, 0.5),  # the mean is a / 2
        (lambda a: D.Gamma(a, 2.0), 40.0, 0.5),
        (lambda a: D.Beta(a, 2.0), 1.5, 2 / 3.5**2),  # the mean is a / (a + 2)
        (lambda a: D.Chi2(a), 3.0, 1.0),
    ],
)
def test_draws_are_differentiated_by_their_shape(make, start, wanted):
    lucid.manual_seed(0)
    shape = lucid.tensor(start, requires_grad=True)
    make(shape).rsample((20000,)).mean().backward()
    assert shape.grad.item() == pytest.approx(wanted, rel=0.05)


def test_one_hot_is_categorical_in_another_form():
    weights = lucid.tensor([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]])
    one, classes = D.OneHotCategorical(weights), D.Categorical(weights)
    assert one.batch_shape == (2,) and one.event_shape == (3,)
    draws = one.sample((5,))
    assert draws.shape == (5, 2, 3) and (draws.sum(-1) == 1).all().item()
    np.testing.assert_allclose(one.log_prob(draws).numpy(), classes.log_prob(draws.argmax(-1)).numpy())
    np.testing.assert_allclose(one.entropy().numpy(), classes.entropy().numpy())
    assert one.mode.tolist() == [[0, 1, 0], [1, 0, 0]] and one.enumerate_support().shape == (3, 2, 3)


def test_shapes_and_gradients_of_draws():
    loc = lucid.zeros(2, 3, requires_grad=True)
    scale = lucid.tensor([1.0, 2.0, 3.0], requires_grad=True)
    one = D.Normal(loc, scale)
    assert one.batch_shape == (2, 3)
    draws = one.rsample((4,))
    assert draws.shape == (4, 2, 3) and not one.sample((4,)).requires_grad
    draws.sum().backward()
    np.testing.assert_allclose(loc.grad.numpy(), 4)
    np.testing.assert_allclose(scale.grad.numpy(), ((draws - loc) / scale).detach().numpy().sum((0, 1)), rtol=1e-4)
    wide = D.Normal(0.0, 1.0).expand((2, 3))
    assert wide.sample().shape == (2, 3) and wide.log_prob(0.0).shape == (2, 3)


def test_log_prob_of_classes_has_the_gradient_of_cross_entropy():
    logits = lucid.tensor([[0.3, -1.0, 0.2], [1.0, 2.0, 3.0]], requires_grad=True)
    D.Categorical(logits=logits).log_prob(lucid.tensor([2, 0])).sum().backward()
    softmax = np.exp(logits.detach().numpy()) / np.exp(logits.detach().numpy()).sum(1, keepdims=True)
    np.testing.assert_allclose(logits.grad.numpy(), np.eye(3)[[2, 0]] - softmax, atol=1e-6)


def test_independent_adds_up_its_dimensions():
    base = D.Normal(lucid.zeros(2, 3), lucid.ones(3))
    one = D.Independent(base, 1)
    x = lucid.ones(2, 3)
    np.testing.assert_allclose(one.log_prob(x).numpy(), base.log_prob(x).numpy().sum(1), rtol=1e-6)
    np.testing.assert_allclose(one.entropy().numpy(), base.entropy().numpy().sum(1), rtol=1e-6)
    assert one.rsample((4,)).shape == (4, 2, 3) and one.expand((5, 2)).batch_shape == (5, 2)
    other = D.Independent(D.Normal(lucid.ones(2, 3), lucid.ones(3)), 1)
    np.testing.assert_allclose(D.kl_divergence(one, other).numpy(), 1.5, rtol=1e-6)


PAIRS = [
    (D.Normal(0.5, 1.5), D.Normal(-0.2, 0.8)),
    (D.LogNormal(0.5, 0.5), D.LogNormal(0.1, 0.8)),
    (D.HalfNormal(1.5), D.HalfNormal(0.8)),
    (D.Laplace(0.5, 1.0), D.Laplace(-1.0, 0.7)),
    (D.Exponential(0.5), D.Exponential(1.5)),
    (D.Uniform(0.0, 1.0), D.Uniform(-1.0, 2.0)),
    (D.Uniform(0.0, 1.0), D.Normal(0.3, 0.8)),
    (D.Bernoulli(0.3), D.Bernoulli(0.6)),
    (D.Categorical(lucid.tensor([0.2, 0.8])), D.Categorical(lucid.tensor([0.6, 0.4]))),
    (D.Geometric(0.3), D.Geometric(0.6)),
    (D.Gamma(2.0, 1.5), D.Gamma(0.8, 0.7)),
    (D.Beta(2.0, 3.0), D.Beta(1.5, 0.9)),
    (D.Dirichlet(lucid.tensor([2.0, 1.0, 3.0])), D.Dirichlet(lucid.tensor([1.0, 1.5, 0.7]))),
]


@pytest.mark.parametrize(("p", "q"), PAIRS, ids=name)
def test_divergence_is_the_mean_of_the_log_ratio(p, q):
    lucid.manual_seed(1)
    x = p.sample((40000,))
    ratios = (p.log_prob(x) - q.log_prob(x)).numpy().astype(np.float64)
    error = ratios.std() / math.sqrt(len(ratios))
    assert D.kl_divergence(p, q).item() == pytest.approx(ratios.mean(), abs=5 * error + 1e-5)
    assert D.kl_divergence(p, p).item() == pytest.approx(0, abs=1e-6)


def test_divergence_from_a_narrower_support_is_infinite():
    assert D.kl_divergence(D.Uniform(0.0, 2.0), D.Uniform(0.0, 1.0)).item() == math.inf


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: D.Normal(0.0, -1.0, validate_args=True), ValueError, "Normal: scale must be positive"),
        (lambda: D.Gamma(0.0, 1.0, validate_args=True), ValueError, "Gamma: concentration must be positive"),
        (lambda: D.Beta(1.0, 2.0, validate_args=True).log_prob(1.5), ValueError, "value must be between 0 and 1"),
        (lambda: D.Dirichlet(1.0), ValueError, "Dirichlet: concentration must have a dimension"),
        (
            lambda: D.Dirichlet(lucid.ones(2), validate_args=True).log_prob(lucid.ones(2)),
            ValueError,
            "must be at least 0 and add up to 1",
        ),
        (lambda: D.Bernoulli(1.5, validate_args=True), ValueError, "probs must be between 0 and 1"),
        (lambda: D.Exponential(1.0, validate_args=True).log_prob(-1.0), ValueError, "value must be at least 0"),
        (lambda: D.Bernoulli(), ValueError, "give either probs or logits, got neither"),
        (lambda: D.Categorical(lucid.ones(2), lucid.ones(2)), ValueError, "got both"),
        (lambda: D.Categorical(0.5), ValueError, "need a dimension of classes"),
        (lambda: D.Uniform(2.0, 1.0, validate_args=True), ValueError, "low must be below high"),
        (lambda: D.Normal(lucid.zeros(3), 1.0).log_prob(lucid.zeros(2)), ValueError, "broadcastable to the shape"),
        (lambda: D.Categorical(lucid.ones(2)).rsample(), NotImplementedError, "rsample"),
        (lambda: D.Independent(D.Normal(0.0, 1.0), 1), ValueError, "must be at most 0"),
        (lambda: D.kl_divergence(D.Normal(0.0, 1.0), D.Exponential(1.0)), NotImplementedError, "no formula"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()

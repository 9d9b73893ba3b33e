"""Initial values have the right statistics, repeat with a seed, and are not recorded."""

import math

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.nn import init

RANDOM = [
    init.uniform_, init.normal_, init.trunc_normal_, init.xavier_uniform_, init.xavier_normal_, init.kaiming_uniform_,
    init.kaiming_normal_, init.orthogonal_,
]  # fmt: skip


def looks_uniform(values, bound):
    """Within the bounds and near them, with the mean and variance of the uniform distribution (5 sigma)."""
    assert np.abs(values).max() <= bound * (1 + 1e-6) and np.abs(values).max() > 0.98 * bound
    assert abs(values.mean()) < 5 * bound / math.sqrt(3 * values.size)
    assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)


def looks_normal(values, std):
    assert abs(values.mean()) < 5 * std / math.sqrt(values.size)
    assert values.std() == pytest.approx(std, rel=0.03)
    assert (np.abs(values) > 2 * std).mean() == pytest.approx(0.0455, abs=0.01)


def empty(*shape):
    return nn.Parameter(lucid.zeros(*shape))


def test_constants():
    x = empty(2, 3)
    assert init.constant_(x, 0.5) is x and x.tolist() == [[0.5] * 3] * 2
    assert init.ones_(x).tolist() == [[1] * 3] * 2 and init.zeros_(x).tolist() == [[0] * 3] * 2
    assert init.eye_(x).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_uniform_and_normal():
    lucid.manual_seed(0)
    looks_uniform(init.uniform_(empty(100, 100), -0.3, 0.3).detach().numpy(), 0.3)
    looks_uniform(init.uniform_(empty(100, 100)).detach().numpy() - 0.5, 0.5)
    looks_normal(init.normal_(empty(100, 100)).detach().numpy(), 1.0)
    looks_normal(init.normal_(empty(100, 100), 3.0, 0.02).detach().numpy() - 3, 0.02)


def test_truncated_normal():
    lucid.manual_seed(0)
    values = init.trunc_normal_(empty(100, 100), std=0.02).detach().numpy()
    looks_normal(values, 0.02)  # the bounds ±2 hardly matter
    values = init.trunc_normal_(empty(100, 100)).detach().numpy()
    assert np.abs(values).max() <= 2 and np.abs(values).max() > 1.95
    assert values.std() == pytest.approx(0.8796, rel=0.03)  # of a normal distribution truncated at 2 sigma
    values = init.trunc_normal_(empty(100, 100), mean=1.0, std=2.0, a=0.0, b=1.5).detach().numpy()
    assert values.min() >= 0 and values.max() <= 1.5
    assert values.mean() == pytest.approx(0.7577, abs=0.02)


# Fan in and fan out of each shape, as in PyTorch.
FANS = {(50, 80): (80, 50), (40, 30, 3): (90, 120), (16, 8, 5, 5): (200, 400), (20, 30, 2, 2, 2): (240, 160)}


@pytest.mark.parametrize(("shape", "fans"), FANS.items())
def test_the_variance_follows_the_fans(shape, fans):
    lucid.manual_seed(0)
    fan_in, fan_out = fans

    def values(function, **options):
        return function(empty(*shape), **options).detach().numpy()

    looks_uniform(values(init.xavier_uniform_), math.sqrt(6 / (fan_in + fan_out)))
    looks_normal(values(init.xavier_normal_, gain=2.0), 2 * math.sqrt(2 / (fan_in + fan_out)))
    looks_uniform(values(init.kaiming_uniform_), math.sqrt(6 / fan_in))
    looks_uniform(values(init.kaiming_uniform_, a=math.sqrt(5)), 1 / math.sqrt(fan_in))
    looks_normal(values(init.kaiming_normal_, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / fan_out))
    looks_normal(values(init.kaiming_normal_, nonlinearity="linear"), math.sqrt(1 / fan_in))


@pytest.mark.parametrize("shape", [(7, 7), (5, 12), (12, 5), (6, 2, 2, 2), (3, 2, 3), (1, 5)])
def test_orthogonal(shape):
    matrix = init.orthogonal_(empty(*shape), gain=1.5).detach().numpy().reshape(shape[0], -1).astype(np.float64) / 1.5
    rows, columns = matrix.shape
    product = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    np.testing.assert_allclose(product, np.eye(min(rows, columns)), atol=1e-5)


def test_orthogonal_has_no_preferred_sign():
    lucid.manual_seed(0)
    signs = [init.orthogonal_(empty(1, 1)).item() for _ in range(40)]
    assert set(signs) == {1, -1}


@pytest.mark.parametrize(("shape", "groups"), [((4, 4, 3), 1), ((3, 5, 3, 3), 1), ((5, 3, 4, 2), 1), ((4, 2, 3, 3), 2)])
def test_dirac_preserves_its_input(shape, groups):
    weight = init.dirac_(empty(*shape), groups).detach()
    channels = shape[1] * groups
    x = lucid.randn(1, channels, *(7,) * (len(shape) - 2))
    convolve = nn.functional.conv1d if len(shape) == 3 else nn.functional.conv2d
    y = convolve(x, weight, padding=tuple(k // 2 for k in shape[2:]), groups=groups).numpy()
    y = y[(..., *(slice(0, 7) for _ in shape[2:]))]
    for group in range(groups):
        for i in range(min(shape[0] // groups, shape[1])):
            np.testing.assert_allclose(
                y[0, group * (shape[0] // groups) + i], x.numpy()[0, group * shape[1] + i], rtol=1e-6
            )
    assert weight.sum().item() == groups * min(shape[0] // groups, shape[1])


@pytest.mark.parametrize("function", RANDOM)
def test_a_seed_repeats_the_values_and_each_call_draws_new_ones(function):
    lucid.manual_seed(5)
    first, second = function(empty(4, 3)).tolist(), function(empty(4, 3)).tolist()
    assert first != second
    lucid.manual_seed(5)
    assert [function(empty(4, 3)).tolist(), function(empty(4, 3)).tolist()] == [first, second]


@pytest.mark.parametrize("function", [*RANDOM, init.zeros_, init.ones_, init.eye_, lambda x: init.constant_(x, 2.0)])
def test_nothing_is_recorded(function):
    x = empty(3, 3)
    result = function(x)
    assert result is x and x.is_leaf and x.requires_grad and lucid.is_grad_enabled()


@pytest.mark.parametrize("dtype", [lucid.float16, lucid.bfloat16])
def test_the_dtype_stays(dtype):
    for function in RANDOM:
        assert function(lucid.zeros(4, 4, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_empty_tensors_are_accepted(shape):
    for function in [*RANDOM, init.zeros_, init.eye_]:
        assert function(empty(*shape)).shape == shape


def test_a_view_of_a_parameter_can_be_initialized():
    weight = empty(3, 2)
    init.ones_(weight[0])
    init.constant_(weight[1:, 1], 5.0)
    assert weight.tolist() == [[1, 1], [0, 5], [0, 5]] and weight.is_leaf


def test_layers_are_initialized_as_in_pytorch():
    lucid.manual_seed(0)
    looks_uniform(nn.Linear(100, 90).weight.detach().numpy(), 0.1)
    looks_uniform(nn.Linear(4, 9000).bias.detach().numpy(), 0.5)
    looks_uniform(nn.Conv2d(8, 90, (5, 5), groups=2).weight.detach().numpy(), 0.1)
    looks_uniform(nn.ConvTranspose2d(90, 4, 5).weight.detach().numpy(), 0.1)
    looks_normal(nn.Embedding(100, 90).weight.detach().numpy(), 1.0)
    for layer in (nn.LayerNorm(3), nn.BatchNorm2d(3), nn.GroupNorm(1, 3)):
        assert layer.weight.tolist() == [1, 1, 1] and layer.bias.tolist() == [0, 0, 0]
    assert nn.RMSNorm(3).weight.tolist() == [1, 1, 1]
    grn = nn.GlobalResponseNorm(3)
    assert grn.weight.tolist() == grn.bias.tolist() == [0, 0, 0]


def test_reset_parameters_draws_new_values():
    lucid.manual_seed(0)
    for layer in (nn.Linear(3, 3), nn.Conv1d(2, 2, 2), nn.ConvTranspose2d(2, 2, 2), nn.Embedding(3, 3)):
        before = layer.weight.tolist()
        layer.reset_parameters()
        assert layer.weight.tolist() != before


@pytest.mark.parametrize(
    ("nonlinearity", "param", "want"),
    [
        ("linear", None, 1), ("conv2d", None, 1), ("sigmoid", None, 1), ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)), ("selu", None, 0.75), ("leaky_relu", None, math.sqrt(2 / 1.0001)),
        ("leaky_relu", 0.2, math.sqrt(2 / 1.04)), ("conv_transpose1d", None, 1),
    ],
)  # fmt: skip
def test_gains(nonlinearity, param, want):
    assert init.calculate_gain(nonlinearity, param) == pytest.approx(want)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: init.zeros_([1.0]), TypeError, "constant_: tensor must be a Tensor, got list"),
        (lambda: init.eye_(np.zeros((2, 2))), TypeError, "eye_: tensor must be a Tensor, got ndarray"),
        (lambda: init.dirac_(None), TypeError, "dirac_: tensor must be a Tensor, got NoneType"),
        (lambda: init.eye_(empty(2, 2, 2)), ValueError, "eye_: tensor must have 2 dimensions"),
        (lambda: init.dirac_(empty(2, 2)), ValueError, "dirac_: tensor must have 3 or 4 or 5 dimensions"),
        (lambda: init.dirac_(empty(3, 2, 2), 2), ValueError, "dirac_: filters 3 must be divisible by groups 2"),
        (
            lambda: init.xavier_uniform_(empty(3)),
            ValueError,
            r"xavier_uniform_: tensor must have at least 2 dimensions to have a fan in and fan out, got shape \(3,\)",
        ),
        (lambda: init.kaiming_normal_(empty(3)), ValueError, "kaiming_normal_: tensor must have at least 2 dimensions"),
        (
            lambda: init.kaiming_normal_(empty(3, 3), mode="fan"),
            ValueError,
            "kaiming_normal_: mode must be 'fan_in' or 'fan_out', got 'fan'",
        ),
        (
            lambda: init.kaiming_uniform_(empty(3, 3), nonlinearity="gelu"),
            ValueError,
            "calculate_gain: nonlinearity must be .*'leaky_relu'.* got 'gelu'",
        ),
        (
            lambda: init.trunc_normal_(empty(3), a=1.0, b=1.0),
            ValueError,
            "trunc_normal_: a must be less than b, got 1.0",
        ),
        (lambda: init.trunc_normal_(empty(3), std=0), ValueError, "trunc_normal_: std must be above 0, got 0"),
        (lambda: init.normal_(empty(3), std=-1), ValueError, "normal_: std must be at least 0, got -1"),
        (lambda: init.uniform_(empty(3), 2, 1), ValueError, "uniform_: a must not exceed b, got 2 and 1"),
        (lambda: init.orthogonal_(empty(3)), ValueError, "orthogonal_: tensor must have at least 2 dimensions"),
        (
            lambda: init.xavier_normal_(empty(3, 3), generator=7),
            TypeError,
            "normal_: generator must be a lucid.Generator, got int",
        ),
        (lambda: init.uniform_(empty(3), "a"), TypeError, "uniform_: a must be a number, got 'a'"),
        (lambda: init.constant_(empty(3), "x"), TypeError, "constant_: val must be a number, got 'x'"),
    ],
)
def test_misuse_raises(use, error, message):
    with pytest.raises(error, match=message):
        use()

"""Normalization layers: reprs, layouts, statistics; their values are compared in test_against_pytorch.py."""

import re

import numpy as np
import pytest

import lucid
from lucid import nn
from tests.ops.layouts import same_in_both


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (lambda: nn.LayerNorm(5), "(5,), eps=1e-05, elementwise_affine=True"),
        (
            lambda: nn.LayerNorm(5, 1e-6, data_format="channels_first"),
            "(5,), eps=1e-06, elementwise_affine=True, data_format='channels_first'",
        ),
        (lambda: nn.BatchNorm1d(5), "5, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True"),
        (
            lambda: nn.BatchNorm2d(5, momentum=None, affine=False, data_format="channels_last"),
            "5, eps=1e-05, momentum=None, affine=False, track_running_stats=True, data_format='channels_last'",
        ),
        (lambda: nn.GroupNorm(2, 6), "2, 6, eps=1e-05, affine=True"),
        (
            lambda: nn.GroupNorm(2, 6, data_format="channels_last"),
            "2, 6, eps=1e-05, affine=True, data_format='channels_last'",
        ),
        (lambda: nn.RMSNorm((3, 5)), "(3, 5), eps=None, elementwise_affine=True"),
        (lambda: nn.GlobalResponseNorm(5), "5, eps=1e-06, data_format='channels_last'"),
    ],
)
def test_reprs(layer, text):
    assert layer().extra_repr() == text


@pytest.mark.parametrize(
    "build",
    [
        lambda f: nn.LayerNorm(4, data_format=f),
        lambda f: nn.BatchNorm2d(4, data_format=f),
        lambda f: nn.BatchNorm2d(4, data_format=f).eval(),
        lambda f: nn.GroupNorm(2, 4, data_format=f),
        lambda f: nn.GlobalResponseNorm(4, data_format=f),
    ],
)
def test_channels_last_agrees_with_channels_first(build):
    def op(x, weight, bias, *, data_format):
        layer = build(data_format)
        layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
        y = layer(x)
        return y + 0 * (weight + bias).sum()  # parameters are leaves: their gradients are compared elsewhere

    same_in_both(op, (2, 4, 3, 5), (4,), (4,))


def test_batch_norm1d_in_both_layouts():
    x = np.random.default_rng(0).standard_normal((3, 2, 5)).astype(np.float32)
    first, last = nn.BatchNorm1d(2), nn.BatchNorm1d(2, data_format="channels_last")
    y, z = first(lucid.tensor(x)), last(lucid.tensor(np.moveaxis(x, 1, -1)))
    np.testing.assert_allclose(np.moveaxis(z.detach().numpy(), -1, 1), y.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(first.running_var.numpy(), last.running_var.numpy(), rtol=1e-6)


def test_global_response_norm_starts_as_the_identity():
    x = lucid.randn(2, 3, 4, 5)
    assert nn.GlobalResponseNorm(5)(x).tolist() == x.tolist()


def test_running_statistics_average_all_batches_without_momentum():
    layer = nn.BatchNorm1d(1, momentum=None)
    batches = np.random.default_rng(0).standard_normal((5, 7, 1)).astype(np.float32)
    for batch in batches:
        layer(lucid.tensor(batch))
    np.testing.assert_allclose(layer.running_mean.item(), batches.mean(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layer.running_var.item(), batches.var(1, ddof=1).mean(), rtol=1e-5)
    assert layer.num_batches_tracked.item() == 5


def test_statistics_are_fixed_in_evaluation_and_can_be_reset():
    layer = nn.BatchNorm2d(2)
    layer(lucid.randn(4, 2, 3, 3))
    seen = layer.running_mean.tolist()
    layer.eval()(lucid.randn(4, 2, 3, 3))
    assert layer.running_mean.tolist() == seen != [0, 0] and layer.num_batches_tracked.item() == 1
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0, 0] and layer.running_var.tolist() == [1, 1]
    assert layer.num_batches_tracked.item() == 0


def test_statistics_keep_their_tensors():
    layer = nn.BatchNorm1d(2)
    mean = layer.running_mean
    layer(lucid.randn(4, 2))
    assert layer.running_mean is mean and mean.tolist() != [0, 0]
    layer.reset_running_stats()
    assert layer.running_mean is mean and mean.tolist() == [0, 0]


def test_statistics_are_updated_once_under_checkpointing():
    layer = nn.BatchNorm1d(2)
    x = lucid.randn(4, 2, requires_grad=True)
    lucid.utils.checkpoint(layer, x).sum().backward()
    assert layer.num_batches_tracked.item() == 1
    once = nn.BatchNorm1d(2)
    once(x)
    assert layer.running_mean.tolist() == once.running_mean.tolist()


def test_an_invalid_input_updates_nothing():
    layer = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="more than one value"):
        layer(lucid.ones(1, 3))
    assert layer.num_batches_tracked.item() == 0


def test_the_momentum_of_an_average_stays_lazy():
    layer = nn.BatchNorm1d(3, momentum=None)
    x = lucid.randn(4, 3)
    want = nn.BatchNorm1d(3, momentum=None)
    lucid.compile(lambda x: layer(x), state=[layer])(x)
    want(x)
    np.testing.assert_allclose(layer.running_mean.numpy(), want.running_mean.numpy(), rtol=1e-6)
    assert layer.eval()(x).shape == (4, 3)


@pytest.mark.parametrize("layer", [lambda: nn.BatchNorm1d(3), lambda: nn.BatchNorm1d(3, momentum=None)])
def test_an_empty_batch_is_counted_and_has_no_statistics(layer):
    layer = layer()
    assert layer(lucid.zeros(0, 3, 2)).shape == (0, 3, 2)
    assert layer.num_batches_tracked.item() == 1
    assert layer.running_mean.tolist() == [0] * 3 and layer.running_var.tolist() == [1] * 3


def test_arrays_and_lists_are_inputs():
    assert nn.BatchNorm1d(2).eval()(np.ones((3, 2), np.float32)).shape == (3, 2)
    assert nn.BatchNorm1d(2)([[1.0, 2.0], [3.0, 4.0]]).shape == (2, 2)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: nn.LayerNorm(-1), ValueError, "LayerNorm: normalized_shape must be at least 0, got -1"),
        (lambda: nn.LayerNorm(2.5), TypeError, "LayerNorm: normalized_shape must be an integer, got 2.5"),
        (lambda: nn.RMSNorm("a"), TypeError, "RMSNorm: normalized_shape must be an integer, got 'a'"),
        (lambda: nn.LayerNorm(2, eps=-1), ValueError, "LayerNorm: eps must be at least 0, got -1"),
        (
            lambda: nn.LayerNorm((2, 3), data_format="channels_first"),
            ValueError,
            "LayerNorm: data_format 'channels_first' normalizes only the channels, got normalized_shape (2, 3)",
        ),
        (lambda: nn.BatchNorm2d(0), ValueError, "BatchNorm2d: num_features must be at least 1, got 0"),
        (
            lambda: nn.BatchNorm1d(2, momentum=2),
            ValueError,
            "BatchNorm1d: momentum must be at least 0 and at most 1, got 2",
        ),
        (
            lambda: nn.BatchNorm2d(2)(lucid.ones(2, 2)),
            ValueError,
            "BatchNorm2d: input must have 4 dimensions (N, C, H, W), got (2, 2)",
        ),
        (
            lambda: nn.BatchNorm1d(2)(lucid.ones(2, 2, 2, 2)),
            ValueError,
            "BatchNorm1d: input must have 2 or 3 dimensions (N, C) or (N, C, L), got (2, 2, 2, 2)",
        ),
        (
            lambda: nn.BatchNorm2d(3)(lucid.ones(2, 2, 4, 4)),
            ValueError,
            "BatchNorm2d: input must have 3 channels, got shape (2, 2, 4, 4)",
        ),
        (lambda: nn.GroupNorm(4, 6), ValueError, "GroupNorm: num_channels 6 must be divisible by num_groups 4"),
        (
            lambda: nn.GroupNorm(2, 6)(lucid.ones(2, 4, 3)),
            ValueError,
            "group_norm: weight must have shape (4,), got (6,)",
        ),
        (
            lambda: nn.GlobalResponseNorm(2, data_format="x"),
            ValueError,
            "GlobalResponseNorm: data_format must be 'channels_first' or 'channels_last', got 'x'",
        ),
    ],
)
def test_invalid_options_raise(use, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        use()


def test_state_dicts_without_the_number_of_batches_load():
    """As those of PyTorch before 0.4.1, and in PyTorch."""
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Sequential(nn.BatchNorm2d(2)))
    net[0](lucid.ones(2, 3))
    state = {name: value + 1 for name, value in net.state_dict().items() if "num_batches_tracked" not in name}
    assert net.load_state_dict(state).missing_keys == []
    assert net[0].num_batches_tracked.item() == 1
    assert net[1][0].running_mean.tolist() == [1, 1]
    assert net.load_state_dict({}, strict=False).missing_keys == list(state)
    shared = nn.BatchNorm1d(3)
    both = nn.ModuleDict({"a": shared, "b": shared})
    both.load_state_dict({name: value for name, value in both.state_dict().items() if "num" not in name})
    norm = nn.BatchNorm1d(3)
    with pytest.raises(RuntimeError, match="missing: running_var"):
        norm.load_state_dict({name: one for name, one in norm.state_dict().items() if name != "running_var"})


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_cross_map_lrn_is_its_formula(size):
    x = np.random.default_rng(0).standard_normal((2, 6, 3, 2)).astype(np.float32)
    side = (size - 1) // 2
    sums = np.stack([(x[:, max(c - side, 0) : c + side + 1] ** 2).sum(1) for c in range(6)], 1)
    y = nn.CrossMapLRN2d(size, 0.5, 0.6, 2.0)(lucid.tensor(x))
    np.testing.assert_allclose(y.numpy(), x / (2 + 0.5 / size * sums) ** 0.6, rtol=1e-5)
    if size % 2:
        same = nn.LocalResponseNorm(size, 0.5, 0.6, 2.0)(lucid.tensor(x))
        np.testing.assert_allclose(y.numpy(), same.numpy(), rtol=1e-6)


def test_instance_norm_checks_its_channels():
    with pytest.warns(UserWarning, match="InstanceNorm1d: input should have 3 channels.*no effect without affine"):
        assert nn.InstanceNorm1d(3)(lucid.randn(2, 4, 5)).shape == (2, 4, 5)
    with pytest.raises(ValueError, match="InstanceNorm2d: input should have 3 channels"):
        nn.InstanceNorm2d(3, affine=True)(lucid.randn(2, 4, 5, 5))
    with pytest.raises(ValueError, match="instance_norm: needs more than one value per channel and sample"):
        nn.InstanceNorm1d(3)(lucid.randn(2, 3, 1))
    with pytest.raises(ValueError, match=r"InstanceNorm3d: input must have 4 or 5 dimensions \(N, C, D, H, W\)"):
        nn.InstanceNorm3d(3)(lucid.randn(2, 3, 4))

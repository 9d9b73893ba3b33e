"""The block in fewer passes against the block layer by layer: values, first and second derivatives, three dtypes."""

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import models, nn
from lucid.kernels import use_reference
from lucid.models import _fused_block
from lucid.models.convnext import Block
from tests.kernels.conftest import gpu  # noqa: F401

DTYPES = [(mx.float32, 2e-5), (mx.float16, 6e-3), (mx.bfloat16, 5e-2)]


def make_block(dim=4, grn=False, drop_path=0.0, gamma=0.1):
    lucid.manual_seed(0)
    block = Block(dim, drop_path, gamma, grn=grn)
    for i, parameter in enumerate(block.parameters()):  # none is 0 or 1
        parameter.data = parameter.data + 0.3 * lucid.tensor(mx.random.normal(parameter.shape, key=mx.random.key(i)))
    return block


def layer_by_layer(block, x):
    with use_reference():
        return block(x)


def derivatives(block, x, call):
    """The output, the gradients of x and all parameters, and the gradients of a product with those gradients."""
    lucid.manual_seed(3)  # drop path
    x = x.detach().requires_grad_()
    wanted = [x, *block.parameters()]
    y = call(block, x)
    weights = [lucid.tensor(mx.random.normal(y.shape, key=mx.random.key(9)).astype(y.mlx.dtype))]
    first = lucid.autograd.grad((y * weights[0]).sum(), wanted, create_graph=True)
    weights = [mx.random.normal(one.shape, key=mx.random.key(10 + i)) for i, one in enumerate(first)]
    product = sum((one.float() * lucid.tensor(w)).sum() for one, w in zip(first, weights, strict=True))
    second = lucid.autograd.grad(product, wanted, allow_unused=True)
    return [y, *first], [one for one in second if one is not None]


def assert_close(found, expected, tolerance):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.mlx.dtype == other.mlx.dtype
        a, b = (np.array(value.mlx.astype(mx.float32)).astype(np.float64) for value in (one, other))
        assert np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-3)


def check(block, x, tolerance):
    assert _fused_block.can_fuse(block)
    expected = derivatives(block, x, layer_by_layer)
    found = derivatives(block, x, lambda block, x: block(x))
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, tolerance)
    # The gradients that a plain backward pass computes, which are declared.
    lucid.manual_seed(3)
    x = x.detach().requires_grad_()
    y = block(x)
    (y * lucid.tensor(mx.random.normal(y.shape, key=mx.random.key(9)).astype(y.mlx.dtype))).sum().backward()
    assert_close([x.grad, *(one.grad for one in block.parameters())], expected[0][1:], tolerance)


# 2 x 8 x 8 positions for 4 channels: both weights are folded. 1 x 3 x 5: none is.
@pytest.mark.parametrize("shape", [(2, 8, 8, 4), (1, 3, 5, 4)], ids=["folded", "not folded"])
@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES, ids=str)
@pytest.mark.parametrize("drop_path", [0.0, 0.5])
def test_on_the_cpu(shape, dtype, tolerance, drop_path):
    block = make_block(drop_path=drop_path).to(dtype)
    check(block, lucid.tensor(mx.random.normal(shape, key=mx.random.key(1)).astype(dtype)), tolerance)


@pytest.mark.parametrize(
    ("shape", "dtype", "tolerance", "drop_path"),
    [
        ((2, 8, 8, 4), *DTYPES[0], 0.0),
        ((2, 8, 8, 4), *DTYPES[0], 0.5),
        ((1, 3, 5, 4), *DTYPES[0], 0.5),
        ((2, 8, 8, 4), *DTYPES[1], 0.5),
        ((2, 8, 8, 4), *DTYPES[2], 0.0),
    ],
    ids=str,
)
def test_on_a_gpu(gpu, shape, dtype, tolerance, drop_path):  # noqa: F811
    block = make_block(drop_path=drop_path).to(dtype)
    check(block, lucid.tensor(mx.random.normal(shape, key=mx.random.key(1)).astype(dtype)), tolerance)


@pytest.mark.parametrize(
    ("shape", "dtype", "tolerance", "drop_path"),
    # Images of 64 and 15 positions, where the scale is part of the weights; of 6, where it is not; a map of 6.
    [((2, 8, 8, 4), *DTYPES[0], 0.0), ((3, 3, 5, 4), *DTYPES[0], 0.5), ((2, 8, 8, 4), *DTYPES[1], 0.0),
     ((2, 8, 8, 4), *DTYPES[2], 0.5), ((4, 2, 3, 4), *DTYPES[0], 0.0), ((4, 2, 3, 4), *DTYPES[1], 0.5),
     ((4, 2, 3, 4), *DTYPES[2], 0.0), ((1, 2, 3, 4), *DTYPES[0], 0.5)],
    ids=str,
)  # fmt: skip
def test_global_response_normalization_on_a_gpu(gpu, shape, dtype, tolerance, drop_path):  # noqa: F811
    block = make_block(grn=True, drop_path=drop_path, gamma=0.0).to(dtype)
    check(block, lucid.tensor(mx.random.normal(shape, key=mx.random.key(1)).astype(dtype)), tolerance)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16], ids=str)
def test_autocast_gives_the_same_dtypes_and_values(dtype):
    block = make_block()
    x = lucid.tensor(mx.random.normal((2, 8, 8, 4), key=mx.random.key(1)))
    with lucid.autocast(dtype=dtype):
        found, expected = block(x), layer_by_layer(block, x)
    assert_close([found], [expected], 2e-2)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16], ids=str)
@pytest.mark.parametrize("grn", [False, True])
def test_autocast_on_a_gpu(gpu, grn, dtype):  # noqa: F811
    block = make_block(grn=grn, gamma=0.0 if grn else 0.1)
    x = lucid.tensor(mx.random.normal((2, 8, 8, 4), key=mx.random.key(1))).requires_grad_()

    def run(call):
        with lucid.autocast(dtype=dtype):
            y = call(block, x)
        return [y, *lucid.autograd.grad(y.float().square().mean(), [x, *block.parameters()])]

    assert_close(run(lambda block, x: block(x)), run(layer_by_layer), 3e-2)


def test_a_tiny_layer_scale_survives_float16():
    """gamma * W2 would be zero in float16."""
    block = make_block().half()
    block.gamma.data = lucid.full((4,), 1e-6).half()
    y = block(lucid.zeros(2, 8, 8, 4).half().requires_grad_())
    assert y.abs().max().item() > 0


def test_evaluation_and_frozen_parameters():
    block = make_block(drop_path=0.5).eval()
    x = lucid.tensor(mx.random.normal((2, 8, 8, 4), key=mx.random.key(1)))
    assert_close([block(x)], [layer_by_layer(block, x)], 1e-5)
    block.norm.requires_grad_(False)
    block.gamma.requires_grad = False
    block(x).sum().backward()
    assert block.gamma.grad is None and block.norm.weight.grad is None
    found = block.pwconv1.weight.grad
    block.zero_grad()
    layer_by_layer(block, x).sum().backward()
    assert_close([found], [block.pwconv1.weight.grad], 1e-5)


def test_drop_path_draws_the_same_images():
    block = make_block(drop_path=0.5)
    x = lucid.tensor(mx.random.normal((64, 2, 2, 4), key=mx.random.key(1)))
    lucid.manual_seed(7)
    found = (block(x) == x).reshape(64, -1).all(1)
    lucid.manual_seed(7)
    expected = (layer_by_layer(block, x) == x).reshape(64, -1).all(1)
    assert found.tolist() == expected.tolist()
    assert 0 < sum(found.tolist()) < 64


@pytest.mark.parametrize(
    "change",
    [
        lambda block: block.norm.register_forward_hook(lambda *_: None),
        lambda block: block.act.register_forward_pre_hook(lambda *_: None),
        lambda block: block.pwconv2.register_full_backward_hook(lambda *_: None),
        lambda block: setattr(block, "act", nn.ReLU()),
        lambda block: setattr(block, "act", nn.GELU("tanh")),
        lambda block: setattr(block, "pwconv1", nn.Linear(4, 16, bias=False)),
        lambda block: setattr(block, "pwconv2", nn.Sequential(block.pwconv2)),
        lambda block: setattr(block, "norm", nn.LayerNorm(4, elementwise_affine=False)),
        lambda block: setattr(block.dwconv, "forward", lambda x: 2 * x),
        lambda block: setattr(block.act, "forward", lambda x: 2 * x),
        lambda block: setattr(block.drop_path, "forward", lambda x: 2 * x),
        lambda block: replace_by_a_tensor(block.norm, "bias"),
        lambda block: replace_by_a_tensor(block.dwconv, "weight"),
        lambda block: setattr(block, "gamma", nn.Parameter(lucid.full((1, 1, 1, 4), 0.5))),
    ],
)
def test_layers_are_called_where_that_can_be_told_apart(change):
    block = make_block()
    assert _fused_block.can_fuse(block)
    change(block)
    assert not _fused_block.can_fuse(block)
    x = lucid.tensor(mx.random.normal((1, 4, 4, 4), key=mx.random.key(1)))
    np.testing.assert_allclose(block(x).detach().numpy(), layer_by_layer(block, x).detach().numpy(), 1e-4, 1e-5)


def replace_by_a_tensor(layer, name):
    """What a hypernetwork does: the value is an attribute, and no parameter any more."""
    value = getattr(layer, name).detach() + 1
    delattr(layer, name)
    setattr(layer, name, value)


@pytest.mark.parametrize("options", [{"stride": 2}, {"padding_mode": "reflect"}, {"groups": 2}])
def test_another_convolution_is_called(options):
    block = make_block()
    block.dwconv = nn.Conv2d(4, 4, 3, **{"padding": 1, "groups": 4, "data_format": "channels_last", **options})
    x = lucid.tensor(mx.random.normal((1, 4, 4, 4), key=mx.random.key(1)))
    y, same = _fused_block._depthwise(block.dwconv, x)
    assert same is x
    assert lucid.equal(y, block.dwconv(x))


def test_the_state_dict_is_as_before():
    assert list(make_block().state_dict()) == [
        "gamma", "dwconv.weight", "dwconv.bias", "norm.weight", "norm.bias", "pwconv1.weight", "pwconv1.bias",
        "pwconv2.weight", "pwconv2.bias",
    ]  # fmt: skip


def test_the_summary_sees_every_layer():
    found = lucid.summary(models.ConvNeXt(10, [1], [8]), (1, 3, 32, 32))
    assert found.total_mult_adds == sum(one.mult_adds for one in found.layers if one.class_name in ("Conv2d", "Linear"))
    assert {one.name for one in found.layers if one.calls} >= {"stages.0.0.pwconv1", "stages.0.0.dwconv"}

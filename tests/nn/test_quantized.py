"""``QuantizedLinear``: values, gradients, dtypes, and all that modules do."""

import copy

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import nn, optim
from tests.kernels.test_quantized_matmul import matrix

SHAPES = [(128,), (1, 128), (5, 128), (2, 3, 128), (0, 128), (2, 0, 128)]


@pytest.fixture
def layer():
    return nn.QuantizedLinear.from_linear(nn.Linear(128, 6), 4)


def whole(layer):
    """The weight in float64, unpacked with NumPy."""
    parts = [layer.weight.mlx, layer.scales.mlx, *([] if layer.biases is None else [layer.biases.mlx])]
    return matrix(parts, layer.scheme)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["affine", "mxfp4", "mxfp8", "nvfp4"])
def test_values_and_gradients(shape, mode):
    layer = nn.QuantizedLinear.from_linear(nn.Linear(128, 6), mode=mode)
    x = lucid.randn(*shape, requires_grad=True)
    y = layer(x)
    w, bias = whole(layer), layer.bias.detach().numpy()
    np.testing.assert_allclose(y.detach().numpy(), x.detach().numpy() @ w.T + bias, atol=1e-5)
    cotangent = lucid.randn(*y.shape)
    y.backward(cotangent)
    np.testing.assert_allclose(x.grad.numpy(), cotangent.numpy() @ w, atol=1e-5)
    rows = cotangent.numpy().reshape(-1, 6)
    np.testing.assert_allclose(layer.bias.grad.numpy(), rows.sum(0), atol=1e-5)


def test_gradients_are_those_of_the_dequantized_layer(layer):
    full = layer.to_linear()
    x = lucid.randn(7, 128, requires_grad=True)
    for create_graph in (False, True):
        found, expected = (
            lucid.autograd.grad(one(x).square().sum(), x, create_graph=create_graph)[0] for one in (layer, full)
        )
        np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-4)
    second = [lucid.autograd.grad(lucid.autograd.grad(one(x).square().sum(), x, create_graph=True)[0].sum(), x)[0]
              for one in (layer, full)]  # fmt: skip
    np.testing.assert_allclose(second[0].numpy(), second[1].numpy(), rtol=1e-4, atol=1e-4)


def test_inputs_that_are_not_contiguous(layer):
    x = lucid.randn(128, 9)
    np.testing.assert_allclose(layer(x.T).detach().numpy(), layer(x.T.clone()).detach().numpy(), atol=1e-6)
    x = lucid.randn(3, 256)
    np.testing.assert_allclose(layer(x[:, ::2]).detach().numpy(), layer(x[:, ::2].clone()).detach().numpy(), atol=1e-6)


def test_the_weight_is_not_trained_and_what_surrounds_it_is(layer):
    class Adapter(nn.Module):
        """Low-rank adaptation, Hu et al. 2021, arXiv:2106.09685."""

        def __init__(self, base):
            super().__init__()
            self.base, self.down, self.up = base, nn.Linear(128, 4, bias=False), nn.Linear(4, 6, bias=False)
            nn.init.zeros_(self.up.weight)

        def forward(self, x):
            return self.base(x) + self.up(self.down(x))

    model = Adapter(layer).train()
    assert [name for name, _ in model.named_parameters()] == ["base.bias", "down.weight", "up.weight"]
    kept = copy.deepcopy(dict(layer.named_buffers()))
    model.requires_grad_(True)
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    x, wanted = lucid.randn(16, 128), lucid.randn(16, 6)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (model(x) - wanted).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    for name, buffer in layer.named_buffers():
        assert lucid.equal(buffer, kept[name]) and buffer.grad is None


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 0.02), ("bfloat16", 0.1), ("float64", 1e-5)])
def test_conversion(layer, dtype, tolerance):
    x = lucid.randn(4, 128)
    expected = layer(x).detach().numpy()
    assert layer.to(getattr(lucid, dtype)) is layer
    assert layer.weight.dtype == mx.uint32
    assert {layer.scales.dtype, layer.biases.dtype, layer.bias.dtype} == {getattr(mx, dtype)}
    with lucid.device("cpu"):
        found = layer(x.to(getattr(lucid, dtype)))
        assert found.dtype == getattr(mx, dtype)
        np.testing.assert_allclose(found.detach().float().numpy(), expected, atol=tolerance)
        assert layer.to_linear().weight.dtype == getattr(mx, dtype)


def test_half_of_a_mode_without_floats():
    layer = nn.QuantizedLinear.from_linear(nn.Linear(64, 2), mode="mxfp8").half()
    assert (layer.scales.dtype, layer.bias.dtype) == (mx.uint8, mx.float16)
    assert layer(lucid.ones(3, 64).half()).dtype == layer.to_linear().weight.dtype == mx.float16


def test_autocast_and_mixed_inputs(layer):
    x = lucid.randn(4, 128, requires_grad=True)
    with lucid.autocast("cpu", dtype=lucid.bfloat16):
        y = layer(x)
        assert y.dtype == nn.Linear(128, 6)(x).dtype == mx.bfloat16
    y.sum().backward()
    assert x.grad.dtype == mx.float32
    np.testing.assert_allclose(x.grad.numpy(), np.tile(whole(layer).sum(0), (4, 1)), atol=0.05)
    assert layer(lucid.ones(2, 128).half()).dtype == mx.float32  # as with full weights
    assert layer(lucid.ones(2, 128, dtype=lucid.int32)).dtype == mx.float32


def test_compiled(layer):
    x = lucid.randn(2, 128)

    def step(x):
        layer.zero_grad()
        loss = layer(x).sum()
        loss.backward()
        return loss

    expected = step(x).item(), layer.bias.grad.tolist()
    compiled = lucid.compile(step, state=[layer])
    for _ in range(2):
        np.testing.assert_allclose(compiled(x).item(), expected[0], rtol=1e-5)
        assert layer.bias.grad.tolist() == expected[1] == [2] * 6
    layer.load_state_dict(nn.QuantizedLinear(128, 6, bits=4).state_dict())
    assert compiled(x).item() == 0 and compiled.retraces.count == 0


def test_state_dicts(layer):
    assert list(layer.state_dict()) == ["bias", "weight", "scales", "biases"]
    new = nn.QuantizedLinear(128, 6, bits=4)
    assert not new(lucid.ones(128)).detach().numpy().any()
    new.load_state_dict(layer.state_dict())
    x = lucid.randn(3, 128)
    assert lucid.equal(new(x), layer(x))
    twin = copy.deepcopy(layer)
    twin.scales *= 2
    assert not lucid.equal(twin(x), layer(x)) and lucid.equal(new(x), layer(x))
    missing = new.load_state_dict({}, strict=False).missing_keys
    assert missing == ["bias", "weight", "scales", "biases"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": lucid.zeros(6, 128)}, "weight is float32, the module expects uint32; load full weights before"),
        ({"weight": lucid.zeros(6, 16, dtype=lucid.int32)}, "weight is int32, the module expects uint32"),
        ({"scales": lucid.zeros(6, 2, dtype=lucid.int32)}, "scales is int32, the module expects floating-point"),
        ({"scales": lucid.zeros(6, 4)}, r"scales has shape \(6, 4\), the module expects \(6, 2\)"),
        ({"scales": lucid.zeros(5, 2), "biases": lucid.zeros(5, 2)}, r"biases has shape \(5, 2\)"),
        ({"weight": "x"}, "the value of 'weight' is not an array"),
        ({"more": lucid.zeros(1)}, "unexpected: more"),
    ],
)
@pytest.mark.parametrize("assign", [False, True])
def test_state_dicts_that_do_not_fit(layer, change, message, assign):
    before = copy.deepcopy(layer.state_dict())
    with pytest.raises((RuntimeError, TypeError), match=message):
        layer.load_state_dict({**layer.state_dict(), **change}, assign=assign)
    assert all(lucid.equal(one, before[name]) for name, one in layer.state_dict().items())


def test_parts_of_other_sizes_are_not_read_beyond_their_end(layer):
    layer.scales = layer.scales[:3]
    with pytest.raises(ValueError, match=r"QuantizedLinear: scales must be floating-point \(6, 2\) for 4 bits"):
        layer(lucid.ones(2, 128))


def test_pytorch_files(layer, tmp_path):
    for name in ("layer.safetensors", "layer.pt"):
        lucid.save(layer.state_dict(), tmp_path / name)
        new = nn.QuantizedLinear(128, 6, bits=4)
        new.load_state_dict(lucid.load(tmp_path / name))
        assert lucid.equal(new(lucid.ones(128)), layer(lucid.ones(128)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.QuantizedLinear(100, 2), ValueError, r"in_features 100 must be divisible by group_size 64"),
        (lambda: nn.QuantizedLinear(0, 2), ValueError, "in_features must be at least 1"),
        (lambda: nn.QuantizedLinear(64, 2, bits=9), ValueError, "bits of mode 'affine' must be one of"),
        (lambda: nn.QuantizedLinear(64, 2, dtype=lucid.int8), TypeError, "dtype must be a floating-point dtype"),
        (lambda: nn.QuantizedLinear(64, 2)(lucid.ones(2, 63)), ValueError, r"expected 64 features .* got \(2, 63\)"),
        (lambda: nn.QuantizedLinear(64, 2)(lucid.tensor(1.0)), ValueError, r"expected 64 features .* got \(\)"),
        (lambda: nn.QuantizedLinear(64, 2)("x"), TypeError, "QuantizedLinear: input must be a tensor"),
        (lambda: nn.QuantizedLinear(64, 2)(lucid.ones(2, 64) * 1j), TypeError, "the input must be real"),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_repr_counts_and_summary(layer):
    assert repr(layer) == (
        "QuantizedLinear(in_features=128, out_features=6, bias=True, bits=4, group_size=64)  # 774 parameters"
    )
    assert "mode='nvfp4'" in nn.QuantizedLinear(64, 2, mode="nvfp4").extra_repr()
    model = nn.Sequential(layer, nn.Linear(6, 2))
    assert (model.num_parameters(), model.num_parameters(trainable_only=True)) == (774 + 14, 6 + 14)
    found = lucid.summary(model, (3, 128))
    assert (found.total_params, found.trainable_params) == (788, 20)
    assert found.total_mult_adds == 3 * (128 * 6 + 6 * 2)
    packed = 6 * 128 // 2 + 2 * 6 * 2 * 4  # 4 bits a value; scales and biases of two groups
    assert found.total_param_bytes == packed + 4 * 20
    assert found.layers[1].parameters == 774


def test_hooks_and_mode_are_kept():
    full = nn.Linear(64, 2).eval()
    seen = []
    handle = full.register_forward_hook(lambda module, args, output: seen.append(type(module).__name__))
    layer = nn.QuantizedLinear.from_linear(full)
    layer(lucid.ones(64))
    assert not layer.training and seen == ["QuantizedLinear"]
    layer.to_linear()(lucid.ones(64))
    handle.remove()
    layer(lucid.ones(64))
    assert seen == ["QuantizedLinear", "Linear"] and layer.bias is full.bias

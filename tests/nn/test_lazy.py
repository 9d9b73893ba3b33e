"""Lazy layers: shapes at the first call, state before it, and errors for every other use before it."""

import copy

import pytest

import lucid
from lucid import nn, optim
from lucid.nn.lazy import LazyModuleMixin
from lucid.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy

SHAPES = {1: (2, 4, 7), 2: (2, 4, 6, 5), 3: (2, 4, 3, 4, 3)}
CONVOLUTIONS = [
    (f"{kind}{dims}d", (6, 3), {"groups": 2, "padding": 1}, SHAPES[dims])
    for kind in ("Conv", "ConvTranspose")
    for dims in (1, 2, 3)
]
NORMS = [
    (f"{kind}{dims}d", (), {"affine": True, "track_running_stats": True}, SHAPES[dims])
    for kind in ("BatchNorm", "InstanceNorm")
    for dims in (1, 2, 3)
]


@pytest.mark.parametrize(
    ("name", "args", "options", "shape"),
    [("Linear", (5,), {}, (2, 4)), *CONVOLUTIONS, *NORMS],
    ids=lambda one: str(one),
)
def test_the_first_call_makes_the_ordinary_layer(name, args, options, shape):
    lazy = getattr(nn, f"Lazy{name}")(*args, **options)
    assert lazy.has_uninitialized_params() and all(map(is_lazy, lazy.parameters()))
    size = shape[-1] if name == "Linear" else shape[1]
    plain = getattr(nn, name)(size, *args, **options)
    assert list(lazy.state_dict()) == list(plain.state_dict())
    x = lucid.randn(*shape)
    y = lazy(x)
    assert type(lazy) is type(plain) and repr(lazy) == repr(plain)
    assert not any(map(is_lazy, (*lazy.parameters(), *lazy.buffers())))
    plain.load_state_dict(lazy.state_dict())
    lazy.eval(), plain.eval()
    assert lucid.equal(lazy(x), plain(x)) and y.shape == plain(x).shape
    if "Norm" not in name:
        bound = 1 / (lazy.weight[0].numel() ** 0.5)
        assert 0.5 * bound < lazy.weight.abs().max().item() <= bound


def test_norms_start_with_neutral_values():
    lazy = nn.LazyBatchNorm1d()
    lazy(lucid.zeros(2, 3))
    assert lazy.weight.tolist() == [1, 1, 1] and lazy.bias.tolist() == [0, 0, 0]
    assert lazy.running_var.tolist() == pytest.approx([0.9] * 3)
    assert lazy.num_batches_tracked.item() == 1


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_channels_are_those_of_the_layout(data_format):
    shape = (2, 4, 5, 5) if data_format == "channels_first" else (2, 5, 5, 4)
    layer = nn.LazyConv2d(3, 1, data_format=data_format)
    layer(lucid.ones(*shape))
    norm = nn.LazyInstanceNorm2d(affine=True, data_format=data_format)
    norm(lucid.randn(*shape[1:]))
    assert layer.in_channels == norm.num_features == 4


def test_the_same_parameter_objects_are_trained():
    model = nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(1))
    before = list(model.parameters())
    assert repr(before[0]) == "<UninitializedParameter>"
    model(lucid.ones(2, 4)).sum().backward()
    after = list(model.parameters())
    assert all(a is b and type(b) is nn.Parameter and b.grad is not None for a, b in zip(before, after, strict=True))
    assert repr(model[0]).startswith("Linear(in_features=4, out_features=3, bias=True)")


def test_an_optimizer_may_be_created_before_the_first_call():
    """As in PyTorch; a step before it changes nothing, because there are no gradients."""
    layer = nn.LazyLinear(2)
    optimizer = optim.SGD(layer.parameters(), lr=0.5)
    optimizer.step()
    layer(lucid.ones(1, 3)).sum().backward()
    before = layer.weight.detach().clone()
    optimizer.step()
    assert lucid.allclose(layer.weight, before - 0.5)


def test_state_before_the_first_call():
    lazy, other = nn.LazyBatchNorm2d(), nn.LazyBatchNorm2d()
    state = lazy.state_dict()
    assert isinstance(state["weight"], UninitializedParameter)
    assert isinstance(state["running_mean"], UninitializedBuffer)
    other.load_state_dict(state)  # uninitialized into uninitialized: nothing to do
    assert other.has_uninitialized_params()
    plain = nn.BatchNorm2d(4)
    plain.weight.data.fill_(3.0)
    lazy.load_state_dict(plain.state_dict())
    assert not lazy.has_uninitialized_params() and lazy.weight.tolist() == [3.0] * 4
    lazy(lucid.randn(2, 4, 3, 3))
    assert lazy.num_features == 4 and type(lazy) is nn.BatchNorm2d and lazy.weight.tolist() == [3.0] * 4
    with pytest.raises(TypeError, match="the value of 'weight' is not an array: UninitializedParameter: the shape"):
        plain.load_state_dict(other.state_dict())


def test_dtype_and_requires_grad_are_kept():
    layer = nn.LazyConv1d(2, 3, dtype=lucid.float16).double().requires_grad_(False)
    assert layer.weight.dtype == lucid.float64
    layer(lucid.ones(1, 3, 5, dtype=lucid.float64))
    assert layer.weight.dtype == lucid.float64 and not layer.weight.requires_grad


def test_copies_are_lazy_too():
    lazy = nn.LazyLinear(3)
    twin = copy.deepcopy(lazy)
    lazy(lucid.ones(1, 2))
    twin(lucid.ones(1, 5))
    assert (lazy.weight.shape, twin.weight.shape) == ((3, 2), (3, 5))


class Scaled(LazyModuleMixin, nn.Module):
    """A lazy module of a user, which stays of its class."""

    def __init__(self):
        super().__init__()
        self.weight = UninitializedParameter()

    def initialize_parameters(self, x):
        if self.has_uninitialized_params():
            self.weight.materialize(x.shape[-1:])
            nn.init.ones_(self.weight)

    def forward(self, x):
        return x * self.weight


def test_own_lazy_modules():
    layer = Scaled()
    assert layer(lucid.ones(2, 3)).tolist() == layer(lucid.ones(2, 3)).tolist() == [[1.0] * 3] * 2
    assert type(layer) is Scaled


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda p: p.shape, ValueError, "UninitializedParameter: the shape and the values are not known before the"),
        (lambda p: p * 2, ValueError, "UninitializedParameter: the shape and the values are not known"),
        (lambda p: p.numel(), ValueError, "call the module with an input first"),
        (lambda p: optim.Muon([p]), ValueError, "call the module with an input first"),
        (
            lambda p: nn.LazyConv1d(3, 1, groups=3)(lucid.ones(1, 4, 5)),
            ValueError,
            "in_channels 4 must be divisible by",
        ),
        (lambda p: nn.LazyConv2d(3, 1)(lucid.ones(4)), ValueError, "LazyConv2d: input must have 3 or 4 dimensions"),
        (lambda p: nn.LazyLinear(3)(lucid.tensor(1.0)), ValueError, "LazyLinear: input must be"),
        (lambda p: nn.LazyBatchNorm1d()(lucid.ones(4)), ValueError, "LazyBatchNorm1d: input must have at least 2"),
    ],
)
def test_other_uses_before_the_first_call_raise(use, error, message):
    with pytest.raises(error, match=message):
        use(nn.LazyLinear(2).weight)

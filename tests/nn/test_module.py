"""``Module`` behaves as in PyTorch: registration, traversal, modes, dtypes, deep copies, repr."""

import copy
from collections import OrderedDict

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.nn.module import registered


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(lucid.ones(2))
        self.first = nn.Linear(2, 2)
        self.register_buffer("mean", lucid.zeros(2))
        self.register_buffer("scratch", lucid.zeros(1), persistent=False)
        self.register_parameter("absent", None)
        self.second = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())

    def forward(self, x):
        return self.second(self.first(x) * self.scale)


def names(pairs):
    return [name for name, _ in pairs]


# Registration --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.eval(),
        lambda m: setattr(m.first, "bias", None),
        lambda m: setattr(m, "mean", lucid.ones(2)),
        lambda m: delattr(m, "scratch"),
        lambda m: m.second.append(nn.ReLU()),
        lambda m: m.register_parameter("more", nn.Parameter(lucid.ones(1))),
    ],
    ids=["mode", "parameter", "buffer", "deletion", "child", "registration"],
)
def test_assignments_and_registrations_are_counted(change):
    model = Block()
    before = registered.count
    model(lucid.ones(1, 2))
    assert registered.count == before, "a call sets nothing"
    change(model)
    assert registered.count > before


def test_assignment_registers_in_order():
    block = Block()
    assert names(block.named_parameters()) == ["scale", "first.weight", "first.bias", "second.0.weight"]
    assert names(block.named_buffers()) == ["mean", "scratch"]
    assert names(block.named_children()) == ["first", "second"]
    assert names(block.named_modules()) == ["", "first", "second", "second.0", "second.1"]
    assert list(block.state_dict()) == ["scale", "mean", "first.weight", "first.bias", "second.0.weight"]
    assert block.absent is None and block.mean.tolist() == [0, 0]


def test_prefixes_and_levels():
    block = Block()
    assert names(block.named_parameters("net", recurse=False)) == ["net.scale"]
    assert names(block.named_parameters(prefix="net"))[-1] == "net.second.0.weight"
    assert names(block.named_buffers("net")) == ["net.mean", "net.scratch"]
    assert names(block.named_modules(prefix="net"))[:2] == ["net", "net.first"]
    assert next(iter(block.state_dict(prefix="net."))) == "net.scale"
    assert len(list(block.parameters())) == 4 and len(list(block.parameters(recurse=False))) == 1
    assert len(list(block.buffers())) == 2 and len(list(block.children())) == 2 and len(list(block.modules())) == 5


def test_shared_modules_and_parameters_are_yielded_once():
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, nn.ReLU(), shared)
    assert names(net.named_parameters()) == ["0.weight", "0.bias"]
    assert names(net.named_parameters(remove_duplicate=False)) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert names(net.named_modules()) == ["", "0", "1"] and names(net.named_children()) == ["0", "1"]
    assert names(net.named_modules(remove_duplicate=False)) == ["", "0", "1", "2"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert net.num_parameters() == 6

    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    assert names(tied.named_parameters()) == ["0.weight", "0.bias", "1.bias"]
    tied(lucid.ones(1, 2)).sum().backward()
    assert tied[0].weight.grad is tied[1].weight.grad is not None


def test_assignment_can_change_the_kind_of_an_attribute():
    module = nn.Module()
    module.x = 3
    module.x = nn.Parameter(lucid.ones(2))
    assert "x" not in vars(module) and names(module.named_parameters()) == ["x"]
    module.x = nn.Linear(1, 1)
    assert not module._parameters and names(module.named_children()) == ["x"]
    module.x = nn.Parameter(lucid.ones(2))
    assert not module._modules and names(module.named_parameters()) == ["x"]
    module.x = None
    assert module.x is None and names(module.named_parameters()) == [] and list(module._parameters) == ["x"]
    module.x = nn.Parameter(lucid.ones(3))
    assert module.x.shape == (3,)
    del module.x
    with pytest.raises(AttributeError, match="Module has no attribute 'x'"):
        _ = module.x


def test_a_plain_tensor_is_not_registered():
    module = nn.Module()
    module.constant = lucid.ones(2)
    assert list(module.parameters()) == [] and list(module.buffers()) == []
    module.register_buffer("kept", lucid.ones(1))
    module.kept = lucid.zeros(3)
    assert names(module.named_buffers()) == ["kept"] and module.kept.shape == (3,)
    module.kept = None
    assert list(module.buffers()) == [] and module.kept is None


def test_deletion():
    block = Block()
    for name in ("scale", "mean", "scratch", "first"):
        delattr(block, name)
        assert not hasattr(block, name)
    block.plain = 1
    del block.plain
    assert names(block.named_parameters()) == ["second.0.weight"]
    block.register_buffer("scratch", lucid.zeros(1))
    assert "scratch" in block.state_dict()  # the previous buffer was not persistent, this one is
    with pytest.raises(AttributeError):
        del block.nothing


def test_a_buffer_can_replace_a_parameter():
    module = nn.Module()
    module.x = nn.Parameter(lucid.ones(1))
    del module.x
    module.register_buffer("x", lucid.zeros(1))
    assert list(module.parameters()) == [] and names(module.named_buffers()) == ["x"]


def test_dir_lists_what_is_registered():
    assert {"scale", "mean", "first", "forward", "training"} <= set(dir(Block()))
    assert "0" not in dir(nn.Sequential(nn.ReLU()))


def computed():
    return lucid.ones(2, requires_grad=True) * 2


class Unready(nn.Module):
    def __init__(self, value):
        self.value = value


class WithMethod(nn.Module):
    def weight(self):
        return 1


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda m: setattr(m, "scale", 3),
            TypeError,
            "Block: scale is a parameter and must be a Parameter or None",
        ),
        (
            lambda m: setattr(m, "scale", lucid.ones(2)),
            TypeError,
            "Block: scale is a parameter and must be a Parameter or None, got Tensor",
        ),
        (
            lambda m: setattr(m, "first", lucid.ones(2)),
            TypeError,
            "Block: first is a module and must be a Module or None, got Tensor",
        ),
        (
            lambda m: setattr(m, "mean", 0.0),
            TypeError,
            "Block: mean is a buffer and must be a Tensor or None, got float",
        ),
        (
            lambda m: m.register_parameter("x", lucid.ones(2)),
            TypeError,
            "register_parameter: x must be a Parameter or None, got Tensor",
        ),
        (
            lambda m: m.register_parameter("a.b", None),
            KeyError,
            "register_parameter: the name must be a non-empty string without dots, got 'a.b'",
        ),
        (
            lambda m: m.register_buffer("", None),
            KeyError,
            "register_buffer: the name must be a non-empty string without dots, got ''",
        ),
        (
            lambda m: m.register_buffer(3, None),
            TypeError,
            "register_buffer: the name must be a string, got int",
        ),
        (lambda m: m.register_buffer("x", 3.0), TypeError, "register_buffer: x must be a Tensor or None, got float"),
        (
            lambda m: m.register_buffer("scale", None),
            KeyError,
            "register_buffer: Block already has an attribute 'scale'",
        ),
        (lambda m: m.register_buffer("forward", None), KeyError, "register_buffer: Block already has an attribute"),
        (lambda m: m.add_module("x", lucid.relu), TypeError, "add_module: x must be a Module or None, got function"),
        (lambda m: m.register_module("a.b", None), KeyError, "add_module: the name must be a non-empty string"),
        (lambda m: m.add_module("scale", nn.ReLU()), KeyError, "add_module: Block already has an attribute 'scale'"),
        (
            lambda m: WithMethod().register_parameter("weight", None),
            KeyError,
            "register_parameter: WithMethod already has an attribute 'weight'",
        ),
        (
            lambda m: Unready(nn.Parameter(lucid.ones(1))),
            AttributeError,
            r"Unready: call super\(\).__init__\(\) before assigning parameters, buffers or modules",
        ),
        (lambda m: Unready(nn.ReLU()), AttributeError, r"Unready: call super\(\).__init__\(\) before"),
        (lambda m: m.nothing, AttributeError, "Block has no attribute 'nothing'"),
        (lambda m: nn.Module()(1), NotImplementedError, r"Module does not define forward\(\)"),
        (lambda m: m.train(1), ValueError, "train: mode must be True or False, got 1"),
        (
            lambda m: m.get_submodule("second.5"),
            AttributeError,
            "get_submodule: 'second.5' has no module '5' in Sequential; available: 0, 1",
        ),
        (lambda m: m.get_parameter("first.mean"), AttributeError, "get_parameter: no parameter 'first.mean'"),
        (lambda m: m.get_buffer("scale"), AttributeError, "get_buffer: no buffer 'scale'"),
        (
            lambda m: m.to(lucid.int32),
            TypeError,
            "to: modules can only be converted to floating-point dtypes, got int32",
        ),
        (lambda m: m.to("nowhere"), RuntimeError, "to: device must be one of .* got 'nowhere'"),
        (lambda m: m.to(3.5), TypeError, "to: expected a dtype, a device or a tensor, got float"),
    ],
)
def test_misuse_raises(use, error, message):
    with pytest.raises(error, match=message):
        use(Block())


# Traversal and modes -------------------------------------------------------------------------------------------------


def test_lookup_by_dotted_name():
    block = Block()
    assert block.get_submodule("") is block and block.get_submodule("second.1") is block.second[1]
    assert block.get_parameter("first.weight") is block.first.weight
    assert block.get_buffer("mean") is block.mean


def test_apply_visits_children_first():
    seen = []
    block = Block()
    assert block.apply(lambda module: seen.append(type(module).__name__)) is block
    assert seen == ["Linear", "Linear", "ReLU", "Sequential", "Block"]


def test_modes_apply_to_all_descendants():
    block = Block()
    assert block.training and block.eval() is block
    assert not any(module.training for module in block.modules())
    assert block.train() is block and all(module.training for module in block.modules())


def test_parameters_can_be_frozen_and_unfrozen():
    block = Block()
    assert block.requires_grad_(False) is block
    assert not any(p.requires_grad for p in block.parameters())
    assert not block(lucid.ones(1, 2)).requires_grad
    block.first.requires_grad_()
    assert [p.requires_grad for p in block.parameters()] == [False, True, True, False]
    assert block.num_parameters() == 12 and block.num_parameters(trainable_only=True) == 6


def test_zero_grad():
    block = Block()
    block(lucid.ones(1, 2)).sum().backward()
    assert all(p.grad is not None for p in block.parameters())
    block.zero_grad(set_to_none=False)
    assert all(p.grad.tolist() == lucid.zeros(p.shape).tolist() for p in block.parameters())
    block.zero_grad()
    assert all(p.grad is None for p in block.parameters())


# Dtypes and devices --------------------------------------------------------------------------------------------------


def test_floating_point_state_is_converted():
    block = Block()
    block.register_buffer("count", lucid.tensor(3))
    weight = block.first.weight
    for change, dtype in [
        (lambda: block.half(), lucid.float16),
        (lambda: block.to(lucid.bfloat16), lucid.bfloat16),
        (lambda: block.to("float16"), lucid.float16),
        (lambda: block.float(), lucid.float32),
        (lambda: block.to("cpu", lucid.float16), lucid.float16),
        (lambda: block.to(dtype="float32"), lucid.float32),
        (lambda: block.to(lucid.ones(1, dtype=lucid.float16)), lucid.float16),
        (lambda: block.bfloat16(), lucid.bfloat16),
    ]:
        assert change() is block
        assert {p.dtype for p in block.parameters()} == {dtype} == {block.mean.dtype}
        assert block.count.dtype == lucid.int64
    assert block.first.weight is weight and weight.requires_grad and weight.is_leaf


def test_gradients_are_converted_with_their_parameters():
    block = Block()
    block(lucid.ones(1, 2)).sum().backward()
    block.half()
    assert {p.grad.dtype for p in block.parameters()} == {lucid.float16}


def test_devices_have_no_effect():
    block = Block().half()
    before = [p.mlx for p in block.parameters()]
    for device in ("cpu", lucid.device("cpu"), lucid.get_default_device()):
        assert block.to(device) is block
    assert block.to(memory_format=lucid.channels_last) is block
    assert block.cpu() is block and block.cuda() is block and block.to(device="cpu") is block
    assert all(now.mlx is then for now, then in zip(block.parameters(), before, strict=True))


# Copies --------------------------------------------------------------------------------------------------------------


def test_a_deep_copy_is_independent():
    block = Block().eval()
    block(lucid.ones(1, 2)).sum().backward()
    twin = copy.deepcopy(block)
    assert type(twin) is Block and not twin.training
    assert twin.state_dict().keys() == block.state_dict().keys() and "scratch" not in twin.state_dict()
    assert all(type(p) is nn.Parameter and p.requires_grad for p in twin.parameters())
    assert twin.scale.grad.tolist() == block.scale.grad.tolist()
    nn.init.zeros_(twin.scale)
    twin.mean = lucid.ones(2)
    twin.second[1] = nn.Identity()
    assert block.scale.tolist() == [1, 1] and block.mean.tolist() == [0, 0] and type(block.second[1]) is nn.ReLU
    twin.zero_grad()
    assert block.scale.grad is not None


def test_a_deep_copy_keeps_hooks_and_sharing():
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, shared)
    net.tied = shared.weight
    calls = []
    net.register_forward_hook(lambda module, args, output: calls.append(module))
    twin = copy.deepcopy(net)
    assert twin[0] is twin[1] and twin[0] is not shared and twin.tied is twin[0].weight is not shared.weight
    twin(lucid.ones(1, 2))
    assert calls == [twin]
    net(lucid.ones(1, 2))
    assert calls == [twin, net]


def test_a_hook_added_to_a_copy_stays_there():
    net, calls = nn.ReLU(), []
    net.register_forward_hook(lambda *_: calls.append("first"))
    twin = copy.deepcopy(net)
    handle = twin.register_forward_hook(lambda *_: calls.append("second"))
    net(lucid.ones(1))
    assert calls == ["first"]
    handle.remove()
    twin(lucid.ones(1))
    assert calls == ["first", "first"]


# Representation ------------------------------------------------------------------------------------------------------


def test_the_repr_shows_the_tree_and_counts_parameters():
    net = nn.Sequential(
        OrderedDict(stem=nn.Conv2d(3, 8, 3), act=nn.ReLU(), blocks=nn.Sequential(*(nn.Linear(8, 8) for _ in range(3))))
    )
    assert repr(net) == (
        "Sequential(  # 440 parameters\n"
        "  (stem): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))  # 224 parameters\n"
        "  (act): ReLU()\n"
        "  (blocks): Sequential(  # 216 parameters\n"
        "    (0-2): 3 x Linear(in_features=8, out_features=8, bias=True)  # 72 parameters\n"
        "  )\n"
        ")"
    )
    assert repr(nn.Identity(3, a=4)) == "Identity()"
    assert repr(nn.Linear(1000, 1000)).endswith("# 1,001,000 parameters")


def test_the_repr_of_parameters():
    assert repr(nn.Parameter(lucid.ones(2))) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"


def test_counting_computes_nothing():
    assert nn.Linear(60000, 60000, bias=False).num_parameters() == 3_600_000_000  # 14 GB if it were computed


def test_keyword_arguments_reach_forward():
    class Scaled(nn.Module):
        def forward(self, x, *, by=1.0):
            return x * by

    assert Scaled()(lucid.ones(1), by=3.0).item() == 3
    assert np.asarray(Scaled()(x=lucid.ones(1))).tolist() == [1]


@pytest.mark.parametrize(
    "build",
    [
        lambda **options: nn.Linear(4, 3, **options),
        lambda **options: nn.Embedding(4, 3, **options),
        lambda **options: nn.Conv1d(4, 3, 2, **options),
        lambda **options: nn.Conv2d(4, 3, 2, **options),
        lambda **options: nn.ConvTranspose1d(4, 3, 2, **options),
        lambda **options: nn.ConvTranspose2d(4, 3, 2, **options),
        lambda **options: nn.LayerNorm(4, **options),
        lambda **options: nn.RMSNorm(4, **options),
        lambda **options: nn.GroupNorm(2, 4, **options),
        lambda **options: nn.BatchNorm1d(4, **options),
        lambda **options: nn.BatchNorm2d(4, **options),
        lambda **options: nn.GlobalResponseNorm(4, **options),
    ],
)
@pytest.mark.parametrize("dtype", [lucid.float16, "bfloat16", lucid.float32])
def test_layers_take_device_and_dtype(build, dtype):
    state = build(device="cpu", dtype=dtype).state_dict()
    wanted = lucid.tensor(0.0, dtype=dtype).dtype
    assert {one.dtype for name, one in state.items() if name != "num_batches_tracked"} == {wanted}
    assert {one.dtype for name, one in build(device=None, dtype=None).state_dict().items()} <= {
        lucid.float32,
        lucid.int64,
    }


def test_modules_may_be_repeated():
    shared = nn.ReLU()
    model = nn.Sequential(shared, shared)
    assert list(model.modules()) == [model, shared]
    assert list(model.modules(remove_duplicate=False)) == [model, shared, shared]


def test_double_converts_to_float64(on_cpu):
    layer = nn.Linear(2, 2).double()
    assert layer(lucid.ones(1, 2, dtype=lucid.float64)).dtype == lucid.float64


def test_a_state_dict_is_added_to_a_destination():
    layer, found = nn.Linear(2, 1), {"step": 3}
    assert layer.state_dict(destination=found, prefix="head.") is found
    assert list(found) == ["step", "head.weight", "head.bias"]
    with pytest.warns(FutureWarning, match="state_dict: positional arguments are deprecated"):
        kept = layer.state_dict({}, "at.", True)
    assert kept["at.weight"] is layer.weight
    with pytest.raises(TypeError, match="state_dict: expected at most 3 positional arguments, got 4"):
        layer.state_dict({}, "", False, 1)

"""``state_dict`` shares the values of a module; ``load_state_dict`` loads all or nothing, and lists every mismatch."""

import copy

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import nn, optim


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("scratch", lucid.zeros(1), persistent=False)


KEYS = [
    "fc.weight",
    "fc.bias",
    "norm.weight",
    "norm.bias",
    "norm.running_mean",
    "norm.running_var",
    "norm.num_batches_tracked",
]


def test_names():
    assert list(Net().state_dict()) == KEYS


def test_the_state_follows_training_and_a_deep_copy_of_it_does_not():
    net = Net()
    state = net.state_dict()
    snapshot = copy.deepcopy(state)
    before = {name: one.tolist() for name, one in state.items()}
    assert not any(one.requires_grad for one in state.values())
    step = optim.SGD(net.parameters(), lr=1.0)
    net.norm(net.fc(lucid.randn(8, 2))).square().sum().backward()
    step.step()
    assert {name: one.tolist() for name, one in snapshot.items()} == before
    assert {name: one.tolist() for name, one in state.items()} == {
        name: one.tolist() for name, one in net.state_dict(keep_vars=True).items()
    }
    assert all(state[name].tolist() != before[name] for name in ("fc.weight", "norm.running_mean"))


def test_keep_vars_returns_the_parameters():
    net = Net()
    state = net.state_dict(keep_vars=True)
    assert state["fc.weight"] is net.fc.weight and state["norm.running_mean"] is net.norm.running_mean


@pytest.mark.parametrize("kind", [lucid.tensor, np.asarray, mx.array, lambda v: np.asarray(v, np.float64), list])
def test_all_kinds_of_values_can_be_loaded(kind):
    net, want = Net(), {}
    for i, (name, one) in enumerate(net.state_dict().items()):
        want[name] = np.full(one.shape, i + 1, np.int64 if name.endswith("tracked") else np.float32)
    parameters = list(net.parameters())
    given = {name: value.tolist() if kind is list else kind(value) for name, value in want.items()}
    keys = net.load_state_dict(given)
    assert keys == ([], []) and keys.missing_keys == keys.unexpected_keys == []
    for name, one in net.state_dict().items():
        assert one.tolist() == want[name].tolist()
    assert all(
        now is then for now, then in zip(net.parameters(), parameters, strict=True)
    )  # an optimizer may hold them
    assert {p.dtype for p in parameters} == {lucid.float32} and all(p.requires_grad for p in parameters)
    assert net.norm.num_batches_tracked.dtype == lucid.int64


def test_the_dtype_of_the_module_stays_unless_assigned():
    state = {name: one.half() if one.is_floating_point() else one for name, one in Net().state_dict().items()}
    net = Net()
    net.load_state_dict(state)
    assert net.fc.weight.dtype == lucid.float32
    weight = net.fc.weight
    net.load_state_dict(state, assign=True)
    assert net.fc.weight.dtype == lucid.float16 and net.fc.weight is weight and weight.requires_grad


def test_loaded_values_are_not_shared():
    first, second = Net(), Net()
    second.load_state_dict(first.state_dict())
    nn.init.zeros_(first.fc.weight)
    assert second.fc.weight.tolist() != first.fc.weight.tolist()


def faulty():
    state = Net().state_dict()
    del state["fc.bias"], state["norm.weight"]
    state["fc.weight"] = np.zeros((3, 5))
    state["norm.bias"] = np.zeros(())
    state["head.weight"] = state["extra"] = np.zeros(1)
    state["scratch"] = np.ones(1)  # not saved, so not expected either
    return state


def test_every_mismatch_is_listed_and_nothing_changes():
    net = Net()
    before = {name: one.tolist() for name, one in net.state_dict().items()}
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(faulty())
    message = str(caught.value)
    assert message.startswith(
        "load_state_dict: the state dict does not match Net "
        "(2 missing, 3 unexpected, 2 of wrong shape), nothing was loaded:"
    )
    assert sorted(line.strip() for line in message.splitlines()[1:]) == [
        "missing: fc.bias",
        "missing: norm.weight",
        "unexpected: extra",
        "unexpected: head.weight",
        "unexpected: scratch",
        "wrong shape: fc.weight has shape (3, 5), the module expects (3, 2)",
        "wrong shape: norm.bias has shape (), the module expects (3,)",
    ]
    assert {name: one.tolist() for name, one in net.state_dict().items()} == before


def test_shapes_are_checked_without_strict_too():
    net = Net()
    before = net.norm.running_mean.tolist()
    state = faulty() | {"norm.running_mean": np.ones(3)}
    with pytest.raises(RuntimeError, match="wrong shape: fc.weight") as caught:
        net.load_state_dict(state, strict=False)
    assert "missing: " not in str(caught.value)
    assert net.norm.running_mean.tolist() == before


def test_without_strict_matching_values_are_loaded():
    net = Net()
    keys = net.load_state_dict({"fc.bias": np.ones(3), "head": np.ones(1)}, strict=False)
    assert keys.missing_keys == [name for name in KEYS if name not in ("fc.bias", "norm.num_batches_tracked")]
    assert keys.unexpected_keys == ["head"]
    assert net.fc.bias.tolist() == [1, 1, 1]


def test_the_message_suggests_strict_false():
    with pytest.raises(
        RuntimeError, match="1 missing, 0 unexpected, 0 of wrong shape; strict=False loads what matches"
    ):
        nn.Linear(2, 3).load_state_dict({"weight": np.zeros((3, 2))})


def test_a_shared_module_is_saved_under_each_name_and_loaded():
    shared = nn.Linear(1, 1, bias=False)
    net = nn.Sequential(shared, shared)
    state = net.state_dict()
    assert list(state) == ["0.weight", "1.weight"]
    net.load_state_dict({name: np.full((1, 1), 7.0) for name in state})
    assert shared.weight.item() == 7


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ([1, 2], TypeError, "load_state_dict: expected a mapping of names to tensors, got list"),
        (None, TypeError, "load_state_dict: expected a mapping of names to tensors, got NoneType"),
        (
            {"weight": "text", "bias": np.zeros(3)},
            TypeError,
            "load_state_dict: the value of 'weight' is not an array: .*type str",
        ),
        (
            {"weight": [[1.0], [1.0, 2.0]], "bias": np.zeros(3)},
            TypeError,
            "load_state_dict: the value of 'weight' is not an array",
        ),
    ],
)
def test_invalid_state_dicts_raise(state, error, message):
    layer = nn.Linear(2, 3)
    before = layer.bias.tolist()
    with pytest.raises(error, match=message):
        layer.load_state_dict(state)
    assert layer.bias.tolist() == before


class Renaming(nn.Module):
    """Loads a weight that was called kernel."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(lucid.zeros(2))

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        if prefix + "kernel" in state_dict:
            state_dict[prefix + "weight"] = state_dict.pop(prefix + "kernel")
        super()._load_from_state_dict(state_dict, prefix, *rest)


def test_load_from_state_dict_can_be_overridden():
    model = nn.Sequential(nn.Linear(1, 1), Renaming())
    given = {**nn.Linear(1, 1).state_dict(prefix="0."), "1.kernel": lucid.ones(2)}
    assert model.load_state_dict(given) == ([], [])
    assert model[1].weight.tolist() == [1, 1] and "1.kernel" in given


def test_hooks_around_loading_and_saving():
    model, seen = nn.Sequential(nn.Linear(1, 1)), []
    model[0].register_load_state_dict_pre_hook(lambda module, state, prefix, *rest: seen.append((type(module), prefix)))
    model.register_load_state_dict_post_hook(lambda module, keys: seen.append(list(keys.missing_keys)))

    def drop_bias(module, state, prefix, metadata):
        del state[f"{prefix}bias"]

    model[0].register_state_dict_post_hook(drop_bias)
    model.register_state_dict_pre_hook(lambda module, prefix, keep_vars: seen.append(prefix))
    assert list(model.state_dict()) == ["0.weight"]
    model.load_state_dict({"0.weight": lucid.ones(1, 1)}, strict=False)
    assert seen[0] == "" and (nn.Linear, "0.") in seen and seen[-1] == ["0.bias"]


def test_extra_state_is_saved_and_loaded():
    class Counting(nn.Module):
        count = 0

        def get_extra_state(self):
            return lucid.tensor(self.count)

        def set_extra_state(self, state):
            self.count = state.item()

    model, other = nn.Sequential(Counting()), nn.Sequential(Counting())
    model[0].count = 3
    assert list(model.state_dict()) == ["0._extra_state"]
    other.load_state_dict(model.state_dict())
    assert other[0].count == 3
    with pytest.raises(RuntimeError, match=r"missing: 0\._extra_state"):
        other.load_state_dict({})

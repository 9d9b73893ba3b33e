"""The table of ``docs/aliasing.md``: what shares its values with what."""

import copy
import weakref
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.nn import functional as F

X = lucid.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])

ALIASES = {
    "x[i], x[a:b], x[..., None], for row in x": lambda x: [
        x[0], x[1:], x[..., None], x[lucid.tensor(1)], *x, x[[slice(1)]], x[np.array(1)], +x, lucid.positive(x),
    ],
    "x.view(...), x.unflatten(...)": lambda x: [x.view(3, 2), x.view(-1), x.unflatten(1, (3, 1))],
    "x.reshape(...), x.flatten()": lambda x: [x.reshape(3, 2), x.flatten(), x.reshape(-1)],
    "x.T, x.mT, x.t(), x.permute(...), x.transpose(...), x.movedim(...)": lambda x: [
        x.T, x.mT, x.t(), x.permute(1, 0), x.transpose(0, 1), x.movedim(0, 1),
    ],
    "x.squeeze(), x.unsqueeze(...)": lambda x: [x.squeeze(), x.unsqueeze(1)],
    "x.narrow(...), x.select(...), x.diagonal()": lambda x: [x.narrow(1, 0, 2), x.select(0, 0), x.diagonal()],
    "x.split(...), x.chunk(...), x.unbind()": lambda x: [*x.split(1), *x.chunk(3, 1), *x.unbind(1)],
    "x.expand(...), broadcast_tensors, meshgrid": lambda x: [
        x.expand(4, 2, 3), x.expand_as(lucid.ones(4, 2, 3)), x.broadcast_to((4, 2, 3)),
        lucid.broadcast_tensors(x, lucid.ones(4, 1, 1))[0],
    ],
    "x.detach(), x.data": lambda x: [x.detach(), x.data, x[0].detach(), x.T.data],
    "x.contiguous() of a contiguous tensor, x.to(x.dtype), x.float() of float32": lambda x: [
        x.contiguous(), x.to(lucid.float32), x.float(),
    ],
    "nn.Parameter(x), copy.copy(x)": lambda x: [nn.Parameter(x), copy.copy(x)],
    "F.relu(x, inplace=True), dropout that drops nothing": lambda x: [
        F.relu(x, inplace=True), nn.ReLU(inplace=True)(x), F.dropout(x, 0.5, training=False),
    ],
}  # fmt: skip
COPIES = {
    "x.clone(), x + 0": lambda x: [x.clone(), x + 0, x * 1],
    "x[mask], x[[0, 1]], x[index tensor]": lambda x: [x[x > 0], x[[0, 1]], x[lucid.tensor([0])]],
    "x.T.contiguous(), x.T.reshape(-1)": lambda x: [x.T.contiguous(), x.T.reshape(-1), x.T.flatten()],
    "copy.deepcopy(x), lucid.tensor(x)": lambda x: [copy.deepcopy(x), lucid.tensor(x)],
    "x.to(other dtype)": lambda x: [x.half(), x.to(lucid.float16)],
    "x.numpy(), x.mlx, DLPack": lambda x: [x.numpy(), x.mlx],
}


@pytest.mark.parametrize("make", ALIASES.values(), ids=ALIASES)
def test_aliases_follow_and_are_followed(make):
    x = X.clone()
    made = make(x)
    before = [one.tolist() for one in made]
    x += 10
    assert all(one.tolist() != was for one, was in zip(made, before, strict=True))
    for number, one in enumerate(made):
        was = x.tolist()
        with lucid.no_grad():
            one.fill_(100 + number)
        assert x.tolist() != was and 100 + number in x.flatten().tolist()


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_copies_do_not_follow(make):
    x = X.clone()
    made = make(x)
    before = [one.tolist() for one in made]
    x += 10
    assert [one.tolist() for one in made] == before


def test_the_guide_lists_what_is_tested():
    text = (Path(__file__).parents[2] / "docs/aliasing.md").read_text()
    rows = {line.split("|")[1].strip().replace("`", "") for line in text.splitlines() if line.startswith("| `")}
    tested_below = {"model.state_dict()", "optimizer.state_dict()", "p.grad", "lucid.from_numpy(a)"}  # some elsewhere
    assert rows - tested_below == {*ALIASES, *COPIES}


def test_timms_average_of_a_state_dict_follows():
    lucid.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    average = copy.deepcopy(model)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    expected = {name: one.numpy() for name, one in average.state_dict().items()}
    values, averages = model.state_dict().values(), average.state_dict().values()
    for _ in range(3):
        optimizer.zero_grad()
        model(lucid.randn(8, 3)).square().sum().backward()
        optimizer.step()
        for kept, (name, value) in zip(averages, model.state_dict().items(), strict=True):
            kept.copy_(kept * 0.75 + value * 0.25)
            blend = expected[name] * 0.75 + value.numpy() * 0.25
            expected[name] = blend.astype(value.numpy().dtype)
    for name, value in average.state_dict().items():
        np.testing.assert_allclose(value.numpy(), expected[name], rtol=1e-6)
    assert [one.tolist() for one in values] == [one.tolist() for one in model.state_dict().values()]


def test_weights_are_copied_by_name_into_a_state_dict():
    source, target = nn.Linear(2, 3), nn.Linear(2, 3)
    state = target.state_dict()
    with lucid.no_grad():
        for name, value in source.state_dict().items():
            state[name].copy_(value)
    assert target.weight.tolist() == source.weight.tolist() and target.bias.tolist() == source.bias.tolist()
    target.load_state_dict(nn.Linear(2, 3).state_dict())
    assert state["weight"].tolist() == target.weight.tolist() != source.weight.tolist()


@pytest.mark.parametrize("compiled", [False, True])
def test_a_step_reaches_the_aliases_of_parameters_and_buffers(compiled):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    state, old, row = model.state_dict(), model[0].weight.data, model[0].weight.detach()[1]

    def step(x):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()

    if compiled:
        step = lucid.compile(step, state=[model, optimizer])
    for _ in range(3):
        step(lucid.randn(4, 2))
    assert {name: one.tolist() for name, one in state.items()} == {
        name: one.tolist() for name, one in model.state_dict(keep_vars=True).items()
    }
    assert old.tolist() == model[0].weight.tolist() and row.tolist() == old.tolist()[1]


def test_conversion_and_assignment_to_data_leave_the_aliases_behind():
    model = nn.Linear(2, 2)
    old = model.weight.data
    before = old.tolist()
    model.half()
    model.weight.data.zero_()
    assert old.tolist() == before and old.dtype == lucid.float32
    p, q = nn.Parameter(lucid.ones(2)), lucid.zeros(2)
    old = p.data
    p.data = q
    q += 3
    assert p.tolist() == [3, 3] and old.tolist() == [1, 1]


def test_a_gradient_that_depends_on_a_write_through_data_raises():
    w = lucid.tensor([2.0, 3.0], requires_grad=True)
    loss = (w * w).sum()
    w.data.mul_(2)
    with pytest.raises(RuntimeError, match=r"'mul' was computed from was changed through \.data since"):
        loss.backward()
    loss = (w * 2).sum()
    w.data.mul_(2)  # the gradient does not depend on it
    loss.backward()
    assert w.grad.tolist() == [2, 2]


def test_views_made_under_no_grad_cannot_be_written_outside():
    h = lucid.ones(3, requires_grad=True) * 2
    with lucid.no_grad():
        view = h[:2]
    with pytest.raises(RuntimeError, match="this view was made under no_grad and is modified outside"):
        view.zero_()


def test_expanded_tensors_refuse_writes_that_would_collide():
    x = lucid.zeros(1, 3).expand(4, 3)
    with pytest.raises(RuntimeError, match="several elements of this expanded tensor share memory"):
        x.add_(1)
    x[0] = 5
    assert x.tolist() == [[5, 5, 5]] * 4
    x.zero_()
    assert x.tolist() == [[0, 0, 0]] * 4


def test_a_detached_part_does_not_keep_the_graph():
    h = lucid.ones(3, requires_grad=True) * 2
    kept = [h[0].detach(), h.detach()[1:]]
    graph = weakref.ref(h.grad_fn)
    del h
    assert graph() is None and kept[0].item() == 2


def test_dtype_views_reach_the_bits():
    x = lucid.tensor([1.0, 2.0])
    bits = x.view(lucid.int32)
    bits[0] = 0x40400000
    assert x.tolist() == [3, 2]


def test_gradients_are_written_in_place():
    p = nn.Parameter(lucid.ones(2))
    (p * 2).sum().backward()
    for change, expected in (
        (lambda: (p * 2).sum().backward(), 4),
        (lambda: nn.utils.clip_grad_value_([p], 1.0), 1),
        (lambda: nn.utils.clip_grad_norm_([p], 2**0.5 / 2, norm_type=2), 0.5),
        (lambda: lucid.optim.SGD([p], lr=0.1).zero_grad(set_to_none=False), 0),
    ):
        held = p.grad
        change()
        assert p.grad is held
        np.testing.assert_allclose(p.grad.numpy(), [expected] * 2, rtol=1e-5)


@pytest.mark.parametrize("how", ["view_as", "reshape_as", "expand_as"])
def test_a_gradient_that_depends_on_a_write_through_data_raises_for_every_kind_of_view(how):
    w, x = lucid.ones(3, requires_grad=True), lucid.ones(1, 3, requires_grad=True)
    loss = (x * getattr(w, how)(lucid.ones(1, 3))).sum()  # only the graph holds the view
    w.data.fill_(5)
    with pytest.raises(RuntimeError, match=r"was changed through \.data since"):
        loss.backward()


def test_checkpoints_differentiate_while_overwritten_values_live():
    layer, other = nn.Linear(2, 2), lucid.ones(2, requires_grad=True)
    kept = other * other  # its graph keeps the value that is overwritten
    other.data.add_(1)
    x = lucid.ones(1, 2, requires_grad=True)
    lucid.utils.checkpoint(layer, x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), layer.weight.detach().numpy().sum(0, keepdims=True), rtol=1e-6)
    y = lucid.utils.checkpoint(lambda x: layer(x) ** 2, x)
    layer.weight.data.mul_(2)
    with pytest.raises(RuntimeError, match=r"'checkpoint' was computed from was changed through \.data"):
        y.sum().backward()
    with pytest.raises(RuntimeError, match=r"changed through \.data"):
        kept.sum().backward()

"""``.grad`` is a tensor like others: what holds it, or shares its values, follows as in PyTorch."""

import copy

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.amp import GradScaler


def leaf(*values):
    return lucid.tensor([float(one) for one in values], requires_grad=True)


def test_backward_adds_to_the_gradient_in_place():
    p = leaf(1, 2)
    (p * p).sum().backward()
    held, part = p.grad, p.grad[1:]
    (p * 3).sum().backward()
    assert p.grad is held and held.tolist() == [5, 7] and part.tolist() == [7]
    (p * 3).sum().backward(inputs=[p])
    assert held.tolist() == [8, 10] and part.tolist() == [10]
    held.mul_(2)
    assert p.grad.tolist() == [16, 20] and part.tolist() == [20]


def test_a_recorded_backward_leaves_the_former_gradient():
    p = leaf(1, 2)
    (p * p).sum().backward()
    held = p.grad
    (p * p * p).sum().backward(create_graph=True)
    assert held.tolist() == [2, 4] and p.grad.tolist() == [5, 16] and p.grad.requires_grad
    p.grad = None


def test_gradients_may_be_views_of_one_tensor():
    model = nn.Linear(2, 1)
    flat = lucid.zeros(3)
    model.weight.grad, model.bias.grad = flat[:2].view(1, 2), flat[2:]
    x = lucid.tensor([[1.0, 2.0], [3.0, 4.0]])
    for count in (1, 2):
        model(x).sum().backward()
        assert flat.tolist() == [4 * count, 6 * count, 2 * count]
    flat.zero_()
    assert model.weight.grad.tolist() == [[0, 0]] and model.bias.grad.tolist() == [0]


def test_two_leaves_may_have_one_gradient():
    p, q = leaf(1, 2), leaf(3, 4)
    (p * q).sum().backward()
    p.grad = q.grad
    (p * q).sum().backward()
    assert p.grad is q.grad and p.grad.tolist() == [1 + 3 + 1, 2 + 4 + 2]


def test_a_gradient_that_someone_else_holds_is_not_the_gradient():
    p, given, kept = leaf(1, 2), lucid.ones(2), []
    p.register_hook(kept.append)
    p.backward(given)
    p.grad.mul_(3)
    given.add_(1)
    assert p.grad.tolist() == [3, 3] and given.tolist() == [2, 2] and kept[0].tolist() == [2, 2]
    y = p * 1
    y.retain_grad()
    y.register_hook(kept.append)
    y.sum().backward()
    y.grad.zero_()
    assert kept[1].tolist() == [1, 1] and p.grad.tolist() == [4, 4]


@pytest.mark.parametrize("owner", ["module", "optimizer"])
def test_zero_grad_zeroes_in_place(owner):
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    model(lucid.ones(1, 2)).sum().backward(create_graph=True)
    held, view = model.weight.grad, model.weight.grad.view(-1)
    (model if owner == "module" else optimizer).zero_grad(set_to_none=False)
    assert model.weight.grad is held and held.tolist() == [[0, 0]] and not held.requires_grad
    assert view.tolist() == [0, 0]


def test_clipping_and_unscaling_write_in_place():
    p = leaf(1, 2)
    (p * lucid.tensor([3.0, 4.0])).sum().backward()
    held = p.grad
    nn.utils.clip_grad_norm_([p], 2.5)
    np.testing.assert_allclose(held.numpy(), [1.5, 2], rtol=1e-5)
    nn.utils.clip_grad_value_([p], 1.75)
    np.testing.assert_allclose(held.numpy(), [1.5, 1.75], rtol=1e-5)
    scaler = GradScaler(init_scale=0.5)
    scaler.scale(lucid.zeros(1))
    scaler.unscale_(optim.SGD([p], lr=0.1))
    np.testing.assert_allclose(held.numpy(), [3, 3.5], rtol=1e-5)


def test_a_compiled_step_adds_to_a_gradient_that_is_held():
    p = leaf(1, 2)
    flat = lucid.zeros(3)
    p.grad = flat[1:]

    @lucid.compile(state=[p])
    def step():
        (p * p).sum().backward()

    for count in (1, 2, 3):
        step()
        assert flat.tolist() == [0, 2 * count, 4 * count]


def test_the_copy_of_a_leaf_has_a_gradient_of_its_own():
    p = leaf(1, 2)
    (p * 3).sum().backward()
    q = copy.deepcopy(p)
    (p * 3).sum().backward()
    assert q.grad.tolist() == [3, 3] and p.grad.tolist() == [6, 6]


def test_assigned_states_are_shared():
    source, model = nn.Linear(2, 1), nn.Linear(2, 1)
    model.load_state_dict(source.state_dict(), assign=True)
    with lucid.no_grad():
        source.weight.fill_(3)
        model.bias.fill_(4)
    assert model.weight.tolist() == [[3, 3]] and source.bias.tolist() == [4] and model.weight.requires_grad


@pytest.mark.parametrize("indexing", ["ij", "xy"])
def test_grids_share(indexing):
    x, y = lucid.arange(3.0), lucid.arange(2.0)
    grid = lucid.meshgrid(x, y, indexing=indexing)
    x += 1
    y *= 2
    expected = np.meshgrid(np.arange(1.0, 4), 2 * np.arange(2.0), indexing=indexing)
    for one, other in zip(grid, expected, strict=True):
        np.testing.assert_array_equal(one.numpy(), other)


def test_indices_are_those_of_the_time_of_the_view():
    x, start, sizes = lucid.arange(6.0), lucid.tensor(1), [2, 4]
    part, second = x[start : lucid.tensor(3)], x.split(sizes)[1]
    narrow = x.narrow(0, start=start, length=2)
    start += 2
    sizes[:] = [1, 5]
    x += 10
    assert part.tolist() == narrow.tolist() == [11, 12] and second.tolist() == [12, 13, 14, 15]


def test_a_column_at_the_index_of_a_tensor_is_not_contiguous():
    x = lucid.arange(6.0).view(2, 3)
    column = x[:, lucid.tensor(1)]
    copied = column.contiguous()
    x += 1
    assert not column.is_contiguous() and column.tolist() == [2, 5] and copied.tolist() == [1, 4]

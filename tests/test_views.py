"""Views: writing to one writes to the tensor it was taken from."""

import copy

import numpy as np
import pytest

import lucid


def test_writing_to_a_view_writes_to_its_owner():
    t = lucid.zeros(3, 4)
    t[0][1] = 1
    t[:, 2:].T[1].fill_(2)
    t.view(-1)[8] = 3
    t.reshape(2, 6).transpose(0, 1)[-1] -= 5
    for row in t:
        row[0] += 10
    expected = np.zeros((3, 4), np.float32)
    expected[0, 1] = 1
    expected[:, 3] = 2
    expected[2, 0] = 3
    expected.reshape(2, 6).T[-1] -= 5
    expected[:, 0] += 10
    assert t.tolist() == expected.tolist()
    t[lucid.tensor([0, 1])].zero_()  # a copy, as in NumPy
    assert t.tolist() == expected.tolist()


def test_a_write_through_a_view_is_recorded():
    x = lucid.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    y[1:].mul_(x[0])
    (y * lucid.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [2 + 40 + 600, 20, 200]
    with pytest.raises(RuntimeError, match="leaf that requires grad"):
        x[0].zero_()
    with lucid.no_grad():
        x[0].fill_(7)
        x.data[1] = 8
        x.detach().view(3)[2:] = 9
    assert x.tolist() == [7, 8, 9] and x.requires_grad and x.is_leaf


def test_views_of_temporaries_can_be_written():
    t = lucid.arange(6).reshape(2, 3)
    t[0] = 9
    assert t.tolist() == [[9, 9, 9], [3, 4, 5]]


def test_writing_to_a_view_sees_later_changes_of_its_owner():
    t = lucid.arange(6).reshape(2, 3)
    view = t[0]
    t.zero_()
    view.add_(1)
    assert t.tolist() == [[1, 1, 1], [0, 0, 0]] and view.tolist() == [1, 1, 1]
    w = lucid.tensor([2.0], requires_grad=True)
    t = lucid.zeros(3)
    view = t[:2]
    t[0] = w * 3
    view.add_(1)  # keeps the graph of the earlier write
    t.sum().backward()
    assert t.tolist() == [7, 1, 0] and w.grad.tolist() == [3]


def test_writing_to_a_detached_view_is_not_recorded():
    p = lucid.ones(3, requires_grad=True)
    value = p.detach()
    with lucid.no_grad():
        p.add_(1)
    value.view(3)[2:] = 9
    value.mul_(2)
    assert p.tolist() == [4, 4, 18] and p.is_leaf and p.requires_grad and not value.requires_grad


def test_only_stale_tensors_have_another_class():
    assert "__getattr__" not in dir(lucid.Tensor)  # it would slow every attribute access

    class Special(lucid.Tensor):
        pass

    x = Special([1.0, 2.0])
    alias = copy.copy(x)
    x.add_(1)
    assert isinstance(alias, Special) and repr(alias) == "tensor([2., 3.])"
    assert type(alias) is Special

    detached = x.detach()
    x.add_(1)
    assert type(copy.deepcopy(detached)) is type(detached) is lucid.Tensor

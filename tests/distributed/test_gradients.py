"""What average_gradients does among several processes is in test_program.py."""

from types import SimpleNamespace

import pytest

import lucid
from lucid import distributed as dist
from lucid.distributed import group


def parameter(*gradient):
    tensor = lucid.zeros(len(gradient), requires_grad=True)
    tensor.grad = lucid.tensor(list(gradient))
    return tensor


def test_alone_gradients_stay_as_they_are():
    one = parameter(1.0, 2.0)
    before = one.grad
    dist.average_gradients([one, lucid.zeros(2, requires_grad=True)], num_samples=3)
    dist.average_gradients(one)
    assert one.grad is before


def test_average_gradients_refuses_what_it_cannot_use():
    with pytest.raises(TypeError, match="average_gradients: parameters must be tensors, got str"):
        dist.average_gradients(["weight"])
    with pytest.raises(TypeError, match=r"must be tensors, got Linear; model.parameters\(\) gives a model's"):
        dist.average_gradients(lucid.nn.Linear(1, 1))
    with pytest.raises(ValueError, match=r"num_samples must be one number, got a tensor of shape \(2,\)"):
        dist.average_gradients([parameter(1.0)], num_samples=lucid.tensor([3, 4]))
    with pytest.raises(ValueError, match="num_samples must be at least 0, got -1"):
        dist.average_gradients([parameter(1.0)], num_samples=-1)
    with pytest.raises(TypeError, match="num_samples must be an integer"):
        dist.average_gradients([parameter(1.0)], num_samples=2.5)
    with pytest.raises(ValueError, match="bucket_mb must be above 0, got 0"):
        dist.average_gradients([parameter(1.0)], bucket_mb=0)


class Told(Exception):
    """In the place of what the watch does."""


def test_ranks_compare_which_gradients_they_have_and_how_they_count(monkeypatch):
    def told(what):
        raise Told(what)

    monkeypatch.setattr(group, "_group", group.ProcessGroup(0, 2, "ring", None, SimpleNamespace(record_call=told)))
    without = lucid.zeros(2, requires_grad=True)
    with pytest.raises(Told, match=r"average_gradients\(0 gradients of 1 parameters, checksum"):
        dist.average_gradients([without])
    with pytest.raises(Told, match=r"average_gradients\(1 gradients of 2 parameters, num_samples, checksum"):
        dist.average_gradients([parameter(1.0), without], num_samples=2)

"""average_gradients in a single process; test_program.py covers several."""

from types import SimpleNamespace

import pytest

import lucid
from lucid import distributed as dist
from lucid.distributed import group


def parameter(*gradient):
    tensor = lucid.zeros(len(gradient), requires_grad=True)
    tensor.grad = lucid.tensor(list(gradient))
    return tensor


def test_gradients_of_a_single_process_stay_unchanged():
    one = parameter(1.0, 2.0)
    before = one.grad
    dist.average_gradients([one, lucid.zeros(2, requires_grad=True)], num_samples=3)
    dist.average_gradients(one)
    assert one.grad is before


def test_average_gradients_refuses_invalid_arguments():
    with pytest.raises(TypeError, match="average_gradients: parameters must be tensors, got str"):
        dist.average_gradients(["weight"])
    with pytest.raises(TypeError, match=r"must be tensors, got Linear; pass model.parameters\(\)"):
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
    """Raised instead of reporting to the watchdog."""


def test_ranks_compare_their_gradients_and_weighting(monkeypatch):
    def told(what):
        raise Told(what)

    monkeypatch.setattr(group, "_group", group.ProcessGroup(0, 2, "ring", None, SimpleNamespace(record_call=told)))
    without = lucid.zeros(2, requires_grad=True)
    with pytest.raises(Told, match=r"average_gradients\(0 gradients of 1 parameters, checksum"):
        dist.average_gradients([without])
    with pytest.raises(Told, match=r"average_gradients\(1 gradients of 2 parameters, num_samples, checksum"):
        dist.average_gradients([parameter(1.0), without], num_samples=2)

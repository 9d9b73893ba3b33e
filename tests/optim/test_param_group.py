import mlx.core as mx
import pytest

import lucid
from lucid.optim import SGD
from lucid.optim.param_group import ParamGroup


def test_every_kind_of_write_changes_the_array():
    group = ParamGroup({"lr": 1})
    rate = group.lr_tensor
    assert group["lr"] == 1.0 and isinstance(group["lr"], float) and rate.item() == 1
    group["lr"] = 0.5
    assert rate.item() == 0.5
    group.update({"lr": 0.25}, momentum=0.9)
    assert rate.item() == 0.25 and group["momentum"] == 0.9
    group |= {"lr": 0.125}
    assert rate.item() == 0.125
    assert group.setdefault("lr", 3.0) == 0.125 and group.setdefault("eps", 1.0) == 1.0
    group.set_lr(2.0)
    assert group["lr"] == rate.item() == 2.0 and group.lr_tensor is rate


def test_previous_arrays_keep_their_values():
    group = ParamGroup({"lr": 0.5})
    array = group.learning_rate
    group["lr"] = 0.25
    assert array.item() == 0.5 and group.learning_rate.item() == 0.25


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_tensor_belongs_to_the_user(shape):
    lr = lucid.full(shape, 0.5)
    p = lucid.zeros(3).requires_grad_()
    p.grad = lucid.ones(3)
    optimizer = SGD([p], lr=lr)
    group = optimizer.param_groups[0]
    optimizer.step()
    assert group["lr"] is lr and p.tolist() == [-0.5] * 3
    lr.fill_(0.25)  # written by the user
    optimizer.step()
    assert p.tolist() == [-0.75] * 3
    group.set_lr(1.0)  # written by a schedule
    optimizer.step()
    assert group["lr"] is lr and lr.shape == shape and lr.item() == 1.0 and p.tolist() == [-1.75] * 3
    group["lr"] = 0.125  # replaced: the tensor keeps its value
    optimizer.step()
    assert lr.item() == 1.0 and p.tolist() == [-1.875] * 3


def test_the_arrays_are_float32_scalars():
    assert ParamGroup({"lr": lucid.full((1,), 0.5, dtype=lucid.float16)}).learning_rate.dtype == mx.float32
    assert ParamGroup({"lr": lucid.full((1,), 0.5)}).learning_rate.shape == ()
    assert ParamGroup({"lr": 3}).learning_rate.dtype == mx.float32


def test_invalid_learning_rates_are_refused():
    group = ParamGroup({"lr": 0.5})
    with pytest.raises(TypeError, match="optimizer: lr must be a number, got 'high'"):
        group["lr"] = "high"
    with pytest.raises(ValueError, match=r"with one element, got shape \(2,\)"):
        group["lr"] = lucid.zeros(2)
    assert group["lr"] == group.lr_tensor.item() == 0.5


@pytest.mark.parametrize(
    ("options", "now"), [({"momentum": 0.9}, {"momentum": 0.5}), ({"betas": (0.9, 0.99)}, {"betas": (0.5, 0.99)})]
)
def test_a_scheduled_momentum_is_a_tensor(options, now):
    group = ParamGroup({"lr": 0.1, **options})
    assert group.momentum == 0.9 and group.momentum_tensor is None
    group.set_momentum(0.5)
    tensor = group.momentum_tensor
    assert {name: group[name] for name in now} == now and group.momentum.item() == 0.5
    group.update({"betas": (0.25, 0.99)} if "betas" in options else {"momentum": 0.25})
    assert group.momentum_tensor is tensor and tensor.item() == 0.25
    assert "momentum_tensor" not in group, "the number is what is saved"

import json

import pytest

import lucid
from lucid.optim import SGD, AdamW, Lion, Muon, flatten_state, lr_scheduler, unflatten_state
from lucid.serialization import load_with_metadata


def trained(kind, **options):
    parameters = [lucid.tensor([[1.0, 2.0]], requires_grad=True), lucid.tensor([[3.0], [4.0]], requires_grad=True)]
    named = [("a", parameters[0]), ("b", parameters[1])]
    optimizer = kind(named, **options)
    for _ in range(3):
        for p in parameters:
            p.grad = p.detach() * 2
        optimizer.step()
    return parameters, optimizer


@pytest.mark.parametrize(
    ("kind", "options"),
    [(SGD, {}), (SGD, {"momentum": 0.9}), (AdamW, {"amsgrad": True}), (Muon, {}), (Lion, {"lr": lucid.tensor(0.01)})],
)
def test_a_file_round_trip(tmp_path, kind, options):
    parameters, optimizer = trained(kind, **options)
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    tensors, metadata = flatten_state(optimizer.state_dict())
    lucid.save(tensors, tmp_path / "optimizer.safetensors", {**metadata, "epoch": "3"})

    again, second = trained(kind, **options)
    second.load_state_dict(unflatten_state(*load_with_metadata(tmp_path / "optimizer.safetensors")))
    assert repr(second) == repr(optimizer) and second.state_dict()["param_groups"][0]["initial_lr"] > 0
    for p, q in zip(parameters, again, strict=True):
        q._rebind(p._array)
        p.grad = q.grad = lucid.ones(*p.shape)
    optimizer.step()
    second.step()
    assert [p.tolist() for p in parameters] == [p.tolist() for p in again]
    assert scheduler.get_last_lr() == pytest.approx([second.param_groups[0].lr_tensor.item()])


def test_names_and_text_are_readable():
    tensors, metadata = flatten_state(trained(AdamW)[1].state_dict())
    assert sorted(tensors) == [f"state.{i}.{name}" for i in (0, 1) for name in ("exp_avg", "exp_avg_sq", "step")]
    [group] = json.loads(metadata["optimizer"])["param_groups"]
    assert (group["lr"], group["betas"], group["params"]) == (1e-3, [0.9, 0.999], [0, 1])


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({}, {}, "the metadata has no 'optimizer'"),
        ({}, {"optimizer": "{"}, "this is not an optimizer's state"),
        ({}, {"optimizer": "[]"}, "this is not an optimizer's state"),
        ({"weight": 1}, {"optimizer": '{"param_groups": []}'}, "this is not an optimizer's state"),
        ({"other.0.x": 1}, {"optimizer": '{"param_groups": []}'}, "this is not an optimizer's state: other.0.x"),
        ({"state.one.x": 1}, {"optimizer": '{"param_groups": []}'}, "this is not an optimizer's state"),
        ({"param_groups.0.lr": 1}, {"optimizer": '{"param_groups": []}'}, "this is not an optimizer's state"),
    ],
)
def test_invalid_states_are_refused(tensors, metadata, message):
    with pytest.raises(ValueError, match=message):
        unflatten_state(tensors, metadata)


def test_values_that_json_cannot_represent_are_refused():
    state = trained(SGD)[1].state_dict()
    state["param_groups"][0]["name"] = object()
    with pytest.raises(TypeError, match="flatten_state: a group holds a value that is not JSON-serializable"):
        flatten_state(state)

"""``torch.compile`` compiles what it can without recording gradients, and otherwise leaves things as they are."""

import copy

import pytest

import lucid.torch as torch
from lucid.torch._compiled import OptimizedModule


def test_a_module_is_compiled_where_no_gradient_is_recorded():
    calls = []

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)

        def forward(self, x):
            self.record()
            return self.layer(x).relu()

        def record(self):
            calls.append(1) if self.training else None

    net = Net()
    compiled = torch.compile(net, mode="reduce-overhead", fullgraph=True)
    assert isinstance(compiled, torch.nn.Module) and compiled._orig_mod is net and compiled.layer is net.layer
    assert list(compiled.state_dict()) == ["_orig_mod.layer.weight", "_orig_mod.layer.bias"]
    x = torch.ones(2, 3)
    compiled.eval()
    assert not net.training
    with torch.no_grad():
        for _ in range(2):
            assert torch.allclose(compiled(x), net(x))
        net.layer.bias.fill_(3.0)
        assert torch.allclose(compiled(x), net(x))
    assert len(compiled._attempt._compiled._graphs.by_key) == 1
    compiled.train()
    compiled(x).sum().backward()
    assert net.layer.weight.grad is not None and calls == [1]
    again = copy.deepcopy(compiled)
    assert isinstance(again, OptimizedModule) and again.layer is not net.layer


def test_a_function_that_reads_a_value_runs_as_it_is_with_one_note():
    @torch.compile
    def relu_if_positive(x):
        return x.relu() if x.sum().item() > 0 else x * 2

    with (
        torch.no_grad(),
        pytest.warns(UserWarning, match="torch.compile: relu_if_positive runs without being compiled"),
    ):
        assert relu_if_positive(torch.tensor([-1.0, 2.0])).tolist() == [0, 2]
    with torch.no_grad():
        assert relu_if_positive(torch.tensor([-1.0, 0.5])).tolist() == [-2, 1]


def test_a_function_that_changes_a_variable_runs_as_it_is():
    seen = []

    def count(x):
        seen.append(x.shape)
        return x + 1

    counted = torch.compile(count)
    with torch.no_grad(), pytest.warns(UserWarning, match="torch.compile: count runs without being compiled"):
        counted(torch.ones(1))
    seen.clear()
    with torch.no_grad():
        for _ in range(3):
            assert counted(torch.ones(1)).item() == 2
    assert len(seen) == 3


def test_errors_of_the_function_are_raised():
    @torch.compile(dynamic=True)
    def wrong(x):
        raise KeyError("mine")

    with torch.no_grad(), pytest.raises(KeyError, match="mine"):
        wrong(torch.ones(1))


def test_a_whole_training_step_is_not_compiled_and_trains():
    layer = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

    @torch.compile
    def step(x):
        optimizer.zero_grad()
        loss = layer(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(torch.ones(4, 2)).item() for _ in range(3)]
    assert losses[0] > losses[1] > losses[2]


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="compile: expected a function or a module, got int"):
        torch.compile(3)
    layer = torch.nn.Linear(1, 1)
    assert torch.compile(layer, disable=True) is layer

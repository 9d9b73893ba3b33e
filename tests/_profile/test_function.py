"""``lucid.profile``: the counts of ConvNeXt's blocks, what belongs to which line, and that nothing changes."""

import re
import threading
from collections import Counter

import mlx.core as mx
import pytest

import lucid
from lucid import models, nn, optim
from lucid._compile import Compiled
from lucid._profile import capture
from lucid.kernels import use_reference
from lucid.kernels.depthwise_conv2d import depthwise_conv2d
from lucid.nn import functional as F

IMAGES, SIDE, CHANNELS = 64, 56, 96  # the first stage of ConvNeXt-T
MAP = IMAGES * SIDE * SIDE * CHANNELS * 4


def training_step(model, optimizer=None):
    def step(x):
        model.zero_grad()
        loss = model(x).square().sum()
        loss.backward()
        if optimizer is not None:
            optimizer.step()
        return loss

    return step


def block_cost(make, compiled, images=IMAGES, side=SIDE, channels=CHANNELS):
    """The second of two blocks in training: passes over its map and launches."""
    model = nn.Sequential(make(channels), make(channels))
    x = lucid.zeros(images, side, side, channels)
    found = lucid.profile(training_step(model), x, state=model, compiled=compiled).within("1")
    return round(found.bytes / (images * side * side * channels * 4), 2), found.launches


V1 = models.convnext.Block


def v2(dim):
    return V1(dim, layer_scale_init=0.0, grn=True)


def drop_path(dim):
    return V1(dim, drop_path=0.1)


# Passes over the map and launches; bytes of weights and of partial sums are the digits after the point.
@pytest.mark.parametrize(
    ("make", "compiled", "cost"),
    [
        (V1, True, (63.54, 35)),
        (V1, False, (63.54, 36)),
        (drop_path, True, (63.54, 35)),
        (drop_path, False, (63.54, 36)),
        (v2, True, (64.07, 50)),
        (v2, False, (64.1, 71)),
    ],
    ids=["V1 compiled", "V1 eager", "drop path compiled", "drop path eager", "V2 compiled", "V2 eager"],
)
def test_the_first_stage_of_convnext_tiny(make, compiled, cost):
    assert block_cost(make, compiled) == cost


@pytest.mark.parametrize(
    ("side", "channels", "cost", "cost_of_v2"),
    [
        (28, 192, (65.56, 35), (69.63, 50)),
        (14, 384, (66.63, 33), (78.18, 41)),
        (7, 768, (81.26, 27), (88.38, 36)),
    ],
)
def test_the_other_stages(side, channels, cost, cost_of_v2):
    assert block_cost(V1, True, side=side, channels=channels) == cost
    assert block_cost(v2, True, side=side, channels=channels) == cost_of_v2


def test_layer_by_layer_costs_more(monkeypatch):
    monkeypatch.setattr(models._fused_block, "can_fuse", lambda block: False)
    assert block_cost(V1, True) == (81.28, 31)
    assert block_cost(v2, True) == (167.47, 51)


def test_gelu_is_one_kernel_a_direction():
    def step(x):
        x = x.requires_grad_()
        loss = F.gelu(x).square().sum()
        loss.backward()
        return loss, x.grad

    x = lucid.zeros(64, 1024)
    for compiled in (True, False):
        found = [one for one in lucid.profile(step, x, compiled=compiled).kernels if one.operation == "gelu"]
        assert [(one.direction, one.bytes // (64 * 1024 * 4)) for one in found] == [("forward", 2), ("backward", 3)]


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16], ids=str)
def test_half_precision_takes_half_the_bytes(dtype):
    model = nn.Sequential(V1(96), V1(96)).to(dtype)
    x = lucid.zeros(IMAGES, SIDE, SIDE, CHANNELS, dtype=dtype)
    found = lucid.profile(training_step(model), x, state=model, compiled=True).within("1")
    passes = found.bytes / (MAP / 2)
    assert passes == pytest.approx(73 if dtype == mx.float16 else 64, abs=1)  # float16 does not fold layer scale


@pytest.mark.parametrize(("make", "passes"), [(V1, 76.07), (v2, 76.53)])
def test_autocast(make, passes):
    """In passes over a map of half the bytes; the shortcut is float32."""
    model = nn.Sequential(make(96), make(96))

    def step(x):
        model.zero_grad()
        with lucid.autocast(dtype=lucid.bfloat16):
            y = model(x)
        loss = y.float().square().sum()
        loss.backward()
        return loss

    x = lucid.zeros(IMAGES, SIDE, SIDE, CHANNELS)
    found = lucid.profile(step, x, state=model, compiled=True).within("1")
    assert round(found.bytes / (MAP / 2), 2) == passes
    norms = [one for one in found.kernels if one.operation == "layer_norm"]
    assert [(one.name, one.direction) for one in norms] == [("LayerNorm", "forward"), ("LayerNormVJP", "backward")]


def test_labels_name_operation_direction_module_and_line():
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = model(x).square().sum()
        loss.backward()
        optimizer.step()
        return loss

    first = step.__code__.co_firstlineno
    found = lucid.profile(step, lucid.zeros(1024, 64), state=[model, optimizer])
    named = {(one.operation, one.direction, one.module, one.line) for one in found.kernels if one.operation}
    assert {
        ("linear", "forward", "0", f"test_function.py:{first + 2}"),
        ("linear", "backward", "2", f"test_function.py:{first + 2}"),
        ("relu", "forward", "1", f"test_function.py:{first + 2}"),
        ("SGD.step", "optimizer", "", f"test_function.py:{first + 4}"),
    } <= named
    assert sum(not one.operation for one in found.kernels) <= 2  # of constants


def test_the_backward_pass_adds_gradients_by_that_name():
    layer = nn.Linear(64, 64)

    def step(x):
        y = layer(x)
        loss = (F.relu(y) * F.silu(y)).sum()
        loss.backward()
        return loss

    found = lucid.profile(step, lucid.zeros(1024, 64), state=layer)
    assert Counter((one.operation, one.direction) for one in found.kernels)["sum of gradients", "backward"] == 1


def test_nothing_changes():
    lucid.manual_seed(0)
    model = models.ConvNeXt(10, [1, 1], [8, 16], drop_path=0.5, patch_size=2)
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    key, before = lucid.random.get_state(), {name: one.clone() for name, one in model.state_dict().items()}

    def step(x):
        optimizer.zero_grad()
        loss = model(x).square().sum()
        loss.backward()
        optimizer.step()
        return loss

    x = lucid.ones(4, 3, 16, 16)
    for compiled in (True, False):
        lucid.profile(step, x, state=[model, optimizer], compiled=compiled)
        assert all(parameter.grad is None for parameter in model.parameters())
        assert not optimizer.state_dict()["state"]
        assert mx.array_equal(lucid.random.get_state(), key) if isinstance(key, mx.array) else True
        assert all(lucid.equal(one, before[name]) for name, one in model.state_dict().items())
    assert step(x).item() > 0
    steady = lucid.profile(step, x, state=[model, optimizer])
    assert steady.launches == lucid.profile(step, x, state=[model, optimizer]).launches


@pytest.mark.parametrize("compiled", [False, True])
def test_aliases_of_an_argument_follow_it(compiled):
    """A write to a view is a write to its base, as in ``lucid.compile``."""

    def step(x, y):
        y.add_(1)
        return x.sum()

    x = lucid.zeros(64, 1024)
    alone, shared = (lucid.profile(step, x, one, compiled=compiled) for one in (x[:32].clone(), x[:32]))
    written = [sum(one.bytes_written for one in found.kernels) for found in (alone, shared)]
    assert written[1] >= written[0] + x.numel() * 4
    assert not x.any().item()


def test_other_threads_go_on():
    """While a step is traced, another thread computes as usual."""
    layer, x = nn.Linear(4, 4), lucid.rand(2, 4)
    found = []

    def compute():
        found.append(F.gelu(F.layer_norm(layer(x), (4,))).sum())

    def step(x):
        thread = threading.Thread(target=compute)
        thread.start()
        thread.join()
        return mx.exp(x)

    assert lucid.profile(step, mx.zeros((2, 4))).launches == 1
    compute()
    assert found[0].item() == found[1].item()


def test_a_compiled_function_is_counted_as_it_runs():
    model = nn.Linear(64, 64)
    step = training_step(model)
    compiled = lucid.compile(step, state=model)
    x = lucid.zeros(1024, 64)
    assert lucid.profile(compiled, x) == lucid.profile(step, x, state=model, compiled=True)
    assert lucid.profile(compiled, x, compiled=False) == lucid.profile(step, x, state=model)
    assert lucid.profile(compiled, x).compiled
    with pytest.raises(TypeError, match="profile: a compiled function has its own state"):
        lucid.profile(compiled, x, state=model)


def test_wrong_arguments():
    with pytest.raises(TypeError, match="profile: step must be a function, got int"):
        lucid.profile(3)
    with pytest.raises(ValueError, match="Profile.seconds: chip must be 'M1', .* or 'H200', got 'M0'"):
        lucid.profile(lambda x: x + x, lucid.zeros(3)).seconds("M0")


def test_eager_runs_repeat_what_mlx_would_merge():
    """Only exact counts of an eager run do: MLX merges equal primitives in every trace that it hands out."""

    def twice(x):
        return F.silu(x) + F.silu(x)

    names = [one.name for one in lucid.profile(twice, lucid.zeros(64, 1024)).kernels]
    assert names == ["Sigmoid", "Multiply", "Sigmoid", "Multiply", "Add"]
    assert len(lucid.profile(twice, lucid.zeros(64, 1024), compiled=True).kernels) == 1


def test_an_eager_step_has_all_primitives_that_python_made(tmp_path):
    """Against MLX's drawing of the graph, which merges nothing."""
    block = V1(8)
    program = Compiled(training_step(block), block)
    drawn = []
    trace = capture.graphs.trace

    def drawing(function, *rest):
        def run(*arrays):
            outputs = function(*arrays)
            mx.export_to_dot(str(tmp_path / "graph.dot"), *outputs)
            drawn.append(Counter(re.findall(r'label ="(\w+)"', (tmp_path / "graph.dot").read_text())))
            return outputs

        return trace(run, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture.graphs, "trace", drawing)
        graph, _ = capture.capture(program, (lucid.zeros(2, 8, 8, 8),), {}, False, "metal")
    found = Counter(node.primitive for node in graph.nodes)
    for name in ("Matmul", "AddMM", "Exp", "Erf", "Add", "Sqrt", "Gather", "Depends"):
        assert found[name] <= drawn[-1][name]
        assert found[name] == drawn[-1][name] or name == "Add"  # tags of opaque calls are sums


def test_functions_of_arrays_and_their_gradients():
    def loss(x, weight, bias):
        y = depthwise_conv2d(x, weight, bias, padding=3)
        return mx.fast.layer_norm(y, None, None, 1e-6).square().sum()

    x, weight, bias = mx.zeros((8, 32, 32, 16)), mx.zeros((16, 1, 7, 7)), mx.zeros(16)
    found = lucid.profile(mx.grad(loss, argnums=(0, 1, 2)), x, weight, bias, compiled=True)
    names = Counter(one.name for one in found.kernels)
    assert names["rolling_forward"] == 2 and names["rolling_weight_gradient"] == 1
    assert names["LayerNorm"] == names["LayerNormVJP"] == 1


def test_gradients_of_gradients_take_the_reference():
    layer = nn.Linear(16, 16)

    def step(x):
        x = x.requires_grad_()
        [slope] = lucid.autograd.grad(F.gelu(layer(x)).sum(), [x], create_graph=True)
        loss = slope.square().sum()
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match="profile: gradients of gradients cannot be counted through kernels"):
        lucid.profile(step, lucid.zeros(64, 16), state=layer)
    with use_reference():
        assert lucid.profile(step, lucid.zeros(64, 16), state=layer, compiled=True).launches > 5


def test_the_tables():
    model = nn.Sequential(nn.Linear(64, 64), nn.GELU())
    found = lucid.profile(training_step(model), lucid.zeros(1024, 64), state=model)
    text = str(found)
    assert "linear" in text and "held for the backward pass" in text and "eager" in text
    listing = found.listing(1024 * 64 * 4).splitlines()
    assert len(listing) == found.launches + 2
    assert re.search(r"AddMM +1\.06 +1\.00", listing[2])
    slower, faster = found.seconds("M1"), found.seconds("H200")
    assert 0 < faster < slower
    assert slower >= found.bytes / 68e9

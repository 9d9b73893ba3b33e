"""The recorded graph: what it holds for any module, which sizes vary, and what is refused."""

import random

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import models, nn
from lucid.export import ExportError
from lucid.export._graph import Axis, Constant, Expression, Filled, Size, record, sizes_in
from lucid.nn import functional as F

IMAGES = {"batch": [(0, 0)], "height": [(0, 2)], "width": [(0, 3)]}


class Function(nn.Module):
    """A module whose forward is a function."""

    def __init__(self, function, **children):
        super().__init__()
        self.function = function
        for name, child in children.items():
            setattr(self, name, child)
        self.eval()

    def forward(self, *inputs):
        return self.function(*inputs)


def operations(graph):
    return [node.operation for node in graph.nodes]


def recorded(function, *shapes, dynamic=None, **children):
    return record(Function(function, **children), [lucid.zeros(*shape) for shape in shapes], dynamic=dynamic)


def test_layers_operators_and_methods_are_operations_of_lucid():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))
    graph = record(model.eval(), lucid.zeros(2, 3, 4, 4))
    assert operations(graph) == ["conv2d", "batch_norm_with_statistics", "relu", "flatten", "linear"]
    conv = graph.nodes[0]
    assert conv.module == "0" and conv.output.shape == (2, 4, 4, 4)
    assert conv.arguments["stride"] == (1, 1) and conv.arguments["padding"] == (1, 1) and conv.arguments["groups"] == 1
    assert conv.arguments["input"] is graph.inputs[0]
    assert conv.arguments["weight"].name == "0.weight" and conv.arguments["weight"].array is model[0].weight.mlx
    assert set(graph.constants) == {name for name in model.state_dict() if "num_batches" not in name}
    assert list(graph.outputs) == ["output"] and graph.outputs["output"] is graph.nodes[-1].output


def test_every_argument_has_its_name_and_its_default():
    graph = recorded(lambda x: (x + 1)[..., ::2].permute(1, 0).clamp(max=3), (2, 6))
    add, item, permute, clamp = graph.nodes
    assert (add.operation, add.arguments["other"], add.arguments["alpha"]) == ("add", 1, 1)
    assert item.arguments["index"] == (Ellipsis, slice(None, None, 2)) and item.output.shape == (2, 3)
    assert permute.arguments["dims"] == (1, 0)
    assert (clamp.arguments["min"], clamp.arguments["max"]) == (None, 3)
    assert add.line.startswith("test_graph.py:")


def test_what_does_not_depend_on_the_inputs_is_computed_and_the_rest_left_out():
    scale = nn.Parameter(lucid.tensor([1.0, 2.0]))
    layer = nn.Linear(2, 2)

    def forward(x):
        _ = x.exp()  # not used
        return layer(x) * (scale * 3).exp()

    graph = recorded(forward, (4, 2), layer=layer)
    assert operations(graph) == ["linear", "mul"]
    constant = graph.nodes[1].arguments["other"]
    assert constant.name == "" and np.allclose(constant.array, np.exp([3, 6]))


def test_fused_blocks_are_plain_operations():
    graph = record(models.ConvNeXtV2(3, (1,), (8,)).eval(), lucid.zeros(1, 3, 32, 32))
    assert operations(graph)[3:10] == [
        "conv2d",
        "layer_norm",
        "linear",
        "gelu",
        "global_response_norm",
        "linear",
        "add",
    ]


def test_inplace_forms_are_followed():
    def forward(x):
        y = F.relu(x + 1, inplace=True)
        y += 1
        y[:, 0] = 0.0
        return y

    assert operations(recorded(forward, (2, 3))) == ["add", "relu", "add", "setitem"]


def test_results_keep_their_structure():
    graph = recorded(lambda x, y: {"a": x + y, "more": [x * 2, (y,)]}, (2,), (2,))
    assert list(graph.outputs) == ["a", "more.0", "more.1.0"]
    assert graph.outputs["more.1.0"] is graph.inputs[1]
    assert graph.result["more"][0] is graph.nodes[1].output


def test_autocast_is_recorded_as_conversions():
    def forward(x):
        with lucid.amp.autocast("cpu", dtype=lucid.float16):
            return layer(x)

    layer = nn.Linear(2, 2)
    graph = recorded(forward, (4, 2), layer=layer)
    assert operations(graph) == ["astype", "linear"]
    assert graph.nodes[1].output.dtype == mx.float16 and graph.nodes[1].arguments["weight"].dtype == mx.float16


def test_the_model_stays_as_it_is():
    model = Function(lambda x: keep(x * 2))

    def keep(y):
        model.last = y
        return y

    model.last = None
    before = lucid.get_rng_state().tolist()
    record(model, lucid.zeros(2, 3))
    assert model.last is None and lucid.get_rng_state().tolist() == before


# Sizes that vary ------------------------------------------------------------------------------------------------------


def test_sizes_follow_from_dimensions():
    def forward(x):
        n, c, h, w = x.shape
        y = F.max_pool2d(x, 2)
        return y.reshape(n, c, -1), x[:, :, : h // 4, 3 : w - 1], x.reshape(n * h, c * w), F.interpolate(y, size=(h, w))

    graph = recorded(forward, (2, 3, 64, 64), dynamic=IMAGES)
    x = graph.inputs[0]
    _, reshape, item, joined, resize = graph.nodes
    pooled = reshape.arguments["input"]
    assert [graph.expression(one, item) for one in sizes_in(item.arguments["index"])] == [
        Expression((Axis(x, 2),), divide=4), Expression((Axis(x, 3),), add=-1),
    ]  # fmt: skip
    assert [graph.expression(one, joined) for one in joined.arguments["shape"]] == [
        Expression((Axis(x, 0), Axis(x, 2))), Expression((Axis(x, 3),), multiply=3),
    ]  # fmt: skip
    assert [graph.expression(one, resize) for one in resize.arguments["size"]] == [
        Expression((Axis(x, 2),)), Expression((Axis(x, 3),)),
    ]  # fmt: skip
    assert graph.expression(reshape.output.shape[2], reshape) == Expression((Axis(pooled, 2), Axis(pooled, 3)))
    for size in sizes_in(joined.arguments["shape"]):
        expression = graph.expression(size, joined)
        assert [expression.at(i) for i in range(len(size.values))] == list(size.values)


def test_maps_of_a_large_stride_vary_too():
    pools = nn.Sequential(*(nn.MaxPool2d(2) for _ in range(6))).eval()
    graph = record(pools, lucid.zeros(1, 3, 224, 224), dynamic=IMAGES)
    assert all(isinstance(graph.outputs["output"].shape[dim], Size) for dim in (0, 2, 3))


def test_fixed_sizes_are_integers():
    graph = recorded(lambda x: x.flatten(1), (2, 3, 8, 8), dynamic={"batch": [(0, 0)]})
    assert graph.outputs["output"].shape[1] == 192 and isinstance(graph.outputs["output"].shape[0], Size)


def test_constants_that_grow_are_known():
    def forward(x):
        n, c = x.shape
        return x + lucid.zeros(n, c), x + lucid.arange(n, dtype=lucid.float32).unsqueeze(1) * 2

    graph = recorded(forward, (4, 3), dynamic={"rows": [(0, 0)]})
    zeros, rows = (node.arguments["other"] for node in graph.nodes)
    assert isinstance(zeros, Filled) and (zeros.start, zeros.step) == (0, 0)
    assert isinstance(rows, Filled) and (rows.start, rows.step) == (0, 2) and isinstance(rows.shape[0], Size)


def test_models_that_take_certain_sizes_only():
    def forward(x):
        y = F.interpolate(F.max_pool2d(F.max_pool2d(x, 2), 2), scale_factor=4)
        return lucid.cat([x, y], 1)

    graph = recorded(forward, (1, 3, 32, 32), dynamic=IMAGES)
    assert graph.multiples == {"batch": 1, "height": 4, "width": 4}


def grid(x):
    return x + lucid.linspace(-1, 1, x.shape[2])


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda x: x * (1 / x.shape[2]), "variable height.*argument|variable height.*mul .*test_graph.py.*depends on"),
        (grid, "variable height.*other is a tensor whose values depend on the sizes"),
        (lambda x: x + position, "variable height, only for 4: it fails for another one: .*add"),
        (lambda x: x.exp() if x.shape[2] < 5 else x.log(), "for some sizes of the inputs, log .* in place of exp"),
        (lambda x: sum(x[:, :, i] for i in range(1 + x.shape[2] // 64)), "variable height"),
    ],
)
def test_what_cannot_vary_is_refused(forward, message):
    with pytest.raises(ExportError, match=message):
        recorded(forward, (1, 2, 4, 4), dynamic={"height": [(0, 2), (0, 3)]})


position = lucid.ones(4, 4)


def test_a_size_that_cannot_be_computed_is_refused():
    graph = recorded(lambda x: x[: round(x.shape[0] ** 0.5)], (16, 3), dynamic={"rows": [(0, 0)]})
    [size] = sizes_in(graph.nodes[0].arguments["index"])
    with pytest.raises(ExportError, match=r"getitem \(test_graph.py:\d+\): it is not known how the size 4 or"):
        graph.expression(size, graph.nodes[0])


# What a file cannot do ------------------------------------------------------------------------------------------------


def branch(x):
    return x if x.sum() > 0 else -x


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", lucid.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x + 1


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (branch, r"test_graph.py, line \d+: a Python branch .* reads the value of a tensor"),
        (lambda x: x * x.max().item(), r"test_graph.py, line \d+: item\(\) reads the value"),
        (lambda x: x * float(x.max()), r"float\(\) reads the value"),
        (lambda x: x + lucid.tensor(x.numpy()), r"numpy\(\) reads the value"),
        (lambda x: x[x > 0], "reads the value|needs the values"),
        (lambda x: F.dropout(x, 0.5, training=True), r"dropout \(test_graph.py:\d+\) draws random numbers"),
        (lambda x: x + lucid.randn(2, 3), r"add \(test_graph.py:\d+\) draws random numbers"),
        (lambda x: (x * 2, lucid.rand(2)), "forward draws random numbers"),
        (lambda x: x + random.random(), "Python's random module|from call to call|depends on"),
        (lambda x: x + np.random.default_rng().random(3), "values change from call to call"),
        (lambda x: x + lucid.Tensor(mx.exp(x.mlx)), "without an operation of Lucid"),
        (lambda x: (x, 3), "forward returned a int"),
    ],
)
def test_what_a_file_cannot_do_is_refused(forward, message):
    with pytest.raises(ExportError, match=message):
        recorded(forward, (2, 3))


def test_writes_to_views_are_refused():
    def forward(x):
        y = x * 2
        y[:, 0].add_(1)
        return y

    with pytest.raises(ExportError, match="write to a view"):
        recorded(forward, (2, 3))


def test_training_mode_is_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    with pytest.raises(ExportError, match=r"Sequential: it is in training mode; call model.eval\(\)"):
        record(model, lucid.zeros(1, 2))
    model.eval()[1].train()
    with pytest.raises(ExportError, match="its module '1' is in training mode"):
        record(model, lucid.zeros(1, 2))


def test_a_changed_buffer_is_refused():
    model = Counter().eval()
    with pytest.raises(ExportError, match="forward changes 'calls'"):
        record(model, lucid.zeros(2))
    assert model.calls.item() == 0


def test_errors_of_the_model_stay_what_they_are():
    with pytest.raises(ValueError, match="in_channels|channels"):
        record(nn.Conv2d(3, 4, 3).eval(), lucid.zeros(1, 5, 8, 8))


def test_dimensions_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="height: there is no dimension 4 of input 0"):
        recorded(lambda x: x, (2, 3), dynamic={"height": [(0, 4)]})


def test_constants_are_values():
    graph = recorded(lambda x: x @ lucid.ones(3, 2), (2, 3))
    assert isinstance(graph.nodes[0].arguments["other"], Constant)

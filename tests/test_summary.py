"""``lucid.summary``: shapes, counts and costs agree with sums by hand, and the model is unchanged."""

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import nn


class Twice(nn.Module):
    """A layer called twice, a shared layer, a tuple as output, and a layer that is never called."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, groups=1), nn.ReLU())
        self.mix = nn.Linear(8, 8, bias=False)
        self.again = self.mix
        self.heads = nn.ModuleDict({"a": nn.Linear(8, 5)})
        self.unused = nn.Linear(2, 3)

    def forward(self, x, scale=1.0):
        y = self.encoder(x).mean(dim=(2, 3))
        y = self.again(self.mix(y)) * scale
        return y, {"logits": self.heads["a"](y)}


def rows(found):
    return {layer.name: layer for layer in found.layers}


def test_a_row_for_each_layer():
    found = lucid.summary(Twice(), (2, 3, 6, 5))
    by_name = rows(found)
    assert list(by_name) == [
        "", "encoder", "encoder.0", "encoder.1", "mix", "again", "heads", "heads.a", "unused",
    ]  # fmt: skip
    assert by_name[""].output_shapes == ((2, 8), (2, 5))
    assert by_name["encoder.0"].output_shapes == ((2, 8, 6, 5),)
    assert by_name["encoder.0"].parameters == 3 * 8 * 9 + 8
    assert by_name["encoder.0"].mult_adds == 2 * 8 * 6 * 5 * 3 * 9
    assert by_name["encoder"].mult_adds == by_name["encoder.0"].mult_adds
    assert (by_name["mix"].calls, by_name["mix"].mult_adds) == (2, 2 * 2 * 8 * 8)
    assert (by_name["again"].same_as, by_name["again"].parameters) == ("mix", 0)
    assert by_name["heads"].output_shapes == () and by_name["heads"].mult_adds == 2 * 8 * 5
    assert (by_name["unused"].calls, by_name["unused"].parameters) == (0, 9)


def test_totals_count_everything_once():
    model = Twice()
    model.unused.requires_grad_(False)
    found = lucid.summary(model, (2, 3, 6, 5))
    assert found.total_params == sum(p.numel() for p in model.parameters()) == 224 + 64 + 45 + 9
    assert found.trainable_params == found.total_params - 9
    assert found.total_mult_adds == 12960 + 256 + 80
    assert found.total_input == 4 * 2 * 3 * 6 * 5
    assert found.total_output_bytes == 4 * (2 * (2 * 8 * 6 * 5) + 2 * (2 * 8) + 2 * 5)
    assert found.total_param_bytes == 4 * found.total_params
    assert "of which 9 are frozen" in str(found)


@pytest.mark.parametrize(
    ("layer", "size", "cost"),
    [
        (nn.Conv1d(4, 6, 3, stride=2, groups=2), (2, 4, 9), 2 * 6 * 4 * (2 * 3)),
        (nn.Conv2d(6, 6, (3, 5), padding="same", groups=6), (2, 6, 4, 7), 2 * 6 * 4 * 7 * 15),
        (nn.ConvTranspose1d(4, 6, 3), (2, 4, 9), 2 * 4 * 9 * (6 * 3)),
        (nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), (1, 4, 3, 3), 4 * 3 * 3 * (3 * 4)),
        (nn.Linear(7, 3), (2, 5, 7), 2 * 5 * 3 * 7),
        (nn.LayerNorm(7), (2, 5, 7), 0),
    ],
)
def test_multiply_adds(layer, size, cost):
    found = lucid.summary(layer, size)
    assert found.total_mult_adds == cost
    assert found.layers[0].output_shapes == (layer(lucid.zeros(size)).shape,)


def test_three_sizes_are_an_image_for_convolutional_models():
    assert lucid.summary(Twice(), (3, 6, 5)).input_size == ((1, 3, 6, 5),)
    assert lucid.summary(nn.Linear(5, 2), (3, 6, 5)).input_size == ((3, 6, 5),)


def test_several_inputs_data_and_dtypes():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(10, 4)

        def forward(self, words, x, scale=1.0):
            return self.table(words) + x * scale

    found = lucid.summary(Two(), [(3,), (3, 4)], dtypes=[lucid.int64, lucid.float32], scale=2.0)
    assert found.layers[0].output_shapes == ((3, 4),)
    data = [lucid.zeros(2, 5, dtype=lucid.int64), lucid.zeros(4)]
    assert lucid.summary(Two(), input_data=data).layers[0].output_shapes == ((2, 5, 4),)
    half = nn.Linear(4, 2).half()
    assert lucid.summary(half, (1, 4)).total_output_bytes == 2 * 2
    assert lucid.summary(half, [(1, 4)], dtypes=lucid.float32).layers[0].output_shapes == ((1, 2),)
    assert lucid.summary(nn.Embedding(9, 2), (3,), dtypes="int32").total_input == 3 * 4
    assert lucid.summary(half, input_data=np.zeros((1, 4), np.float16)).total_param_bytes == 2 * 10


def test_the_table():
    text = str(lucid.summary(Twice(), (2, 3, 6, 5)))
    lines = text.splitlines()
    assert lines[0].split("  ")[0] == "Layer" and lines[0].endswith("Multiply-adds")
    assert len({len(line) for line in lines[:12]}) == 1
    assert lines[3].startswith("├─ encoder: Sequential ") and "(2, 8, 6, 5)" in lines[3]
    assert lines[4].startswith("│  ├─ 0: Conv2d ") and lines[5].startswith("│  └─ 1: ReLU ")
    assert "(2, 8) × 2" in lines[6]
    assert "again: Linear" in lines[7] and "the same as mix" in lines[7]
    assert lines[9].startswith("│  └─ a: Linear ")
    assert lines[10].startswith("└─ unused: Linear ")
    assert "Parameters: 342" in text and "layers: 13,296, for inputs (2, 3, 6, 5)" in text


def test_depth_hides_rows_but_not_their_costs():
    found = lucid.summary(Twice(), (2, 3, 6, 5), depth=1)
    assert "Conv2d" not in str(found) and "encoder" in str(found)
    assert "Conv2d" in str(lucid.summary(Twice(), (2, 3, 6, 5), depth=None))
    assert found.total_mult_adds == 12960 + 256 + 80
    assert str(lucid.summary(Twice(), (2, 3, 6, 5), depth=0)).count("\n") == 6


def test_the_notebook_table_has_the_same_rows():
    found = lucid.summary(Twice(), (2, 3, 6, 5))
    text = found._repr_html_()
    assert text.count("<tr>") == 1 + len(found.layers)
    assert "again: Linear</td>" in text and "13,296" in text
    Evil = type("<script>", (nn.Identity,), {})
    assert "<script>" not in lucid.summary(Evil(), (1,))._repr_html_()


def test_nothing_is_evaluated():
    lucid.memory.reset()
    before = lucid.memory.active()
    model = nn.Sequential(nn.Linear(3000, 3000), nn.GELU(), nn.Linear(3000, 3000))
    found = lucid.summary(model, (500, 3000))
    assert found.total_mult_adds == 2 * 500 * 3000**2
    assert lucid.memory.peak() - before < 1e6 < found.total_param_bytes


def test_the_model_is_unchanged():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            return self.drop(self.norm(x)) + lucid.randn(1)

    model = Noisy()
    model.drop.eval()
    calls = []
    model.norm.register_forward_hook(lambda *_: calls.append(model.norm.training))
    before = [t.tolist() for t in (*model.buffers(), lucid.random.get_state())]
    hooks = [len(m._forward_hooks) for m in model.modules()]
    lucid.summary(model, (2, 3, 4, 4))
    assert calls == [False]
    assert [m.training for m in model.modules()] == [True, True, False]
    assert [len(m._forward_hooks) for m in model.modules()] == hooks
    assert [t.tolist() for t in (*model.buffers(), lucid.random.get_state())] == before
    assert all(p.grad is None for p in model.parameters())


def test_the_model_is_unchanged_if_it_raises():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 2))
    state = lucid.random.get_state().tolist()
    with pytest.raises(ValueError, match="linear"):
        lucid.summary(model, (1, 4))
    assert all(m.training and not m._forward_hooks for m in model.modules())
    assert lucid.random.get_state().tolist() == state
    assert lucid.is_grad_enabled()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "summary: pass either input_size or input_data, got neither"),
        (
            {"input_size": (1, 4), "input_data": np.zeros((1, 4))},
            ValueError,
            "summary: pass either input_size or input_data, got both",
        ),
        ({"input_size": (1, -4)}, ValueError, "summary: input_size must be at least 0, got -4"),
        ({"input_size": (1, 4), "dtypes": ["half", "half"]}, ValueError, "one dtype for each of the 1 inputs, got 2"),
        ({"input_size": 4}, TypeError, r"input_size must be a shape such as \(1, 3, 224, 224\), or several, got 4"),
        ({"input_size": "1x4"}, TypeError, "input_size must be a shape such as .*, got '1x4'"),
        ({"input_size": (1, 4), "depth": -1}, ValueError, "summary: depth must be at least 0, got -1"),
    ],
)
def test_invalid_arguments_raise(arguments, error, message):
    with pytest.raises(error, match=message):
        lucid.summary(nn.Linear(4, 2), **arguments)


def test_only_modules_are_accepted():
    with pytest.raises(TypeError, match="summary: model must be a Module, got function"):
        lucid.summary(lambda x: x, (1,))


def test_a_compiled_module_is_the_module():
    model = nn.Sequential(nn.Linear(4, 2))
    assert str(lucid.summary(lucid.compile(model), (1, 4))) == str(lucid.summary(model, (1, 4)))


def test_it_does_not_affect_a_compiled_step():
    model = nn.Linear(4, 2)
    run = lucid.compile(lambda x: model(x), state=[model])
    x = lucid.ones(1, 4)
    first = run(x)
    lucid.summary(model, (1, 4))
    assert mx.array_equal(run(x).mlx, first.mlx)

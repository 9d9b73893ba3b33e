"""``lucid.quantize``, ``lucid.dequantize`` and quantized files of any model."""

import copy
import json

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.kernels.quantized_matmul import Scheme
from lucid.serialization import load_with_metadata
from tests.kernels.test_quantized_matmul import matrix


def make_model():
    return nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 40), nn.Linear(40, 3))


def kinds(model):
    return [type(one).__name__ for one in model.children()]


def test_quantize_is_in_place_and_dequantize_undoes_it():
    model = make_model()
    x = lucid.randn(5, 64)
    full, y = copy.deepcopy(model), model(x)
    assert lucid.quantize(model, bits=4) is model
    assert kinds(model) == ["QuantizedLinear", "GELU", "QuantizedLinear", "Linear"]
    assert kinds(full) == ["Linear", "GELU", "Linear", "Linear"]
    assert model[0].scheme == (4, 64, "affine") and model[0].bias.requires_grad
    quantized = model(x)
    assert lucid.dequantize(model) is model and kinds(model) == kinds(full)
    np.testing.assert_allclose(model(x).detach().numpy(), quantized.detach().numpy(), atol=1e-6)
    assert 0 < (model(x) - y).abs().max().item() < 0.1
    parts = mx.quantize(full[0].weight.mlx, 64, 4)
    np.testing.assert_allclose(model[0].weight.detach().numpy(), matrix(parts, Scheme(4, 64, "affine")), atol=1e-6)
    assert model[0].weight.requires_grad and isinstance(model[0].weight, nn.Parameter)


def test_eight_bits_are_the_default():
    model = lucid.quantize(make_model())
    assert model[0].scheme == (8, 64, "affine")
    assert lucid.quantize(make_model(), mode="mxfp4")[0].scheme == (4, 32, "mxfp4")


def test_a_layer_itself_is_not_changed():
    layer = nn.Linear(64, 2)
    quantized = lucid.quantize(layer)
    assert type(layer) is nn.Linear and type(quantized) is nn.QuantizedLinear
    full = lucid.dequantize(quantized)
    assert type(full) is nn.Linear and type(quantized) is nn.QuantizedLinear
    np.testing.assert_allclose(full.weight.detach().numpy(), layer.weight.detach().numpy(), atol=2e-3)


def test_the_predicate_chooses_layers_and_schemes():
    asked = []

    def choose(name, layer):
        asked.append((name, layer.in_features))
        return {"0": True, "2": {"bits": 4, "group_size": 32}, "3": False}[name]

    model = lucid.quantize(make_model(), predicate=choose)
    assert asked == [("0", 64), ("2", 128), ("3", 40)]
    assert (model[0].scheme, model[2].scheme) == ((8, 64, "affine"), (4, 32, "affine"))
    model = lucid.quantize(make_model(), predicate=lambda name, layer: name == "0" and {"mode": "nvfp4"})
    assert model[0].scheme == (4, 16, "nvfp4") and type(model[2]) is nn.Linear


def test_a_second_call_quantizes_the_rest_only():
    model = nn.Sequential(nn.Linear(64, 96), nn.Linear(96, 2))
    lucid.quantize(model)
    first = model[0]
    lucid.quantize(model, 4, 32)
    assert model[0] is first and model[1].scheme == (4, 32, "affine")
    with pytest.raises(ValueError, match="quantize: Sequential is quantized already, 2 layers$"):
        lucid.quantize(model, 4, 32)
    model = nn.Sequential(nn.Linear(64, 40), nn.Linear(40, 2))
    lucid.quantize(model)
    with pytest.raises(ValueError, match=r"is quantized already, 1 layer: group_size 64 does not divide .* \(40\)"):
        lucid.quantize(model)


def test_what_is_left_as_it_is():
    class Own(nn.Linear):
        def forward(self, input):
            return super().forward(input) * 2

    pruned = nn.utils.prune.l1_unstructured(nn.Linear(64, 64), "weight", amount=2)
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(64, 64))
    lazy = nn.LazyLinear(64)
    replaced = nn.Linear(64, 64)
    replaced.forward = lambda x: x
    rest = [Own(64, 64), pruned, normed, lazy, replaced, nn.Conv2d(64, 64, 1), nn.Embedding(9, 64), nn.Linear(0, 3)]
    attention = nn.TransformerEncoderLayer(64, 4, 128)
    model = nn.Sequential(nn.Linear(64, 64), *rest, attention)
    lucid.quantize(model)
    assert [type(one) for one in list(model)[1:-1]] == [type(one) for one in rest]
    assert type(attention.linear1) is type(attention.linear2) is nn.QuantizedLinear
    assert type(attention.self_attn.out_proj) is nn.Linear  # its weight is read by the attention
    assert attention(lucid.randn(3, 2, 64)).shape == (3, 2, 64)


def test_shared_layers_stay_shared():
    shared = nn.Linear(64, 64)
    model = nn.ModuleDict({"a": shared, "b": nn.Sequential(shared, nn.ReLU()), "c": nn.Linear(64, 64)})
    lucid.quantize(model)
    assert model["a"] is model["b"][0] and type(model["a"]) is nn.QuantizedLinear
    assert list(model) == ["a", "b", "c"]
    lucid.dequantize(model)
    assert model["a"] is model["b"][0] and type(model["a"]) is nn.Linear


def test_compiled_models():
    model = nn.Sequential(nn.Linear(64, 128), nn.Linear(128, 4)).eval()  # no kernel to build
    compiled = lucid.compile(model)
    x = lucid.randn(5, 64)
    before = compiled(x).detach().numpy()
    assert lucid.quantize(compiled, 2) is compiled and type(model[0]) is nn.QuantizedLinear
    after = compiled(x).detach().numpy()
    np.testing.assert_allclose(after, model(x).detach().numpy(), atol=1e-5)
    assert np.abs(after - before).max() > 1e-3
    with pytest.raises(ValueError, match="quantize: a compiled Linear cannot change; compile it afterwards"):
        lucid.quantize(lucid.compile(nn.Linear(64, 2)))


def not_a_number(model):
    model[2].weight.data[0, 5] = float("nan")
    return model


@pytest.mark.parametrize(
    ("make", "arguments", "error", "message"),
    [
        (lambda: 3, {}, TypeError, "quantize: model must be a Module, got int"),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 1)), {}, ValueError, "no layer to quantize: there is no Linear"),
        (lambda: nn.Sequential(nn.Linear(40, 3), nn.Linear(80, 3)), {}, ValueError,
         r"group_size 64 does not divide the in_features of the others \(40, 80\)"),
        (make_model, {"predicate": lambda name, layer: False}, ValueError, "predicate leaves 3 out"),
        (make_model, {"predicate": lambda name, layer: None}, TypeError, "must return a bool or a dictionary"),
        (make_model, {"predicate": lambda name, layer: {"bits": 4}}, ValueError,
         "quantize: '3': in_features 40 must be divisible by group_size 64"),
        (make_model, {"predicate": lambda name, layer: {"bit": 4}}, TypeError,
         "predicate for '0' may return bits, group_size, mode, got 'bit'"),
        (make_model, {"predicate": lambda name, layer: {"bits": 7}}, ValueError, "predicate for '0': bits of mode"),
        (make_model, {"bits": 16}, ValueError, "quantize: bits of mode 'affine' must be one of 1, 2, 3, 4, 5, 6, 8"),
        (make_model, {"bits": "8"}, TypeError, "quantize: bits must be an integer"),
        (make_model, {"group_size": 48}, ValueError, "quantize: group_size of mode 'affine' must be one of 32, 64"),
        (make_model, {"mode": "int8"}, ValueError, "quantize: mode must be 'affine', 'mxfp4'"),
        (lambda: make_model().double(), {}, TypeError, r"'0' has a float64 weight; model\.float\(\) converts it"),
        (lambda: not_a_number(make_model()), {}, ValueError, "the weight of '2' has NaN or infinite values"),
    ],
)  # fmt: skip
def test_errors_leave_the_model_as_it_was(make, arguments, error, message):
    model = make()
    before = list(model.modules()) if isinstance(model, nn.Module) else []
    with pytest.raises(error, match=message):
        lucid.quantize(model, **arguments)
    assert before == (list(model.modules()) if before else [])


def test_dequantize_needs_a_quantized_layer():
    with pytest.raises(ValueError, match="dequantize: Sequential has no quantized layer"):
        lucid.dequantize(make_model())
    with pytest.raises(TypeError, match="dequantize: model must be a Module, got Tensor"):
        lucid.dequantize(lucid.ones(2))


def test_layers_are_converted_one_by_one(settled):
    layers, size = 8, 1024
    model = nn.Sequential(*(nn.Linear(size, size, bias=False) for _ in range(layers)))
    mx.eval([one.mlx for one in model.parameters()])
    one, packed = 4 * size * size, size * size + 8 * size * size // 64
    mx.reset_peak_memory()
    start = mx.get_active_memory()
    lucid.quantize(model)
    mx.synchronize()
    assert mx.get_peak_memory() - start < 1.6 * one + 2 * packed  # not the quantized model beside the full one
    assert mx.get_active_memory() - start < layers * (packed - one) + 2 * one


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    """A quantized model and its file."""
    model = lucid.quantize(make_model(), predicate=lambda name, layer: {"bits": 4} if name == "0" else True)
    lucid.save(model.state_dict(), tmp_path / "m.safetensors", nn.utils.quantization_metadata(model))
    return model, tmp_path / "m.safetensors"


def test_files(saved):
    model, path = saved
    metadata = load_with_metadata(path)[1]
    assert json.loads(metadata["quantization"]) == {
        "0": {"bits": 4, "group_size": 64, "mode": "affine"},
        "2": {"bits": 8, "group_size": 64, "mode": "affine"},
    }
    x = lucid.randn(5, 64)
    for new in (make_model(), copy.deepcopy(model)):
        assert nn.utils.load_quantized(new, path) is new
        assert lucid.equal(new(x), model(x))
        assert [type(one) for one in new] == [type(one) for one in model]
    assert nn.utils.quantization_metadata(make_model()) == {}


def test_a_file_of_half_precision_and_of_a_layer_itself(tmp_path):
    layer = lucid.quantize(nn.Linear(64, 2)).half()
    lucid.save(layer.state_dict(), tmp_path / "l.safetensors", nn.utils.quantization_metadata(layer))
    new = nn.utils.load_quantized(nn.Linear(64, 2), tmp_path / "l.safetensors")
    assert new.scales.dtype == mx.float32 and lucid.equal(new.scales, layer.scales.float())


def test_full_weights_are_never_in_memory(tmp_path, settled):
    make = lambda: nn.Sequential(*(nn.Linear(1024, 1024) for _ in range(4)))  # noqa: E731
    path = tmp_path / "m.safetensors"
    model = lucid.quantize(make(), bits=4)
    lucid.save(model.state_dict(), path, nn.utils.quantization_metadata(model))
    del model
    mx.synchronize()
    start = mx.get_active_memory()
    mx.reset_peak_memory()
    model = nn.utils.load_quantized(make(), path)
    mx.synchronize()
    assert mx.get_peak_memory() - start < 1.05 * path.stat().st_size
    assert model.num_parameters() == 4 * (1024 * 1024 + 1024)


SCHEME = {"bits": 8, "group_size": 64, "mode": "affine"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "'quantization' in the metadata is not JSON"),
        ("[" * 100_000, "'quantization' in the metadata is not JSON"),
        ("{}", "must be a JSON object of layers, got {}"),
        ("[]", r"must be a JSON object of layers, got \[\]"),
        ({"0": 8}, "'0' must have bits, group_size, mode, got 8"),
        ({"0": {"bits": 8, "group_size": 64}}, "'0' must have bits, group_size, mode, got"),
        ({"0": {**SCHEME, "more": 1}}, "'0' must have bits, group_size, mode, got"),
        ({"0": {**SCHEME, "mode": "x" * 10**6}}, "'0' must have bits, group_size, mode, got .{60}..."),
        ({"0": {**SCHEME, "mode": ["affine"]}}, "'0': mode must be 'affine', 'mxfp4', 'mxfp8' or 'nvfp4', got"),
        ({"0": {**SCHEME, "bits": 7}}, "'0': bits of mode 'affine' must be one of 1, 2, 3, 4, 5, 6, 8, got 7"),
        ({"0": {**SCHEME, "bits": "8"}}, "'0': bits must be an integer, got '8'"),
        ({"0": {**SCHEME, "bits": 1e9}}, "'0': bits must be an integer, got 1000000000.0"),
        ({"0": {**SCHEME, "bits": 10**40}}, "'0': bits must fit in 64 bits"),
        ({"0": {**SCHEME, "group_size": 0}}, "'0': group_size of mode 'affine' must be one of"),
        ({"0": {**SCHEME, "group_size": 128}}, "in_features 64 must be divisible by group_size 128"),
        ({"1": SCHEME}, "'1' must be a Linear, the model has a GELU"),
        ({"9": SCHEME}, "the model has no layer '9'"),
        ({"": SCHEME}, "'' must be a Linear, the model has a Sequential"),
        ({"x" * 10**6: SCHEME}, "the model has no layer 'x{59}..."),
        ({"0": SCHEME}, r"0\.weight has shape \(128, 8\), the module expects \(128, 16\)"),
        ({"0": {"bits": 4, "group_size": 64, "mode": "affine"}}, r"2\.weight has shape \(40, 32\), the module expects"),
        ({"0": {"bits": 8, "group_size": 32, "mode": "mxfp8"}}, "0.scales is float32, the module expects uint8"),
    ],
)
def test_wrong_and_hostile_schemes(saved, tmp_path, text, message):
    tensors = load_with_metadata(saved[1])[0]
    path = tmp_path / "bad.safetensors"
    lucid.save(tensors, path, {"quantization": text if isinstance(text, str) else json.dumps(text)})
    model = make_model()
    before, weight = list(model.modules()), model[0].weight
    with pytest.raises(ValueError, match=f"(?s)^load_quantized: .*bad.safetensors: .*{message}") as caught:
        nn.utils.load_quantized(model, path)
    assert len(str(caught.value)) < 2000
    assert list(model.modules()) == before and model[0].weight is weight


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("0.scales"), r"missing: 0\.scales"),
        (lambda t: t.update({"0.scales": t["0.scales"][:9]}), r"0\.scales has shape \(9, 1\)"),
        (lambda t: t.update({"0.biases": t["0.biases"][:9]}), r"0\.biases has shape \(9, 1\)"),
        (lambda t: t.update({"0.weight": lucid.zeros(128, 64)}), "0.weight is float32, the module expects uint32"),
        (lambda t: t.update({"3.scales": lucid.zeros(1)}), r"unexpected: 3\.scales"),
    ],
)
def test_tampered_tensors(saved, tmp_path, change, message):
    tensors, metadata = load_with_metadata(saved[1])
    change(tensors)
    lucid.save(tensors, tmp_path / "bad.safetensors", metadata)
    model = make_model()
    before = list(model.modules())
    with pytest.raises(ValueError, match=message):
        nn.utils.load_quantized(model, tmp_path / "bad.safetensors")
    assert list(model.modules()) == before


def test_files_that_are_not_quantized(tmp_path):
    lucid.save(make_model().state_dict(), tmp_path / "full.safetensors")
    with pytest.raises(ValueError, match="full.safetensors does not say how its layers are quantized"):
        nn.utils.load_quantized(make_model(), tmp_path / "full.safetensors")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        nn.utils.load_quantized(make_model(), tmp_path / "none.safetensors")


def test_a_model_of_another_scheme(saved):
    model = lucid.quantize(make_model(), 2)
    with pytest.raises(ValueError, match="'0' must be a Linear, the model has a QuantizedLinear of another scheme"):
        nn.utils.load_quantized(model, saved[1])

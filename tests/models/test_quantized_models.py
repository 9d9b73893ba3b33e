"""Quantized ConvNeXts: values and gradients of their blocks, and checkpoints with the scheme in the metadata."""

import json

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import export, models, nn
from lucid.models import (
    ConvNeXt,
    ConvNeXtIsotropic,
    ConvNeXtV2,
    ImageTransform,
    _fused_block,
    from_checkpoint,
    save_checkpoint,
)
from lucid.serialization import load_with_metadata

PREPARED = ImageTransform(32, 40)
FAMILIES = {
    "ConvNeXt": lambda: ConvNeXt(3, [1, 1], [64, 128], patch_size=2),
    "hidden head": lambda: ConvNeXt(3, [1, 1], [32, 64], patch_size=2, head_hidden_size=64),
    "ConvNeXtV2": lambda: ConvNeXtV2(3, [1, 1], [32, 64], patch_size=2),
    "ConvNeXtIsotropic": lambda: ConvNeXtIsotropic(3, 2, 64, patch_size=8),
}


def network(family):
    lucid.manual_seed(5)
    model = FAMILIES[family]().eval()
    for number, parameter in enumerate(model.parameters()):
        noise = mx.random.normal(parameter.shape, key=mx.random.key(number))
        parameter._rebind(parameter.mlx + 0.05 * noise)
    return model


@pytest.fixture
def images():
    return lucid.randn(2, 3, 32, 32)


def logits(model, images):
    with lucid.no_grad():
        return model.eval()(images).numpy()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("bits", "largest"), [(8, 0.02), (4, 0.3)])
def test_save_and_load(tmp_path, images, family, bits, largest):
    model = network(family)
    before = logits(model, images)
    lucid.quantize(model, bits, 32)
    path = tmp_path / "m.safetensors"
    save_checkpoint(model, path, class_names=["cat", "dog", "ant"], preprocessing=PREPARED, name="pets")
    found = from_checkpoint(path)
    assert (found.class_names, found.preprocessing, found.checkpoint_name) == (["cat", "dog", "ant"], PREPARED, "pets")
    assert list(found.state_dict()) == list(model.state_dict()) and not found.training
    schemes = json.loads(load_with_metadata(path)[1]["quantization"])
    assert schemes.keys() == {name for name, one in model.named_modules() if isinstance(one, nn.QuantizedLinear)}
    after = logits(found, images)
    np.testing.assert_array_equal(after, logits(model, images))
    assert 0 < np.abs(after - before).max() < largest * np.abs(before).max()
    np.testing.assert_allclose(logits(lucid.dequantize(found), images), after, atol=1e-4)
    save_checkpoint(found, path)
    assert "quantization" not in from_checkpoint(path).checkpoint_metadata


@pytest.mark.parametrize("family", ["ConvNeXt", "ConvNeXtV2"])
def test_blocks_compute_what_dequantized_ones_do(family, images):
    """The fused block reads the weights of its layers, so quantized layers are called one by one."""
    model, full = network(family), network(family)
    lucid.quantize(model, 4, 32)
    lucid.dequantize(lucid.quantize(full, 4, 32))
    block, other = model.stages[0][0], full.stages[0][0]
    assert _fused_block.can_fuse(other) and not _fused_block.can_fuse(block)
    found = []
    for one in (model.train(), full.train()):
        one.zero_grad()
        x = images.clone().requires_grad_()
        one(x).square().sum().backward()
        gradients = [p.grad for name, p in one.named_parameters() if "pwconv" not in name and "head.w" not in name]
        found.append([x.grad, *gradients])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-4 * max(1, theirs.abs().max().item()))


def test_full_weights_are_never_in_memory(tmp_path, settled):
    path = tmp_path / "m.safetensors"
    model = ConvNeXt(100, [1, 1], [256, 512])
    whole = sum(one.mlx.nbytes for one in model.parameters())
    save_checkpoint(lucid.quantize(model, 4), path)
    del model
    mx.synchronize()
    start = mx.get_active_memory()
    mx.reset_peak_memory()
    model = from_checkpoint(path)
    mx.synchronize()
    peak = mx.get_peak_memory() - start
    assert peak < 1.05 * path.stat().st_size < 0.5 * whole
    assert model.num_parameters() * 4 == whole


def test_other_dialects_and_load_checkpoint_refuse(tmp_path):
    model, path = lucid.quantize(network("ConvNeXt")), tmp_path / "m.safetensors"
    for dialect in ("timm", "torchvision", "huggingface"):
        with pytest.raises(ValueError, match=rf"save_checkpoint: {dialect} has no quantized layers; .*dequantize"):
            save_checkpoint(model, path, dialect)
    for dialect in ("timm", "huggingface"):
        with pytest.raises(ValueError, match=rf"save_pretrained: {dialect} has no quantized layers"):
            models.save_pretrained(model, tmp_path / "folder", dialect=dialect)
    assert list(tmp_path.iterdir()) == []
    save_checkpoint(network("ConvNeXt"), path)
    with pytest.raises(models.MismatchError, match="cannot be loaded into quantized layers; load it before"):
        models.load_checkpoint(model, path)
    save_checkpoint(model, path)
    with pytest.raises(models.MismatchError, match=r"holds quantized weights, which lucid\.models\.from_checkpoint"):
        models.load_checkpoint(network("ConvNeXt"), path)


def test_the_metadata_of_the_file_before_do_not_describe_full_weights(tmp_path):
    path = tmp_path / "m.safetensors"
    save_checkpoint(lucid.quantize(network("ConvNeXt")), path)
    model = from_checkpoint(path)
    save_checkpoint(lucid.dequantize(model), path, metadata=model.checkpoint_metadata)
    assert type(from_checkpoint(path).head) is nn.Linear


def test_the_weights_of_a_training_run(tmp_path, images):
    recipe = {"depths": [1, 1], "dims": [64, 128], "patch_size": 2, "layer_scale_init": 1e-6}
    model = lucid.quantize(network("ConvNeXt"))
    metadata = {"recipe": json.dumps(recipe), **nn.utils.quantization_metadata(model)}
    lucid.save(model.state_dict(), tmp_path / "best.safetensors", metadata)
    found = from_checkpoint(tmp_path)
    np.testing.assert_array_equal(logits(found, images), logits(model, images))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: m.update(quantization="{"), "'quantization' in the metadata is not JSON"),
        (lambda t, m: m.update(quantization='{"head": {"bits": 8, "group_size": 64, "mode": "int8"}}'), "mode must be"),
        (lambda t, m: m.pop("quantization"), "uint32"),
        (lambda t, m: t.pop("head.scales"), r"missing: head\.scales"),
        (lambda t, m: t.pop("head.bias"), r"missing: head\.bias"),
        (lambda t, m: t.update({"head.scales": t["head.scales"][:2]}), r"head\.scales has shape \(2, 2\)"),
        (lambda t, m: t.update({"head.scales": t["head.scales"].int()}), r"head\.scales is int32"),
        (lambda t, m: t.update({"head.weight": t["head.weight"][:2]}), r"wrong shape: head\.(bias|scales)"),
        (lambda t, m: t.update({"stages.0.0.pwconv1.weight": lucid.zeros(256, 64)}), r"pwconv1\.weight is float32"),
        (lambda t, m: t.update({"norm.scales": lucid.zeros(1)}), r"unexpected: norm\.scales"),
    ],
)
def test_tampered_files(tmp_path, change, message):
    path = tmp_path / "m.safetensors"
    save_checkpoint(lucid.quantize(network("ConvNeXt")), path)
    tensors, metadata = load_with_metadata(path)
    change(tensors, metadata)
    lucid.save(tensors, path, metadata)
    with pytest.raises(ValueError, match=f"(?s)m.safetensors: .*{message}"):
        from_checkpoint(path)


def test_a_quantized_model_can_be_exported_and_gets_a_new_classifier(tmp_path, images):
    path = tmp_path / "m.safetensors"
    save_checkpoint(lucid.quantize(network("hidden head"), 8, 32), path, preprocessing=PREPARED)
    model = from_checkpoint(path)
    export.export_function(model, tmp_path / "m.mlxfn", [2])
    [found] = mx.import_function(str(tmp_path / "m.mlxfn"))(images.mlx)
    np.testing.assert_allclose(np.array(found), logits(model, images), atol=1e-4)
    assert (tmp_path / "m.mlxfn").stat().st_size < 1.5 * path.stat().st_size
    model.reset_classifier(7)
    assert model.head_hidden_size == 64 and model(images).shape == (2, 7)

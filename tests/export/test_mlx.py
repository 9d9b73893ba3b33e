"""``lucid.export``: what its files hold, and what it refuses. ``tests/cli/test_export.py`` runs the functions."""

import json
from dataclasses import asdict

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import export, models
from lucid.models.preprocessing import ImageTransform

PREPARED = ImageTransform(37, 40, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def network():
    lucid.manual_seed(5)
    model = models.ConvNeXt(3, (1, 1, 2, 1), (4, 8, 12, 16)).eval()
    model.preprocessing, model.class_names, model.checkpoint_name = PREPARED, ["a", "b", "c"], "mine"
    return model


def logits_of(model, images):
    with lucid.no_grad():
        return model(lucid.as_tensor(images)).numpy()


def close(found, expected):
    return np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_the_description_is_returned_and_written(tmp_path):
    found = export.export_function(network(), tmp_path / "m.mlxfn", [2, 1, 2], pixels=True)
    assert found == {
        "model": "mine", "shapes": [[1, 37, 37, 3], [2, 37, 37, 3]], "dtype": "uint8", "classes": ["a", "b", "c"],
        "preprocessing": asdict(PREPARED),
    }  # fmt: skip
    assert json.loads((tmp_path / "m.json").read_text()) == json.loads(json.dumps(found))


def test_a_model_without_preprocessing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="export_function: the model has no preprocessing; set model.preprocessing"):
        export.export_function(models.ConvNeXt(3, (1, 1), (4, 8)), tmp_path / "m.mlxfn")
    assert list(tmp_path.iterdir()) == []


def test_weights_keep_classes_and_preprocessing(tmp_path):
    export.export_weights(network(), tmp_path / "w.safetensors", "timm")
    found = models.from_checkpoint(tmp_path / "w.safetensors")
    assert (found.class_names, found.preprocessing, found.checkpoint_name) == (["a", "b", "c"], PREPARED, "mine")


def test_a_wrong_function_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("lucid.export._mlx._MAX_DIFFERENCE", -1.0)
    with pytest.raises(export.ExportError, match="outputs differ from the model's by"):
        export.export_function(network(), tmp_path / "m.mlxfn")
    assert list(tmp_path.iterdir()) == []


def test_several_batch_sizes_share_the_weights(tmp_path):
    model = models.ConvNeXt(3, (1, 1), (64, 128)).eval()
    model.preprocessing, model.class_names, model.checkpoint_name = PREPARED, ["a", "b", "c"], "mine"
    export.export_function(model, tmp_path / "m.mlxfn", [1, 2, 3], pixels=False)
    weights = 4 * sum(parameter.numel() for parameter in model.parameters())
    assert weights < (tmp_path / "m.mlxfn").stat().st_size < 1.2 * weights


@pytest.mark.parametrize("layout", ["expanded", "transposed", "strided"])
def test_weights_may_have_any_memory_layout(tmp_path, layout):
    """MLX writes constants as if they were contiguous."""
    model = network()
    given = {
        "expanded": mx.broadcast_to(mx.array(0.5), (3,)),
        "strided": mx.random.normal((6,))[::2],
        "transposed": mx.random.normal((16, 3)).T,
    }[layout]
    parameter = model.head.weight if layout == "transposed" else model.head.bias
    mx.eval(given)
    parameter._rebind(given)
    expected = logits_of(model, mx.ones((1, 3, 37, 37)))
    export.export_function(model, tmp_path / "m.mlxfn", [1], pixels=False)
    [found] = mx.import_function(str(tmp_path / "m.mlxfn"))(mx.ones((1, 3, 37, 37)))
    assert close(np.array(found), expected)

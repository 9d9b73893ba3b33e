"""Features of models and files of them."""

import json
import os

import numpy as np
import pytest

import lucid
from lucid import data, evaluation, models, nn
from lucid.serialization import load_with_metadata


def network(**options):
    lucid.manual_seed(2)
    return models.ConvNeXt(3, (1, 1), (4, 8), patch_size=2, **options)


def images(count=7):
    return np.random.default_rng(0).normal(size=(count, 3, 8, 12)).astype(np.float32)


@pytest.mark.parametrize("options", [{}, {"head_norm_first": True}, {"head_hidden_size": 5}, {"global_pool": "avgmax"}])
def test_layers_are_those_of_the_model(options):
    model, x = network(**options), images()
    model.train()
    model.stages[0].eval()  # part of it is frozen
    loader = data.DataLoader(data.TensorDataset(x, np.arange(7) % 3), batch_size=3)
    found = {
        layer: evaluation.extract_features(model, loader, layer=layer) for layer in ("pre_logits", "pooled", "outputs")
    }
    assert model.training and not model.stages[0].training and model.stages[1].training
    model.eval()
    maps = model.forward_features(lucid.tensor(x)).detach().numpy()
    np.testing.assert_allclose(found["pooled"].values, maps.mean((2, 3)), rtol=1e-5, atol=1e-6)
    logits = model(lucid.tensor(x)).detach().numpy()
    np.testing.assert_allclose(found["outputs"].values, logits, rtol=1e-5, atol=1e-6)
    weight, bias = (p.detach().numpy() for p in model.head.parameters())
    np.testing.assert_allclose(found["pre_logits"].values @ weight.T + bias, logits, rtol=1e-4, atol=1e-6)
    assert found["pre_logits"].labels.tolist() == [0, 1, 2, 0, 1, 2, 0] and found["pooled"].values.dtype == np.float32


def test_any_module_and_maps_without_labels():
    model = nn.Conv2d(3, 5, 1).to(lucid.bfloat16)
    batches = [lucid.tensor(images(2)), lucid.tensor(images(3))]
    found = evaluation.extract_features(model, batches, layer="outputs", transform=lambda x: x.to(lucid.bfloat16))
    assert found.values.shape == (5, 5) and found.labels is None and len(found) == 5
    with lucid.no_grad():
        want = model(batches[1].to(lucid.bfloat16)).float().mean(dim=(2, 3)).numpy()
    np.testing.assert_allclose(found.values[2:], want, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"layer": "last"}, ValueError, "layer must be one of pre_logits, pooled, outputs|layer must be"),
        ({"model": nn.Flatten()}, TypeError, 'Flatten has no layer pre_logits; pass layer="outputs"'),
        ({"batches": []}, ValueError, "there are no batches"),
        ({"batches": [(images(2), [0, 1]), images(2)]}, ValueError, "1 of 2 batches have labels"),
        ({"model": nn.Flatten(0), "layer": "outputs"}, ValueError, r"of 7 samples, got shape \(2016,\)"),
        ({"transform": lambda x: x / (x.mean(dim=(1, 2, 3), keepdim=True) > 9)}, ValueError, "infinity for sample 0"),
        ({"names": ["a"]}, ValueError, "got 7 rows but 1 names"),
    ],
)
def test_wrong_calls_are_explained(change, error, message):
    arguments = {"model": network(), "batches": [images()], **change}
    with pytest.raises(error, match=message):
        evaluation.extract_features(arguments.pop("model"), arguments.pop("batches"), **arguments)


@pytest.mark.parametrize("ending", ["npy", "safetensors"])
@pytest.mark.parametrize("labels", [None, [1, 0, 1]])
def test_files_keep_everything(tmp_path, ending, labels):
    values = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    names = ["a b.jpg", "кот/\n.png", os.fsdecode(b"\xff.png")]
    classes = ["x", "y"] if labels else []
    saved = evaluation.Features(values, labels and np.array(labels), names, classes)
    path = tmp_path / f"f.{ending}"
    saved.save(path)
    found = evaluation.Features.load(path)
    np.testing.assert_array_equal(found.values, values)
    assert found.names == names and found.classes == classes
    assert found.labels is None if labels is None else found.labels.tolist() == labels
    if ending == "npy":
        np.testing.assert_array_equal(np.load(path), values)
        (tmp_path / "f.json").unlink()
        assert evaluation.Features.load(path).names == []
    else:
        tensors, metadata = load_with_metadata(path)
        assert tensors["features"].shape == (3, 4) and json.loads(metadata["names"]) == names
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_wrong_files_are_refused(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "line.npy", np.ones(3))
    np.save(tmp_path / "nan.npy", np.full((2, 2), np.nan))
    np.save(tmp_path / "names.npy", np.ones((2, 2)))
    (tmp_path / "names.json").write_text('{"names": 3}')
    np.save(tmp_path / "list.npy", np.ones((2, 2)))
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "short.npy").write_bytes((tmp_path / "line.npy").read_bytes()[:90])
    lucid.save({"w": lucid.ones(2)}, tmp_path / "other.safetensors")
    for name in ("objects.npy", "line.npy", "nan.npy", "names.npy", "list.npy", "short.npy", "other.safetensors"):
        with pytest.raises(ValueError, match=name):
            evaluation.Features.load(tmp_path / name)
    with (tmp_path / "archive.npy").open("wb") as file:
        np.savez(file, a=np.ones((2, 2)))
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000, 100000000), }"
    (tmp_path / "vast.npy").write_bytes(
        b"\x93NUMPY\x01\x00" + len(header + b"\n").to_bytes(2, "little") + header + b"\n"
    )
    for name in ("archive.npy", "vast.npy", "list.npy"):
        with pytest.raises(ValueError, match=f"{name}: not a file of features") as caught:
            evaluation.Features.load(tmp_path / name)
    assert "list.json must be a JSON object, got list" in str(caught.value)
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(OSError, match=r"pipe.npy"):  # it does not wait for a writer
        evaluation.Features.load(tmp_path / "pipe.npy")
    with pytest.raises(ValueError, match=r"big.safetensors holds float32, and values are larger; use .npy"):
        evaluation.Features(np.full((1, 1), 1e39)).save(tmp_path / "big.safetensors")
    with pytest.raises(ValueError, match=r"ends with .safetensors or .npy, got f.csv"):
        evaluation.Features.load(tmp_path / "f.csv")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones(3),), ValueError, r"must be a matrix"),
        ((np.ones((0, 3)),), ValueError, r"must be a matrix"),
        ((np.array([["a"]]),), TypeError, "must be real numbers"),
        ((np.array([[1.0], [np.inf]]),), ValueError, "must be finite, row 1 is not"),
        ((np.ones((2, 1)), [0.0, 1.0]), TypeError, "labels must be integers, got float64"),
        ((np.ones((2, 1)), [0]), ValueError, r"labels must have the shape \(2,\)"),
        ((np.ones((2, 1)), [0, -1]), ValueError, "labels must be at least 0, got -1"),
        ((np.ones((2, 1)), ["a", "b"]), TypeError, r"got strings; classes, labels = numpy.unique\(labels, return_inv"),
        ((np.ones((2, 1)), np.array(["a", "b"], object)), TypeError, "got strings"),
        (([[1.0], [1.0, 2.0]],), ValueError, "values must be a matrix .*, got rows of different lengths"),
        ((np.ones((2, 1)), None, "ab"), TypeError, "names must be a list, got the string 'ab'"),
        ((np.ones((2, 1)), [0, 2], [], ["a", "b"]), ValueError, "label 2 is out of range for 2 classes"),
    ],
)
def test_features_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        evaluation.Features(*arguments)

"""``lucid.export.coreml``: saved packages, read back and run by ``lucid.export._mil``, compute what the models do."""

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import export, models, nn
from lucid.export import MLProgram
from lucid.models.preprocessing import ImageTransform
from tests.export.coreml_networks import (
    NAMES,
    PREPARED,
    ResNetLike,
    UNetLike,
    attached,
    convnext,
    difference,
    logits_of,
    normalized,
    probabilities_of,
    settled,
)

ct = pytest.importorskip("coremltools", reason="packages are written with coremltools")

NETWORKS = {
    "atto": lambda: convnext(depths=(1, 1, 2, 1), dims=(8, 12, 16, 20)),
    "tiny": lambda: convnext(depths=(3, 3, 9, 3), dims=(4, 6, 8, 12)),
    "v2": lambda: convnext(models.ConvNeXtV2),
    "isotropic": lambda: convnext(models.ConvNeXtIsotropic),
    "overlap stem, hidden head": lambda: convnext(stem_type="overlap_act", head_hidden_size=10),
    "norm first, both pools": lambda: convnext(head_norm_first=True, global_pool="avgmax"),
    "resnet": lambda: attached(settled(ResNetLike())),
}
GENERATOR = np.random.default_rng(0)


def pixels(height=37, width=37, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def check_specification(path):
    """coremltools reads the package back into its own program, which checks the types and shapes of each operation."""
    from coremltools.converters.mil.frontend.milproto.load import load

    from lucid.export import _coremltools

    with _coremltools.quiet():
        spec = ct.models.MLModel(str(path), skip_model_load=True).get_spec()
        weights = path / "Data/com.apple.CoreML/weights"
        program = load(spec, spec.specificationVersion, str(weights))
        program.validate()
    return spec


# Conversions take a second each, so not all go in both precisions; those left out have passed as well.
PRECISIONS = {"float32": ("atto", "v2", "overlap stem, hidden head", "resnet"), "float16": tuple(NETWORKS)}
LIMITS = {"float32": 1e-4, "float16": 1e-2}


@pytest.mark.parametrize(("precision", "name"), [(kind, name) for kind, names in PRECISIONS.items() for name in names])
def test_a_classifier_with_preprocessing_softmax_and_labels(tmp_path, name, precision):
    model, path = NETWORKS[name](), tmp_path / "m.mlpackage"
    found = export.coreml(model, path, precision=precision)
    assert found["outputs"] == {"classLabel": "name", "classLabel_probs": "probability of each name"}
    assert sorted(one.name for one in tmp_path.iterdir()) == ["m.mlpackage"]
    image = pixels()
    result = MLProgram(path).run({"image": image})
    expected = probabilities_of(logits_of(model, normalized(image)))[0]
    assert list(result["classLabel_probs"]) == NAMES
    assert difference(list(result["classLabel_probs"].values()), expected) < LIMITS[precision]
    assert result["classLabel"] == NAMES[expected.argmax()]


def test_no_transpose_is_left_in_convnext(tmp_path):
    model = convnext(models.ConvNeXtV2)
    export.coreml(model, tmp_path / "m.mlpackage")
    operations = MLProgram(tmp_path / "m.mlpackage").operations
    assert "transpose" not in operations and "reshape" not in operations and "matmul" not in operations
    assert operations.count("layer_norm") == 2 + 2 + 1 and operations.count("gelu") == 2
    assert operations.count("linear") == 1  # of the classifier, which has no map


def test_odd_sizes_and_logits(tmp_path):
    model, path = convnext(), tmp_path / "m.mlpackage"
    export.coreml(model, path, image_size=(45, 67), image=False, class_names=(), precision="float32")
    x = GENERATOR.normal(size=(1, 3, 45, 67))
    [found] = MLProgram(path).run({"image": x}).values()
    assert found.dtype == np.float32 and difference(found, logits_of(model, x)) < 1e-4


def test_the_specification_and_what_xcode_shows(tmp_path):
    path = tmp_path / "m.mlpackage"
    notes = {
        "author": "Ada", "license": "MIT", "description": "Pets", "version": "2", "input_description": "A photo",
    }  # fmt: skip
    export.coreml(convnext(), path, metadata=notes)
    spec = check_specification(path)
    assert spec.specificationVersion == 7 and spec.WhichOneof("Type") == "mlProgram"
    meta = spec.description.metadata
    assert (meta.author, meta.license, meta.shortDescription, meta.versionString) == ("Ada", "MIT", "Pets", "2")
    assert meta.userDefined["com.apple.coreml.model.preview.type"] == "imageClassifier"
    [image] = spec.description.input
    assert image.shortDescription == "A photo" and (image.type.imageType.width, image.type.imageType.height) == (37, 37)
    assert spec.description.predictedFeatureName == "classLabel"
    assert [one.name for one in spec.description.output] == ["classLabel", "classLabel_probs"]


def test_bgr_and_gray_images(tmp_path):
    model, path = convnext(), tmp_path / "m.mlpackage"
    export.coreml(model, path, color="BGR", precision="float32")
    image = pixels()
    found = MLProgram(path).run({"image": image})["classLabel_probs"]
    expected = probabilities_of(logits_of(model, normalized(image[..., ::-1])))
    assert difference(list(found.values()), expected) < 1e-4
    lucid.manual_seed(1)
    gray = attached(settled(nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())))
    gray.in_chans, gray.preprocessing = 1, ImageTransform(20, 20, mean=(0.3,), std=(0.2,))
    export.coreml(gray, path, precision="float32")
    found = MLProgram(path).run({"image": image[:20, :20, 0]})["classLabel_probs"]
    expected = probabilities_of(logits_of(gray, (image[None, None, :20, :20, 0] / 255 - 0.3) / 0.2))
    assert difference(list(found.values()), expected) < 1e-4


def test_several_sizes_and_a_range(tmp_path):
    model, path = convnext(), tmp_path / "m.mlpackage"
    export.coreml(model, path, sizes=[64, (45, 70)], precision="float32")
    program = MLProgram(path)
    for size in ((37, 37), (64, 64), (45, 70)):
        image = pixels(*size)
        found = program.run({"image": image})["classLabel_probs"]
        expected = probabilities_of(logits_of(model, normalized(image)))
        assert difference(list(found.values()), expected) < 1e-4
    with pytest.raises(ValueError, match=r"image must have the size \(37, 37\) or \(64, 64\) or \(45, 70\), got"):
        program.run({"image": pixels(50, 50)})
    export.coreml(model, path, size_range=(32, 80))
    program = MLProgram(path)
    image = pixels(33, 80)
    found = program.run({"image": image})["classLabel_probs"]
    expected = probabilities_of(logits_of(model, normalized(image)))
    assert difference(list(found.values()), expected) < 1e-2
    with pytest.raises(ValueError, match=r"image must have the size \(32..80, 32..80\), got \(81, 40\)"):
        program.run({"image": pixels(81, 40)})
    check_specification(path)


def test_batches(tmp_path):
    model, path = convnext(models.ConvNeXtV2), tmp_path / "m.mlpackage"
    found = export.coreml(model, path, batch_size=(1, 4), class_names=(), precision="float32", verify=True)
    assert found["difference"] < 1e-4 and found["runs on"] in ("NumPy", "Core ML")
    for n in (1, 3):
        x = GENERATOR.normal(size=(n, 3, 37, 37))
        [result] = MLProgram(path).run({"image": x}).values()
        assert difference(result, logits_of(model, x)) < 1e-4


def test_a_segmentation_model_of_several_sizes(tmp_path):
    model, path = settled(UNetLike()), tmp_path / "m.mlpackage"
    export.coreml(model, path, lucid.zeros(1, 3, 24, 32), precision="float32", softmax=True)
    x = GENERATOR.normal(size=(1, 3, 24, 32))
    [found] = MLProgram(path).run({"image": x}).values()
    assert difference(found, probabilities_of(logits_of(model, x))) < 1e-4
    export.coreml(model, path, lucid.zeros(1, 3, 24, 32), sizes=[(28, 36)])
    for size in ((24, 32), (28, 36)):
        x = GENERATOR.normal(size=(1, 3, *size))
        [found] = MLProgram(path).run({"image": x}).values()
        assert difference(found, logits_of(model, x)) < 1e-2
    with pytest.raises(ValueError, match="this model takes a height in steps of 4 px from 24, got 26"):
        export.coreml(model, path, lucid.zeros(1, 3, 24, 32), sizes=[(26, 36)])


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A network whose arrays are large enough to be compressed, an input, the logits, and the bytes of its package."""
    model = convnext(depths=(1,), dims=(48,))
    x = np.random.default_rng(1).normal(size=(1, 3, 37, 37))
    found = export.coreml(model, tmp_path_factory.mktemp("wide") / "m.mlpackage", image=False, class_names=())
    return model, x, logits_of(model, x), found["bytes"]


@pytest.mark.parametrize(
    ("compress", "limit", "share"),
    [("int8", 0.03, 0.75), ("palette8", 0.03, 0.75), ("palette6", 0.06, 0.65), ("palette4", 0.3, 0.55)],
)
def test_compressed_weights(tmp_path, wide, compress, limit, share):
    model, x, expected, size = wide
    before = {name: np.array(one._array) for name, one in model.state_dict().items()}
    found = export.coreml(model, tmp_path / "m.mlpackage", image=False, class_names=(), compress=compress)
    assert found["bytes"] < share * size
    [logits] = MLProgram(tmp_path / "m.mlpackage").run({"image": x}).values()
    assert 1e-4 < difference(logits, expected) < limit
    assert all((before[name] == np.array(one._array)).all() for name, one in model.state_dict().items())
    if compress == "palette4":
        check_specification(tmp_path / "m.mlpackage")


@pytest.mark.parametrize(("target", "version", "compress"), [("iOS18", 9, "palette6"), ("iOS18", 9, "int8")])
def test_newer_systems(tmp_path, wide, target, version, compress):
    model, x, expected, _ = wide
    path = tmp_path / "m.mlpackage"
    export.coreml(model, path, image=False, class_names=(), target=target, compress=compress)
    program = MLProgram(path)
    assert program.spec.specificationVersion == version
    [logits] = program.run({"image": x}).values()
    assert difference(logits, expected) < (0.06 if compress else 1e-2)


def test_global_response_norm_of_large_maps_in_float16(tmp_path):
    """The squares of its input are summed over all positions, which float16 could not hold."""
    model, path = settled(nn.GlobalResponseNorm(4)), tmp_path / "m.mlpackage"
    x = GENERATOR.normal(size=(1, 40, 50, 4)) * 60
    assert np.square(x).sum((1, 2)).max() > 65504
    export.coreml(model, path, lucid.zeros(1, 40, 50, 4))
    [found] = MLProgram(path).run({"image": x}).values()
    assert difference(found, logits_of(model, x)) < 1e-2


class Several(nn.Module):
    def forward(self, x, y):
        return {"sum": x + y, "parts": (x.permute(0, 2, 1), (x > 0) & (y > 0))}


def test_several_inputs_and_outputs(tmp_path):
    model, path = Several().eval(), tmp_path / "m.mlpackage"
    found = export.coreml(model, path, [lucid.zeros(2, 3, 4), lucid.zeros(2, 3, 4)], verify=True)
    assert list(found["inputs"]) == ["input", "input_2"]
    x, y = GENERATOR.normal(size=(2, 2, 3, 4)).astype(np.float16)
    result = MLProgram(path).run({"input": x, "input_2": y})
    assert difference(result["sum"], x + y) < 1e-3
    assert (result["parts_0"] == x.transpose(0, 2, 1)).all()
    assert result["parts_1"].dtype == np.int32 and (result["parts_1"] == ((x > 0) & (y > 0))).all()


def test_half_precision_models(tmp_path):
    model, path = convnext(), tmp_path / "m.mlpackage"
    image = pixels()
    expected = probabilities_of(logits_of(model, normalized(image)))
    model.to(mx.float16)
    export.coreml(model, path, lucid.zeros(1, 3, 37, 37).half(), image=True)
    found = MLProgram(path).run({"image": image})["classLabel_probs"]
    assert difference(list(found.values()), expected) < 1e-2


def test_the_transform_may_be_passed(tmp_path):
    model, path = settled(ResNetLike()), tmp_path / "m.mlpackage"
    export.coreml(model, path, preprocessing=PREPARED, class_names=NAMES)
    image = pixels()
    expected = probabilities_of(logits_of(model, normalized(image)))
    assert difference(list(MLProgram(path).run({"image": image})["classLabel_probs"].values()), expected) < 1e-2

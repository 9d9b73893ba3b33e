"""Mistakes in an export to Core ML give one clear sentence, and leave what was there."""

import errno
import importlib
import os
import sys

import pytest

import lucid
import lucid.nn.functional as F
from lucid import export, nn
from tests.export.coreml_networks import NAMES, ResNetLike, UNetLike, attached, convnext, settled

SMALL = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU()).eval()
ZEROS = lucid.zeros(1, 3, 16, 16)


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def of(function):
    return Calls(function).eval()


def big():
    model = settled(nn.Sequential(nn.Conv2d(3, 3, 3)))
    model[0].weight._rebind(model[0].weight._array * 1e6)
    return model


def dropping():
    return of(lambda x: F.dropout(x, 0.5, training=True))


# What is exported, the options, the error and its words.
MISTAKES = {
    "operation": (
        of(lambda x: lucid.fft.fft(x).real),
        {"inputs": ZEROS},
        export.ExportError,
        "Core ML has no operation for fft",
    ),
    "training": (
        nn.Sequential(nn.Conv2d(3, 3, 3)),
        {"inputs": ZEROS},
        export.ExportError,
        "is in training mode; call model.eval",
    ),
    "dropout": (dropping(), {"inputs": ZEROS}, export.ExportError, "draws random numbers"),
    "reads a value": (
        of(lambda x: x * float(x.sum())),
        {"inputs": ZEROS},
        export.ExportError,
        "which a file cannot do",
    ),
    "dilated pool": (
        of(lambda x: F.max_pool2d(x, 2, dilation=2)),
        {"inputs": ZEROS},
        export.ExportError,
        "max_pool2d.*cannot be exported to Core ML: its dilation",
    ),
    "positions": (
        of(lambda x: x.max(1)[0]),
        {"inputs": ZEROS},
        export.ExportError,
        "it also returns positions; use amax instead",
    ),
    "suffix": (SMALL, {"path": "net.mlmodel", "inputs": ZEROS}, ValueError, "path must end with .mlpackage, got"),
    "no size": (SMALL, {}, ValueError, "the model has no preprocessing; pass image_size, or a tensor"),
    "image without statistics": (
        SMALL,
        {"inputs": ZEROS, "image": True},
        ValueError,
        "image=True needs mean and standard deviation",
    ),
    "too small": (convnext(), {"image_size": 7}, ValueError, "the images must be at least 8x8 px"),
    "precision": (
        SMALL,
        {"inputs": ZEROS, "precision": "int4"},
        ValueError,
        "precision must be 'float16' or 'float32', got 'int4'",
    ),
    "compress": (SMALL, {"inputs": ZEROS, "compress": "4bit"}, ValueError, "compress must be"),
    "target": (SMALL, {"inputs": ZEROS, "target": "iOS9"}, ValueError, "target must be"),
    "names": (
        convnext(),
        {"class_names": ["a", "b"]},
        export.ExportError,
        r"2 class names do not fit outputs of shape \(1, 3\)",
    ),
    "same names": (
        convnext(),
        {"class_names": ["a", "b", "a"]},
        ValueError,
        "class names must differ, 'a' appears twice",
    ),
    "names of a batch": (convnext(), {"batch_size": 4}, ValueError, "class names need batch_size 1, got 4"),
    "image of a batch": (
        convnext(),
        {"batch_size": 4, "class_names": (), "image": True},
        ValueError,
        "an image input is one image of 1 or 3 channels",
    ),
    "sizes and range": (
        convnext(),
        {"sizes": [64], "size_range": (32, 64)},
        ValueError,
        "pass either sizes or size_range",
    ),
    "range": (convnext(), {"size_range": (64, 32)}, ValueError, "size_range must be the smallest and the largest"),
    "outside of range": (
        convnext(),
        {"size_range": (64, 96)},
        ValueError,
        r"image_size \(37, 37\) is outside of size_range",
    ),
    "steps": (
        settled(UNetLike()),
        {"inputs": lucid.zeros(1, 3, 32, 32), "size_range": (32, 64)},
        ValueError,
        "this model takes a height in steps of 4 px only, which a range cannot say; pass sizes",
    ),
    "large weights": (
        big(),
        {"inputs": ZEROS},
        export.ExportError,
        "float16 ends at 65504; export with precision='float32'",
    ),
    "metadata": (
        SMALL,
        {"inputs": ZEROS, "metadata": {"autor": "me"}},
        ValueError,
        "metadata has no 'autor', only author",
    ),
    "no folder": (SMALL, {"path": "nowhere/m.mlpackage", "inputs": ZEROS}, FileNotFoundError, "there is no folder"),
}


@pytest.fixture
def folder(tmp_path):
    """A folder with an earlier package."""
    earlier = tmp_path / "m.mlpackage"
    (earlier / "Data").mkdir(parents=True)
    (earlier / "Manifest.json").write_text("earlier")
    return tmp_path


def contents(folder):
    return {str(one.relative_to(folder)): one.is_file() and one.read_text() for one in folder.rglob("*")}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gives_one_sentence_and_leaves_the_earlier_package(folder, name):
    pytest.importorskip("coremltools", reason="packages are written with coremltools")
    model, options, kind, words = MISTAKES[name]
    options = dict(options)
    path, before = folder / options.pop("path", "m.mlpackage"), contents(folder)
    with pytest.raises(kind, match=words) as raised:
        export.coreml(model, path, **options)
    assert "\n" not in str(raised.value).split("\n    ")[0]
    assert contents(folder) == before


def test_a_missing_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "coremltools", None)
    before = contents(folder)
    with pytest.raises(ImportError, match=r'coreml: coremltools is required; pip install "lucid-mlx\[coreml\]"'):
        export.coreml(SMALL, folder / "m.mlpackage", ZEROS)
    assert contents(folder) == before


def test_a_full_disk_leaves_the_earlier_package(folder, monkeypatch):
    ct = pytest.importorskip("coremltools", reason="packages are written with coremltools")

    def save(self, path):
        os.makedirs(path)
        with open(os.path.join(path, "half"), "w") as file:
            file.write("written")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = contents(folder)
    monkeypatch.setattr(ct.models.MLModel, "save", save)
    with pytest.raises(OSError, match="No space left on device") as raised:
        export.coreml(SMALL, folder / "m.mlpackage", ZEROS)
    assert raised.value.filename == str(folder / "m.mlpackage")
    assert contents(folder) == before


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder(folder):
    pytest.importorskip("coremltools", reason="packages are written with coremltools")
    folder.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            export.coreml(SMALL, folder / "new.mlpackage", ZEROS)
    finally:
        folder.chmod(0o700)
    assert not (folder / "new.mlpackage").exists()


def test_other_things_are_not_replaced(tmp_path):
    pytest.importorskip("coremltools", reason="packages are written with coremltools")
    (tmp_path / "m.mlpackage").mkdir()
    (tmp_path / "m.mlpackage" / "photo.jpg").write_text("mine")
    with pytest.raises(FileExistsError, match="not a Core ML package, so it is not replaced"):
        export.coreml(SMALL, tmp_path / "m.mlpackage", ZEROS)
    assert contents(tmp_path) == {"m.mlpackage": False, "m.mlpackage/photo.jpg": "mine"}


def test_a_package_that_computes_something_else_is_not_kept(folder, monkeypatch):
    pytest.importorskip("coremltools", reason="packages are written with coremltools")
    verify = importlib.import_module("lucid.export._coreml.verify")
    monkeypatch.setitem(verify.LIMITS, "float16", -1.0)
    before = contents(folder)
    with pytest.raises(export.ExportError, match="the package's outputs differ from the model's by"):
        export.coreml(attached(settled(ResNetLike()), names=NAMES), folder / "m.mlpackage", verify=True)
    assert contents(folder) == before


def test_an_earlier_package_is_replaced(folder):
    pytest.importorskip("coremltools", reason="packages are written with coremltools")
    export.coreml(SMALL, folder / "m.mlpackage", ZEROS)
    assert [one.name for one in folder.iterdir()] == ["m.mlpackage"]
    assert (folder / "m.mlpackage" / "Manifest.json").read_text() != "earlier"

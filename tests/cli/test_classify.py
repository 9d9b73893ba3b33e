"""``lucid classify``: any weights file, every kind of image, and errors."""

import contextlib
import json
import os
import weakref
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import models
from lucid.models.preprocessing import ImageTransform
from tests.serialization.writing import archive, tensor, text

pytest.importorskip("PIL", reason="images are read with Pillow")

from PIL import Image

from lucid import training
from lucid.cli import classify
from lucid.cli import photos as photo_files
from lucid.training import small_images


def network(classes=3, **options):
    lucid.manual_seed(5)
    model = models.ConvNeXt(classes, (1, 1, 1, 1), (4, 8, 12, 16), **options)
    if classes:
        model.head.weight._rebind(model.head.weight._array * 20)
    return model.eval()


def noise(seed=0, size=(50, 40)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(["a.png", "b.jpg", "more/c.webp"]):
        noise(number).save(folder / name)
    (folder / "notes.txt").write_text("not an image")
    return folder


def run(capsys, *arguments):
    code = classify.main([str(one) for one in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


PREPARED = ImageTransform(32, 40, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), interpolation="bilinear")
METADATA = {
    "classes": json.dumps(["cat", "dog", "ant"]),
    "preprocessing": json.dumps(asdict(PREPARED)),
    "model": "mine",
}


@pytest.mark.parametrize("dialect", ["official", "timm", "huggingface", "torchvision"])
def test_probabilities_are_those_of_the_model(capsys, tmp_path, photos, dialect):
    model = network()
    weights = tmp_path / "w.safetensors"
    models.save_checkpoint(model, weights, dialect, metadata=METADATA)
    code, out, err = run(capsys, photos, "--model", weights, "--json", "--batch-size", 2)
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and "mine: 3 classes" in err
    assert [Path(one["path"]).name for one in found] == ["a.png", "b.jpg", "c.webp"]
    images = [Image.open(one["path"]).convert("RGB") for one in found]
    expected = model(PREPARED(images)).softmax(dim=1).detach().numpy()
    for one, row in zip(found, expected, strict=True):  # Hugging Face's final norm has another eps
        assert [p["class"] for p in one["predictions"]] == [["cat", "dog", "ant"][i] for i in row.argsort()[::-1]]
        np.testing.assert_allclose([p["probability"] for p in one["predictions"]], np.sort(row)[::-1], atol=2e-5)


def test_a_pytorch_file_without_metadata(capsys, tmp_path, photos):
    """Its classes have numbers, and images are preprocessed as for ImageNet."""
    model = network(4)
    body, storages = b"}(" + text("model") + b"}(", {}
    for name, one in model.state_dict().items():
        array = np.ascontiguousarray(one.numpy())
        strides = [stride // 4 for stride in array.strides]
        body += text(name) + tensor(array.shape, strides, key=str(len(storages)), count=array.size)
        storages[str(len(storages))] = array.tobytes()
    weights = archive(tmp_path / "w.pth", body + b"uu", storages)
    code, out, _ = run(capsys, photos / "a.png", "--model", weights, "--top", 2, "--image-size", 64)
    row = model(ImageTransform(64, 73)([noise()])).softmax(dim=1).detach().numpy()[0]
    best, second = row.argsort()[::-1][:2]
    assert code == 0
    assert out.splitlines()[1:] == [f"{row[n]:8.2%}  class {n}" for n in (best, second)]


@pytest.mark.parametrize(
    ("count", "golden_retriever", "last"),
    [(1000, 207, "toilet tissue"), (11_821, 1505, "knothole"), (21_841, 2264, "knothole")],
)
def test_a_classifier_as_wide_as_imagenet_has_its_class_names(capsys, tmp_path, photos, count, golden_retriever, last):
    names = models.imagenet_class_names(count)
    assert len(names) == count and names[golden_retriever] == "golden retriever" and names[-1] == last
    models.save_checkpoint(network(count), tmp_path / "w.safetensors")
    code, out, _ = run(capsys, photos / "a.png", "--model", tmp_path / "w.safetensors", "--image-size", 32)
    lines = out.splitlines()
    assert code == 0 and len(lines) == 6 and all(line.split(maxsplit=1)[1] in names for line in lines[1:])


def test_a_checkpoint_by_name(capsys, photos, monkeypatch):
    model = network(1000)
    model.pretrained_tag = "torchvision/convnext_tiny.tv_in1k"
    asked = []

    def create_model(name, **options):
        asked.append((name, options))
        return model

    monkeypatch.setattr("lucid.models._from_checkpoint.create_model", create_model)
    code, out, err = run(capsys, photos / "a.png", "--model", "convnext_tiny.tv_in1k", "--top", 1)
    assert code == 0 and asked == [("convnext_tiny.tv_in1k", {"pretrained": True})]
    assert "torchvision/convnext_tiny.tv_in1k: 1000 classes" in err and "236 px (bilinear)" in err
    row = model(models.transforms_for(model.pretrained_tag)([noise()])).softmax(dim=1).detach().numpy()[0]
    names = models.imagenet_class_names(1000)
    assert out.splitlines()[1:] == [f"{row.max():8.2%}  {names[row.argmax()]}"]


def test_a_checkpoint_without_classes_is_refused(capsys, photos, monkeypatch):
    """CLIP has a projection in place of a classifier."""
    model = network(640)
    model.pretrained_tag = "timm/convnext_base.clip_laion2b"
    monkeypatch.setattr("lucid.models._from_checkpoint.create_model", lambda name, **_: model)
    with pytest.raises(SystemExit) as caught:
        classify.main([str(photos), "--model", "convnext_base.clip_laion2b"])
    assert caught.value.code == 2 and "has no classifier; its outputs are features" in capsys.readouterr().err


def test_a_model_of_lucid_train(capsys, tmp_path):
    """Grayscale digits, and a stem that only the recipe describes."""
    settings = small_images.Settings(dataset="digits", depths=(1, 1), dims=(8, 16), patch_size=1, stem="overlap")
    model = small_images.make_model(settings, 1, 10).eval()
    digits = lucid.data.Digits
    metadata = training.weights_metadata(
        "digits", digits.classes, {"image_size": 8, "mean": digits.mean, "std": digits.std}, recipe=asdict(settings)
    )
    lucid.save(model.state_dict(), tmp_path / "w.safetensors", metadata)
    gray = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(gray).save(tmp_path / "digit.png")
    code, out, _ = run(capsys, tmp_path / "digit.png", "--model", tmp_path / "w.safetensors", "--top", 10)
    pixels = (gray / 255 - digits.mean[0]) / digits.std[0]
    row = model(lucid.tensor(pixels[None, None].astype(np.float32))).softmax(dim=1).detach().numpy()[0]
    assert code == 0
    assert out.splitlines()[1:] == [f"{row[n]:8.2%}  {digits.classes[n]}" for n in row.argsort()[::-1]]


def test_exif_orientation_is_applied_and_transparency_becomes_white(capsys, tmp_path, photos):
    weights = tmp_path / "w.safetensors"
    models.save_checkpoint(network(), weights, metadata=METADATA)
    upright, exif = noise(1), Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    clear = upright.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(upright.size))
    white = Image.new("RGB", upright.size, "white")
    white.paste(clear, mask=clear)
    (tmp_path / "kinds").mkdir()
    for name, image, options in (
        ("a.png", upright, {}),
        ("b.png", upright.rotate(90, expand=True), {"exif": exif}),
        ("c.png", white, {}),
        ("d.png", clear, {}),
    ):
        image.save(tmp_path / "kinds" / name, **options)
    _, out, _ = run(capsys, tmp_path / "kinds", "--model", weights, "--json")
    straight, turned, pasted, transparent = (json.loads(line)["predictions"] for line in out.splitlines())
    assert straight == turned != pasted
    assert [one["class"] for one in transparent] == [one["class"] for one in pasted]
    for one, other in zip(transparent, pasted, strict=True):  # the blends are rounded differently
        assert abs(one["probability"] - other["probability"]) < 1e-3


def test_file_names_may_be_anything(capsys, tmp_path):
    weights, folder = tmp_path / "w.safetensors", os.fsencode(tmp_path) + b"/photos"
    models.save_checkpoint(network(), weights, metadata=METADATA)
    os.mkdir(folder)
    noise().save(tmp_path / "a.png")
    try:
        os.rename(tmp_path / "a.png", folder + b"/dog\xff\n.png")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    Path(os.fsdecode(folder), "\x1b[31m.png").write_bytes(b"not an image")
    arguments = [os.fsdecode(folder), "--model", weights, "--sheet", tmp_path / "sheet.png"]
    code, out, err = run(capsys, *arguments)
    assert code == 0 and (tmp_path / "sheet.png").exists()
    assert out.splitlines()[0].endswith(r"photos/dog\xff\n.png") and r"photos/\x1b[31m.png: " in err


def test_a_broken_image_is_reported_and_skipped(capsys, tmp_path, photos):
    models.save_checkpoint(network(), tmp_path / "w.safetensors", metadata=METADATA)
    (photos / "b.jpg").write_bytes((photos / "b.jpg").read_bytes()[:500])
    (photos / "text.png").write_text("not an image")
    code, out, err = run(capsys, photos, "--model", tmp_path / "w.safetensors", "--json")
    assert code == 0 and len(out.splitlines()) == 2
    for name, fault in (("b.jpg", "truncated"), ("text.png", "not an image")):
        [line] = [line for line in err.splitlines() if line.startswith(str(photos / name))]
        assert fault in line.lower() and line.endswith("; skipped")
    sheet = tmp_path / "sheet.png"
    code, out, err = run(capsys, photos / "b.jpg", "--model", tmp_path / "w.safetensors", "--sheet", sheet)
    assert (code, out) == (1, "") and "no image could be read" in err and not sheet.exists()


def test_a_missing_place_does_not_stop_the_others(capsys, tmp_path, photos):
    models.save_checkpoint(network(), tmp_path / "w.safetensors", metadata=METADATA)
    (tmp_path / "empty").mkdir()
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    places = [tmp_path / "gone.png", photos / "a.png", tmp_path / "empty", "nothing.jpg"]
    code, out, err = run(capsys, *places, "--model", tmp_path / "w.safetensors", "--json")
    assert code == 0 and len(out.splitlines()) == 1
    assert f"there is no file or folder {tmp_path / 'gone.png'}; skipped\n" in err
    assert f"there are no images in {tmp_path / 'empty'}; skipped\n" in err
    assert "there is no file or folder nothing.jpg; skipped\n" in err


def test_files_of_the_system_are_left_out_and_heic_is_reported(capsys, tmp_path, photos):
    models.save_checkpoint(network(), tmp_path / "w.safetensors", metadata=METADATA)
    (photos / "__MACOSX" / "more").mkdir(parents=True)
    (photos / ".thumbnails").mkdir()
    noise().save(photos / ".thumbnails" / "a.png")
    for name in ("__MACOSX/a.png", "__MACOSX/more/._c.webp", "._a.png"):
        (photos / name).write_bytes(b"\0\5\x16\7")
    (photos / "d.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(100))
    (photos / "e.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    code, out, err = run(capsys, photos, "--model", tmp_path / "w.safetensors", "--json")
    assert code == 0 and len(out.splitlines()) == 3
    skipped = dict(line.removesuffix("; skipped").split(": ", 1) for line in err.splitlines() if "; skipped" in line)
    assert skipped.pop(str(photos / "d.heic"))  # the reason depends on whether pillow-heif is installed
    assert {str(Path(path).relative_to(photos)): reason for path, reason in skipped.items()} == {
        "._a.png": "hidden",
        ".thumbnails": "hidden, 1 file",
        "__MACOSX": "made by the system, 2 files",
        "e.eps": "not an image by its name",
        "notes.txt": "not an image by its name",
    }
    assert err.splitlines()[-1] == "10 files: 3 classified, 7 skipped"


def test_one_decoded_image_of_each_thread_is_in_memory(capsys, tmp_path, photos, monkeypatch):
    models.save_checkpoint(network(), tmp_path / "w.safetensors", metadata=METADATA)
    alive, counts, open_file = [], [], Image.open

    def counting(*arguments, **options):
        counts.append(sum(one() is not None for one in alive))
        image = open_file(*arguments, **options)
        alive.append(weakref.ref(image))
        return image

    monkeypatch.setattr(Image, "open", counting)
    monkeypatch.setattr(photo_files, "num_cores", lambda: 2)
    for number in range(9):
        noise(number).save(photos / f"{number}.png")
    sheet = tmp_path / "sheet.png"
    code, out, _ = run(capsys, photos, "--model", tmp_path / "w.safetensors", "--json", "--sheet", sheet)
    assert code == 0 and len(out.splitlines()) == 12 and len(counts) == 12 and max(counts) < 2


def test_large_jpegs_are_decoded_at_a_reduced_size(capsys, tmp_path, monkeypatch):
    """Which changes the probabilities by less than the compression does."""
    models.save_checkpoint(network(), tmp_path / "w.safetensors", metadata=METADATA)
    noise(1, (24, 20)).resize((800, 700), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg")
    sizes = []
    opened = photo_files.opened_image

    @contextlib.contextmanager
    def recording(path, short_side):
        with opened(path, short_side) as image:
            sizes.append(image.size)
            yield image

    monkeypatch.setattr(photo_files, "opened_image", recording)
    arguments = (tmp_path / "a.jpg", "--model", tmp_path / "w.safetensors", "--json")
    whole = json.loads(run(capsys, *arguments)[1])["predictions"]
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.draft", lambda *_: None)
    full = json.loads(run(capsys, *arguments)[1])["predictions"]
    assert sizes == [(400, 350), (800, 700)]
    for one, other in zip(whole, full, strict=True):
        assert one["class"] == other["class"] and abs(one["probability"] - other["probability"]) < 0.01


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_the_sheet_shows_images_and_bars(capsys, tmp_path, photos, suffix):
    models.save_checkpoint(network(), tmp_path / "w.safetensors", metadata=METADATA)
    noise(3, (600, 300)).save(photos / "d_with_a_name_that_is_longer_than_the_image_is_wide_on_the_sheet.png")
    before = sorted(tmp_path.iterdir())
    code, *_ = run(capsys, photos, "--model", tmp_path / "w.safetensors", "--sheet", tmp_path / f"s{suffix}")
    assert code == 0 and sorted({*tmp_path.iterdir()} - {*before}) == [tmp_path / f"s{suffix}"]
    sheet = Image.open(tmp_path / f"s{suffix}").convert("RGB")
    pixels = np.asarray(sheet).astype(int)
    assert sheet.width == 3 * (256 + 20) + 20  # three images in the first row, one in the second
    assert pixels[60:200, 20:276].std() > 30  # the noise of the first image
    best = abs(pixels - (0x9E, 0xCA, 0xE9)).max(axis=2) <= 12  # the color of the bars of the best classes
    assert [best[:, left : left + 256].any() for left in (20, 296, 572)] == [True] * 3
    assert (pixels[:, :10] > 245).all()  # the margin


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "required: images"),
        (["nothing.png"], "there is no file or folder nothing.png"),
        (["{empty}"], "there are no images in"),
        (["{photo}", "--model", "convnext_tinny"], "there is no model 'convnext_tinny'"),
        (["{photo}", "--model", "w.pth"], "there is no file w.pth"),
        (["{photo}", "--model", "{photo}"], "a.png"),
        (["{photo}", "--model", "{other}"], "no ConvNeXt in any dialect"),
        (["{photo}", "--model", "{headless}"], "has no classifier"),
        (["{photo}", "--model", "{misnamed}"], "must have 3 names"),
        (["{photo}", "--model", "{five}"], "the model expects 5-channel images"),
        (["{photo}", "--model", "{good}", "--image-size", "16"], "at least 32x32"),
        (["{photo}", "--device", "gpu"], "'gpu' is not available here"),
        (["{photo}", "--top", "0"], "--top: must be a positive integer, got '0'"),
        (["{photo}", "--batch-size", "many"], "must be a positive integer, got 'many'"),
        (["{photo}", "--sheet", "sheet.txt"], "--sheet must end with .png"),
        (["{photo}", "--sheet", "nowhere/sheet.png"], "there is no folder"),
        (["{photo}", "--csv", "nowhere/a.csv"], "--csv nowhere/a.csv: there is no folder"),
        (["{photo}", "--jsonl", "{empty}"], "is a folder, expected a file"),
        (["{photo}", "--csv", "a", "--jsonl", "./a"], "--csv, --jsonl and --sheet must be different files"),
        (["{photo}", "--csv", "-", "--json"], "--csv, --jsonl and --sheet must be different files"),
        (["{photo}", "--copy-to", "{photo}"], "a.png is not a folder"),
        (["{photos}", "--move-to", "{photos}/."], "--copy-to must be another folder than that of the images"),
        (["{photos}", "--explain", "{photos}"], "--explain must be another folder than that of the images"),
    ],
)
def test_errors_are_reported_in_one_line(capsys, tmp_path, photos, files, arguments, fault, monkeypatch):
    monkeypatch.setattr("lucid._device.is_available", lambda kind: kind == "cpu")
    (tmp_path / "empty").mkdir()
    places = {"photo": photos / "a.png", "photos": photos, "empty": tmp_path / "empty", **files}
    with pytest.raises(SystemExit) as caught:
        classify.main([one.format(**places) for one in arguments])
    output = capsys.readouterr()
    assert caught.value.code == 2 and output.out == ""
    last = output.err.splitlines()[-1]
    assert "error: " in last and fault in last


@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        ({"classes": "3"}, "'classes' in the metadata must be a JSON list, got 3"),
        ({"classes": "["}, "'classes' in the metadata is not JSON"),
        ({"preprocessing": "[]"}, "'preprocessing' in the metadata must be a JSON dict, got []"),
        ({"preprocessing": '{"mean": 0.5}'}, "mean must be 3 numbers"),
        ({"preprocessing": '{"image_size": null}'}, "image_size must be an integer, got None"),
        ({"recipe": "null"}, "'recipe' in the metadata must be a JSON dict, got null"),
        ({"recipe": "{}"}, "the state dict does not match ConvNeXt"),
        ({"recipe": "{}", "dialect": "timm"}, "the weights do not have its names"),
    ],
)
def test_invalid_metadata_are_reported(capsys, tmp_path, photos, metadata, fault):
    weights = tmp_path / "w.safetensors"
    models.save_checkpoint(network(), weights, metadata.get("dialect", "official"), metadata=metadata)
    with pytest.raises(SystemExit) as caught:
        classify.main([str(photos), "--model", str(weights)])
    last = capsys.readouterr().err.splitlines()[-1]
    assert caught.value.code == 2 and str(weights) in last and fault in last


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of weights, most of them unusable."""
    folder = tmp_path_factory.mktemp("files")
    places = {name: folder / f"{name}.safetensors" for name in ("good", "headless", "misnamed", "five", "other")}
    models.save_checkpoint(network(), places["good"], metadata=METADATA)
    models.save_checkpoint(network(0), places["headless"])
    models.save_checkpoint(network(), places["misnamed"], metadata={"classes": json.dumps(["cat"])})
    models.save_checkpoint(network(in_chans=5), places["five"], metadata=METADATA)
    lucid.save({"w": lucid.ones(2)}, places["other"])
    return places


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--image-size", "1000000"], "an image of 1250000 x 1250000 px takes 18,750 GB, this device has"),
        (["--image-size", "4000", "--batch-size", "1000000"], "--batch-size 1000000 makes batches of 1 GB at 4000 px"),
    ],
)
def test_absurd_sizes_are_refused_before_memory_is_taken(capsys, photos, files, monkeypatch, options, fault):
    if "--batch-size" in options:
        monkeypatch.setattr("lucid.memory.total", lambda: 3 * 10**8)  # of three images
    with pytest.raises(SystemExit) as caught:
        classify.main([str(photos), "--model", str(files["good"]), *options])
    assert caught.value.code == 2 and fault in capsys.readouterr().err.splitlines()[-1]


def test_ctrl_c_is_one_line(capsys, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "from_checkpoint", interrupt)
    noise().save(tmp_path / "a.png")
    assert classify.main([str(tmp_path / "a.png"), "--model", "w.safetensors"]) == 130
    output = capsys.readouterr()
    assert output.out == "" and output.err.endswith(": interrupted\n") and output.err.count("\n") == 2

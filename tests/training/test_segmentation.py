"""Training a UPerNet: what is read, how it is split, the loss, mean IoU, the trainer."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("PIL", reason="images are read with Pillow")
pytest.importorskip("matplotlib", reason="curves are drawn with matplotlib")
pytest.importorskip("tqdm", reason="progress is shown with tqdm")

from PIL import Image

import lucid
from lucid import data, models
from lucid.cli import segment
from lucid.training import segmentation
from lucid.training.recipe import SettingError

SMALL = {
    **segmentation.SCRATCH, "epochs": 1, "batch_size": 2, "model": "convnext_atto", "pretrained": False,
    "crop_size": 32, "channels": 8, "drop_path": 0.0, "color_jitter": 0.0, "warmup_epochs": 0,
}  # fmt: skip


def write(root, names, size=(40, 48), classes=3, suffix=".png", palette=()):
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        mask = np.kron(rng.integers(0, classes, (size[0] // 8, size[1] // 8)), np.ones((8, 8), int)).astype(np.uint8)
        image = (80 * mask[..., None] + rng.integers(0, 30, (*mask.shape, 3))).astype(np.uint8)
        for folder, array in (("images", image), ("masks", mask)):
            path = root / folder / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(array)
            if palette and folder == "masks":
                picture.putpalette([value for color in palette for value in color])
            picture.save(path)


def settings(**more):
    return segmentation.Settings(**{**SMALL, **more})


def test_pairs_are_split_reproducibly(tmp_path):
    write(tmp_path, [str(i) for i in range(10)])
    (tmp_path / "classes.txt").write_bytes("\ufeffground\r\nwater \r\nsky\r\n\r\n".encode())
    found = segmentation.load_pairs(tmp_path, settings(val_part=0.3))
    assert (len(found.train), len(found.val)) == (7, 3)
    assert found.classes == ["ground", "water", "sky"]
    assert found == segmentation.load_pairs(tmp_path, settings(val_part=0.3))
    other = segmentation.load_pairs(tmp_path, settings(val_part=0.3, seed=1))
    assert other.split_table() != found.split_table()


def test_folders_train_and_val_are_the_split(tmp_path):
    write(tmp_path, ["training/a", "training/b", "validation/a"])
    found = segmentation.load_pairs(tmp_path, settings())
    assert (len(found.train), len(found.val)) == (2, 1)
    assert found.classes == ["class 0", "class 1", "class 2"]
    assert found.split_table() == ("part,image\ntrain,training/a.png\ntrain,training/b.png\nval,validation/a.png\n")


@pytest.mark.parametrize("val", ["val", "valid", "validation", "test"])
def test_a_folder_with_any_name_for_validation(val, tmp_path):
    write(tmp_path, ["train/a", "train/b", f"{val}/c"])
    found = segmentation.load_pairs(tmp_path, settings())
    assert (len(found.train), len(found.val), found.left_out) == (2, 1, 0)


def test_images_for_testing_are_left_out(tmp_path):
    write(tmp_path, ["train/a", "val/a", "test/a", "test/b"])
    found = segmentation.load_pairs(tmp_path, settings())
    assert (len(found.train), len(found.val), found.left_out) == (1, 1, 2)


def test_folders_that_are_no_split(tmp_path):
    write(tmp_path / "trains", ["train/a", "train/b", "car/a", "car/b"])  # a scene with trains
    found = segmentation.load_pairs(tmp_path / "trains", settings(val_part=0.5))
    assert (len(found.train), len(found.val)) == (2, 2)
    write(tmp_path / "mixed", ["train/a", "val/a", "b"])
    with pytest.raises(ValueError, match=r"training and validation, but .*images/b\.png is in neither; move it"):
        segmentation.load_pairs(tmp_path / "mixed", settings())
    write(tmp_path / "one", ["train/a", "train/b"])
    with pytest.raises(ValueError, match="must have images in both train and val"):
        segmentation.load_pairs(tmp_path / "one", settings())


def test_split_csv_of_any_names(tmp_path):
    names = ["a,b", 'say "a"', "two\nlines", "ü ä", "日本/1"]
    write(tmp_path, names)
    table = segmentation.load_pairs(tmp_path, settings()).split_table()
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert sorted(row["image"] for row in rows) == sorted(f"{name}.png".replace("\n", "\\n") for name in names)
    assert sorted(row["part"] for row in rows) == ["train"] * 4 + ["val"]
    assert table.count("\n") == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\n\nb\nc\n", "line 2 is empty, but each line names a class, from number 0 on"),
        (b"a\nb\nb\n", "line 3 repeats the class b"),
        ("ä\nb\nc\n".encode("latin-1"), "classes.txt must be UTF-8"),
    ],
)
def test_wrong_class_names(content, message, tmp_path):
    write(tmp_path, ["a", "b"])
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        segmentation.load_pairs(tmp_path, settings())


def test_palette_of_the_masks(tmp_path):
    colors = [(0, 0, 0), (255, 0, 0), (9, 9, 9)]
    write(tmp_path / "colors", ["a", "b"], palette=colors)
    assert segmentation.load_pairs(tmp_path / "colors", settings()).palette[:3] == colors
    write(tmp_path / "gray", ["a", "b"], palette=[(i, i, i) for i in range(256)])
    assert segmentation.load_pairs(tmp_path / "gray", settings()).palette == []


def masks_of(root, *values):
    """Pairs of which each mask has two of the numbers."""
    write(root, [str(i) for i in range(len(values))])
    for i, pair in enumerate(values):
        array = np.resize(np.array(pair, np.int32 if min(pair) < 0 else np.uint16), (40, 48))
        (root / f"masks/{i}.png").unlink()
        Image.fromarray(array).save(root / f"masks/{i}.tif")


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([(0, 255), (0, 0)], {}, "are 0 or 255, which is ignored, but 2 classes are needed; white must be 1"),
        ([(3, 3), (3, 3)], {}, "are 3, but 2 classes are needed$"),
        ([(0, 0), (0, 9)], {"ignore_index": 9}, "are 0 or 9, which is ignored, but 2 classes are needed$"),
        ([(0, 1), (0, -1)], {}, r"masks/1\.tif has class -1, but class numbers start at 0"),
        ([(0, 1), (0, 65535)], {}, r"1\.tif has class 65535, but .* no classes\.txt .* set ignore_index to 65535"),
    ],
)
def test_class_numbers_that_cannot_be_meant(values, options, message, tmp_path):
    masks_of(tmp_path, *values)
    with pytest.raises(ValueError, match=message):
        segmentation.load_pairs(tmp_path, settings(**options))


def test_another_ignored_number(tmp_path):
    masks_of(tmp_path, (0, 1), (65535, 3))
    chosen = settings(ignore_index=65535)
    found = segmentation.load_pairs(tmp_path, chosen)
    assert found.classes == ["class 0", "class 1", "class 2", "class 3"] and found.empty == ["class 2"]
    trainer = segmentation.make_trainer(chosen, replace(found, train=found.train * 2), compile=False)
    evaluation = trainer.evaluate()
    mask = data.open_mask(found.val[0][1])
    assert evaluation.confusion.sum() == (mask != 65535).sum()
    images, masks = next(iter(trainer.train_loader))
    assert set(np.unique(np.asarray(masks)).tolist()) <= {0, 1, 3, 65535} and images.shape[2:] == (32, 32)
    logits = lucid.zeros(1, 4, 2, 2)
    targets = lucid.tensor([[[65535, 65535], [65535, 0]]])
    assert trainer.loss_function(logits, targets).item() == pytest.approx(np.log(4))


def test_the_ignored_number_is_not_a_class_without_pixels(tmp_path):
    masks_of(tmp_path, (0, 1), (0, 3))
    assert segmentation.load_pairs(tmp_path, settings(ignore_index=0)).empty == ["class 2"]


def test_pairs_that_cannot_be_used(tmp_path):
    write(tmp_path, ["a", "b", "c"])
    (tmp_path / "classes.txt").write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"masks/.*\.png has class 2, but .*classes\.txt names 2 classes, 0 to 1"):
        segmentation.load_pairs(tmp_path, settings())
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "images/b.png").write_bytes((tmp_path / "images/b.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"1 of 3 pairs cannot be used: .*images/b\.png"):
        segmentation.load_pairs(tmp_path, settings())
    write(tmp_path, ["a", "b", "c"])
    for name in "abc":
        Image.fromarray(np.full((40, 48), 255, np.uint8)).save(tmp_path / f"masks/{name}.png")
    with pytest.raises(ValueError, match="all pixels of all masks .* are 255, which is ignored"):
        segmentation.load_pairs(tmp_path, settings())


def test_a_single_pair_is_too_few(tmp_path):
    write(tmp_path, ["a"])
    with pytest.raises(ValueError, match="has 1 pairs, at least 2 are needed"):
        segmentation.load_pairs(tmp_path, settings())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_scale": 2.0, "max_scale": 1.0}, "min_scale must be at most max_scale"),
        ({"window": 16}, "window must be 0 or at least 32"),
        ({"tta": "flip"}, "tta has no effect here"),
        ({"model": "resnet50"}, "resnet50"),
        ({"weights": "file.safetensors"}, "mutually exclusive"),
        ({"crop_size": 31}, "crop_size must be at least 32"),
        ({"depths": (1, 1), "dims": (8,)}, "depths has 2 stages but dims has 1"),
        ({"pretrained": True, "depths": (1,), "dims": (8,)}, "so depths and dims must not be given"),
        ({"pretrained": True, "patch_size": 2}, "so patch_size must not be given"),
    ],
)
def test_wrong_settings(wrong, message):
    with pytest.raises(SettingError, match=message):
        settings(**wrong)


@pytest.mark.parametrize(
    ("network", "found"),
    [
        (
            lambda: models.ConvNeXt(5, [1, 2], [8, 16], patch_size=2),
            {"model": "convnext_atto", "depths": [1, 2], "dims": [8, 16], "patch_size": 2},
        ),
        (
            lambda: models.ConvNeXtV2(0, [1, 1, 1], [8, 12, 16]),
            {"model": "convnextv2_atto", "depths": [1, 1, 1], "dims": [8, 12, 16], "patch_size": 4},
        ),
        (lambda: models.create_model("convnext_femto", num_classes=3), {"model": "convnext_femto", "patch_size": 4}),
    ],
)
@pytest.mark.parametrize("kind", ["classifier", "segmenter"])
def test_a_weights_file_determines_the_backbone(kind, network, found, tmp_path):
    lucid.manual_seed(3)
    own, path = network(), tmp_path / "weights.safetensors"
    maps = models.FeatureListNet(own).eval()
    if kind == "segmenter":
        models.save_segmenter(models.UPerNet(maps, 2, 8), path)
    else:
        models.save_checkpoint(own, path)
    assert segmentation.backbone_settings(path) == found
    args = segment.make_parser()[0].parse_args(["train", "shapes", "--weights", str(path), "--channels", "8"])
    chosen = segment.choose_settings(args, None)
    assert chosen == segment.choose_settings(args, chosen.settings())  # resumed
    model = segmentation.make_model(chosen, 4).eval()
    images = lucid.rand(1, 3, 64, 64)
    with lucid.no_grad():
        for one, other in zip(model.backbone.eval()(images), maps(images), strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_weights_files_without_a_backbone(tmp_path):
    path = tmp_path / "weights.safetensors"
    lucid.save({"weight": lucid.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"weights\.safetensors holds no ConvNeXt; its names are weight"):
        segmentation.backbone_settings(path)
    models.save_checkpoint(models.ConvNeXtIsotropic(2, 1, 8, patch_size=8), path)
    with pytest.raises(ValueError, match="holds a ConvNeXtIsotropic, which has no pyramid of maps"):
        segmentation.backbone_settings(path)


def test_loss_is_the_mean_over_pixels_that_count():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 3, 4, 5))
    masks = rng.integers(0, 3, (2, 4, 5))
    masks[0, :2] = 255
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    n, h, w = np.nonzero(masks != 255)
    expected = -log_probabilities[n, masks[n, h, w], h, w].mean()
    loss = segmentation.segmentation_loss(0.4)
    both = [lucid.tensor(one) for one in (logits.astype(np.float32), masks)]
    assert loss(*both).item() == pytest.approx(expected, rel=1e-6)
    assert loss((both[0], both[0]), both[1]).item() == pytest.approx(1.4 * expected, rel=1e-6)


def test_a_batch_without_any_pixel_that_counts_has_no_loss_and_no_gradient():
    logits = lucid.randn(1, 3, 4, 4, requires_grad=True)
    loss = segmentation.segmentation_loss(0.0)(logits, lucid.full((1, 4, 4), 255, dtype=lucid.int32))
    loss.backward()
    assert loss.item() == 0 and logits.grad.abs().max().item() == 0


def test_evaluation_counts_pixels_of_images_of_any_size(tmp_path):
    write(tmp_path, ["train/a", "train/b"])
    write(tmp_path, ["val/a"], size=(40, 56))
    write(tmp_path, ["val/b"], size=(24, 16))
    pairs = segmentation.load_pairs(tmp_path, settings())
    trainer = segmentation.make_trainer(settings(), pairs, compile=False)
    found = trainer.evaluate()
    confusion = np.zeros((3, 3), int)
    for image, mask in pairs.val:
        pixels = np.asarray(Image.open(image)).transpose(2, 0, 1)[None]
        with lucid.no_grad():
            predicted = trainer.logits(lucid.tensor(pixels)).argmax(1)[0].numpy()
        np.add.at(confusion, (data.open_mask(mask), predicted), 1)
    np.testing.assert_array_equal(found.confusion, confusion)
    unions = confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
    present = unions > 0
    assert found.metrics == {
        "mean_iou": pytest.approx((confusion.diagonal()[present] / unions[present]).mean()),
        "accuracy": pytest.approx(confusion.trace() / confusion.sum()),
    }


def test_evaluation_of_masks_without_a_pixel_that_counts(tmp_path):
    write(tmp_path, ["train/a", "train/b", "val/a"])
    Image.fromarray(np.full((40, 48), 255, np.uint8)).save(tmp_path / "masks/val/a.png")
    trainer = segmentation.make_trainer(settings(), segmentation.load_pairs(tmp_path, settings()), compile=False)
    found = trainer.evaluate()
    assert (found.loss, found.metrics) == (0.0, {"mean_iou": 0.0, "accuracy": 0.0}) and not found.confusion.any()


def test_an_untrained_backbone_of_one_s_own_is_saved_and_read_back(tmp_path):
    write(tmp_path, [str(i) for i in range(4)])
    chosen = settings(depths=(1, 2), dims=(8, 16), patch_size=2)
    trainer = segmentation.make_trainer(
        chosen, segmentation.load_pairs(tmp_path, chosen), folder=tmp_path / "run", compile=False
    )
    trainer.fit(progress=False)
    read = lucid.models.load_segmenter(tmp_path / "run").eval()
    assert "1-2 blocks of 8-16 channels" in (tmp_path / "run/report.html").read_text(encoding="utf-8")
    images = lucid.rand(1, 3, 40, 48)
    maps = read.backbone(images)
    assert [one.shape[1:] for one in maps] == [(8, 20, 24), (16, 10, 12)]
    trainer.model.eval()
    assert lucid.equal(read(images), trainer.model(images))


def test_loss_falls_and_the_report_shows_segmentations(tmp_path):
    write(tmp_path, [str(i) for i in range(8)])
    chosen = settings(epochs=3, batch_size=3)
    pairs = segmentation.load_pairs(tmp_path, chosen)
    trainer = segmentation.make_trainer(chosen, pairs, folder=tmp_path / "run", compile=False)
    trainer.fit(progress=False)
    losses = [row["train_loss"] for row in trainer.history]
    assert losses[-1] < losses[0]
    assert trainer.monitor == ("val_mean_iou", "max")
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "<h2>Segmentations</h2>" in page and page.count("<figure><img") >= 2
    assert "val pixels are right" in page and "<th>pixels</th>" in page
    # Class 0 is not drawn; the others have the colors of Pascal VOC.
    keys = ['<i style="background: rgb(128, 0, 0)"></i>class 1', '<i style="background: rgb(0, 128, 0)"></i>class 2']
    assert f'<p class="colors"><span>{keys[0]}</span><span>{keys[1]}</span></p>' in page
    model = lucid.models.load_segmenter(tmp_path / "run")
    assert model.class_names == ["class 0", "class 1", "class 2"]

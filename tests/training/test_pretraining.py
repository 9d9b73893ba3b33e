"""Settings, images without labels, models and reconstructions of pre-training. tests/cli/test_pretrain.py trains."""

import numpy as np
import pytest

import lucid
from lucid import models
from lucid.training import pretraining
from lucid.training.photo_dataset import find_unlabeled
from lucid.training.recipe import SettingError
from tests.models import sparse_reference as reference

image_module = pytest.importorskip("PIL.Image", reason="photos are read with Pillow")
pytest.importorskip("tqdm", reason="progress is shown with tqdm")

TINY = {"depths": (1, 1), "dims": (8, 12), "decoder_dim": 8, "batch_size": 4}


class Drawn:
    """Squares in random places, as ``ImageDataset`` has images."""

    max_value, mean, std, classes = 255, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), ("a", "b")

    def __init__(self, count=12, size=16, channels=3):
        rng = np.random.default_rng(count)
        self.data = rng.integers(0, 256, (count, channels, size, size)).astype(np.uint8)
        self.targets = np.zeros(count, np.int64)
        self.mean, self.std = self.mean[:channels], self.std[:channels]

    def __len__(self):
        return len(self.data)


def small(**options):
    return pretraining.SmallImages("cifar10", Drawn(**options), Drawn(9, **options))


def write_images(root, names, rng):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
        image_module.fromarray(pixels).save(root / name)


@pytest.mark.parametrize("source", ["cifar10", "digits", "photos"])
@pytest.mark.parametrize("recipe", ["quick", "paper"])
def test_presets_make_models(recipe, source):
    settings = pretraining.preset(recipe, source)
    model = pretraining.make_model(settings, 1 if source == "digits" else 3)
    size = {"cifar10": 32, "digits": 8, "photos": settings.image_size}[source]
    mask = model.random_mask(lucid.zeros(1, model.encoder.in_chans, size, size))
    assert mask.shape[1] == size // model.mask_size >= 4
    if recipe == "paper":
        assert settings.lr == pytest.approx(1.5e-4 * settings.batch_size / 256)
        assert (settings.mask_ratio, settings.weight_decay, settings.beta2) == (0.6, 0.05, 0.95)


def test_the_papers_network_is_the_authors():
    model = pretraining.make_model(pretraining.preset("paper", "photos"))
    assert (model.mask_size, model.encoder.depths, model.encoder.dims) == (32, (3, 3, 27, 3), (128, 256, 512, 1024))
    assert model.proj.weight.shape == (512, 1024, 1, 1) and model.pred.weight.shape == (3072, 512, 1, 1)
    assert len(model.decoder) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depths": (1, 1)}, "depths has 2 stages but dims has 3"),
        ({"mixup": 0.2}, "mixup has no effect here"),
        ({"test_flip": True}, "test_flip has no effect here"),
        ({"tta": "shift"}, "tta has no effect here"),
        ({"min_crop": 0.0}, "min_crop must be above 0"),
        ({"model": "convnext_isotropic_small"}, "model must be a variant of ConvNeXt, such as convnextv2_atto, got"),
        ({"model": "convnextv2_atto.fcmae"}, "got convnextv2_atto.fcmae; weights takes a checkpoint"),
        ({"model": "resnet"}, "there is no model 'resnet'"),
        ({"mask_ratio": 1.0}, "mask_ratio must be at least 0"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(SettingError, match=message):
        pretraining.preset(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask_size": 6}, "mask_size must be a multiple of the total stride of the encoder, 4 px, got 6"),
        ({"mask_size": 16}, "leaves 0 of 1 squares of 16 px visible"),
        ({"mask_ratio": 0.0}, "leaves 16 of 16 squares"),
        ({"patch_size": 16}, "at least 32x32 px"),
        ({"crop_padding": 99}, "crop_padding must be at most 16, got 99"),
        ({"batch_size": 99}, "batch_size must be at most 12, the number of training images, got 99"),
        ({"stem": "overlap", "patch_size": 3}, "patch_size, the stride of stem_type 'overlap', must be 1, 2 or 4"),
    ],
)
def test_settings_that_do_not_fit_the_images_are_named(settings, message):
    with pytest.raises(SettingError, match=message):
        pretraining.make_trainer(pretraining.preset(**{**TINY, **settings}), small())


# Images without labels ------------------------------------------------------------------------------------------------


def test_images_are_found_at_any_depth(tmp_path):
    rng = np.random.default_rng(0)
    names = ["a.png", "deep/er/b.JPG", "deep/c.jpeg", "deep/.hidden.png", "__MACOSX/d.png", "e.bmp"]
    write_images(tmp_path, names, rng)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    (tmp_path / "deep" / "loop").symlink_to(tmp_path, target_is_directory=True)
    photos = find_unlabeled(tmp_path, 0.25, 0)
    names = {photos.name(path) for path, _ in (*photos.train, *photos.val)}
    assert names == {"a.png", "deep/er/b.JPG", "deep/c.jpeg", "e.bmp"}
    assert len(photos.val) == 1 and photos.ignored == 1
    assert [photos.name(path) for path, _ in photos.skipped] == ["broken.png"]
    # The split of an earlier run is repeated, even with another seed.
    (tmp_path / "split.csv").write_text(photos.split_table())
    again = find_unlabeled(tmp_path, 0.5, 9, tmp_path / "split.csv")
    assert (again.train, again.val) == (photos.train, photos.val)


def test_folders_for_training_and_validation_are_used(tmp_path):
    write_images(tmp_path, ["train/a.png", "train/x/b.png", "Val/c.png", "other/d.png"], np.random.default_rng(0))
    photos = find_unlabeled(tmp_path, 0.1, 0)
    assert [[photos.name(path) for path, _ in part] for part in (photos.train, photos.val)] == [
        ["train/a.png", "train/x/b.png"],
        ["Val/c.png"],
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [([], "too few readable images, there is none for training"), (["a.png"], "there is none for validation")],
)
def test_too_few_images_are_reported(tmp_path, names, message):
    write_images(tmp_path, names, np.random.default_rng(0))
    with pytest.raises(ValueError, match=message):
        find_unlabeled(tmp_path, 0.1, 0)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        find_unlabeled(tmp_path / "nothing", 0.1, 0)


# Trainer --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_reconstructions_are_image_visible_part_and_prediction(tmp_path, ema):
    settings = pretraining.preset(**TINY, epochs=1, warmup_epochs=0, ema=ema)
    images = small()
    (tmp_path / "run").mkdir()
    trainer = pretraining.make_trainer(settings, images, folder=tmp_path / "run")
    trainer.model.train()
    before = lucid.random.get_state().tolist()
    [gallery] = trainer.folder.galleries(trainer)
    assert trainer.model.training and lucid.random.get_state().tolist() == before
    assert len(gallery.samples) == 8 and gallery.columns == 3
    trainer.model.eval()
    normalized = trainer.test_transform(lucid.tensor(images.test.data[:8]))
    mask = trainer.model(normalized)[2].numpy()
    for number, one in enumerate(gallery.samples):
        assert one.image.shape == (16, 16 * 3 + 2, 3) and one.image.dtype == np.uint8
        original, visible, reconstructed = one.image[:, :16], one.image[:, 17:33], one.image[:, 34:]
        pixels = images.test.data[number].transpose(1, 2, 0)
        hidden = np.kron(mask[number], np.ones((trainer.model.mask_size,) * 2)) == 1
        assert np.array_equal(original, pixels)
        assert np.array_equal(visible[~hidden], pixels[~hidden])
        assert np.array_equal(reconstructed[~hidden], pixels[~hidden])
        mean = np.rint(255 * np.array(images.test.mean))
        assert (np.abs(visible[hidden] - mean) <= 1).all() and (reconstructed[hidden] != pixels[hidden]).mean() > 0.9
    assert (tmp_path / "run" / "reconstructions.png").read_bytes()[:4] == b"\x89PNG"


def test_norms_and_biases_have_no_weight_decay():
    trainer = pretraining.make_trainer(pretraining.preset(**TINY), small())
    decayed = {n for group in trainer.optimizer.param_groups if group["weight_decay"] for n in group["param_names"]}
    assert {"encoder.stages.0.0.dwconv.weight", "pred.weight", "decoder.0.pwconv1.weight"} <= decayed
    assert not any(name.endswith((".bias", "norm.weight", "grn.gamma", "grn.beta")) for name in decayed)


def test_the_loss_of_the_trainer_is_that_of_the_model_on_hidden_patches():
    trainer = pretraining.make_trainer(pretraining.preset(**TINY, crop_padding=0, flip=False), small())
    found, model = trainer.evaluate().loss, trainer.model.eval()
    losses = []
    for start in (0, 4, 8):  # batches of 4
        x = trainer.test_transform(lucid.tensor(Drawn(9).data[start : start + 4]))
        with lucid.no_grad():
            _, prediction, mask = model(x)
        for number in range(len(x)):
            values = prediction[number].numpy().astype(float)
            places = {(row, column): values[:, row, column] for row in range(4) for column in range(4)}
            image = x[number].numpy().astype(float)
            errors = reference.loss(image, places, mask[number].numpy())
            losses.append(np.mean(errors))
    assert found == pytest.approx(np.mean(losses), rel=1e-5)


def test_weights_go_on_from_a_checkpoint(tmp_path):
    first = pretraining.make_model(pretraining.preset(**TINY))
    lucid.save(first.state_dict(), tmp_path / "a.safetensors")
    second = pretraining.make_model(pretraining.preset(**TINY, weights=str(tmp_path / "a.safetensors")))
    assert second.pred.weight.tolist() == first.pred.weight.tolist()
    models.save_checkpoint(first.encoder, tmp_path / "b.safetensors")
    third = pretraining.make_model(pretraining.preset(**TINY, weights=str(tmp_path / "b.safetensors")))
    name = "encoder.stages.1.0.pwconv1.weight"
    assert third.state_dict()[name].tolist() == first.state_dict()[name].tolist()
    with pytest.raises(models.MismatchError, match="Nothing was loaded"):
        pretraining.make_model(pretraining.preset(**{**TINY, "dims": (8, 16)}, weights=str(tmp_path / "a.safetensors")))

"""Models for fine-tuning, and their settings."""

import json

import numpy as np
import pytest

pytest.importorskip("PIL", reason="images are written with Pillow")

import lucid
from lucid import models
from lucid.training import finetuning
from tests.training.drawn_photos import CLASSES

# The settings in the checkpoints of version 0.1.0.
RECORDED = {
    "model": "convnext_tiny.fb_in1k",
    "pretrained": True,
    "weights": "tiny.safetensors",
    "image_size": 32,
    "val_part": 0.2,
    "freeze": "none",
    "head_init_scale": 0.001,
    "min_crop": 0.25,
    "epochs": 3,
    "warmup_epochs": 2,
    "batch_size": 8,
    "accumulate": 1,
    "patience": 0,
    "optimizer": "adamw",
    "lr": 0.001,
    "min_lr": 1e-06,
    "momentum": 0.9,
    "weight_decay": 1e-08,
    "layer_decay": 0.8,
    "clip_norm": 1.0,
    "ema": 0.9999,
    "drop_path": 0.2,
    "label_smoothing": 0.1,
    "flip": True,
    "augment": "rand-m9-mstd0.5-inc1",
    "color_jitter": 0.0,
    "erasing": 0.25,
    "mixup": 0.0,
    "cutmix": 0.0,
    "mix_switch": 0.5,
    "amp": "none",
    "seed": 0,
}


def test_settings_of_the_first_version_are_read():
    settings = finetuning.Settings(**RECORDED)
    later = {
        "balance": "none", "beta2": 0.999, "distill_features": 0.0, "distill_temperature": 2.0, "distill_weight": 0.5,
        "image_sizes": [], "labels": "", "schedule": "cosine", "shrink": "resize", "task": "auto", "teacher": "",
        "test_flip": False, "tta": "none",
    }  # fmt: skip
    assert json.loads(settings.to_json()) == RECORDED | later
    assert [name for name in settings.settings() if name not in later] == list(RECORDED)


def test_presets():
    assert finetuning.preset() == finetuning.Settings(**finetuning.FINETUNE)
    probe = finetuning.preset(freeze="backbone", epochs=3)
    assert (probe.lr, probe.layer_decay, probe.epochs, probe.freeze) == (2e-3, 1.0, 3, "backbone")
    scratch = finetuning.preset(pretrained=False)
    assert (scratch.lr, scratch.head_init_scale, scratch.pretrained) == (1e-3, 1.0, False)


def test_drop_path_increases_with_depth():
    settings = finetuning.Settings(model="convnext_atto", pretrained=False, drop_path=0.3)
    model, name, transform = finetuning.make_model(settings, CLASSES, load_weights=True)
    rates = [getattr(one.drop_path, "drop_prob", 0.0) for one in model.modules() if hasattr(one, "drop_path")]
    np.testing.assert_allclose(rates, np.linspace(0, 0.3, 12), atol=1e-7)
    assert name == "convnext_atto" and (transform.image_size, transform.resize_size) == (224, 224)
    checkpoint = finetuning.Settings(model="convnext_tiny.fb_in22k_ft_in1k_384")
    _, name, transform = finetuning.make_model(checkpoint, CLASSES, load_weights=False)  # as on resuming: no download
    assert name == "convnext_tiny" and transform == models.transforms_for("convnext_tiny.fb_in22k_ft_in1k_384")


# Distillation ---------------------------------------------------------------------------------------------------------


def teacher(path, classes, **options):
    lucid.manual_seed(1)
    model = models.ConvNeXt(len(classes), (1, 1), (4, 8), patch_size=2, **options)
    transform = models.ImageTransform(24, 32, mean=(0.1, 0.2, 0.3), std=(0.5, 0.4, 0.3))
    models.save_checkpoint(model, path, class_names=classes, preprocessing=transform)
    return path


def test_a_teacher_gets_its_own_images_and_gives_the_classes_by_name(tmp_path):
    path = teacher(tmp_path / "teacher.safetensors", ["stairs", "other", "balls", "fences"])
    settings = finetuning.preset(teacher=str(path), distill_weight=1.0, distill_temperature=3.0)
    own = models.ImageTransform(32, 32)
    distillation = finetuning.make_distillation(settings, CLASSES, own)
    assert distillation.columns.tolist() == [2, 3, 0] and distillation.temperature == 3.0
    pixels = np.random.default_rng(0).random((2, 3, 1, 1)).astype(np.float32) * np.ones((1, 1, 32, 32), np.float32)

    def normalized(mean, std, size):
        mean, std = (np.float32(one).reshape(1, 3, 1, 1) for one in (mean, std))
        return (pixels[:, :, :size, :size] - mean) / std

    prepared = distillation.prepare(lucid.tensor(normalized(own.mean, own.std, 32)))
    np.testing.assert_allclose(prepared.numpy(), normalized((0.1, 0.2, 0.3), (0.5, 0.4, 0.3), 24), atol=1e-5)
    assert finetuning.make_distillation(finetuning.preset(), CLASSES, own) is None


def test_teachers_that_do_not_fit_are_refused(tmp_path):
    own = models.ImageTransform(32, 32)
    path = teacher(tmp_path / "teacher.safetensors", ["balls", "fences"])
    with pytest.raises(finetuning.SettingError, match=r"teacher .* has no class stairs; distill_weight 0"):
        finetuning.make_distillation(finetuning.preset(teacher=str(path)), CLASSES, own)
    from_features = finetuning.preset(teacher=str(path), distill_weight=0.0, distill_features=1.0)
    assert finetuning.make_distillation(from_features, CLASSES, own).columns is None
    gray = teacher(tmp_path / "gray.safetensors", CLASSES, in_chans=1)
    with pytest.raises(finetuning.SettingError, match="expects 1-channel images"):
        finetuning.make_distillation(finetuning.preset(teacher=str(gray)), CLASSES, own)
    with pytest.raises(finetuning.SettingError, match="teacher has no effect with distill_weight 0 and distill_feat"):
        finetuning.preset(teacher=str(path), distill_weight=0.0)
    with pytest.raises(finetuning.SettingError, match="distill_temperature must be above 0"):
        finetuning.preset(distill_temperature=0.0)

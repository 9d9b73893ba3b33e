"""Models for fine-tuning, and their settings."""

import json

import numpy as np
import pytest

pytest.importorskip("PIL", reason="images are written with Pillow")

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
    later = {"beta2": 0.999, "image_sizes": [], "schedule": "cosine", "test_flip": False}
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

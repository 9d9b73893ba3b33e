"""Programs written for PyTorch run without an edit: each asserts that it has learned, and loads what it has saved."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lucid

SCRIPTS = Path(__file__).parents[1] / "torch_scripts"


def run(folder, name, *arguments):
    command = [sys.executable, "-W", "error", "-m", "lucid.torch", str(SCRIPTS / f"{name}.py"), *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment, timeout=600
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("name", ["mnist", "vae", "dcgan", "word_language_model", "gpt", "convnext_main"])
def test_a_program_runs_and_learns(tmp_path, name):
    run(tmp_path, name)


def test_a_compiled_model_trains_and_is_saved(tmp_path):
    run(tmp_path, "gpt", "--compile")
    assert all(name.startswith("_orig_mod.") for name in lucid.load(tmp_path / "ckpt.pt")["model"])


def test_a_folder_of_images_trains_with_a_distributed_sampler(tmp_path):
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for number, name in enumerate(("blue", "red")):
        (tmp_path / "photos" / "train" / name).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(0, 80, (40, 50, 3), dtype=np.uint8)
            pixels[..., 2 * (1 - number)] += 150
            image.fromarray(pixels).save(tmp_path / "photos" / "train" / name / f"{i}.png")
    run(tmp_path, "imagenet", str(tmp_path / "photos"))


def test_timm_trains_a_convnext(tmp_path):
    if importlib.util.find_spec("timm") is None or importlib.util.find_spec("torchvision") is None:
        pytest.skip("needs timm and torchvision: pip install --no-deps timm torchvision")
    run(tmp_path, "timm_atto")

"""The comparison with PyTorch on CIFAR-10: Lucid's half and the chart everywhere, the rest with PyTorch."""

import importlib

import numpy as np
import pytest

import lucid
from lucid import models

pytest.importorskip("matplotlib", reason="the comparison draws with matplotlib")


@pytest.fixture
def example():
    return importlib.import_module("cifar10_pytorch")


@pytest.fixture
def tiny(example, monkeypatch):
    monkeypatch.setattr(example, "DEPTHS", (1, 1))
    monkeypatch.setattr(example, "DIMS", (4, 8))
    lucid.manual_seed(0)
    model = models.ConvNeXt(10, (1, 1), (4, 8), layer_scale_init=1.0, patch_size=2)
    return {name: value.numpy() for name, value in model.state_dict().items()}


def batch(count=8):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 3, 16, 16)).astype(np.float32), rng.integers(0, 10, count)


def test_a_step_of_lucid_trains(example, tiny):
    step, infer = example.lucid_program(tiny)
    images, labels = batch()
    losses = [step(images, labels, 1e-2).item() for _ in range(4)]
    assert losses[-1] < losses[0] and infer(images).shape == (8, 10)


def test_both_start_alike(example, tiny):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    images, labels = batch()
    own, other = example.lucid_program(tiny), example.torch_program(torch, tiny)
    np.testing.assert_allclose(own[1](images), other[1](images), rtol=1e-4, atol=1e-5)
    losses = [[step(images, labels, 1e-3).item() for _ in range(3)] for step, _ in (own, other)]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_the_chart_is_drawn(example, tmp_path):
    losses = {name: np.linspace(2, 1, 60).tolist() for name in ("lucid", "torch")}
    results = {"data": "CIFAR-10, JPEG copy", "images": 640, "epochs": 3, "losses": losses}
    results |= {"accuracies": {"lucid": 0.5, "torch": 0.5}, "training_seconds": {"lucid": 1.0, "torch": 2.0}}
    example.draw(tmp_path / "chart.png", results)
    assert (tmp_path / "chart.png").stat().st_size > 1000

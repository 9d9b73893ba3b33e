"""The benchmark on a few small photos: every way reads them, and the numbers are written."""

import importlib
import json

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image", reason="photos are read by Pillow")


@pytest.fixture
def benchmark(monkeypatch):
    module = importlib.import_module("loading")
    monkeypatch.setattr(module, "SIZE", 32)
    monkeypatch.setattr(module, "SIZES", {"80x60": (80, 60, 18), "400x300": (400, 300, 4)})
    return module


def test_every_method_is_timed(benchmark, tmp_path, capsys):
    path = tmp_path / "loading.json"
    assert benchmark.main(["--rounds", "1", "--seconds", "0.2", "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert found["command"].startswith("python examples/benchmarks/loading.py --rounds 1")
    assert set(found["reading"]) == {"80x60", "400x300"} and found["machine"]["versions"]["pillow"] == Image.__version__
    for rates in found["reading"].values():
        assert {"pillow", "full_size", "reduced", "cached"} <= set(rates) and min(rates.values()) > 0
    training = found["training"]
    assert training["images_per_second_from_files"] > 0 and 0 <= training["waiting"] < 1
    text = capsys.readouterr().out
    assert "training convnext_atto" in text and text.count("1.00x") >= 2


def test_your_own_photos_can_be_used(benchmark, tmp_path, capsys):
    benchmark.draw_photos(tmp_path / "mine", 60, 40, 16)
    assert len(list((tmp_path / "mine").rglob("*.jpg"))) == 16
    assert benchmark.main(["--folder", str(tmp_path / "mine"), "--rounds", "1", "--seconds", "0.1"]) == 0
    assert "mine: images per second" in capsys.readouterr().out
    for arguments in (["--folder", str(tmp_path / "none")], ["--rounds", "0"], ["--seconds", "nan"]):
        with pytest.raises(SystemExit) as caught:
            benchmark.main(arguments)
        assert caught.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_few_photos_of_many_classes_are_enough(benchmark, tmp_path, capsys):
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        Image.new("RGB", (50, 40), "white").save(tmp_path / str(number) / "1.png")
    arguments = ["--folder", str(tmp_path), "--rounds", "1", "--seconds", "0.1"]
    assert benchmark.main(arguments) == 0
    (tmp_path / "3" / "2.png").write_bytes(b"")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        benchmark.main(arguments)
    assert "2.png cannot be read: the file is empty" in capsys.readouterr().err


def test_the_pillow_method_matches_torchvision(benchmark, tmp_path):
    """(N, 3, SIZE, SIZE) normalized floats: a white photo becomes (1 - mean) / std."""
    Image.new("RGB", (50, 40), "white").save(tmp_path / "white.png")
    [batch] = benchmark.pillow_batches([(str(tmp_path / "white.png"), 0)] * benchmark.BATCH)
    assert batch.shape == (16, 3, 32, 32) and batch.dtype == np.float32
    np.testing.assert_allclose(batch[3, :, 5, 5], (1 - benchmark.MEAN.ravel()) / benchmark.STD.ravel(), rtol=1e-6)

"""The benchmark on a few drawn shapes: it trains, probes, and writes results and a picture."""

import importlib
import json

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the probe is scikit-learn's logistic regression")
pytest.importorskip("tqdm", reason="progress is shown with tqdm")
pytest.importorskip("matplotlib", reason="curves are drawn with matplotlib")


def test_shapes_are_drawn():
    module = importlib.import_module("pretraining")
    images = module.drawn(64, 0)
    assert images.data.shape == (64, 3, module.SIDE, module.SIDE) and images.data.dtype == np.uint8
    assert set(images.targets) == set(range(8)) and images.data.std(axis=(1, 2, 3)).min() > 5
    assert np.array_equal(module.drawn(64, 0).data, images.data)
    x, y = np.meshgrid(np.arange(-16.0, 16), np.arange(-16.0, 16))
    areas = {kind: module.shape(kind, x, y, 10).sum() for kind in module.SHAPES}
    assert areas["disc"] == pytest.approx(np.pi * 100, rel=0.05) and areas["ring"] < areas["disc"]
    assert min(areas.values()) > 60


def test_the_probe_is_measured_before_and_after(tmp_path, capsys):
    module = importlib.import_module("pretraining")
    small = ["--images", "128", "--test-images", "60", "--epochs", "1", "--decoder-dim", "8", "--seeds", "2"]
    small += ["--depths", "1", "1", "--dims", "8", "8"]
    json_file, picture = tmp_path / "a.json", tmp_path / "a.png"
    assert module.main([*small, "--json", str(json_file), "--picture", str(picture)]) == 0
    found = json.loads(json_file.read_text())
    assert found["command"].startswith("python examples/benchmarks/pretraining.py --images 128")
    assert [row["seed"] for row in found["seeds"]] == [0, 1] and found["options"]["epochs"] == 1
    for row in found["seeds"]:
        assert len(row["losses"]) == 1 and all(0 < row[name] <= 1 for name in ("random", "pretrained"))
    assert picture.read_bytes()[:4] == b"\x89PNG" and "gain " in capsys.readouterr().out

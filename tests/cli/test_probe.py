"""``lucid probe`` end to end: accuracies, files, the report, unreadable photos, and errors."""

import csv
import json
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import lucid
from lucid import evaluation, models

pytest.importorskip("PIL", reason="images are read with Pillow")
pytest.importorskip("matplotlib", reason="features are drawn with matplotlib")
pytest.importorskip("sklearn", reason="the linear probe is scikit-learn's")
pytest.importorskip("tqdm", reason="progress is shown with tqdm")

from lucid.cli import probe
from lucid.cli.photos import prepared
from lucid.cli.probe_report import Probed, Result
from lucid.training.photo_dataset import all_samples, find_photos, split_with_seed
from tests.html_page import Page
from tests.training.drawn_photos import CLASSES, copy_photos, write_photos

RESULTS = [
    "duplicates.csv", "features.png", "features.safetensors", "neighbors.png", "report.html", "results.json",
    "skipped.csv",
]  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """60 photos of three classes, 20 broken ones, and a photo twice."""
    root = tmp_path_factory.mktemp("photos")
    write_photos(root, 60)
    first = sorted((root / "balls").glob("[0-9]*"))[0]
    (root / "balls" / f"again{first.suffix}").write_bytes(first.read_bytes())
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    lucid.manual_seed(3)
    model = models.ConvNeXt(0, (1, 1, 1), (16, 32, 64), layer_scale_init=1.0)
    preprocessing = {"image_size": 32, "resize_size": 32, "mean": [0.5] * 3, "std": [0.25] * 3}
    lucid.save(model.state_dict(), path, {"format": "pt", "preprocessing": json.dumps(preprocessing)})
    return path


def run(capsys, *arguments):
    code = probe.main([str(one) for one in arguments])
    output = capsys.readouterr()
    return SimpleNamespace(code=code, out=output.out, err=output.err)


@pytest.fixture(scope="module")
def whole(photos, weights, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    with warnings.catch_warnings():
        assert probe.main([str(photos), str(weights), "--out", str(out), "--seeds", "2", "--k", "5"]) == 0
    return out


def test_the_results_are_those_of_the_saved_features(whole, photos, weights):
    assert sorted(path.name for path in whole.iterdir()) == RESULTS
    features = evaluation.Features.load(whole / "features.safetensors")
    assert features.classes == CLASSES and len(features) == 61 and features.values.shape == (61, 64)
    found = find_photos(photos, 0.2, 0)
    assert features.names == [found.name(path) for path, _ in all_samples(found)]
    model = models.from_checkpoint(weights)
    with lucid.no_grad():
        image = lucid.data.open_image(photos / features.names[7], 64)
        want = model(model.preprocessing([image])).numpy()[0]
    np.testing.assert_allclose(features.values[7], want, rtol=1e-3, atol=1e-4)
    results = json.loads((whole / "results.json").read_text())
    assert [one["seed"] for one in results["splits"]] == [0, 1] and results["unreadable"] == 20
    for one in results["splits"]:
        train, val = split_with_seed(found, 0.2, one["seed"])
        assert (one["train"], one["val"]) == (len(train), len(val)) and not set(train) & set(val)
        rows, labels = features.values, features.labels
        assert one["knn"] == evaluation.knn(rows[train], labels[train], rows[val], 5).accuracy(labels[val])
        linear = evaluation.linear_probe(rows[train], labels[train]).predict(rows[val])
        assert one["linear"] == linear.accuracy(labels[val])
    means = [one["linear"] for one in results["splits"]]
    assert results["linear"] == {"mean": pytest.approx(np.mean(means)), "std": pytest.approx(np.std(means, ddof=1))}
    assert results["knn"]["mean"] > 0.6  # a third is chance; the weights are random


def test_the_first_split_is_that_of_finetune(photos):
    found = find_photos(photos, 0.2, 3)
    train, val = split_with_seed(found, 0.2, 3)
    samples = all_samples(found)
    assert [samples[i] for i in train] == found.train and [samples[i] for i in val] == found.val
    # A copy is in the same part, whatever the seed.
    twins = [i for i, (path, _) in enumerate(samples) if path.endswith(("again.jpg", "again.png", "000.jpg"))]
    for seed in range(5):
        assert len({i in set(split_with_seed(found, 0.2, seed)[1]) for i in twins}) == 1


def test_copies_and_unreadable_photos_are_listed(whole):
    with (whole / "duplicates.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    [twins] = [
        sorted(row["path"] for row in rows if row["group"] == number)
        for number in {row["group"] for row in rows if "again" in row["path"]}
    ]
    assert {"balls/000.jpg", "balls/again.jpg"} <= set(twins)
    assert len((whole / "skipped.csv").read_text().splitlines()) == 21


def test_the_report_shows_everything(whole):
    text = (whole / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert text.count("data:image/png;base64,") == 2 and "20 unreadable" in text
    for title in ("Features", "Nearest neighbors", "Near-duplicates", "Splits", "Classes", "Configuration"):
        assert f"<h2>{title}</h2>" in text
    results = json.loads((whole / "results.json").read_text())
    for kind in ("knn", "linear"):
        assert f"<dd>{results[kind]['mean']:.2%}<small>± {results[kind]['std']:.2%}, 2 random splits" in text
    assert page is not None and "balls/again.jpg" in text


@pytest.mark.parametrize(("counts", "shown"), [((8, 8), "8 images"), ((1000, 8, 9), "8 to 1,000 images")])
def test_the_number_of_images_held_out_is_that_of_all_splits(counts, shown):
    results = [Result(seed, 20, count, 0.5, 0.5, True, np.eye(2), []) for seed, count in enumerate(counts)]
    probed = Probed(None, None, None, results, 5, 1.0, {})
    assert probed.remark("knn") == f"± 0.00%, {len(counts)} random splits, {shown} held out"


@pytest.mark.parametrize("mean", [[0.4], [0.4, 0.5, 0.6]])
def test_a_model_of_gray_images(photos, tmp_path, mean, capsys):
    lucid.manual_seed(3)
    model = models.ConvNeXt(0, (1, 1), (8, 16), in_chans=1, layer_scale_init=1.0)
    preprocessing = {"image_size": 32, "resize_size": 36, "mean": mean, "std": [0.25] * len(mean)}
    lucid.save(model.state_dict(), tmp_path / "gray.safetensors", {"preprocessing": json.dumps(preprocessing)})
    arguments = [photos, tmp_path / "gray.safetensors", "--out", tmp_path / "out", "--seeds", "1"]
    assert run(capsys, *arguments).code == 0
    features = evaluation.Features.load(tmp_path / "out" / "features.safetensors")
    model = models.from_checkpoint(tmp_path / "gray.safetensors")
    # What lucid classify gives the model.
    [pixels] = [one.pixels for one in prepared(model, [photos / features.names[7]], 1)]
    assert pixels.shape == (1, 32, 32)
    with lucid.no_grad():
        want = model(pixels[None]).numpy()[0]
    np.testing.assert_allclose(features.values[7], want, rtol=1e-3, atol=1e-4)


def test_models_of_other_channels_are_refused(photos, tmp_path, capsys):
    lucid.save(models.ConvNeXt(0, (1, 1), (8, 16), in_chans=4).state_dict(), tmp_path / "four.safetensors")
    with pytest.raises(SystemExit):
        run(capsys, photos, tmp_path / "four.safetensors", "--out", tmp_path / "out")
    assert "expects 4-channel images; only 1 and 3 channels are supported" in capsys.readouterr().err


def test_a_folder_with_its_own_split_is_used_as_it_is(photos, weights, tmp_path, capsys):
    parts = {f"{part}/{name}": (name, count) for part, count in (("train", 6), ("val", 3)) for name in CLASSES}
    copy_photos(photos, tmp_path / "photos", parts)
    done = run(capsys, tmp_path / "photos", weights, "--out", tmp_path / "out", "--format", "npy", "--votes", "uniform")
    assert done.code == 0 and "--k 20 is more than the 18 training images; all of them vote" in done.err
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["splits"][0]["seed"] is None and (results["splits"][0]["train"], results["splits"][0]["val"]) == (
        18,
        9,
    )
    assert "of 9 images in the validation folder" in done.out and results["k"] == 18
    assert np.load(tmp_path / "out" / "features.npy").shape == (27, 64)
    assert len(json.loads((tmp_path / "out" / "features.json").read_text())["names"]) == 27


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--val-part", "1"], "--val-part must be above 0 and below 1, got 1"),
        (["--temperature", "0"], "--temperature must be above 0 and finite, got 0"),
        (["--C", "inf"], "--C must be above 0 and finite, got inf"),
        (["--duplicates", "1.5"], "--duplicates must be above 0 and at most 1, got 1.5"),
        (["--seed", "-1"], "--seed must be at least 0 and at most 4294967295, got -1"),
        (["--seed", "4294967296"], "--seed must be at least 0 and at most 4294967295, got 4294967296"),
        (["--out", "{weights}"], "--out {weights}: {weights} is not a folder"),
        (["--out", "{weights}/new/x"], "--out {weights}/new/x: {weights} is not a folder"),
        (["--seeds", "0"], "must be a positive integer, got '0'"),
        (["--image-size", "4"], "--image-size must be at least 16 for {weights}, got 4"),
        (["--out", "{photos}/x"], "--out must not be inside {photos}"),
        (["--picture", "umap"], "invalid choice: 'umap'"),
        (["--layer", "last"], "invalid choice: 'last'"),
    ],
)
def test_errors_are_one_line_and_nothing_is_written(photos, weights, tmp_path, capsys, options, message):
    words = [one.format(photos=photos, weights=weights) for one in options]
    out = [] if "--out" in words else ["--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as caught:
        probe.main([str(photos), str(weights), *out, *words])
    output = capsys.readouterr()
    last = output.err.splitlines()[-1]
    assert not output.out and caught.value.code == 2 and last.startswith("lucid probe: error: ")
    assert message.format(photos=photos, weights=weights) in last and not (tmp_path / "out").exists()


def test_missing_things_are_one_line(photos, weights, tmp_path, capsys):
    (tmp_path / "text.safetensors").write_text("no weights")
    lucid.save({"w": lucid.ones(2)}, tmp_path / "other.safetensors")
    content = lucid.load(weights)
    lucid.save({**content, "norm.weight": content["norm.weight"] * float("nan")}, tmp_path / "nan.safetensors")
    for folder, model, message in (
        (tmp_path / "nowhere", weights, "there is no folder"),
        (photos / "balls", weights, "has no subfolders"),
        (photos, tmp_path / "none.safetensors", "none.safetensors"),
        (photos, tmp_path / "text.safetensors", "text.safetensors"),
        (photos, tmp_path / "other.safetensors", "it holds no ConvNeXt"),
        (photos, tmp_path / "nan.safetensors", "the model gives NaN or infinity for balls"),
        (photos, "convnext_huge", "convnext_huge"),
    ):
        with pytest.raises(SystemExit) as caught:
            probe.main([str(folder), str(model), "--out", str(tmp_path / "out")])
        last = capsys.readouterr().err.splitlines()[-1]
        assert caught.value.code == 2 and message in last and not (tmp_path / "out").exists()


def test_a_failed_download_has_exit_code_1(photos, capsys, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise models.DownloadError("no network")

    monkeypatch.setattr(models, "from_checkpoint", fail)
    done = run(capsys, photos, "convnext_tiny.fb_in1k", "--out", tmp_path / "out")
    assert done.code == 1 and done.err.endswith("lucid probe: no network\n") and not (tmp_path / "out").exists()

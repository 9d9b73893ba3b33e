"""``lucid finetune --labels`` end to end: labels and numbers from CSV files, and the commands that read such runs."""

import csv
import json
import warnings

import numpy as np
import pytest

import lucid
from lucid import models
from lucid.serialization import load_with_metadata

pytest.importorskip("PIL", reason="images are read with Pillow")
pytest.importorskip("matplotlib", reason="curves are drawn with matplotlib")
pytest.importorskip("tqdm", reason="progress is shown with tqdm")

from PIL import Image

from lucid.cli import classify, export, finetune, info, probe, serve
from lucid.training import trainer
from tests.training.drawn_photos import write_weights
from tests.training.labeled_photos import LABELS, write_columns, write_csv, write_labeled, write_lists

TINY = [
    "--augment", "none", "--erasing", "0", "--drop-path", "0", "--layer-decay", "1", "--head-init-scale", "1",
    "--lr", "6e-3", "--batch-size", "8", "--min-crop", "0.9", "--image-size", "32", "--no-flip", "--ema", "0.9",
]  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors", 32)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The folder of photos, their names, labels and numbers."""
    root = tmp_path_factory.mktemp("drawn")
    return root, *write_labeled(root, 80)


def run_of(tmp_path_factory, drawn, weights, kind, epochs="12"):
    root, names, labels, numbers = drawn
    folder = tmp_path_factory.mktemp(kind)
    if kind == "labels":
        table, more = write_lists(folder / "labels.csv", names, labels), []
    else:
        table, more = write_columns(folder / "ages.csv", names, ["year", "height"], numbers), ["--task", "regression"]
    out = folder / "run"
    words = [str(root), "--labels", str(table), "--weights", str(weights), *TINY, "--epochs", epochs, *more]
    with warnings.catch_warnings():
        assert finetune.main([*words, "--out", str(out)]) == 0
    return out, table


@pytest.fixture(scope="module")
def labeled(tmp_path_factory, drawn, weights):
    return run_of(tmp_path_factory, drawn, weights, "labels")


@pytest.fixture(scope="module")
def numbered(tmp_path_factory, drawn, weights):
    return run_of(tmp_path_factory, drawn, weights, "numbers", "25")


def split_of(run):
    with (run / "split.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def outputs_for(model, root, names):
    images = [Image.open(root / name) for name in names]
    with lucid.no_grad():
        return model(model.preprocessing(images)).numpy()


def fails(main, capsys, words, *parts):
    try:
        code = main([str(word) for word in words])
    except SystemExit as error:
        code = error.code
    text = capsys.readouterr().err
    assert code == 2, text
    *before, last = text.splitlines()
    assert all(line.startswith("warning: ") for line in before) and "error: " in last
    for part in parts:
        assert part in last, text


# Several labels -------------------------------------------------------------------------------------------------------


def test_labels_are_learned(drawn, labeled):
    root, names, labels, _ = drawn
    run, _ = labeled
    model = models.from_checkpoint(run)
    assert (model.task, model.class_names) == ("multilabel", LABELS)
    rows = split_of(run)
    assert {row["path"] for row in rows} == set(names) and 10 <= sum(row["part"] == "val" for row in rows) <= 20
    by_name = dict(zip(names, labels, strict=True))
    for row in rows:
        assert row["labels"] == ";".join(np.array(LABELS)[by_name[row["path"]] == 1])
    val = [row["path"] for row in rows if row["part"] == "val"]
    truth = np.stack([by_name[name] for name in val])
    outputs = outputs_for(model, root, val)
    assert ((outputs > 0) == truth).mean() > 0.9
    with (run / "history.csv").open(encoding="utf-8", newline="") as file:
        best = max(csv.DictReader(file), key=lambda row: float(row["val_mean_average_precision"]))
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    precision = sklearn_metrics.average_precision_score(truth, outputs, average="macro")
    assert float(best["val_mean_average_precision"]) == pytest.approx(precision, abs=1e-5)
    assert float(best["val_auroc"]) == pytest.approx(sklearn_metrics.roc_auc_score(truth, outputs), abs=1e-5)
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "<h2>Labels</h2>" in report and "Average precision of each label" in report


def test_classify_gives_all_labels_above_a_half(drawn, labeled, capsys, tmp_path):
    root, names, *_ = drawn
    run, _ = labeled
    model = models.from_checkpoint(run)
    chances = 1 / (1 + np.exp(-outputs_for(model, root, names[:6]).astype(np.float64)))
    files = [str(root / name) for name in names[:6]]
    table = tmp_path / "table.csv"
    assert classify.main([*files, "--model", str(run), "--json", "--csv", str(table)]) == 0
    printed = capsys.readouterr()
    assert "3 labels" in printed.err
    for line, row in zip(printed.out.splitlines(), chances, strict=True):
        found = json.loads(line)
        assert set(found["labels"]) == {name for name, p in zip(LABELS, row, strict=True) if p > 0.5}
        np.testing.assert_allclose([found["probabilities"][name] for name in LABELS], row, atol=1e-4)
    with table.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", *LABELS]
    np.testing.assert_allclose(np.array([row[1:] for row in rows], float), chances, atol=1e-4)
    assert classify.main([*files, "--model", str(run), "--tta", "flip", "--explain", str(tmp_path / "heat")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 12 and len(list((tmp_path / "heat").iterdir())) == 6
    nothing = Image.new("RGB", (50, 50), (40, 40, 180))
    nothing.save(tmp_path / "nothing.png")
    assert classify.main([str(tmp_path / "nothing.png"), "--model", str(run), "--sheet", str(tmp_path / "s.png")]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["    none"]
    for words in (["--top", "2"], ["--copy-to", tmp_path / "sorted"]):
        fails(classify.main, capsys, [files[0], "--model", run, *words], f"{words[0]} is for classes", "several labels")


def test_a_run_of_labels_resumes_bit_for_bit(drawn, weights, labeled, tmp_path, monkeypatch):
    """Stopped within epoch 2 of 3, against one that was not."""
    root, (_, table) = drawn[0], labeled
    words = [str(root), "--labels", str(table), "--weights", str(weights), *TINY, "--epochs", "3", "--mixup", "0.4"]
    assert finetune.main([*words, "--out", str(tmp_path / "whole")]) == 0
    run_epoch = trainer.Trainer._run_epoch

    def stops(self, stop, progress):
        if self.epoch == 2:
            raise KeyboardInterrupt
        return run_epoch(self, stop, progress)

    monkeypatch.setattr(trainer.Trainer, "_run_epoch", stops)
    assert finetune.main([*words, "--out", str(tmp_path / "parts")]) == 130
    monkeypatch.undo()
    assert finetune.main([str(root), "--out", str(tmp_path / "parts"), "--resume"]) == 0
    for name in ("last.safetensors", "best.safetensors", "split.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_evaluation_of_labels_and_numbers(drawn, labeled, numbered, capsys):
    for (run, table), column in ((labeled, "mean average precision"), (numbered, "r squared")):
        assert finetune.main([str(drawn[0]), "--out", str(run), "--eval-only"]) == 0
        line = capsys.readouterr().out.splitlines()[-1]
        with (run / "history.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        key = "val_" + column.replace(" ", "_")
        best = (
            max(rows, key=lambda row: float(row[key]))
            if run == labeled[0]
            else min(rows, key=lambda row: float(row["val_loss"]))
        )
        found = dict(one.rsplit(" ", 1) for one in line.removeprefix("val ").split(", "))
        for name, expected in ((column, best[key]), ("loss", best["val_loss"])):
            assert float(found[name]) == pytest.approx(float(expected), abs=2e-4)
        assert (
            finetune.main(
                [str(drawn[0]), "--labels", str(table), "--weights", str(run / "best.safetensors"), "--eval-only"]
            )
            == 0
        )


# Numbers --------------------------------------------------------------------------------------------------------------


def test_numbers_are_learned_in_their_own_units(drawn, numbered, capsys):
    root, names, _, numbers = drawn
    run, _ = numbered
    model = models.from_checkpoint(run)
    assert (model.task, model.class_names) == ("regression", ["year", "height"])
    val = [row["path"] for row in split_of(run) if row["part"] == "val"]
    truth = np.stack([dict(zip(names, numbers, strict=True))[name] for name in val])
    outputs = outputs_for(model, root, val)
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    with (run / "history.csv").open(encoding="utf-8", newline="") as file:
        best = min(csv.DictReader(file), key=lambda row: float(row["val_loss"]))
    squared = sklearn_metrics.r2_score(truth, outputs)
    assert squared > 0.6
    assert float(best["val_r_squared"]) == pytest.approx(squared, abs=1e-4)
    errors = sklearn_metrics.mean_absolute_error(truth, outputs, multioutput="raw_values")
    assert float(best["val_absolute_error"]) == pytest.approx(errors.mean(), rel=1e-4)
    assert float(best["val_absolute_error_of_year"]) == pytest.approx(errors[0], rel=1e-4)
    assert classify.main([str(root / val[0]), "--model", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["numbers"]
    np.testing.assert_allclose([found["year"], found["height"]], outputs[0], rtol=1e-4, atol=1e-2)
    assert classify.main([str(root / val[0]), "--model", str(run), "--csv", "-"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "path,year,height"
    for word in ("--sheet", "--explain", "--top", "--copy-to"):
        value = "3" if word == "--top" else "x.png"
        fails(classify.main, capsys, [root / val[0], "--model", run, word, value], f"{word} is for classes", "numbers")


def test_a_head_in_units_continues_as_it_was(drawn, numbered, weights, tmp_path, capsys):
    """Fine-tuning a run further, and learning from one, start at its results."""
    root, (run, table) = drawn[0], numbered
    words = [str(root), "--labels", str(table), "--task", "regression", *TINY, "--epochs", "1", "--lr", "1e-9",
             "--min-lr", "0"]  # fmt: skip
    assert finetune.main([*words, "--weights", str(run), "--out", str(tmp_path / "more")]) == 0
    before, after = (models.from_checkpoint(one) for one in (run, tmp_path / "more"))
    np.testing.assert_allclose(
        outputs_for(after, root, drawn[1][:4]), outputs_for(before, root, drawn[1][:4]), rtol=1e-4, atol=1e-2
    )
    taught = [*words, "--weights", str(run), "--teacher", str(run), "--distill-weight", "1"]
    assert finetune.main([*taught, "--out", str(tmp_path / "taught")]) == 0
    with (tmp_path / "taught" / "history.csv").open(encoding="utf-8", newline="") as file:
        assert float(next(csv.DictReader(file))["train_loss"]) < 1e-6  # both give the same


# Other commands and options -------------------------------------------------------------------------------------------


def test_info_and_probe_of_such_runs(drawn, labeled, numbered, capsys, tmp_path):
    assert info.main([str(labeled[0])]) == 0
    text = capsys.readouterr().out
    assert "3: bar, red, square; each with a probability of its own" in text and "mean average precision" in text
    assert info.main([str(numbered[0])]) == 0
    assert "2: year, height" in capsys.readouterr().out
    for run, _ in (labeled, numbered):
        out = tmp_path / run.parent.name
        assert probe.main([str(drawn[0]), str(run), "--out", str(out), "--seeds", "1"]) == 0


def test_export_of_such_runs(drawn, labeled, numbered, capsys, tmp_path):
    root, names, *_ = drawn
    for (run, _), task in ((labeled, "multilabel"), (numbered, "regression")):
        copy = tmp_path / f"{task}.safetensors"
        assert export.main([str(run), str(copy)]) == 0
        again, before = models.from_checkpoint(copy), models.from_checkpoint(run)
        assert (again.task, again.class_names) == (task, before.class_names)
        np.testing.assert_array_equal(outputs_for(again, root, names[:2]), outputs_for(before, root, names[:2]))
        assert export.main([str(run), str(tmp_path / f"{task}.mlxfn")]) == 0
        assert json.loads((tmp_path / f"{task}.json").read_text())["task"] == task
        for words, part in (
            ([tmp_path / "x.onnx", "--softmax"], "--softmax is for classes"),
            ([tmp_path / "x.mlpackage"], "requires --logits"),
            ([tmp_path / "x", "--dialect", "timm"], "folders of timm and transformers are for classifiers"),
        ):
            fails(export.main, capsys, [run, *words], part)
    assert not (tmp_path / "x").exists()


def test_serve_shows_labels_and_refuses_numbers(drawn, labeled, numbered, capsys, monkeypatch):
    model = models.from_checkpoint(labeled[0])
    found, picture = serve.answer(model, drawn[0] / drawn[1][0], 5)
    chances = 1 / (1 + np.exp(-outputs_for(model, drawn[0], drawn[1][:1])[0].astype(np.float64)))
    np.testing.assert_allclose([found[name] for name in LABELS], chances, atol=1e-4)
    assert picture.size == (32, 32)
    assert "3 labels. Each has a probability of its own" in serve.introduction(model)
    monkeypatch.setattr(serve, "load_gradio", lambda: (None, None, None))
    fails(serve.main, capsys, [numbered[0], "--port", "0"], "predicts numbers")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--label-smoothing", "0.1"], ["--label-smoothing is for folders of classes", "--labels"]),
        (["--balance", "weights"], ["--balance weights is for folders of classes"]),
        (["--balance", "sampling"], ["--balance sampling is for folders of classes"]),
        (["--task", "regression", "--mixup", "0.2"], ["--mixup is for classes and labels"]),
        (["--task", "regression", "--cutmix", "0.2"], ["--cutmix is for classes and labels"]),
        (["--task", "regression"], ["line 2: column labels must be a number, got"]),
    ],
)
def test_options_that_do_not_fit(drawn, labeled, weights, tmp_path, capsys, words, parts):
    options = ["--labels", labeled[1], "--weights", weights, "--out", tmp_path / "out", *words]
    fails(finetune.main, capsys, [drawn[0], *options], *parts)
    assert not (tmp_path / "out").exists()


def test_a_task_needs_labels(drawn, tmp_path, capsys):
    words = [drawn[0], "--task", "multilabel", "--out", tmp_path / "out"]
    fails(finetune.main, capsys, words, "--task multilabel needs --labels")


def test_teachers_of_another_kind_are_refused(drawn, labeled, numbered, weights, tmp_path, capsys):
    root, (run, table) = drawn[0], labeled
    words = [root, "--labels", table, "--weights", weights, *TINY, "--out", tmp_path / "out", "--teacher"]
    fails(finetune.main, capsys, [*words, numbered[0]], "is for regression, but the photos are for multilabel")
    fails(finetune.main, capsys, [*words, weights], "is for classification, but the photos are for multilabel")
    classes = [root, "--weights", weights, *TINY, "--out", tmp_path / "out", "--teacher", run]
    fails(finetune.main, capsys, classes, "is for multilabel, but the photos are for classification")
    assert finetune.main([str(word) for word in [*words, run, "--epochs", "1"]]) == 0
    # Labels of another kind get a new classifier.
    with pytest.raises(ValueError, match="average must be 'outputs'"):
        lucid.evaluation.ViewAverage(models.from_checkpoint(run), average="probabilities")


def test_changed_labels_are_noticed(drawn, labeled, tmp_path, capsys):
    root, names, labels, _ = drawn
    run, table = labeled
    before = table.read_bytes()
    try:
        changed = labels.copy()
        changed[0] = 1 - changed[0]
        write_lists(table, names, changed)
        fails(finetune.main, capsys, [root, "--out", run, "--eval-only"], "have changed since the run")
    finally:
        table.write_bytes(before)


def test_the_metadata_of_a_run(labeled, numbered):
    for (run, _), task in ((labeled, "multilabel"), (numbered, "regression")):
        for name in ("best", "last"):
            metadata = load_with_metadata(run / f"{name}.safetensors")[1]
            assert json.loads(metadata["lucid_task"]) == task and json.loads(metadata["settings"])["task"] == task


def test_a_folder_with_train_and_val(drawn, weights, tmp_path, capsys):
    root = tmp_path / "photos"
    names, labels, _ = write_labeled(root, 20)
    (root / "a").rename(root / "train")
    (root / "b").rename(root / "val")
    names = [name.replace("a/", "train/").replace("b/", "val/") for name in names]
    table = write_columns(tmp_path / "labels.csv", names[:-1], LABELS, labels[:-1])
    words = [root, "--labels", table, "--weights", weights, *TINY, "--epochs", "1", "--out", tmp_path / "run"]
    assert finetune.main([str(word) for word in words]) == 0
    assert "1 other image without a row: ignored" in capsys.readouterr().out
    assert all(row["part"] == row["path"].partition("/")[0] for row in split_of(tmp_path / "run"))
    table = write_csv(tmp_path / "one.csv", ("file", "x", "y"), [(names[0], 0, 1)])
    words[2] = table
    fails(finetune.main, capsys, words, "at least two images")

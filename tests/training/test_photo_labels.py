"""Photos with labels from a CSV file: matched, split, and standardized."""

import shutil
import unicodedata
from dataclasses import replace

import numpy as np
import pytest

import lucid
from lucid import models, nn
from lucid.training import Trainer, finetuning

pytest.importorskip("PIL", reason="images are read with Pillow")
pytest.importorskip("tqdm", reason="progress is shown with tqdm")

from lucid.training.photo_labels import Standardized, find_labeled
from tests.training.labeled_photos import LABELS, write_columns, write_csv, write_labeled, write_lists


@pytest.fixture
def drawn(tmp_path):
    root = tmp_path / "photos"
    return root, *write_labeled(root, 24)


def test_both_forms_give_the_same_targets(drawn, tmp_path):
    root, names, labels, _ = drawn
    first = find_labeled(root, write_lists(tmp_path / "a.csv", names, labels), "auto", 0.25, 0)
    other = find_labeled(root, write_columns(tmp_path / "b.csv", names, LABELS, labels), "auto", 0.25, 0)
    assert first.split_table() == other.split_table() and len(first.val) == 6 and first.classes == LABELS
    by_path = {str(root / name): row for name, row in zip(names, labels, strict=True)}
    for part in first.samples:
        for path, row in part:
            assert row.dtype == np.float32
            np.testing.assert_array_equal(row, by_path[path])
    another = find_labeled(root, tmp_path / "b.csv", "auto", 0.25, 1)
    assert another.split_table() != first.split_table()


def test_an_earlier_split_is_repeated(drawn, tmp_path):
    root, names, labels, _ = drawn
    table = write_lists(tmp_path / "a.csv", names, labels)
    first = find_labeled(root, table, "auto", 0.25, 0)
    (tmp_path / "split.csv").write_text(first.split_table(), encoding="utf-8")
    again = find_labeled(root, table, "auto", 0.5, 7, tmp_path / "split.csv")
    assert again.split_table() == first.split_table()


def test_copies_stay_in_one_part(drawn, tmp_path):
    root, names, labels, _ = drawn
    for number in range(3):
        shutil.copy(root / names[5], root / f"copy {number}.png")
    copies = [f"copy {number}.png" for number in range(3)]
    table = write_lists(tmp_path / "a.csv", [*names, *copies], np.concatenate([labels, labels[[5] * 3]]))
    for seed in range(8):
        found = find_labeled(root, table, "auto", 0.3, seed)
        val = {path for path, _ in found.val}
        assert len({str(root / name) in val for name in [names[5], *copies]}) == 1


def test_names_may_be_composed_differently(drawn, tmp_path):
    root, names, labels, _ = drawn
    (root / names[0]).rename(root / unicodedata.normalize("NFD", "größe.png"))
    names[0] = unicodedata.normalize("NFC", "größe.png")
    assert len(find_labeled(root, write_lists(tmp_path / "a.csv", names, labels), "auto", 0.2, 0).values) == 24


def test_what_is_refused(drawn, tmp_path):
    root, names, *_ = drawn

    def refused(rows, header=("file", "x", "y")):
        with pytest.raises(ValueError) as error:
            find_labeled(root, write_csv(tmp_path / "a.csv", header, rows), "auto", 0.2, 0)
        return str(error.value)

    good = [(name, 0, 1) for name in names[:4]]
    stem = names[0].rpartition(".")[0]
    assert "line 6: there is no photo c/9.png in" in refused([*good, ("c/9.png", 1, 1)])
    assert "(and 1 more rows name none)" in refused([*good, ("c/9.png", 1, 1), ("c/8.png", 1, 1)])
    assert refused([(stem, 0, 1), good[1]]).endswith(f"there is {names[0]}")
    assert refused([(names[0].partition("/")[2], 0, 1), good[1]]).endswith(f"there is {names[0]}")
    (root / "notes.txt").write_text("no image")
    assert "the file is not an image" in refused([*good, ("notes.txt", 0, 1)])
    assert f"line 1: expected names of columns, got the photo {names[0]}" in refused(good[1:], good[0])
    assert "at least two images that can be read, got 1" in refused(good[:1])
    for name in names[:4]:
        (root / name).write_bytes(b"broken")
    assert "got 0: " in refused(good) and "cannot be read" in refused(good)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        find_labeled(tmp_path / "none", tmp_path / "a.csv", "auto", 0.2, 0)


def test_own_folders_of_a_split(drawn, tmp_path):
    root, names, labels, _ = drawn
    (root / "a").rename(root / "train")
    (root / "b").rename(root / "valid")
    names = [name.replace("a/", "train/").replace("b/", "valid/") for name in names]
    found = find_labeled(root, write_lists(tmp_path / "a.csv", names, labels), "auto", 0.2, 0)
    assert found.has_own_split and len(found.train) == len(found.val) == 12
    inside = [name.startswith("train") for name in names]
    only = [name for name, one in zip(names, inside, strict=True) if one]
    half = find_labeled(root, write_lists(tmp_path / "b.csv", only, labels[inside]), "auto", 0.25, 0)
    assert not half.has_own_split and (len(half.val), half.without_row) == (3, 12)
    (root / names[0]).rename(root / "beside.png")
    with pytest.raises(ValueError, match="others beside them: .*beside.png"):
        find_labeled(root, write_lists(tmp_path / "c.csv", ["beside.png", *names[1:]], labels), "auto", 0.2, 0)


def test_the_summary_warns_of_labels_without_both(drawn, tmp_path, capsys):
    root, names, labels, _ = drawn
    columns = np.column_stack([labels[:, 0], np.ones(24, int), np.zeros(24, int)])
    table = write_columns(tmp_path / "a.csv", names[:-2], ["some", "all", "none"], columns[:-2])
    find_labeled(root, table, "auto", 0.2, 0).print_summary()
    printed = capsys.readouterr()
    assert "3 labels: some, all, none" in printed.out and "2 other images without a row: ignored" in printed.out
    lines = printed.err.splitlines()
    for part in ("training", "validation"):
        assert f"warning: no {part} image has the label none" in lines
        assert f"warning: all {part} images have the label all" in lines
    table = write_columns(tmp_path / "b.csv", names, ["x"], np.full((24, 1), 5.5))
    find_labeled(root, table, "regression", 0.2, 0).print_summary()
    printed = capsys.readouterr()
    assert "x 5.5 to 5.5, mean 5.5" in printed.out
    assert printed.err == "warning: all training images have the same x\n"


def test_numbers_are_standardized_over_the_training_part(drawn, tmp_path):
    root, names, _, numbers = drawn
    photos = find_labeled(root, write_columns(tmp_path / "a.csv", names, ["x", "y"], numbers), "regression", 0.25, 0)
    train, val = (np.stack([row for _, row in part]) for part in photos.samples)
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(train.std(axis=0), 1, atol=1e-6)
    by_path = {str(root / name): row for name, row in zip(names, numbers, strict=True)}
    np.testing.assert_allclose(
        photos.task.in_units(val), [by_path[path] for path, _ in photos.val], rtol=1e-6, atol=1e-5
    )


def test_heads_are_converted_exactly():
    rng = np.random.default_rng(0)
    task = Standardized(["x", "y", "z"], rng.normal([1e3, -2, 0], [50, 0.1, 0], (40, 3)))
    assert task.std[2] == 1
    lucid.manual_seed(0)
    model = nn.Module()
    model.head = nn.Linear(7, 3)
    x = lucid.tensor(rng.normal(size=(5, 7)).astype(np.float32))
    before = model.head(x).detach().numpy()
    model.load_state_dict(task.weights_in_units(model.state_dict()))
    np.testing.assert_allclose(model.head(x).detach().numpy(), before * task.std + task.mean, rtol=1e-5)
    task.standardize(model)
    np.testing.assert_allclose(model.head(x).detach().numpy(), before, atol=1e-4)


def test_presets_have_no_label_smoothing():
    settings = finetuning.preset(labels="a.csv")
    assert (settings.label_smoothing, finetuning.preset().label_smoothing) == (0, 0.1)
    with pytest.raises(finetuning.SettingError, match="mixup is for classes and labels"):
        replace(settings, task="regression", mixup=0.2)


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_runs_of_a_trainer_record_the_task(tmp_path, kind):
    """Also without ``lucid finetune``: nothing else could tell a label from a class."""
    pytest.importorskip("matplotlib", reason="curves are drawn with matplotlib")
    from lucid import training

    task = training.MultiLabel(["a", "b"]) if kind == "multilabel" else training.Regression(names=["a", "b"])
    x = np.random.default_rng(0).normal(size=(8, 3, 32, 32))
    data = (x, (x[:, :2, 0, 0] > 0).astype(np.float32))
    model = models.ConvNeXt(2, (1, 1), (8, 16))
    recipe = training.Recipe(epochs=1, warmup_epochs=0, batch_size=4)
    Trainer(model, recipe, train=data, test=data, task=task, folder=tmp_path / "run").fit(progress=False)
    found = models.from_checkpoint(tmp_path / "run")
    assert (found.task, found.class_names) == (kind, ["a", "b"])

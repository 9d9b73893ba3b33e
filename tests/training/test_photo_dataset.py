"""Finding photos: folders train and val, splits, and names."""

import os
import shutil

import pytest

pytest.importorskip("PIL", reason="images are read with Pillow")
pytest.importorskip("tqdm", reason="progress is shown with tqdm")

from lucid.training import photo_dataset
from tests.training.drawn_photos import copy_photos, write_photos


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """30 photos of three classes, and 20 broken ones."""
    root = tmp_path_factory.mktemp("few")
    write_photos(root, 30)
    return root


def test_train_and_val_folders_are_used_as_the_split(few, tmp_path):
    find = photo_dataset.find_photos
    copy_photos(
        few,
        tmp_path,
        {"train/a": ("balls", 5), "train/b": ("stairs", 4), "Val/b": ("fences", 3), "test/a": ("balls", 2)},
    )
    found = find(tmp_path, 0.5, 0)
    assert found.classes == ["a", "b"] and len(found.train) == 9
    assert [(os.path.relpath(path, tmp_path)[:6], number) for path, number in found.val] == [("Val/b/", 1)] * 3
    # Another folder beside them is not a class.
    (tmp_path / "annotations").mkdir()
    assert find(tmp_path, 0.5, 0).split_table() == found.split_table()
    (tmp_path / "annotations").rmdir()
    # Only train: it is split.
    shutil.rmtree(tmp_path / "Val")
    shutil.rmtree(tmp_path / "test")
    found = find(tmp_path, 0.4, 0)
    assert len(found.train) == 5 and len(found.val) == 4 and "train/" in found.split_table()
    # With another class beside it, train is a class.
    copy_photos(few, tmp_path, {"car": ("balls", 3)})
    assert find(tmp_path, 0.4, 0).classes == ["car", "train"]


def test_an_empty_folder_with_an_image_suffix_is_reported(few, tmp_path):
    copy_photos(
        few, tmp_path, {"a": ("balls", 3), "b": ("stairs", 3), "b/4.jpg": ("balls", 0), "b/more.jpg": ("balls", 1)}
    )
    found = photo_dataset.find_photos(tmp_path, 0.5, 0)
    assert found.skipped == [(str(tmp_path / "b" / "4.jpg"), "an empty folder, not a file")]
    assert len(found.train) + len(found.val) == 7


def test_splits_depend_on_the_seed(few):
    find = photo_dataset.find_photos
    tables = [find(few, 0.3, seed).split_table() for seed in (0, 0, 1)]
    assert tables[0] == tables[1] != tables[2]


def test_printable_names_are_one_line():
    printable = photo_dataset.printable
    assert printable("a\nb\x1b[31m\x7f ü 猫") == "a\\nb\\x1b[31m\\x7f ü 猫"
    assert printable(os.fsdecode(b"dog\xff")) == "dog\\xff"


def test_copies_of_a_photo_stay_in_one_part(few, tmp_path, capsys):
    copy_photos(few, tmp_path, {"a": ("balls", 8), "b": ("stairs", 8)})
    first = sorted((tmp_path / "a").iterdir())[0]
    for number in range(2):
        shutil.copy(first, first.with_name(f"copy {number}{first.suffix}"))
    for seed in range(8):
        found = photo_dataset.find_photos(tmp_path, 0.4, seed)
        copies = [
            [path for path, _ in part if "copy" in path or path == str(first)] for part in (found.train, found.val)
        ]
        assert sorted(map(len, copies)) == [0, 3] and found.num_grouped == 3 and found.leaks == []
        assert len(found.val) >= 6 and len(found.train) + len(found.val) == 18
    found.print_summary()
    out, err = capsys.readouterr()
    assert "3 copies and photos of one burst stay in one part" in out and err == ""


def test_a_class_of_copies_is_split_all_the_same_and_reported(few, tmp_path, capsys):
    copy_photos(few, tmp_path, {"a": ("balls", 1), "b": ("stairs", 5)})
    [only] = (tmp_path / "a").iterdir()
    for number in range(4):
        shutil.copy(only, only.with_name(f"{number}{only.suffix}"))
    found = photo_dataset.find_photos(tmp_path, 0.2, 0)
    assert [sum(number == 0 for _, number in part) for part in (found.train, found.val)] == [4, 1]
    assert [is_same for _, _, is_same in found.leaks] == [True]
    found.print_summary()
    _, err = capsys.readouterr()
    assert err.startswith("warning: 1 validation image is also for training, so the results will be too good: a")


def test_a_large_burst_is_for_training(few, tmp_path):
    copy_photos(few, tmp_path, {"a": ("balls", 6), "b": ("stairs", 10)})
    first = sorted((tmp_path / "a").iterdir())[0]
    for number in range(5):
        shutil.copy(first, first.with_name(f"copy {number}{first.suffix}"))
    for seed in range(5):
        found = photo_dataset.find_photos(tmp_path, 0.2, seed)
        assert sum("copy" in path or path == str(first) for path, _ in found.train) == 6


def test_copies_in_folders_train_and_val_are_reported(few, tmp_path, capsys):
    copy_photos(few, tmp_path, {"train/a": ("balls", 5), "train/b": ("stairs", 5), "val/a": ("balls", 2)})
    found = photo_dataset.find_photos(tmp_path, 0.2, 0)
    assert len(found.leaks) == 2 and found.num_grouped == 0
    found.print_summary()
    out, err = capsys.readouterr()
    assert "warning: 2 validation images are also for training" in err and "val/a/" in err and " is train/a/" in err
    assert "  a       5 + 2\n  b       5 + 0\n" in out and " px, half of them with a short side of " in out


def test_the_split_of_an_earlier_run_is_repeated(few, tmp_path):
    """Also if that run split the images in another way, as version 0.1.0 did with bursts."""
    find, table = photo_dataset.find_photos, tmp_path / "split.csv"
    one, other = find(few, 0.3, 0), find(few, 0.3, 1)
    table.write_text(other.split_table())
    again = find(few, 0.3, 0, table)
    assert (again.train, again.val) == (other.train, other.val) != (one.train, one.val)
    table.write_text(other.split_table().replace("balls", "bowls"))
    assert find(few, 0.3, 0, table).split_table() == one.split_table()
    assert find(few, 0.3, 0, tmp_path / "missing.csv").split_table() == one.split_table()


def test_the_summary_is_short_for_many_classes(capsys):
    classes = [f"class {number}" for number in range(30)]
    found = photo_dataset.Photos(photo_dataset.Path("x"), classes, [("a", 0)], [("b", 29)], [("c", "empty")], 2)
    found.print_summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("x: 1 training and 1 validation images, 30 classes: class 0, ")
    assert lines[1:3] == ["  class 0        1 + 0", "  class 1        0 + 0"] and len(lines) == 24
    assert lines[21:] == ["  and 10 more classes", "  1 image cannot be read", "  2 other files are not images"]


def test_folders_of_the_system_are_no_class(few, tmp_path):
    """A zip made on a Mac has __MACOSX beside train and val."""
    copy_photos(few, tmp_path, {"train/a": ("balls", 5), "train/b": ("stairs", 4), "val/b": ("fences", 3)})
    before = photo_dataset.find_photos(tmp_path, 0.5, 0)
    for place in ("__MACOSX/train/a", "train/__MACOSX", "train/a/.cache/empty.jpg"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "__MACOSX" / "train" / "a" / "._1.jpg").write_bytes(b"\0\5\x16\7")
    after = photo_dataset.find_photos(tmp_path, 0.5, 0)
    assert after.split_table() == before.split_table() and after.skipped == before.skipped == []
    # Without val, too, train is no class of vehicles.
    shutil.rmtree(tmp_path / "val")
    assert photo_dataset.find_photos(tmp_path, 0.5, 0).classes == ["a", "b"]


def test_a_class_without_a_readable_image_says_why(few, tmp_path):
    copy_photos(few, tmp_path, {"a": ("balls", 3)})
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    with pytest.raises(ValueError, match="has no readable image of class b: not an image in a supported format"):
        photo_dataset.find_photos(tmp_path, 0.5, 0)

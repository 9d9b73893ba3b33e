"""Copies in one folder per class: names that any file system takes, and numbers where one is taken."""

import os

import pytest

from lucid.cli.sorted_copies import SortedCopies, folder_name, put


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("golden retriever", "golden retriever"),
        ("a/b\\c", "a_b_c"),
        ("..", "_"),
        (".hidden.", "hidden"),
        ("", "_"),
        ('what? "x": *', "what_ _x_ _"),
        ("new\nline", "new_line"),
        ("ü" * 200, "ü" * 123),
    ],
)
def test_class_names_become_folder_names(text, name):
    assert folder_name(text) == name


def test_a_class_that_shares_its_name_has_its_number(tmp_path):
    names = ["crane", "dog", "Crane", "dog/"]
    (tmp_path / "a.jpg").write_bytes(b"a")
    copies = SortedCopies(tmp_path / "to", names)
    found = [copies.add(tmp_path / "a.jpg", number).parent.name for number in range(4)]
    assert found == ["crane 0", "dog", "Crane 2", "dog_"]


def test_taken_names_get_numbers(tmp_path):
    def fill(text):
        return lambda path: path.write_text(text)

    names = [put(tmp_path, "a.tar.jpg", fill(str(number))).name for number in range(3)]
    assert names == ["a.tar.jpg", "a.tar-2.jpg", "a.tar-3.jpg"]
    assert [(tmp_path / name).read_text() for name in names] == ["0", "1", "2"]
    long = "y" * 251 + ".jpg"
    assert [len(put(tmp_path, long, fill("")).name) for _ in range(2)] == [255, 255]
    assert put(tmp_path, "no suffix", fill("")).name == "no suffix"
    assert put(tmp_path, "no suffix", fill("")).name == "no suffix-2"
    (tmp_path / "dangling.jpg").symlink_to("elsewhere.jpg")
    assert put(tmp_path, "dangling.jpg", fill("")).name == "dangling-2.jpg"
    assert not (tmp_path / "elsewhere.jpg").exists()


def test_a_failure_leaves_nothing(tmp_path):
    def fail(path):
        path.write_text("half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        put(tmp_path, "a.jpg", fail)
    assert os.listdir(tmp_path) == []


def test_copies_keep_the_time_of_the_photo(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"a")
    os.utime(tmp_path / "a.jpg", (1e9, 1e9))
    copy = SortedCopies(tmp_path / "to", ["x"]).add(tmp_path / "a.jpg", 0)
    assert copy == tmp_path / "to" / "x" / "a.jpg" and copy.stat().st_mtime == 1e9

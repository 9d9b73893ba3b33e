"""CSV files of labels and numbers: what is read, and what is refused with its line."""

import numpy as np
import pytest

from lucid.training.label_table import read_labels
from lucid.training.recipe import SettingError


@pytest.fixture
def table(tmp_path):
    """A function that writes a file and returns its path."""

    def write(text, encoding="utf-8"):
        path = tmp_path / "labels.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_lists_of_labels(table, end, encoding):
    rows = ["image,tags", "a.jpg,cat  dog", '"b, c.jpg",', "", "./sub/d.jpg,größe", ","]
    found = read_labels(table(end.join(rows), encoding))
    assert (found.kind, found.names) == ("multilabel", ["cat", "dog", "größe"])
    assert (found.files, found.lines) == (["a.jpg", "b, c.jpg", "sub/d.jpg"], [2, 3, 5])
    np.testing.assert_array_equal(found.values, [[1, 1, 0], [0, 0, 0], [0, 0, 1]])


def test_semicolons_separate_where_there_are_any(table):
    found = read_labels(table('f,l\na,polar bear; cat\nb,polar bear\nc,cat;;cat\nd,"snow, ice"\n'))
    assert found.names == ["cat", "polar bear", "snow, ice"]
    np.testing.assert_array_equal(found.values, [[1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize(("one", "zero"), [("1", "0"), ("1.0", "0.0"), ("True", "false")])
def test_columns_of_flags(table, one, zero):
    found = read_labels(table(f"f,cat,dog\na,{one},{zero}\nb,{zero},{zero}\n"))
    assert (found.kind, found.names) == ("multilabel", ["cat", "dog"])
    np.testing.assert_array_equal(found.values, [[1, 0], [0, 0]])


def test_numbers_need_a_task(table):
    path = table("f,age,height\na,12,1.5e0\nb,-3, 170 \n")
    with pytest.raises(SettingError, match="task regression .* line 2: column age has 12"):
        read_labels(path)
    found = read_labels(path, "regression")
    np.testing.assert_array_equal(found.values, [[12, 1.5], [-3, 170]])
    with pytest.raises(ValueError, match="line 2: column age must be 0 or 1, got '12'"):
        read_labels(path, "multilabel")
    flags = table("f,a,b\na,0,1\nb,1,1\n")
    assert read_labels(flags, "regression").kind == "regression"


def test_one_column_that_could_be_either_needs_a_task(table):
    for text, message in (
        ("f,x\na,1\nb,0\n", "task must say what the numbers"),
        ("f,x\na,17\nb,3\n", "task must say what the numbers"),
        ("f,x\na,cat\nb,dog\n", "task multilabel is needed, or one folder per class"),
    ):
        with pytest.raises(SettingError, match=message):
            read_labels(table(text))
    np.testing.assert_array_equal(read_labels(table("f,x\na,1\nb,0\n"), "multilabel").values, [[1], [0]])
    assert read_labels(table("f,x\na,17\nb,3\n"), "multilabel").names == ["17", "3"]
    assert read_labels(table("f,x\na,17 3\nb,3\n")).names == ["17", "3"]
    assert read_labels(table("f,x\na,cat\nb,dog\n"), "multilabel").names == ["cat", "dog"]


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", "auto", "is empty"),
        (b"f,l\na,\xff\n", "auto", "line 2: not UTF-8"),
        ("f,l\na,x y\n".encode("utf-16"), "auto", "line 1: not UTF-8"),
        ("f\na\n", "auto", "line 1: expected a column of photos"),
        ("f;x;y\na;1;0\n", "auto", "separated by semicolons"),
        ("f\tx\na\t1\n", "auto", "separated by tabs"),
        ("f,x,\na,1,0\n", "auto", "line 1: column 3 has no name"),
        ("f,x,x\na,1,0\n", "auto", "line 1: two columns have the name x"),
        ("f,x\n", "auto", "no photos"),
        ("f,x,y\na,1\n", "auto", "line 2: expected 3 columns as in line 1, got 2"),
        ("f,x\na,1,0\n", "auto", "line 2: expected 2 columns as in line 1, got 3"),
        ("f,x,y\n,1,0\n", "auto", "line 2: the name of the photo is empty"),
        ("f,x,y\na,1,0\n\nb,0,0\n./a,1,1\n", "auto", "line 5: ./a already has a row, line 2"),
        ('f,x\n"a\nb",c d\n"a\nb",c d\n', "auto", r"line 4: a\nb already has a row, line 2"),
        ('f,x\na,"c" d\n', "auto", "line 2: not valid CSV"),
        ("f,x,y\na,1,0\nb,,1\n", "auto", "line 3: column x must be 0 or 1, got an empty cell"),
        ("f,x,y\na,1,0\nb,1,yes\n", "auto", "line 3: column y must be 0 or 1, got 'yes'"),
        ("f,x\na,\nb,\n", "auto", "no photo has a label"),
        ('f,x\na,"cat,dog"\nb,cat bird\n', "auto", "line 2: column x: labels are separated by spaces or semicolons"),
        ("f,x\na,1\nb,\n", "regression", "line 3: column x must be a number, got an empty cell"),
        ("f,x\na,1\nb,old\n", "regression", "line 3: column x must be a number, got 'old'"),
        ('f,x\na,1\nb,"1,5"\n', "regression", "line 3: column x must be a number, got '1,5'; decimals need a point"),
        ("f,x\na,nan\n", "regression", "line 2: column x must be finite"),
        ("f,x\na,-inf\n", "regression", "line 2: column x must be finite"),
        ("f,x\na,1e39\n", "regression", "line 2: column x must be finite and at most"),
        ("f,x\na,1_0\n", "regression", "line 2: column x must be a number, got '1_0'"),
    ],
)
def test_wrong_tables_are_refused(table, text, kind, message):
    with pytest.raises(ValueError) as error:
        read_labels(table(text), kind)
    assert message in str(error.value)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(OSError, match="nothing.csv"):
        read_labels(tmp_path / "nothing.csv")
    with pytest.raises(OSError):
        read_labels(tmp_path)

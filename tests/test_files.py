"""Files are written atomically."""

import errno

import pytest

from lucid import _files


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "report.html"
    for content in (b"one", b"two"):
        _files.write_atomically(path, content)
        assert path.read_bytes() == content and list(tmp_path.iterdir()) == [path]


def test_the_temporary_name_keeps_the_suffix_and_the_folder(tmp_path):
    with _files.atomic_path(tmp_path / "a.b.mlxfn") as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".mlxfn" and temporary.name.startswith(".")
        temporary.write_bytes(b"whole")
    assert [one.name for one in tmp_path.iterdir()] == ["a.b.mlxfn"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    _files.write_atomically(path, b"before")

    def interrupted(*_):
        raise KeyboardInterrupt

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(_files.os, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                _files.write_atomically(path, b"half")
        assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device: '.*report.html'"):
        _files.write_atomically(tmp_path / "report.html", b"half")
    assert list(tmp_path.iterdir()) == []


def test_an_error_about_another_file_keeps_its_name(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="other.txt"),
        _files.atomic_path(tmp_path / "report.html"),
    ):
        (tmp_path / "other.txt").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="report.html"):
        _files.write_atomically(tmp_path / "missing" / "report.html", b"x")

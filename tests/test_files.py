"""Files are written atomically, locked, and read only if they are files."""

import errno
import fcntl
import os
import threading

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


def test_threads_may_write_the_same_file(tmp_path):
    barrier = threading.Barrier(2)
    names = []

    def write():
        with _files.atomic_path(tmp_path / "a") as temporary:
            names.append(temporary)
            barrier.wait()
            temporary.write_bytes(b"whole")
            barrier.wait()

    threads = [threading.Thread(target=write) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(set(names)) == 2 and [one.name for one in tmp_path.iterdir()] == ["a"]


def test_a_locked_file_exists_until_it_is_released(tmp_path):
    path = tmp_path / "lock"
    lock = _files.lock_file(path, b"me")
    assert path.read_bytes() == b"me" and _files.lock_file(path, b"you") is None and path.read_bytes() == b"me"
    lock.release()
    lock.release()
    assert not path.exists()
    path.write_bytes(b"left behind by a killed process")
    lock = _files.lock_file(path, b"you")
    assert path.read_bytes() == b"you"
    del lock
    assert not path.exists()


def test_a_lock_of_a_file_that_was_removed_meanwhile_is_taken_again(tmp_path, monkeypatch):
    path, flock, calls = tmp_path / "lock", fcntl.flock, []

    def remove_first(file, operation):
        if not calls:
            path.unlink()
        calls.append(operation)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    lock = _files.lock_file(path, b"")
    assert path.exists() and len(calls) == 2
    lock.release()


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "large"])
def test_only_small_files_are_read(tmp_path, kind):
    path = tmp_path / "a"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(bytes(101))
    with pytest.raises(_files.UnusableFileError, match="is not a regular file|has more than 100 bytes"):
        _files.read_regular(path, 100)


def test_a_link_to_a_file_is_read_but_not_locked(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").symlink_to("a")
    assert _files.read_regular(tmp_path / "b") == b"content"
    with pytest.raises(_files.UnusableFileError, match="b is a link"):
        _files.lock_file(tmp_path / "b", b"")
    assert (tmp_path / "a").read_bytes() == b"content"


def test_a_forked_child_does_not_release_the_lock_of_its_parent(tmp_path):
    path = tmp_path / ".lock"
    lock = _files.lock_file(path, b"me")
    child = os.fork()
    if not child:
        lock.release()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert path.exists() and _files.lock_file(path, b"you") is None
    lock.release()
    assert not path.exists()

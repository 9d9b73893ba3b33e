"""read_members on valid, damaged and malicious archives."""

import gzip
import random
import tarfile

import pytest

from lucid.data import ArchiveError
from lucid.data.archive import read_members

A, B = ("d/a.bin", bytes(range(256)) * 3), ("d/b.bin", b"bbb")
SIZES = {"d/a.bin": 768, "d/b.bin": 3}


def member(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


@pytest.fixture
def path(tmp_path):
    return tmp_path / "set.tar.gz"


def test_members_are_yielded_in_the_order_of_the_archive(path, write_archive):
    folder, readme = member("d", tarfile.DIRTYPE), ("d/readme.html", b"<p>")
    write_archive(path, [folder, B, readme, A])
    assert list(read_members(path, SIZES)) == [B, A]
    assert list(read_members(path, {"d/readme.html": 3})) == [readme]


def test_leading_dots_and_long_names_are_supported(path, write_archive):
    long = ("./d/" + "n" * 150, b"long")
    write_archive(path, [long])
    assert list(read_members(path, {"d/" + "n" * 150: 4})) == [("d/" + "n" * 150, b"long")]


def test_empty_files_are_supported(path, write_archive):
    write_archive(path, [("empty", b"")])
    assert list(read_members(path, {"empty": 0})) == [("empty", b"")]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (("../a.bin", b""), "leads outside of it"),
        (("d/../../a.bin", b""), "leads outside of it"),
        (("/etc/a.bin", b""), "leads outside of it"),
        (("d\\a.bin", b""), "leads outside of it"),
        (member("d/a.bin", tarfile.SYMTYPE, "/etc/passwd"), "neither a file nor a folder"),
        (member("d/c.bin", tarfile.SYMTYPE, "a.bin"), "neither a file nor a folder"),
        (member("d/c.bin", tarfile.LNKTYPE, "d/a.bin"), "neither a file nor a folder"),
        (member("d/c.bin", tarfile.CHRTYPE), "neither a file nor a folder"),
        (member("d/c.bin", tarfile.BLKTYPE), "neither a file nor a folder"),
        (member("d/c.bin", tarfile.FIFOTYPE), "neither a file nor a folder"),
        (A, "contains d/a.bin twice"),
        (("d/./a.bin", A[1]), "contains d/a.bin twice"),
    ],
)
def test_unsafe_and_duplicate_members_raise(path, write_archive, bad, message):
    write_archive(path, [A, B, bad])
    with pytest.raises(ArchiveError, match=message):
        list(read_members(path, SIZES))
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([A], "missing d/b.bin"),
        ([], "missing d/a.bin, d/b.bin"),
        ([("d/a.bin", A[1][:-1]), B], "d/a.bin must be a file of 768 bytes, got 767"),
        ([("d/a.bin", A[1] + b"x"), B], "d/a.bin must be a file of 768 bytes, got 769"),
        ([member("d/a.bin", tarfile.DIRTYPE), B], "d/a.bin must be a file of 768 bytes"),
    ],
)
def test_missing_members_and_wrong_sizes_raise(path, write_archive, members, message):
    write_archive(path, members)
    with pytest.raises(ArchiveError, match=message):
        list(read_members(path, SIZES))


@pytest.mark.parametrize(
    "content",
    [b"", b"not an archive", gzip.compress(b""), gzip.compress(b"no tar" * 300), b"\x1f\x8b\x08"],
    ids=["nothing", "text", "gzip of nothing", "gzip of text", "a cut gzip"],
)
def test_files_that_are_not_tar_gz_raise(path, content):
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=f"{path}: cannot be read as a tar.gz archive|missing d/a.bin, d/b.bin"):
        list(read_members(path, SIZES))


def test_a_missing_file_raises_an_archive_error(path):
    with pytest.raises(ArchiveError, match="No such file"):
        list(read_members(path, SIZES))


def test_every_truncation_and_every_changed_byte_is_detected(path, write_archive):
    """The checksum of gzip covers all contents, so damage is detected without an MD5 too."""
    whole = gzip.compress(
        gzip.decompress(write_archive(path, [A, B]).read_bytes())
    )  # without a file name in its header
    numbers = random.Random(0)
    for end in range(len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(ArchiveError):
            list(read_members(path, SIZES))
    for position in range(10, len(whole)):  # after the 10 bytes of gzip's header: time stamp, system
        changed = bytearray(whole)
        changed[position] ^= numbers.randrange(1, 256)
        path.write_bytes(changed)
        with pytest.raises(ArchiveError):
            list(read_members(path, SIZES))


def test_a_truncated_member_raises(path):
    info = tarfile.TarInfo("d/a.bin")
    info.size = 768
    path.write_bytes(gzip.compress(info.tobuf() + A[1][:600]))
    with pytest.raises(ArchiveError, match="cannot be read|truncated|missing"):
        list(read_members(path, {"d/a.bin": 768}))


def test_a_header_with_an_impossible_size_raises(path):
    info = tarfile.TarInfo("d/other.bin")
    info.size = 2**70
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048)))
    with pytest.raises(ArchiveError, match="cannot be read|missing"):
        list(read_members(path, SIZES))


@pytest.mark.parametrize("size", [1 << 33, 1 << 62])
def test_a_header_that_claims_exabytes_takes_no_memory(tmp_path, size):
    """An extended header is read at once, whatever size it claims."""
    info = tarfile.TarInfo("pax")
    info.type = tarfile.XHDTYPE
    info.size = size
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT)))
    with pytest.raises(ArchiveError, match=f"a header claims {size} bytes"):
        list(read_members(path, {"a": 3}))

"""CIFAR-10 and CIFAR-100, read from small archives in the official binary format."""

import hashlib
import io
import socket
import tarfile
from typing import ClassVar

import numpy as np
import pytest

from lucid.data import CIFAR10, CIFAR100, ArchiveError, DataLoader

pytestmark = pytest.mark.usefixtures("no_waiting")


class Small10(CIFAR10):
    train_files: ClassVar = {f"data_batch_{number}.bin": number for number in range(1, 6)}  # 15 records
    test_files: ClassVar = {"test_batch.bin": 4}
    md5 = None


class Small100(CIFAR100):
    train_files: ClassVar = {"train.bin": 7}
    test_files: ClassVar = {"test.bin": 3}
    md5 = None


def record(labels, image):
    """A record as the format is described: label bytes, then the red, green and blue planes in row-major order."""
    red, green, blue = image
    return bytes(labels.tolist()) + b"".join(bytes(row.tolist()) for plane in (red, green, blue) for row in plane)


def make_set(kind):
    """File names to random contents, and (images, labels) of the training and test images."""
    rng = np.random.default_rng(len(kind.label_sizes))
    contents, parts = {}, []
    for files in (kind.train_files, kind.test_files):
        count = sum(files.values())
        images = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        labels = np.stack([rng.integers(0, size, count) for size in kind.label_sizes], axis=1)
        labels[0] = np.array(kind.label_sizes) - 1
        records = [record(label, image) for label, image in zip(labels, images, strict=True)]
        for name, size in files.items():
            contents[name] = b"".join(records[:size])
            records = records[size:]
        parts.append((images, labels))
    return contents, parts


@pytest.fixture(params=[Small10, Small100])
def kind(request):
    return request.param


@pytest.fixture
def packed(kind, tmp_path, write_archive):
    """(folder of the archive, contents). The files in the archive are not in the order of their numbers."""
    contents, parts = make_set(kind)
    members = [(f"{kind.base_folder}/{name}", content) for name, content in reversed(contents.items())]
    members.insert(1, (f"{kind.base_folder}/readme.html", b"<html>"))
    write_archive(tmp_path / kind.filename, members)
    return tmp_path, parts


def assert_equal_to(dataset, part):
    images, labels = part
    np.testing.assert_array_equal(dataset.data, images)
    np.testing.assert_array_equal(dataset.targets, labels[:, -1])
    assert dataset.data.dtype == np.uint8 and dataset.targets.dtype == np.int64


def test_images_and_labels_are_exact(kind, packed):
    root, (train, test) = packed
    assert_equal_to(kind(root), train)
    assert_equal_to(kind(str(root), train=False), test)
    assert [path.name for path in root.iterdir()] == [kind.filename]


def test_coarse_labels_are_available(tmp_path, write_archive):
    contents, (train, _) = make_set(Small100)
    write_archive(tmp_path / Small100.filename, [(f"cifar-100-binary/{name}", data) for name, data in contents.items()])
    dataset = Small100(tmp_path)
    np.testing.assert_array_equal(dataset.coarse_targets, train[1][:, 0])
    assert dataset.coarse_targets.dtype == np.int64 and len(dataset.coarse_classes) == 20


@pytest.mark.parametrize("inside", [True, False])
def test_an_extracted_folder_is_used(kind, tmp_path, inside):
    contents, (train, test) = make_set(kind)
    folder = tmp_path / kind.base_folder
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    root = tmp_path if inside else folder
    assert_equal_to(kind(root), train)
    assert_equal_to(kind(root, train=False), test)
    (folder / next(iter(kind.train_files))).write_bytes(b"half")
    with pytest.raises(ArchiveError, match="is not a complete dataset"):
        kind(root)


def test_samples_and_batches(kind, packed):
    root, ((images, labels), _) = packed
    dataset = kind(root, transform=lambda image: image[:, ::2], target_transform=lambda target: -target)
    image, target = dataset[2]
    np.testing.assert_array_equal(image, images[2, :, ::2])
    assert target == -labels[2, -1] and isinstance(target, int)
    first, targets = next(iter(DataLoader(dataset, batch_size=3)))
    np.testing.assert_array_equal(first.numpy(), images[:3, :, ::2])
    assert targets.tolist() == (-labels[:3, -1]).tolist()


def test_published_sizes_classes_and_checksums():
    assert (CIFAR10.md5, CIFAR100.md5) == ("c32a1d4ab5d03f1284b67883e8d87530", "03b5dce01913d631647c71ecec9e9cb8")
    assert CIFAR10.classes[0] == "airplane" and CIFAR10.classes[9] == "truck" and len(CIFAR10.classes) == 10
    assert len(CIFAR100.classes) == 100 == len(set(CIFAR100.classes)) and list(CIFAR100.classes) == sorted(
        CIFAR100.classes
    )
    assert sum(CIFAR10.train_files.values()) == sum(CIFAR100.train_files.values()) == 50_000
    assert sum(CIFAR10.test_files.values()) == sum(CIFAR100.test_files.values()) == 10_000
    assert (CIFAR10._record_bytes(), CIFAR100._record_bytes()) == (3073, 3074)


# Damage ---------------------------------------------------------------------------------------------------------------


def archive_with(changes, path):
    """Write Small10's archive with the contents of some files changed and members added."""
    contents, _ = make_set(Small10)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in {**contents, **changes}.items():
            info = tarfile.TarInfo(name if "/" in name else f"{Small10.base_folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_batch_2.bin": bytes(3073)}, "data_batch_2.bin must be a file of 6146 bytes, got 3073"),
        ({"data_batch_2.bin": bytes(6147)}, "data_batch_2.bin must be a file of 6146 bytes, got 6147"),
        (
            {"data_batch_5.bin": b"\x0a" + bytes(5 * 3073 - 1)},
            "data_batch_5.bin .* is damaged: it has labels out of range",
        ),
        ({"../outside.bin": b"x"}, "leads outside of it"),
        ({"/tmp/outside.bin": b"x"}, "leads outside of it"),
    ],
)
def test_damaged_archives_raise(tmp_path, changes, message):
    root = tmp_path / "data"
    root.mkdir()
    archive_with(changes, root / Small10.filename)
    before = (root / Small10.filename).read_bytes()
    with pytest.raises(ArchiveError, match=message):
        Small10(root)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == [
        "data",
        f"data/{Small10.filename}",
    ]
    assert (root / Small10.filename).read_bytes() == before


def test_a_truncated_archive_raises(kind, packed):
    root, _ = packed
    archive = root / kind.filename
    archive.write_bytes(archive.read_bytes()[:-2000])
    with pytest.raises(ArchiveError, match="cannot be read as a tar.gz archive"):
        kind(root)


def test_the_checksum_is_verified_first(kind, packed, monkeypatch):
    root, (train, _) = packed
    archive = root / kind.filename
    monkeypatch.setattr(kind, "md5", hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest())
    assert_equal_to(kind(root), train)
    archive.write_bytes(archive.read_bytes()[:-1] + b"\xff")
    with pytest.raises(ArchiveError, match=rf"{kind.filename} is damaged or incomplete: md5 \w+, expected {kind.md5}"):
        kind(root)
    assert archive.exists()


# Download -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def served(kind, packed, server, monkeypatch):
    """The server has the archive; the folder ``root`` does not exist yet."""
    folder, parts = packed
    server.content = (folder / kind.filename).read_bytes()
    monkeypatch.setattr(kind, "md5", hashlib.md5(server.content, usedforsecurity=False).hexdigest())
    return folder / "new" / "root", parts


def test_a_missing_archive_is_downloaded_once(kind, served, server):
    root, (train, test) = served
    assert_equal_to(kind(root, download=True, base_url=server.url), train)
    assert_equal_to(kind(root, False, download=True, base_url=server.url + "/"), test)
    assert len(server.requests) == 1 and [path.name for path in root.iterdir()] == [kind.filename]


def test_a_damaged_archive_is_replaced(kind, served, server):
    root, (train, _) = served
    root.mkdir(parents=True)
    (root / kind.filename).write_bytes(b"damaged")
    assert_equal_to(kind(root, download=True, base_url=server.url), train)


def test_a_failed_download_keeps_existing_files(kind, served, server):
    root, _ = served
    root.mkdir(parents=True)
    (root / kind.filename).write_bytes(b"damaged")
    server.content = b"something else"
    with pytest.raises(ArchiveError, match="nothing was kept.* To work offline, copy"):
        kind(root, download=True, base_url=server.url)
    assert [path.name for path in root.iterdir()] == [kind.filename]
    assert (root / kind.filename).read_bytes() == b"damaged"


def test_without_download_the_error_says_what_to_do(kind, tmp_path):
    with pytest.raises(ArchiveError) as caught:
        kind(tmp_path)
    assert str(caught.value) == (
        f"{kind.__name__}: {tmp_path / kind.filename} does not exist, and {tmp_path / kind.base_folder} is not "
        f"a complete dataset. Pass download=True, or copy {kind.filename} from {kind.base_url} to {tmp_path}"
    )


def test_offline_the_error_says_where_to_copy_the_archive(kind, tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with pytest.raises(ArchiveError) as caught:
        kind(tmp_path, download=True, base_url=f"http://127.0.0.1:{port}")
    assert f"cannot download http://127.0.0.1:{port}/{kind.filename}: " in str(caught.value)
    assert str(caught.value).endswith(f". To work offline, copy {kind.filename} to {tmp_path} from another machine")
    assert list(tmp_path.iterdir()) == []

"""Archives of CIFAR, compared with what tarfile and NumPy read."""

import gzip
import io
import random
import tarfile
import zlib
from pathlib import PurePosixPath
from typing import ClassVar

import numpy as np

from lucid.data import CIFAR10, CIFAR100, ArchiveError

from tests.fuzz.runner import scratch_file  # isort: skip

_HEADER = 512  # bytes of a tar header; the checksum stands at 148


class _Small10(CIFAR10):
    md5 = None
    train_files: ClassVar = {"data_batch_1.bin": 2, "data_batch_2.bin": 1}


class _Small100(CIFAR100):
    md5 = None
    train_files: ClassVar = {"train.bin": 2}


_KINDS = (_Small10, _Small100)


def seeds() -> list[bytes]:
    rng = np.random.default_rng(0)
    found = []
    for kind in _KINDS:
        for tar_format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            members = {f"{kind.base_folder}/readme.html": b"CIFAR"}
            for name, records in kind.train_files.items():
                labels = rng.integers(0, kind.label_sizes, (records, len(kind.label_sizes)), dtype=np.uint8)
                pixels = rng.integers(0, 256, 3072, dtype=np.uint8)
                rows = np.concatenate([labels, np.tile(pixels, (records, 1))], axis=1)
                members[f"{kind.base_folder}/{name}"] = rows.tobytes()
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1, format=tar_format) as archive:
                for name, content in members.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    if tar_format == tarfile.PAX_FORMAT:
                        info.pax_headers = {"comment": "ü"}
                    archive.addfile(info, io.BytesIO(content))
            found.append(stream.getvalue())
    return found


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change the tar archive inside, mostly a header, with a valid checksum."""
    try:
        tar = bytearray(gzip.decompress(data))
    except (OSError, EOFError, zlib.error):
        return data
    if len(tar) < _HEADER:
        return data
    starts = [at for at in range(0, len(tar) - _HEADER, _HEADER) if tar[at + 257 : at + 262] == b"ustar"]
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.choice([one for one in starts if one + _HEADER <= len(tar)] or [0])
        if len(tar) < _HEADER:
            break
        match rng.randrange(8):
            case 0 | 1:
                tar[at + rng.randrange(_HEADER)] = rng.choice((0, 0x20, 0x2F, 0x30, 0x37, 0x80, rng.randrange(256)))
            case 2:  # the type: links, devices, long names, sparse files, extended headers
                tar[at + 156] = rng.choice(b"0123456789AgxXLKSDNV\0")
            case 3:  # the size
                number = rng.choice((0, 1, 511, 512, 3073, 6146, 6148, 2**20, 2**33 - 1))
                tar[at + 124 : at + 136] = rng.choice((b"%011o\0" % number, b"\x80" + bytes(3) + rng.randbytes(8)))
            case 4:  # the name
                name = rng.choice(
                    (b"/etc/passwd", b"../../x", b"a/../b", b"cifar-10-batches-bin/data_batch_1.bin", b"\xff")
                )
                tar[at : at + 100] = name.ljust(100, b"\0")
            case 5:
                tar[at : at + _HEADER] = tar[at : at + _HEADER] * 2
            case 6:  # a label or a pixel
                tar[rng.randrange(len(tar))] = rng.randrange(256)
            case 7:
                del tar[rng.randrange(len(tar)) :]
        if rng.random() < 0.9 and at + _HEADER <= len(tar):
            tar[at + 148 : at + 156] = b" " * 8
            tar[at + 148 : at + 156] = b"%06o\0 " % sum(tar[at : at + _HEADER])
    return gzip.compress(bytes(tar), 1)


def check(data: bytes) -> None:
    messages: list[str] = []
    for kind in _KINDS:
        archive = scratch_file(kind.filename)
        archive.write_bytes(data)
        try:
            found = kind(archive.parent)
        except ArchiveError as error:
            messages.append(str(error))
            continue
        pixels, labels = _reference(kind, data)
        np.testing.assert_array_equal(found.data, pixels)
        np.testing.assert_array_equal(found.targets, labels[:, -1])
        assert (labels < kind.label_sizes).all()
    assert all(message and "\n" not in message for message in messages), messages


def _reference(kind: type[CIFAR10], data: bytes) -> tuple[np.ndarray, np.ndarray]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        content = {
            str(PurePosixPath(member.name)): archive.extractfile(member).read() for member in archive if member.isfile()
        }
    length = len(kind.label_sizes)
    rows = [
        np.frombuffer(content[f"{kind.base_folder}/{name}"], np.uint8).reshape(count, length + 3072)
        for name, count in kind.train_files.items()
    ]
    whole = np.concatenate(rows)
    return whole[:, length:].reshape(-1, 3, 32, 32), whole[:, :length]

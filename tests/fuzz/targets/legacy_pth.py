"""PyTorch's legacy files, compared with ``torch.load(weights_only=True)`` where PyTorch is installed."""

import io
import random

from lucid.serialization import read_pytorch
from lucid.serialization.pickle_reader import read_pickle
from tests.fuzz.runner import scratch_file
from tests.fuzz.targets import pickles
from tests.fuzz.torch_values import compare
from tests.reference.pth_description import FOLDER


def seeds() -> list[bytes]:
    return [path.read_bytes() for path in sorted(FOLDER.glob("*_legacy.pth"))]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Insert instructions into the fourth of the five pickles, which describes the object."""
    stream = io.BytesIO(data)
    for _ in range(3):
        read_pickle(stream, ())
    start = stream.tell()
    read_pickle(stream, ())
    end = stream.tell()
    return data[:start] + pickles.mutate(data[start:end], rng) + data[end:]


def check(data: bytes) -> None:
    path = scratch_file("x.pth")
    path.write_bytes(data)
    try:
        found = read_pytorch(path)
    except ValueError:
        return
    compare(found, path)

"""PyTorch's zip archives, compared with ``torch.load(weights_only=True)`` where PyTorch is installed."""

import io
import random
import zipfile

from lucid.serialization import read_pytorch
from tests.fuzz.mutation import mutated
from tests.fuzz.runner import scratch_file
from tests.fuzz.targets import pickles
from tests.fuzz.torch_values import compare
from tests.reference.pth_description import FOLDER


def seeds() -> list[bytes]:
    files = [path.read_bytes() for path in sorted(FOLDER.rglob("*.pth"))]
    return [data for data in files if data.startswith(b"PK") and len(data) < 4500]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change one member and write a valid archive."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(target, "w") as new:
        names = old.namelist()
        chosen = next(name for name in names if name.endswith("data.pkl")) if rng.random() < 0.8 else rng.choice(names)
        for name in names:
            content = old.read(name)
            if name == chosen and rng.random() < 0.95:
                content = pickles.mutate(content, rng) if rng.random() < 0.4 else mutated(content, rng, [content])
            elif name == chosen:
                continue
            new.writestr(name, content)
    return target.getvalue()


def check(data: bytes) -> None:
    path = scratch_file("x.pth")
    path.write_bytes(data)
    try:
        found = read_pytorch(path)
    except ValueError:
        return
    compare(found, path)

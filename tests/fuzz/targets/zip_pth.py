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
from tests.serialization.writing import archive, typed_tensor

_DOUBLE = b"ctorch\nDoubleStorage\n"


def seeds() -> list[bytes]:
    files = [path.read_bytes() for path in sorted(FOLDER.rglob("*.pth"))]
    typed = (
        b"]("
        + b"".join(typed_tensor(size=(1,), offset=i) for i in range(4))
        + typed_tensor(kind=_DOUBLE, key="1")
        + b"e"
    )
    by_hand = archive(scratch_file("seed.pth"), typed, {"0": bytes(range(16)), "1": bytes(range(32))})
    return [by_hand.read_bytes(), *(data for data in files if data.startswith(b"PK") and len(data) < 4500)]


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
    # PyTorch does not verify checksums, and computes where members start. It gets an archive that is intact.
    intact = scratch_file("intact.pth")
    try:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(intact, "w") as new:
            for member in old.infolist():
                new.writestr(member.orig_filename, old.read(member))
    except Exception:  # a member is damaged that neither reader needs
        return
    compare(found, intact)

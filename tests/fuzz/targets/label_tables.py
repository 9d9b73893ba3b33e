"""CSV files of labels and numbers: targets that fit, or one clear error."""

import random
from pathlib import Path

import numpy as np

from lucid.training.label_table import MAX_NUMBER, LabelTable, read_labels
from lucid.training.recipe import SettingError

from tests.fuzz.runner import scratch_file  # isort: skip

_CELLS = (
    "", "0", "1", "1.0", "true", "cat", "cat dog", "cat; polar bear", '"a, b"', '"', '""', "nan", "-inf", "1e999",
    "1,5", "1_0", "9" * 400, "./a.jpg", "..", "\ud800", "\0", "\x1b[31m", "ﬁ", "é", ";", " ", "\ufeff", "٣",
)  # fmt: skip


def seeds() -> list[bytes]:
    texts = (
        "file,labels\na.jpg,cat dog\nb.jpg,\nc/d.jpg,dog\n", "file,cat,dog\r\na.jpg,1,0\r\nb.jpg,0,0\r\n",
        "\ufefffile,tags\na.jpg,polar bear;cat\n\"b, c.jpg\",cat\n", "file,age,height\na.jpg,1.5,-3e4\nb.jpg,12,0\n",
    )  # fmt: skip
    return [text.encode() for text in texts]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Replace, remove or repeat cells and lines."""
    lines = [line.split(",") for line in data.decode("utf-8", "surrogateescape").split("\n")]
    for _ in range(rng.choice((1, 1, 2, 5))):
        line = rng.choice(lines)
        match rng.randrange(4):
            case 0 if len(line) > 1:
                del line[rng.randrange(len(line))]
            case 1:
                lines.insert(rng.randrange(len(lines)), list(rng.choice(lines)))
            case 2:
                line.append(rng.choice(_CELLS))
            case _:
                line[rng.randrange(len(line))] = rng.choice(_CELLS)
    return rng.choice(("\n", "\n", "\r\n", "\r")).join(map(",".join, lines)).encode("utf-8", "surrogatepass")


def check(data: bytes) -> None:
    path = scratch_file("labels.csv")
    path.write_bytes(data)
    for kind in ("auto", "multilabel", "regression"):
        found = _read(path, kind)
        if found is None:
            continue
        assert kind in ("auto", found.kind)
        assert found.values.shape == (len(found.files), len(found.names)) and len(set(found.files)) == len(found.files)
        assert all(found.names) and len(set(found.names)) == len(found.names) and found.names
        assert np.isfinite(found.values).all() and np.abs(found.values).max() <= MAX_NUMBER
        if found.kind == "multilabel":
            assert np.isin(found.values, (0, 1)).all()


def _read(path: Path, kind: str) -> LabelTable | None:
    """What is read, None if there is a clear error."""
    try:
        return read_labels(path, kind)
    except ValueError as error:
        message, asks_for_task = str(error), isinstance(error, SettingError)
    if asks_for_task:
        assert kind == "auto" and message.startswith("task ") and str(path) in message, message
    else:
        assert message.startswith(str(path)) and message.isprintable(), repr(message)
    return None

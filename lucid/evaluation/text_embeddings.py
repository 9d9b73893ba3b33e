"""``TextEmbeddings``: what the text tower of a CLIP model returned for the names of classes, and files of it."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import lucid
from lucid import _checks
from lucid._files import atomic_path, open_regular, read_regular, write_atomically
from lucid._tensor import Tensor
from lucid.evaluation._arrays import unit_rows
from lucid.serialization import load_with_metadata

LOGIT_SCALE = 100.0
TENSOR = "text_embeddings"
_SUFFIXES = (".safetensors", ".npy")


@dataclass(frozen=True)
class TextEmbeddings:
    """Embeddings of the names of classes, as the text tower of a CLIP model returns them.

    Args:
        values: (C, D), an embedding for each of C classes; or (C, T, D), one for each of T templates such as "a photo
            of a {}" per class. They need not be normalized.
        classes: The names of the C classes.
        logit_scale: The factor on the cosine similarities of images and texts: the exponential of the ``logit_scale``
            in an OpenCLIP checkpoint, which is 100 at the end of training.

    Raises:
        ValueError: Shapes do not match, values are not finite, an embedding is zero, or the templates of a class
            cancel out.
        TypeError: The values are no floating-point numbers.

    Example:
        >>> text = evaluation.TextEmbeddings(np.eye(2, 640, dtype=np.float32), ["cat", "dog"])
        >>> text.save("pets.safetensors")
        >>> evaluation.TextEmbeddings.load("pets.safetensors").classes
        ['cat', 'dog']
    """

    values: Any
    classes: Sequence[str]
    logit_scale: float = LOGIT_SCALE

    def __post_init__(self) -> None:
        where = "TextEmbeddings"
        values = self.values
        array = np.asarray(values.detach().float().numpy() if isinstance(values, Tensor) else values)
        is_float = values.is_floating_point() if isinstance(values, Tensor) else array.dtype.kind == "f"
        if not is_float:
            got = _checks.dtype_name(values.dtype) if isinstance(values, Tensor) else str(array.dtype)
            hint = "; these look like the tokens of texts" if "int" in got else ""
            raise TypeError(f"{where}: embeddings must be floating-point, got {got}{hint}")
        if array.ndim not in (2, 3) or 0 in array.shape:
            raise ValueError(f"{where}: embeddings must be (C, D) or (C, T, D), got shape {array.shape}")
        if isinstance(self.classes, str):
            raise TypeError(f"{where}: classes must be a list of names, got the string {self.classes!r:.40}")
        names = [str(one) for one in self.classes]
        if len(names) != len(array):
            raise ValueError(f"{where}: got embeddings of {len(array)} classes but {len(names)} names")
        for name, one in zip(names, array, strict=True):
            if not np.isfinite(one).all():
                raise ValueError(f"{where}: embeddings must be finite, that of {name!r:.40} is not")
            if not one.any(axis=-1).all():
                raise ValueError(f"{where}: the embedding of {name!r:.40} is zero")
        object.__setattr__(self, "values", array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32))
        object.__setattr__(self, "classes", names)
        scale = _checks.number(where, "logit_scale", self.logit_scale, 0, 1e6, above=True)
        object.__setattr__(self, "logit_scale", scale)
        self.directions()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def width(self) -> int:
        """D, the width of the embeddings."""
        return int(self.values.shape[-1])

    def directions(self) -> np.ndarray:
        """(C, D) float64, an embedding of length 1 for each class.

        With templates it is the mean over the normalized embeddings of the templates, normalized again, as
        ``open_clip.build_zero_shot_classifier`` computes it.
        """
        values = self.values.astype(np.float64)
        if values.ndim == 3:
            count, templates, width = values.shape
            values = unit_rows(values.reshape(-1, width)).reshape(count, templates, width).mean(axis=1)
            small = np.linalg.norm(values, axis=1) < 1e-6
            if small.any():
                name = self.classes[int(small.argmax())]
                raise ValueError(f"TextEmbeddings: the embeddings of the templates of {name!r:.40} cancel out")
        return unit_rows(values)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file, atomically.

        ``.safetensors`` holds the tensor "text_embeddings" in float32, and in its metadata "classes", a JSON list of
        the names, and "logit_scale". ``.npy`` holds the embeddings alone, for NumPy; the names are in a text file
        beside it, ``X.npy`` and ``X.txt``, one a line.

        Raises:
            ValueError: The file name has another ending, or a class name does not fit on a line of the text file.
            OSError: A file cannot be written.
        """
        path = _checked(path)
        if path.suffix == ".safetensors":
            metadata = {"classes": json.dumps(self.classes), "logit_scale": json.dumps(self.logit_scale)}
            lucid.save({TENSOR: lucid.tensor(self.values.astype(np.float32))}, path, metadata)
            return
        for name in self.classes:
            if [name] != name.splitlines() or not name.strip():
                raise ValueError(f"TextEmbeddings: {name!r:.40} is no line of a text file; use .safetensors")
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, self.values, allow_pickle=False)
        write_atomically(path.with_suffix(".txt"), "".join(f"{name}\n" for name in self.classes).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TextEmbeddings":
        """Read a file as ``save`` writes it, from any program.

        The names of a ``.safetensors`` file without "classes" in its metadata are in the text file beside it, too.

        Raises:
            ValueError: The file does not hold embeddings with names, or the values are invalid.
            OSError: It cannot be read.
        """
        path = _checked(path)
        values: Any
        metadata: dict[str, str] = {}
        try:
            if path.suffix == ".npy":
                with open_regular(path) as file:  # numpy.load would also take archives
                    values = np.lib.format.read_array(file, allow_pickle=False)
            else:
                tensors, metadata = load_with_metadata(path)
                if TENSOR not in tensors:
                    found = ", ".join(list(tensors)[:5]) or "none"
                    raise ValueError(f"it has no tensor {TENSOR!r}, its tensors are {found}")
                values = tensors[TENSOR]
            classes = json.loads(metadata["classes"]) if "classes" in metadata else _names_beside(path)
            if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
                raise ValueError(f"'classes' in the metadata must be a JSON list of strings, got {classes!r:.40}")
            scale = json.loads(metadata.get("logit_scale", str(LOGIT_SCALE)))
            return cls(values, classes, scale)
        except (ValueError, TypeError, MemoryError, RecursionError) as error:
            reason = str(error).removeprefix("TextEmbeddings: ")
            raise ValueError(f"{path}: not a file of text embeddings: {reason}") from error


def _names_beside(path: Path) -> list[str]:
    """The lines of the text file beside ``path``."""
    beside = path.with_suffix(".txt")
    if not beside.exists():
        raise ValueError(f"there are no names of its classes; write them to {beside}, one a line")
    names = read_regular(beside).decode("utf-8-sig").splitlines()
    for number, name in enumerate(names, 1):
        if not name.strip():
            raise ValueError(f"line {number} of {beside} is empty; expected the name of a class")
    return names


def _checked(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"a file of text embeddings ends with {' or '.join(_SUFFIXES)}, got {path.name}")
    return path

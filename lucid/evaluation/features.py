"""Features of images: extracting them with a model, and files of them."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import lucid
from lucid import _checks, nn
from lucid._files import atomic_path, open_regular, read_regular, write_atomically
from lucid.evaluation._arrays import as_features, as_labels
from lucid.serialization import load_with_metadata

LAYERS = ("pre_logits", "pooled", "outputs")
_SUFFIXES = (".safetensors", ".npy")


@dataclass(frozen=True)
class Features:
    """Features of samples, with their classes and names as far as they are known.

    Args:
        values: (N, D), a row for each sample.
        labels: (N,) class numbers, or None.
        names: A name for each sample, such as its file, or none.
        classes: The names of the classes, or none.

    Raises:
        ValueError: Shapes do not match, or values are not finite.
        TypeError: Labels are no integers.

    Example:
        >>> features = evaluation.Features(np.eye(2, dtype=np.float32), np.array([0, 1]), names=["a.jpg", "b.jpg"])
        >>> features.save("features.safetensors")
        >>> evaluation.Features.load("features.safetensors").names
        ['a.jpg', 'b.jpg']
    """

    values: np.ndarray
    labels: np.ndarray | None = None
    names: Sequence[str] = ()
    classes: Sequence[str] = ()

    def __post_init__(self) -> None:
        values = as_features("Features", "values", self.values)
        object.__setattr__(self, "values", values)
        if self.labels is not None:
            labels = as_labels("Features", "labels", self.labels, len(values))
            object.__setattr__(self, "labels", labels)
            if self.classes and labels.max() >= len(self.classes):
                raise ValueError(f"Features: label {labels.max()} is out of range for {len(self.classes)} classes")
        for name in ("names", "classes"):
            if isinstance(getattr(self, name), str):
                raise TypeError(f"Features: {name} must be a list, got the string {getattr(self, name)!r:.40}")
            object.__setattr__(self, name, [str(one) for one in getattr(self, name)])
        if self.names and len(self.names) != len(values):
            raise ValueError(f"Features: got {len(values)} rows but {len(self.names)} names")

    def __len__(self) -> int:
        return len(self.values)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file, atomically.

        ``.safetensors`` holds the tensors "features", in float32, and "labels"; its metadata has names and classes as
        JSON.
        ``.npy`` holds the features alone, for NumPy; the rest is in a JSON file beside it, ``X.npy`` and ``X.json``.

        Raises:
            ValueError: The name has another ending, or values are too large for float32.
            OSError: A file cannot be written.
        """
        path = _checked(path)
        if path.suffix == ".safetensors":
            if np.abs(self.values).max() > np.finfo(np.float32).max:
                raise ValueError(f"Features: {path.name} holds float32, and values are larger; use .npy")
            tensors = {"features": lucid.tensor(self.values.astype(np.float32))}
            if self.labels is not None:
                tensors["labels"] = lucid.tensor(self.labels)
            lucid.save(tensors, path, {"names": json.dumps(self.names), "classes": json.dumps(self.classes)})
            return
        labels = None if self.labels is None else self.labels.tolist()
        beside = {"names": self.names, "classes": self.classes, "labels": labels}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, self.values, allow_pickle=False)
        write_atomically(path.with_suffix(".json"), json.dumps(beside).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Features":
        """Read a file that ``save`` wrote, or another ``.npy`` file with a matrix.

        Raises:
            ValueError: The file does not hold features.
            OSError: It cannot be read.
        """
        path = _checked(path)
        try:
            if path.suffix == ".npy":
                with open_regular(path) as file:  # numpy.load would also take archives
                    values = np.lib.format.read_array(file, allow_pickle=False)
                beside = path.with_suffix(".json")
                found = json.loads(read_regular(beside)) if beside.exists() else {}
                if not isinstance(found, dict):
                    raise ValueError(f"{beside} must be a JSON object, got {type(found).__name__}")
                labels = found.get("labels")
                return cls(values, None if labels is None else np.asarray(labels), *_names(found))
            tensors, metadata = load_with_metadata(path)
            found = {key: json.loads(metadata.get(key, "[]")) for key in ("names", "classes")}
            labels = tensors["labels"].numpy() if "labels" in tensors else None
            return cls(tensors["features"].numpy(), labels, *_names(found))
        except KeyError:
            raise ValueError(f"{path}: it has no tensor 'features'") from None
        except (ValueError, TypeError, MemoryError, RecursionError) as error:
            raise ValueError(f"{path}: not a file of features: {error}") from error


def _names(found: Any) -> tuple[Any, Any]:
    names, classes = found.get("names", []), found.get("classes", [])
    for one in (names, classes):
        if not isinstance(one, list):
            raise ValueError(f"names and classes must be lists, got {type(one).__name__}")
    return names, classes


def _checked(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"Features: a file of features ends with {' or '.join(_SUFFIXES)}, got {path.name}")
    return path


def extract_features(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    layer: str = "pre_logits",
    transform: Callable[[Any], Any] | None = None,
    names: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> Features:
    """The features that a model computes of every sample, without gradients and in evaluation mode.

    Args:
        model: A model of ``lucid.models``, or any module if ``layer`` is "outputs".
        batches: A loader, or any iterable: of inputs, or of pairs of inputs and class numbers.
        layer: "pre_logits", the input of the classifier: pooled, normalized, and after the hidden layer if there is
            one; "pooled", the mean over the last feature map, before the final norm; or "outputs", what the model
            returns. Maps are averaged over their positions.
        transform: ``transform(inputs)`` is called with each batch first, for example to normalize images.
        names: A name for each sample, kept with the features.
        classes: The names of the classes, kept with the features.

    Returns:
        Features (N, D) float32, in the order of the batches.

    Raises:
        ValueError: There is no batch, only some have labels, or the model gives NaN or other than vectors or maps.
        TypeError: The model has no such layer.
    """
    where = "extract_features"
    _checks.one_of(where, "layer", layer, LAYERS)
    if layer != "outputs" and not (hasattr(model, "forward_features") and hasattr(model, "forward_head")):
        raise TypeError(f'{where}: {type(model).__name__} has no layer {layer}; pass layer="outputs"')
    values: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with lucid.no_grad():
            for batch in batches:
                inputs, *rest = batch if isinstance(batch, tuple | list) else (batch,)
                x = lucid.as_tensor(inputs)
                found = _forward(model, x if transform is None else transform(x), layer)
                values.append(_vectors(where, found, len(x)).float().numpy())
                _check_finite(where, values, names)
                labels += [np.asarray(lucid.as_tensor(one).numpy()) for one in rest[:1]]
    finally:
        for module, mode in modes:
            module.training = mode
    if not values:
        raise ValueError(f"{where}: there are no batches")
    if labels and len(labels) < len(values):
        raise ValueError(f"{where}: {len(labels)} of {len(values)} batches have labels; expected all or none")
    return Features(np.concatenate(values), np.concatenate(labels) if labels else None, names, classes)


def _forward(model: Any, x: Any, layer: str) -> Any:
    if layer == "outputs":
        return model(x)
    maps = model.forward_features(x)
    return maps if layer == "pooled" else model.forward_head(maps, pre_logits=True)


def _check_finite(where: str, values: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """Of the last batch."""
    finite = np.isfinite(values[-1]).all(axis=1)
    if not finite.all():
        number = sum(map(len, values[:-1])) + int(np.argmin(finite))
        name = names[number] if number < len(names) else f"sample {number}"
        raise ValueError(f"{where}: the model gives NaN or infinity for {name}")


def _vectors(where: str, found: Any, count: int) -> Any:
    """(N, D) from vectors, or from maps (N, D, ...)."""
    if not isinstance(found, lucid.Tensor) or found.ndim < 2 or found.shape[0] != count:
        shown = f"shape {found.shape}" if isinstance(found, lucid.Tensor) else type(found).__name__
        raise ValueError(f"{where}: expected features (N, D) or maps (N, D, ...) of {count} samples, got {shown}")
    return found if found.ndim == 2 else found.flatten(2).mean(dim=2)

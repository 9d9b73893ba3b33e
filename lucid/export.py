"""Write a model for use without Lucid: as a function that C++ and Swift run, or as weights for another library."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlx.core as mx

import lucid
from lucid import kernels, models, tape
from lucid._files import atomic_path

_LARGEST_DIFFERENCE = 1e-4  # of the file's logits from the model's, as a part of the largest


class ExportError(RuntimeError):
    """What was written does not compute what the model does."""


def computation(trained: Any, pixels: bool) -> Callable[[mx.array], mx.array]:
    """The model as a function on arrays. With ``pixels`` it takes bytes (N, H, W, C) and normalizes them."""
    mean, std = (mx.array(values) for values in (trained.transform.mean, trained.transform.std))

    def logits(x: mx.array) -> mx.array:
        if pixels:
            x = ((x.astype(mx.float32) / 255 - mean) / std).transpose(0, 3, 1, 2)  # (N, C, H, W)
        with lucid.no_grad(), kernels.use_reference():
            return trained.model(tape.wrap(x))._array

    return logits


def export_function(trained: Any, path: Path, batch_sizes: list[int], pixels: bool) -> dict[str, Any]:
    """Write ``path``, and say what it takes.

    Raises:
        ExportError: the file does not compute what the model does.
    """
    size, channels = trained.transform.image_size, trained.model.in_chans
    # MLX writes constants as if they lay in memory row after row, whether they do or not.
    weights = {name: mx.contiguous(tensor._array) for name, tensor in trained.model.state_dict().items()}
    trained.model.load_state_dict(weights)
    mx.eval(list(weights.values()))
    function = computation(trained, pixels)
    shape = (size, size, channels) if pixels else (channels, size, size)
    inputs = [example(n, shape, pixels) for n in batch_sizes]
    with atomic_path(path) as temporary:
        with mx.exporter(str(temporary), function) as export:
            for one in inputs:
                export(one)
        check(temporary, function, inputs)
    return {"shapes": [list(one.shape) for one in inputs], "dtype": "uint8" if pixels else "float32"}


def example(batch_size: int, shape: tuple[int, int, int], pixels: bool) -> mx.array:
    noise = mx.random.normal((batch_size, *shape), key=mx.random.key(batch_size))
    return (mx.sigmoid(noise) * 255).astype(mx.uint8) if pixels else noise


def check(path: Path, function: Callable[[mx.array], mx.array], inputs: list[mx.array]) -> None:
    imported: Any = mx.import_function(str(path))
    for one in inputs:
        expected, found = function(one), imported(one)[0]
        difference: Any = (mx.abs(found - expected).max() / mx.maximum(mx.abs(expected).max(), 1e-6)).item()
        if not difference <= _LARGEST_DIFFERENCE:
            raise ExportError(f"{path}: logits differ from the model's by {difference:.1e} of the largest")


def export_weights(trained: Any, path: Path, dialect: str) -> None:
    """Weights under the names of ``dialect``, with classes and preprocessing in the metadata."""
    if getattr(trained.model, "stem_type", "patch") != "patch" and trained.model.patch_size != 4:
        raise ValueError(
            "a stem of one overlapping convolution looks like patches of 3 px in every dialect; *.mlxfn takes it"
        )
    metadata = {name: json.dumps(value) for name, value in description(trained).items()}
    models.save_checkpoint(trained.model, path, dialect, metadata={**metadata, "model": trained.name})


def description(trained: Any) -> dict[str, Any]:
    return {"classes": trained.classes, "preprocessing": asdict(trained.transform)}

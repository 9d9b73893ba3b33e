"""Export a model as a function that MLX runs from C++ and Swift, or as weights for another library."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlx.core as mx

import lucid
from lucid import _deferred, kernels, models, nn, tape
from lucid._files import atomic_path, write_atomically
from lucid.export._errors import ExportError

_MAX_DIFFERENCE = 1e-4  # of the file's outputs from the model's, relative to the largest


def export_function(
    model: nn.Module, path: str | Path, batch_sizes: Sequence[int] = (1,), *, pixels: bool = False
) -> dict[str, Any]:
    """Write a model's computation and weights to a ``.mlxfn`` file, and its description to a ``.json`` file next to it.

    MLX cannot trace slices and reshapes of unknown size, so shapes are fixed; several ``batch_sizes`` share one copy
    of the weights. The function runs on the type of device, CPU or GPU, that it was exported on, with MLX's own
    convolutions. It is checked against the model before the file gets its final name.

    Args:
        model: A model with ``preprocessing``, as ``models.from_checkpoint`` returns it.
        path: The file.
        batch_sizes: Numbers of images that the function takes.
        pixels: Take uint8 images (N, H, W, C) and normalize them inside, instead of float32 images (N, C, H, W) from
            ``model.preprocessing``.

    Returns:
        The description: "model", "shapes", "dtype", "classes" and "preprocessing".

    Raises:
        ValueError: The model has no ``preprocessing``.
        ExportError: The function does not compute the same as the model.
        OSError: A file cannot be written.
    """
    path, transform = Path(path), _preprocessing_of(model)
    size, channels = transform.image_size, model.in_chans
    # MLX writes constants as they lie in memory, and takes them to be contiguous.
    weights = {name: mx.contiguous(tensor._array) for name, tensor in model.state_dict().items()}
    model.load_state_dict(weights)
    _deferred.wait(list(weights.values()))
    function = _function_of(model, pixels)
    shape = (size, size, channels) if pixels else (channels, size, size)
    inputs = [_random_images((n, *shape), pixels) for n in sorted(set(batch_sizes))]
    with atomic_path(path) as temporary:
        with mx.exporter(str(temporary), function) as export:
            for one in inputs:
                export(one)
        _check(temporary, function, inputs)
    description = {
        "model": _name_of(model),
        "shapes": [list(one.shape) for one in inputs],
        "dtype": "uint8" if pixels else "float32",
        "classes": model.class_names or [],
        "preprocessing": asdict(transform),
        **({} if (task := getattr(model, "task", "classification")) == "classification" else {"task": task}),
    }
    write_atomically(path.with_suffix(".json"), json.dumps(description).encode())
    return description


def export_weights(model: nn.Module, path: str | Path, dialect: str = "official") -> None:
    """Write weights under the names of ``dialect`` to a ``.safetensors`` file, with classes and preprocessing.

    Raises:
        ValueError: The dialect does not have this architecture.
    """
    if getattr(model, "stem_type", "patch") != "patch" and model.patch_size != 4:
        raise ValueError(
            "export_weights: no dialect can tell a stem of one overlapping convolution from 3 px patches; "
            "export a .mlxfn file instead"
        )
    models.save_checkpoint(model, path, dialect, name=_name_of(model))


def _preprocessing_of(model: nn.Module) -> models.ImageTransform:
    transform = getattr(model, "preprocessing", None)
    if transform is None:
        raise ValueError(
            "export_function: the model has no preprocessing; set model.preprocessing to an ImageTransform"
        )
    found: models.ImageTransform = transform
    return found


def _name_of(model: nn.Module) -> str:
    return str(getattr(model, "checkpoint_name", type(model).__name__))


def _function_of(model: nn.Module, pixels: bool) -> Callable[[mx.array], mx.array]:
    """The model as a function on arrays; with ``pixels`` it takes uint8 images (N, H, W, C) and normalizes them."""
    mean, std = mx.array(model.preprocessing.mean), mx.array(model.preprocessing.std)

    def outputs(x: mx.array) -> mx.array:
        if pixels:
            x = ((x.astype(mx.float32) / 255 - mean) / std).transpose(0, 3, 1, 2)  # (N, C, H, W)
        # Custom kernels cannot be exported.
        with lucid.no_grad(), kernels.use_reference():
            return model(tape.wrap(x))._array

    return outputs


def _random_images(shape: tuple[int, ...], pixels: bool) -> mx.array:
    noise = mx.random.normal(shape, key=mx.random.key(shape[0]))
    return (mx.sigmoid(noise) * 255).astype(mx.uint8) if pixels else noise


def _check(path: Path, function: Callable[[mx.array], mx.array], inputs: list[mx.array]) -> None:
    imported: Any = mx.import_function(str(path))
    for one in inputs:
        expected, found = function(one), imported(one)[0]
        difference = _deferred.item(mx.abs(found - expected).max() / mx.maximum(mx.abs(expected).max(), 1e-6))
        if not difference <= _MAX_DIFFERENCE:
            raise ExportError(
                f"{path}: outputs differ from the model's by {difference:.1e}, relative to the largest output"
            )

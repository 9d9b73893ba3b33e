"""Compare a file with its model: both compute the outputs for the same inputs, the file with onnxruntime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _deferred, _grad_mode, nn, tape
from lucid._tensor import Tensor
from lucid.export._errors import ExportError
from lucid.export._graph import Graph, Size
from lucid.export._outputs import largest_difference, outputs_of
from lucid.ops.activation import softmax_of_arrays

_MAX_DIFFERENCES = {"float32": 1e-4, "float16": 2e-2}  # relative to the largest output
_STEPS = 3  # between the sizes of the example and the second ones, in multiples of what sizes are multiples of


def check(
    file: Path, path: Path, model: nn.Module, graph: Graph, inputs: Sequence[Tensor], pixels: str | None, softmax: bool,
    dtype: str,
) -> float:  # fmt: skip
    """The largest difference of an output, relative to its largest value; ``file`` is to become ``path``.

    Raises:
        ExportError: it is too large, or onnxruntime cannot run the file.
        ImportError: onnxruntime is missing.
    """
    session = _session(file, path)
    names, largest = [one.name for one in session.get_inputs()], 0.0
    for arrays in _batches(graph, inputs):
        sent, taken = arrays, arrays
        if pixels is not None:
            sent, taken = _pixels(arrays[0], pixels, model.preprocessing)
        with _grad_mode.set_recording(False):
            expected = _outputs(model(*(tape.wrap(mx.array(one)) for one in taken)), softmax)
        try:
            found = session.run(None, dict(zip(names, sent, strict=True)))
        except Exception as error:  # its errors have no common class
            raise ExportError(f"{path}: onnxruntime cannot run the file: {error}") from error
        for name, one, other in zip(graph.outputs, expected, found, strict=True):
            difference = largest_difference(one, other)
            if not difference <= _MAX_DIFFERENCES[dtype]:
                shapes = " and ".join(str(each.shape) for each in sent)
                raise ExportError(
                    f"{path}: {name} differs from the model's by {difference:.1e}, relative to the largest value, for "
                    f"inputs {shapes}"
                )
            largest = max(largest, difference)
    return largest


def _session(file: Path, path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ImportError('onnx: verify needs the package onnxruntime: pip install "lucid-mlx[onnx]"') from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError(f"{path}: onnxruntime cannot load the file: {error}") from error


def _batches(graph: Graph, inputs: Sequence[Tensor]) -> list[list[np.ndarray]]:
    """The example inputs, and inputs of other sizes: smaller and larger batches, and larger images."""
    example = [_deferred.to_numpy(one._array) for one in inputs]
    if not graph.axes:
        return [example]
    found = [example]
    for batch, steps in ((1, _STEPS), (3, 2 * _STEPS)):
        shapes = [list(one.shape) for one in example]
        for number, (name, axes) in enumerate(graph.axes.items()):
            for axis in axes:
                assert isinstance(axis.value.shape[axis.dim], Size)
                more = (steps + number) * graph.multiples[name]
                shape = shapes[axis.value.index]
                shape[axis.dim] = batch if name == "batch" else shape[axis.dim] + more
        found.append([np.resize(one, shape) for one, shape in zip(example, shapes, strict=True)])
    return found


def _pixels(images: np.ndarray, kind: str, transform: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Random pixels in the layout that the file takes, and normalized for the model."""
    pixels = np.random.default_rng(3).integers(0, 256, images.shape, dtype=np.uint8)
    mean, std = (np.array(values, np.float32).reshape(-1, 1, 1) for values in (transform.mean, transform.std))
    normalized = (pixels.astype(np.float32) / 255 - mean) / std
    sent = pixels.transpose(0, 2, 3, 1).copy() if kind == "nhwc" else pixels.astype(np.float32)
    return [sent], [normalized]


def _outputs(result: Any, softmax: bool) -> list[np.ndarray]:
    """The outputs of the model in the order of the file."""
    found = outputs_of(result)
    if softmax:
        found = [softmax_of_arrays(found[0], 1)]
    return [_deferred.to_numpy(one) for one in found]

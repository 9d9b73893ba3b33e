"""Run a saved package and compare it with the model.

On a Mac, Core ML runs it; elsewhere ``lucid.export._mil`` does.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

import lucid
from lucid import _deferred, nn, tape
from lucid.export import _coremltools
from lucid.export._coreml.program import Normalization
from lucid.export._errors import ExportError
from lucid.export._mil import MLProgram
from lucid.export._outputs import largest_difference, outputs_of

# Largest difference of an output, relative to its largest number. Compressed weights differ by what they are.
LIMITS = {"float32": 1e-4, "float16": 1e-2}


def compare(
    model: nn.Module, path: Path, names: Sequence[str], examples: Sequence[mx.array],
    normalization: Normalization | None, color: str, softmax: bool, limit: float | None,
) -> dict[str, Any]:  # fmt: skip
    """Compare the outputs for random inputs.

    Returns:
        "difference", the largest, relative to the largest number of its output; "runs on", "Core ML" or "NumPy"; on a
        Mac also "operations", their number on each device.

    Raises:
        ExportError: an output differs by more than ``limit``.
    """
    inputs = _random_inputs(names, examples, normalization)
    expected = _expected(model, inputs, normalization, color, softmax)
    report: dict[str, Any] = {"runs on": "NumPy"}
    if sys.platform == "darwin":
        found, report = _on_core_ml(path, inputs, normalization is not None)
    else:
        found = MLProgram(path).run(inputs)
    numbers = [
        np.array(list(one.values()), np.float32) if isinstance(one, Mapping) else np.asarray(one, np.float32)
        for one in found.values()
        if not isinstance(one, str)
    ]
    report["difference"] = max(map(_difference, numbers, expected))
    if limit is not None and not report["difference"] <= limit:
        raise ExportError(
            f"the package's outputs differ from the model's by {report['difference']:.1e}, relative to the largest"
        )
    return report


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    if found.size != expected.size:
        raise ExportError(f"an output has shape {found.shape}, the model's has {expected.shape}")
    return largest_difference(expected, found.reshape(expected.shape))  # names with probabilities are one row


def _random_inputs(
    names: Sequence[str], examples: Sequence[mx.array], normalization: Normalization | None
) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    found = {}
    for index, (name, one) in enumerate(zip(names, examples, strict=True)):
        if normalization is not None and not index:
            pixels = generator.integers(0, 256, one.shape, np.uint8)[0].transpose(1, 2, 0)
            found[name] = pixels if pixels.shape[2] == 3 else pixels[..., 0]
        elif one.dtype in (mx.float32, mx.float16, mx.bfloat16, mx.float64):
            found[name] = generator.normal(size=one.shape).astype(np.float32)
        else:  # such as token ids: their own values are known to be in range
            found[name] = _deferred.to_numpy(one.astype(mx.int32))
    return found


def _expected(
    model: nn.Module, inputs: Mapping[str, np.ndarray], normalization: Normalization | None, color: str, softmax: bool
) -> list[np.ndarray]:
    arrays = list(inputs.values())
    if normalization is not None:
        pixels = arrays[0] if arrays[0].ndim == 3 else arrays[0][..., None]
        pixels = pixels[..., ::-1] if color == "BGR" else pixels
        mean, std = np.array(normalization.mean, np.float32), np.array(normalization.std, np.float32)
        scaled = (pixels.astype(np.float32) / 255 - mean) / std
        arrays[0] = np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])
    with lucid.no_grad():
        result = model(*[tape.wrap(mx.array(one)) for one in arrays])
    outputs = [_deferred.to_numpy(one.astype(mx.float32)) for one in outputs_of(result)]
    if softmax:
        shifted = np.exp(outputs[0] - outputs[0].max(axis=1, keepdims=True))
        outputs[0] = shifted / shifted.sum(axis=1, keepdims=True)
    return outputs


def _on_core_ml(path: Path, inputs: Mapping[str, Any], is_image: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The outputs on this Mac, and where each operation runs."""
    ct = _coremltools.load("verify")
    given = dict(inputs)
    if is_image:
        try:
            from PIL import Image
        except ImportError:
            raise ImportError('verify: Pillow is required for images; pip install "lucid-mlx[vision]"') from None
        first = next(iter(given))
        given[first] = Image.fromarray(given[first])
    model = ct.models.MLModel(str(path))
    found = model.predict(given)
    order = [one.name for one in model.get_spec().description.output]
    return {name: found[name] for name in order}, {
        "runs on": "Core ML", "operations": devices_of(ct, model.get_compiled_model_path())
    }  # fmt: skip


def devices_of(ct: Any, compiled: str) -> dict[str, int]:
    """How many operations Core ML means to run on each device, by its compute plan."""
    plan = ct.models.compute_plan.MLComputePlan.load_from_path(compiled)
    counts: Counter[str] = Counter()
    for operation in plan.model_structure.program.functions["main"].block.operations:
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        if usage is not None:  # constants run nowhere
            name = type(usage.preferred_compute_device).__name__
            counts[name.removeprefix("ML").removesuffix("ComputeDevice")] += 1
    return dict(counts)

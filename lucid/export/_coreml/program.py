"""A program of MIL from a recorded graph."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lucid.export._coreml import lower_activation, lower_conv, lower_elementwise, lower_norm, lower_shape, lower_window
from lucid.export._coreml.builder import Builder, Lowered, kind_of
from lucid.export._errors import ExportError
from lucid.export._graph import Graph, Node, Size, Value

LOWERINGS: dict[str, Callable[..., Any]] = {
    **lower_activation.LOWERINGS, **lower_conv.LOWERINGS, **lower_elementwise.LOWERINGS, **lower_norm.LOWERINGS,
    **lower_shape.LOWERINGS, **lower_window.LOWERINGS,
}  # fmt: skip
# Arguments that change nothing here: where to write the result, hints for training.
_IGNORED = {
    "out", "inplace", "dtype", "memory_format", "_stacklevel", "implicit", "copy", "padding_idx", "scale_grad_by_freq",
    "sparse_grad", "fused", "seed", "split_size_or_sections", "chunks",
}  # fmt: skip
# Arguments that reshapes may have; the shape of the result says what they do.
_SHAPES = {"shape", "size", "other", "start_dim", "end_dim", "dim", "sizes"}
_RESHAPES = (lower_shape.reshaped, lower_shape.expanded, lower_elementwise.astype)


@dataclass(frozen=True)
class Normalization:
    """``(pixel / 255 - mean) / std`` with one number for each channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def check_operations(graph: Graph) -> None:
    """See that every operation can be said.

    Raises:
        ExportError: some cannot; the error names each with its first place.
    """
    unknown: dict[str, Node] = {}
    for node in graph.nodes:
        if node.operation not in LOWERINGS:
            unknown.setdefault(node.operation, node)
    if unknown:
        places = ", ".join(map(str, unknown.values()))
        hint = "use other operations, or export to .mlxfn"
        if "quantized_linear" in unknown:
            hint = "lucid.dequantize(model) gives full weights, which compress= makes small again"
        raise ExportError(f"Core ML has no operation for {places}; {hint}")


def write(
    ct: Any, graph: Graph, names: Sequence[str], target: Any, normalization: Normalization | None, softmax: bool
) -> tuple[Any, list[str]]:
    """The program, and the names of its outputs.

    Args:
        names: Of the inputs.
        normalization: Of the first input, whose values are then pixels from 0 to 255.
        softmax: Whether the only output becomes probabilities.
    """
    from coremltools.converters.mil import Builder as mb
    from coremltools.converters.mil.mil import Function, Program, get_new_symbol, types

    kinds = {"fp32": types.fp32, "int32": types.int32, "bool": types.bool}
    placeholders = {}
    for name, value in zip(names, graph.inputs, strict=True):
        shape = [get_new_symbol() if isinstance(one, Size) else one for one in value.shape]
        kind = kind_of(value.dtype)
        placeholders[name] = mb.placeholder(shape, kinds["int32" if kind == "bool" else kind])
    with Function(placeholders, opset_version=target) as function:
        b = Builder(mb)
        for index, (name, value) in enumerate(zip(names, graph.inputs, strict=True)):
            var = function.inputs[name]
            if normalization is not None and not index:
                var = _normalized(b, var, normalization)
            if kind_of(value.dtype) == "bool":
                var = b.cast(var, "int32", "bool")
            b.know(value, Lowered(var, tuple(range(value.ndim))))
        for node in graph.nodes:
            _lower(b, node)
        b.node = None
        found = {}
        for name, value in graph.outputs.items():
            found[_output_name(name, len(graph.outputs), softmax)] = _output(b, value, softmax)
        function.set_outputs([mb.identity(x=var, name=name) for name, var in found.items()])
    program = Program()
    program.add_function("main", function)
    return program, list(found)


def _output_name(name: str, count: int, softmax: bool) -> str:
    if softmax:
        return "probabilities"
    word = re.sub(r"\W+", "_", name)
    return word if count == 1 or not word[:1].isdigit() else f"output_{word}"


def _normalized(b: Builder, pixels: Any, normalization: Normalization) -> Any:
    """The mean is subtracted first: float16 holds pixels exactly, and the difference better than a scaled pixel."""
    mean = np.array(normalization.mean, np.float64).reshape(1, -1, 1, 1) * 255
    scale = 1 / (np.array(normalization.std, np.float64).reshape(1, -1, 1, 1) * 255)
    centered = b.emit("sub", x=pixels, y=mean.astype(np.float32))
    return b.emit("mul", x=centered, y=scale.astype(np.float32))


def _output(b: Builder, value: Value, softmax: bool) -> Any:
    var = b.straight(value)
    if softmax:
        return b.emit("softmax", x=var, axis=1)
    return b.cast(var, kind_of(value.dtype), "int32") if kind_of(value.dtype) == "bool" else var


def _lower(b: Builder, node: Node) -> None:
    b.node = node
    function = LOWERINGS[node.operation]
    accepted = inspect.signature(function).parameters
    given = {key: one for key, one in node.arguments.items() if key in accepted}
    shaped = _SHAPES if function in _RESHAPES else set()
    for key, one in node.arguments.items():
        if key not in accepted and key not in _IGNORED | shaped and one not in (None, False, 0, ()):
            b.refuse(f"its argument {key}={one!r:.40}")
    try:
        found = function(b, **given)
    except ExportError:
        raise
    except (ValueError, TypeError, NotImplementedError) as error:  # coremltools checks types and shapes
        b.refuse(f"coremltools says: {' '.join(str(error).split())[:300]}")
    results = found if isinstance(found, list) else [found]
    for value, one in zip(node.outputs, results, strict=True):
        if one is not None:
            b.know(value, one)

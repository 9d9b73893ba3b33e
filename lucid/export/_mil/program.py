"""Run the ``main`` function of a package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lucid.export._mil import compression, elementwise, linear, reductions, resizing, shapes, windows
from lucid.export._mil.package import Package, PackageError

_FLOATS = {"FLOAT16": np.float16, "FLOAT32": np.float32}
_FIXED = {
    "INT32": np.int32,
    "BOOL": np.bool_,
    "INT16": np.int16,
    "UINT16": np.uint16,
    "INT8": np.int8,
    "UINT8": np.uint8,
}
_OPERATIONS = {
    **compression.OPERATIONS, **elementwise.OPERATIONS, **linear.OPERATIONS, **reductions.OPERATIONS,
    **resizing.OPERATIONS, **shapes.OPERATIONS, **windows.OPERATIONS,
}  # fmt: skip


class MLProgram:
    """A saved Core ML package that can be run with NumPy, on any machine.

    It is for checking what was exported: it computes what the package says, in float32 with results rounded to the
    precision of the package, much slower than Core ML. It has the operations that ``coreml`` writes. Requires
    ``pip install "lucid-mlx[coreml]"``.

    ::

        program = export.MLProgram("Photos.mlpackage")
        program.run({"image": pixels})["classLabel"]  # uint8 (H, W, 3)

    Args:
        path: The package, a folder.

    Attributes:
        spec: The protobuf message.
        operations: The types of the operations that are not constants, in order.

    Raises:
        ValueError: It is no package or damaged, or has an operation that cannot be run here.
        ImportError: coremltools is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self._package = Package(path)
        self.spec = self._package.spec
        function = self.spec.mlProgram.functions["main"]
        self._block = function.block_specializations[function.opset]
        self.operations = [
            one.type for one in self._block.operations if one.type != "const" and not one.type.startswith("constexpr_")
        ]
        unknown = sorted(set(self.operations) - {*_OPERATIONS, "classify"})
        if unknown:
            raise PackageError(f"{path}: {', '.join(unknown)} cannot be run here")

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs by name.

        Args:
            inputs: For an image, uint8 pixels (H, W, 3) in the order red, green, blue, or (H, W) for a gray one; for
                a tensor, an array.

        Raises:
            ValueError: An input is missing, or has a size that the package does not take.
        """
        values: dict[str, Any] = {}
        for feature in self.spec.description.input:
            if feature.name not in inputs:
                raise ValueError(f"the package needs the input {feature.name!r}, got {sorted(inputs)}")
            values[feature.name] = _prepared(feature, np.asarray(inputs[feature.name]))
        for operation in self._block.operations:
            self._run(operation, values)
        return {name: values[name] for name in self._block.outputs}

    def _run(self, operation: Any, values: dict[str, Any]) -> None:
        names = [one.name for one in operation.outputs]
        if operation.type == "const":
            values[names[0]] = self._package.constant(operation.attributes["val"])
            return
        arguments = {key: self._argument(one, values) for key, one in operation.inputs.items()}
        for key, one in operation.attributes.items():
            if key != "name":
                arguments[key] = self._package.constant(one)
        if operation.type == "classify":
            values.update(zip(names, _classified(**arguments), strict=True))
            return
        with np.errstate(all="ignore"):
            found = _OPERATIONS[operation.type](**{key: _widened(one) for key, one in arguments.items()})
        results = found if isinstance(found, tuple) else (found,)
        for output, one in zip(operation.outputs, results, strict=True):
            values[output.name] = self._rounded(one, output.type)

    def _argument(self, argument: Any, values: dict[str, Any]) -> Any:
        found = [
            values[one.name] if one.WhichOneof("binding") == "name" else self._package.constant(one.value)
            for one in argument.arguments
        ]
        return found[0] if len(found) == 1 else found

    def _rounded(self, value: Any, value_type: Any) -> Any:
        """A result in the precision that the program gives it."""
        name, shape = self._package.type_of(value_type)
        dtype = _FLOATS.get(name) or _FIXED.get(name)
        if dtype is None:
            raise PackageError(f"results of type {name} are not supported")
        found = np.asarray(value)
        expected = [one.constant.size for one in value_type.tensorType.dimensions]
        known = [one.WhichOneof("dimension") == "constant" for one in value_type.tensorType.dimensions]
        fits = found.ndim == len(expected) and all(
            not fixed or size == wanted for fixed, size, wanted in zip(known, found.shape, expected, strict=True)
        )
        if not fits:
            raise PackageError(f"the program says that a result has shape {shape}, it has {found.shape}")
        with np.errstate(all="ignore"):
            return found.astype(dtype)


def _widened(value: Any) -> Any:
    """Half-precision numbers as float32, to compute with."""
    if isinstance(value, list):
        return [_widened(one) for one in value]
    return np.asarray(value, np.float32) if getattr(value, "dtype", None) == np.float16 else value


def _classified(probabilities: np.ndarray, classes: Any) -> tuple[Any, dict[Any, float]]:
    """The likeliest class, and the probability of each."""
    flat = np.asarray(probabilities, np.float32).reshape(-1)
    return classes[int(flat.argmax())], dict(zip(classes, flat.tolist(), strict=True))


def _prepared(feature: Any, value: np.ndarray) -> np.ndarray:
    """An input as Core ML gives it to the program."""
    kind = feature.type.WhichOneof("Type")
    if kind == "multiArrayType":
        array = feature.type.multiArrayType
        _check_shape(feature.name, value.shape, _allowed_shapes(array))
        return value.astype({65600: np.float64, 65552: np.float16, 131104: np.int32}.get(array.dataType, np.float32))
    if kind != "imageType":
        raise PackageError(f"inputs of type {kind} are not supported")
    image = feature.type.imageType
    color = type(image).ColorSpace.Name(image.colorSpace)
    wanted = 2 if color == "GRAYSCALE" else 3
    if value.dtype != np.uint8 or value.ndim != wanted or (wanted == 3 and value.shape[2] != 3):
        raise ValueError(f"{feature.name} must be uint8 pixels {'(H, W)' if wanted == 2 else '(H, W, 3)'}")
    _check_shape(feature.name, value.shape[:2], _allowed_sizes(image))
    if color == "GRAYSCALE":
        return value[None, None].astype(np.float32)
    channels = value[..., ::-1] if color == "BGR" else value
    return channels.transpose(2, 0, 1)[None].astype(np.float32)  # (1, 3, H, W)


def _allowed_shapes(array: Any) -> list[list[tuple[int, int]]]:
    """Alternatives, each with a range for every dimension."""
    kind = array.WhichOneof("ShapeFlexibility")
    if kind == "enumeratedShapes":
        return [[(n, n) for n in one.shape] for one in array.enumeratedShapes.shapes]
    if kind == "shapeRange":
        return [[(one.lowerBound, one.upperBound) for one in array.shapeRange.sizeRanges]]
    return [[(n, n) for n in array.shape]]


def _allowed_sizes(image: Any) -> list[list[tuple[int, int]]]:
    kind = image.WhichOneof("SizeFlexibility")
    if kind == "enumeratedSizes":
        return [[(one.height, one.height), (one.width, one.width)] for one in image.enumeratedSizes.sizes]
    if kind == "imageSizeRange":
        sizes = image.imageSizeRange
        return [[(one.lowerBound, one.upperBound) for one in (sizes.heightRange, sizes.widthRange)]]
    return [[(image.height, image.height), (image.width, image.width)]]


def _check_shape(name: str, shape: tuple[int, ...], allowed: list[list[tuple[int, int]]]) -> None:
    for one in allowed:
        if len(one) == len(shape) and all(
            low <= size and (high < 0 or size <= high) for size, (low, high) in zip(shape, one, strict=True)
        ):
            return
    options = " or ".join(
        "(" + ", ".join(str(low) if low == high else f"{low}..{high}" for low, high in one) + ")" for one in allowed
    )
    raise ValueError(f"{name} must have the size {options}, got {shape}")

"""``lucid.export.coreml``: check what was asked for, then record, write, verify and put in place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks, _deferred, models, nn, tape
from lucid._tensor_convert import as_array
from lucid.export import _coremltools
from lucid.export._coreml import package
from lucid.export._coreml.program import Normalization, check_operations, write
from lucid.export._coreml.verify import LIMITS, compare
from lucid.export._errors import ExportError
from lucid.export._graph import Constant, Graph, record, values_in

_TARGETS = ("iOS16", "iOS17", "iOS18")
_PREVIEW = {"com.apple.coreml.model.preview.type": "imageClassifier"}
_METADATA = ("author", "license", "description", "version", "input_description")
Size = int | Sequence[int]


def coreml(
    model: nn.Module, path: str | Path, inputs: Any = None, *, image_size: Size | None = None,
    sizes: Sequence[Size] = (), size_range: tuple[int, int] | None = None, batch_size: int | tuple[int, int] = 1,
    image: bool | None = None, color: str = "RGB", preprocessing: models.ImageTransform | None = None,
    class_names: Sequence[str] | None = None, softmax: bool | None = None, precision: str = "float16",
    compress: str | None = None, target: str = "iOS16", metadata: Mapping[str, str] | None = None,
    verify: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Write a model as a Core ML package, an ML Program for iPhones, iPads and Macs.

    Any module in evaluation mode can be exported. Images go channels-first through the program, a Linear on maps is a
    1x1 convolution and a LayerNorm of channels-last maps one over channels, as Apple recommends for the Neural Engine;
    docs/coreml.md describes it. The package appears under its name complete, or not at all.

    Args:
        model: The model.
        path: The package, which ends with ``.mlpackage``. One that is there is replaced.
        inputs: A tensor or several, as ``model`` takes them; only shapes and dtypes matter. Default: one image of
            ``image_size``, with ``model.in_chans`` channels (default 3).
        image_size: Size of the image in px, or (height, width); default: that of the preprocessing.
        sizes: Further sizes that the package takes.
        size_range: The smallest and the largest height and width that the package takes, in px, instead of ``sizes``.
        batch_size: Images a call, or the smallest and the largest number of them; more than 1 needs ``image=False``.
        image: Take an image with pixels from 0 to 255 and normalize it inside, instead of a tensor (N, C, H, W) that is
            normalized. Default: True if there is a preprocessing and nothing else was given as ``inputs``.
        color: Order of the channels that the model was trained with, "RGB" or "BGR". Core ML converts images to it.
        preprocessing: Mean, standard deviation and size; default ``model.preprocessing``.
        class_names: Names of the outputs, so that the package returns the name of the likeliest class and the
            probability of each; default ``model.class_names``, () for none.
        softmax: Return probabilities instead of logits, over dimension 1; default: if there are class names.
        precision: "float16", which the Neural Engine requires, or "float32".
        compress: "int8" (one scale for each output channel), or "palette8", "palette6", "palette4": that many bits
            for each weight, which point into a table for each tensor. None stores weights in full.
        target: The oldest system that has to run it: "iOS16" (macOS 13), "iOS17" or "iOS18".
        metadata: What Xcode shows: "author", "license", "description", "version", "input_description".
        verify: Run the saved package on random input and compare it with the model: with Core ML on a Mac, with
            NumPy elsewhere.

    Returns:
        "model", "inputs" and "outputs" (name: description), "classes", "precision", "compress", "bytes"; with
        ``verify`` also "difference", relative to the largest output, "runs on", and on a Mac "operations", the
        number of operations on each device by Core ML's compute plan.

    Raises:
        ImportError: coremltools is not installed.
        ValueError: An argument is out of range, or two contradict each other.
        ExportError: The model does something that Core ML cannot, the error says what and where; or the saved package
            does not compute the same.
        OSError: The package cannot be written.
    """
    where, path = "coreml", Path(path)
    ct = _coremltools.load(where)
    if path.suffix != ".mlpackage":
        raise ValueError(f"{where}: path must end with .mlpackage, got {path}")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"{where}: there is no folder {path.absolute().parent}")
    _checks.one_of(where, "precision", precision, ("float16", "float32"))
    _checks.one_of(where, "color", color, ("RGB", "BGR"))
    _checks.one_of(where, "target", target, _TARGETS)
    if compress is not None:
        _checks.one_of(where, "compress", compress, package.COMPRESSIONS)
    notes = dict(metadata or {})
    if unknown := sorted(set(notes) - set(_METADATA)):
        raise ValueError(f"{where}: metadata has no {unknown[0]!r}, only {', '.join(_METADATA)}")
    transform = preprocessing if preprocessing is not None else getattr(model, "preprocessing", None)
    plan = _Plan(model, transform, inputs, image_size, sizes, size_range, batch_size, image)
    task = getattr(model, "task", "classification")
    if task != "classification" and (class_names is None or class_names or softmax):
        raise ValueError(
            f"{where}: class names and softmax are for classifiers, but the model is for {task}; pass class_names=() "
            "for its outputs"
        )
    labels = _class_names(model, class_names)
    if labels and plan.batches != (1, 1):
        raise ValueError(
            f"{where}: class names need batch_size 1, got {batch_size!r}; pass class_names=() for a batch of "
            "probabilities"
        )
    with package.replacing(path) as temporary:
        graph = record(model, plan.examples, dynamic=plan.dynamic)
        check_operations(graph)
        plan.check_multiples(graph)
        wants_softmax = bool(labels) if softmax is None else _checks.flag(where, "softmax", softmax)
        _check_outputs(graph, labels, wants_softmax)
        if precision == "float16":
            package.check_numbers(_weights(graph))
        with _coremltools.quiet():
            version = getattr(ct.target, target)
            program, outputs = write(ct, graph, plan.names, version, plan.normalization, wants_softmax)
            types = [
                ct.TensorType(dtype=np.int32 if _is_integer(one.dtype) else np.float32)
                for one in graph.outputs.values()
            ]
            saved = package.convert(ct, program, plan.types(ct, color), types, labels, version, precision, compress)
            described = plan.describe(color)
            text = notes.pop("input_description", "")
            package.describe(
                saved,
                notes,
                {name: text or one for name, one in described.items()},
                _output_texts(labels, outputs, wants_softmax),
                _PREVIEW if labels and plan.normalization else {},
            )
            package.save(saved, temporary)
            del saved, program
        report: dict[str, Any] = {}
        if verify:
            report = compare(
                model, temporary, plan.names, plan.examples, plan.normalization, color, wants_softmax,
                None if compress else LIMITS[precision],
            )  # fmt: skip
        size = sum(one.stat().st_size for one in temporary.rglob("*") if one.is_file())
    return {
        "model": str(getattr(model, "checkpoint_name", type(model).__name__)),
        "inputs": described,
        "outputs": {"classLabel": "name", "classLabel_probs": "probability of each name"}
        if labels
        else {
            name: f"{tuple(str(n) if not isinstance(n, int) else n for n in one.shape)} "
            f"{'int32' if _is_integer(one.dtype) else 'float32'}"
            for name, one in zip(outputs, graph.outputs.values(), strict=True)
        },
        "classes": labels,
        "precision": precision,
        "compress": compress,
        "bytes": size,
        **report,
    }


class _Plan:
    """Inputs: their names, examples, and sizes."""

    def __init__(
        self, model: nn.Module, transform: models.ImageTransform | None, inputs: Any, image_size: Size | None,
        sizes: Sequence[Size], size_range: tuple[int, int] | None, batch_size: Any, image: bool | None,
    ) -> None:  # fmt: skip
        self.batches = _range("batch_size", batch_size)
        self.sizes, self.span = [_pair(one) for one in sizes], None
        if size_range is not None:
            if sizes:
                raise ValueError("coreml: pass either sizes or size_range, not both")
            self.span = _range("size_range", size_range)
        channels = int(getattr(model, "in_chans", 3))
        given = inputs is not None
        if given:
            if image_size is not None:
                raise ValueError("coreml: inputs have a size; image_size is for images that are made here")
            some = inputs if isinstance(inputs, list | tuple) else [inputs]
            self.examples = [as_array(tape.unwrap(one)) for one in some]
        else:
            if image_size is None and transform is None:
                raise ValueError(
                    "coreml: the model has no preprocessing; pass image_size, or a tensor as inputs, such as "
                    "lucid.zeros(1, 3, 224, 224)"
                )
            height, width = _pair(image_size if image_size is not None else transform.image_size)  # type: ignore[union-attr]
            self.examples = [mx.zeros((self.batches[0], channels, height, width))]
        first = self.examples[0]
        wants_image = (transform is not None and not given and self.batches == (1, 1)) if image is None else image
        self.normalization = None
        if _checks.flag("coreml", "image", wants_image):
            self.normalization = _normalization(transform, first, self.batches)
        self.names = ["image" if self.normalization or first.ndim == 4 else "input"]
        self.names += [f"input_{i}" for i in range(2, len(self.examples) + 1)]
        if (self.sizes or self.span) and (first.ndim != 4 or len(self.examples) > 1):
            raise ValueError("coreml: sizes and size_range need a model of one image (N, C, H, W)")
        if first.ndim == 4:
            own = (first.shape[2], first.shape[3])
            self.sizes = list(dict.fromkeys([own, *self.sizes]))
            if self.span is not None and not all(self.span[0] <= n <= self.span[1] for n in own):
                raise ValueError(f"coreml: image_size {own} is outside of size_range {size_range}")
        self.dynamic: dict[str, list[tuple[int, int]]] = {}
        if self.batches[0] != self.batches[1]:
            self.dynamic["batch"] = [(i, 0) for i in range(len(self.examples))]
        if len(self.sizes) > 1 or self.span:
            self.dynamic |= {"height": [(0, 2)], "width": [(0, 3)]}

    def check_multiples(self, graph: Graph) -> None:
        """See that the model takes the sizes.

        Raises:
            ValueError: it takes multiples of a number only, and a size is none.
        """
        for index, name in enumerate(("height", "width")):
            multiple = graph.multiples.get(name, 1)
            if multiple == 1:
                continue
            if self.span is not None:
                raise ValueError(
                    f"coreml: this model takes a {name} in steps of {multiple} px only, which a range cannot say; "
                    "pass sizes"
                )
            base = self.sizes[0][index]
            for one in self.sizes:
                if (one[index] - base) % multiple:
                    raise ValueError(
                        f"coreml: this model takes a {name} in steps of {multiple} px from {base}, got {one[index]}"
                    )

    def types(self, ct: Any, color: str) -> list[Any]:
        """The inputs for coremltools."""
        found = []
        for index, (name, one) in enumerate(zip(self.names, self.examples, strict=True)):
            shape: Any = list(one.shape)
            if not index and self.span is not None:
                shape[2:] = [ct.RangeDim(*self.span, default=size) for size in one.shape[2:]]
            if self.batches[0] != self.batches[1]:
                shape[0] = ct.RangeDim(*self.batches, default=one.shape[0])
            if not index and len(self.sizes) > 1 and self.span is None:
                every = [[*shape[:2], *size] for size in self.sizes]
                shape = ct.EnumeratedShapes(shapes=every, default=every[0])
            if self.normalization is not None and not index:
                layout = ct.colorlayout.GRAYSCALE if one.shape[1] == 1 else getattr(ct.colorlayout, color)
                found.append(ct.ImageType(name=name, shape=shape, color_layout=layout))
            else:
                dtype = np.int32 if _is_integer(one.dtype) else np.float32
                found.append(ct.TensorType(name=name, shape=shape, dtype=dtype))
        return found

    def describe(self, color: str) -> dict[str, str]:
        """What the inputs are, in words."""
        found = {}
        for index, (name, one) in enumerate(zip(self.names, self.examples, strict=True)):
            if index or one.ndim != 4:
                found[name] = f"Tensor {tuple(one.shape)}"
                continue
            sides = " or ".join(f"{height} x {width}" for height, width in self.sizes)
            sides = f"{self.span[0]} to {self.span[1]}" if self.span is not None else sides
            kind = "Gray" if one.shape[1] == 1 else color
            found[name] = (
                f"{kind} image, {sides} px"
                if self.normalization is not None
                else f"Normalized {kind} images (N, {one.shape[1]}, H, W), {sides} px"
            )
        return found


def _pair(size: Size) -> tuple[int, int]:
    found = [size, size] if isinstance(size, int) else list(size)
    if len(found) != 2:
        raise ValueError(f"coreml: a size is a number of px or (height, width), got {size!r}")
    return tuple(_checks.integer("coreml", "a size", one, 1) for one in found)  # type: ignore[return-value]


def _range(name: str, value: Any) -> tuple[int, int]:
    found = list(value) if isinstance(value, list | tuple) else [value, value]
    if len(found) != 2:
        raise ValueError(f"coreml: {name} must be the smallest and the largest, got {value!r}")
    low, high = (_checks.integer("coreml", name, one, 1) for one in found)
    if low > high:
        raise ValueError(f"coreml: {name} must be the smallest and the largest, got {value!r}")
    return low, high


def _normalization(
    transform: models.ImageTransform | None, example: mx.array, batches: tuple[int, int]
) -> Normalization:
    if transform is None:
        raise ValueError(
            "coreml: image=True needs mean and standard deviation; set model.preprocessing or pass preprocessing"
        )
    if batches != (1, 1) or example.ndim != 4 or example.shape[0] != 1 or example.shape[1] not in (1, 3):
        raise ValueError(
            f"coreml: an image input is one image of 1 or 3 channels, got a batch {tuple(example.shape)}; "
            "pass image=False for a tensor"
        )
    count = example.shape[1]
    mean, std = (tuple(one) * count if len(one) == 1 else tuple(one) for one in (transform.mean, transform.std))
    if len(mean) != count or len(std) != count:
        raise ValueError(f"coreml: mean and std must have {count} numbers for {count} channels, got {mean} and {std}")
    return Normalization(mean, std)


def _class_names(model: nn.Module, class_names: Sequence[str] | None) -> list[str]:
    found = getattr(model, "class_names", None) if class_names is None else class_names
    labels = [str(one) for one in found or ()]
    twice = [name for name, count in Counter(labels).items() if count > 1]
    if twice:
        raise ValueError(f"coreml: class names must differ, {twice[0]!r} appears twice")
    return labels


def _check_outputs(graph: Graph, labels: list[str], softmax: bool) -> None:
    shapes = [one.example for one in graph.outputs.values()]
    if softmax and (len(shapes) != 1 or len(shapes[0]) < 2):
        raise ExportError(f"softmax and class names need one output (N, classes), the model has {shapes}")
    if labels and not softmax:
        raise ValueError("coreml: class names need softmax; pass class_names=() for logits")
    if labels and shapes[0] != (1, len(labels)):
        raise ExportError(f"{len(labels)} class names do not fit outputs of shape {shapes[0]}")


def _output_texts(labels: list[str], outputs: list[str], softmax: bool) -> dict[str, str]:
    if labels:
        return {"classLabel": "The likeliest class", "classLabel_probs": "The probability of each class"}
    return dict.fromkeys(outputs, "Probabilities" if softmax else "Output of the model")


def _weights(graph: Graph) -> Any:
    """The floating-point constants of the graph, with their names."""
    for node in graph.nodes:
        for one in values_in(list(node.arguments.values())):
            if isinstance(one, Constant) and not _is_integer(one.dtype):
                yield one.name, _deferred.to_numpy(one.array.astype(mx.float32))


def _is_integer(dtype: mx.Dtype) -> bool:
    return dtype not in (mx.float32, mx.float16, mx.bfloat16, mx.float64)

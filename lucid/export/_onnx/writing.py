"""``lucid.export.onnx``: record a model, translate it, check the file, and put it in its place."""

import errno
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlx.core as mx

from lucid import _checks, nn, tape
from lucid._files import atomic_path
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid._version import __version__
from lucid.export._errors import ExportError
from lucid.export._graph import Graph, Size, Value, record
from lucid.export._onnx.builder import FLOAT, FLOAT16, OPSET, Builder
from lucid.export._onnx.checking import check
from lucid.export._onnx.table import LOWERINGS

_IR_VERSION = 10  # the first that has opset 21
_MAX_BYTES = 2**31 - 2**16  # of a file without external data
_DIMENSIONS = ("batch", "size")
_PIXELS = ("nchw", "nhwc")


def onnx(
    model: nn.Module,
    path: str | Path,
    example_inputs: Any = None,
    *,
    image_size: int | tuple[int, int] | None = None,
    dynamic: Sequence[str] | Mapping[str, Sequence[tuple[int, int]]] = ("batch",),
    batch_size: int | None = None,
    dtype: str = "float32",
    pixels: str | None = None,
    softmax: bool = False,
    verify: bool = False,
) -> dict[str, Any]:
    """Write a model to an ``.onnx`` file, which ONNX Runtime and many others run.

    Any module whose operations are known is fine. ``forward`` is recorded and not run, so it must not read the values
    of tensors. Parameters keep the names of the state dict. The file gets its name once it is complete and checked;
    until then, a former file of this name stays. Needs ``lucid-mlx[onnx]``.

    Args:
        model: A module in evaluation mode.
        path: The file.
        example_inputs: A tensor or a list of tensors, for their shapes and dtypes. By default images (N,
            model.in_chans, H, W) of ``image_size``.
        image_size: Size of the images in px, or (height, width); by default that of ``model.preprocessing``.
        dynamic: Which sizes may vary: "batch", the first dimension of every input, and "size", height and width of
            images (N, C, H, W). Or dimensions by a name of your choice, as pairs (number of the input, dimension):
            ``{"length": [(0, 1)]}``.
        batch_size: Number of images that the file takes, if the batch does not vary (default: 1).
        dtype: "float32", or "float16" for weights and computation in half precision. Inputs and outputs are float32
            in either case, and sums over many values are computed in float32.
        pixels: Normalize images inside, as ``model.preprocessing`` says: "nhwc" takes uint8 (N, H, W, C), as cameras
            and image files have them, and "nchw" float32 (N, C, H, W) from 0 to 255. By default the file takes what
            the model does.
        softmax: Return probabilities in place of logits (N, classes) or (N, classes, H, W).
        verify: Run the file with onnxruntime and compare it with the model, for a second size too where sizes vary.

    Returns:
        The description: "model", "inputs" and "outputs" (shapes by name, with names for sizes that vary), "dtype",
        "opset", "classes", "preprocessing", and "multiples" (for each size that varies, what it is a multiple of). With
        ``verify`` also "difference", the largest one of an output, relative to its largest value.

    Raises:
        ExportError: The model cannot be exported (the message names the operation and the line), or the file does not
            compute the same.
        ValueError: An argument is wrong.
        ImportError: A package of ``lucid-mlx[onnx]`` is missing.
        OSError: The file cannot be written.

    Example:
        >>> model = models.ConvNeXt(num_classes=10, depths=[1, 1], dims=[8, 16], patch_size=2).eval()
        >>> found = export.onnx(model, "tiny.onnx", image_size=32)  # doctest: +SKIP
        >>> found["inputs"]  # doctest: +SKIP
        {'images': ['batch', 3, 32, 32]}
    """
    library, path = _library(), Path(path)
    _checks.one_of("onnx", "dtype", dtype, ("float32", "float16"))
    if pixels is not None:
        _checks.one_of("onnx", "pixels", pixels, _PIXELS)
    check_place(path)
    transform = getattr(model, "preprocessing", None)
    if pixels is not None and transform is None:
        raise ValueError("onnx: pixels needs model.preprocessing; set it to an ImageTransform")
    given = example_inputs
    if given is None:
        given = _images(model, image_size, _batch_size(batch_size, dynamic))
    elif image_size is not None or batch_size is not None:
        raise ValueError("onnx: example_inputs have a size and a batch; image_size and batch_size cannot be passed too")
    inputs = [tape.wrap(as_array(tape.unwrap(one))) for one in (given if isinstance(given, list | tuple) else [given])]
    if pixels is not None and (len(inputs) != 1 or inputs[0].ndim != 4):
        raise ValueError(f"onnx: pixels needs one input (N, C, H, W), got {[one.shape for one in inputs]}")
    if softmax and (task := getattr(model, "task", "classification")) != "classification":
        raise ValueError(f"onnx: softmax is for classifiers, but the model is for {task}")
    graph = record(model, inputs, dynamic=_places(inputs, dynamic))
    _refuse_unknown(graph)
    writer = _Writer(library, model, graph, dtype == "float16", pixels, softmax)
    proto, description = writer.proto(), writer.description
    size = sum(one.ByteSize() for one in proto.graph.initializer)
    if size > _MAX_BYTES:
        raise ExportError(
            f"{path}: {size / 1e9:.1f} GB of weights exceed the 2 GB of an ONNX file; use dtype='float16'"
        )
    try:
        library.checker.check_model(proto, full_check=True)
    except Exception as error:  # its errors have no common class
        raise ExportError(f"{path}: the checker of ONNX refuses the file: {error}") from error
    with atomic_path(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())
        if verify:
            description["difference"] = check(temporary, path, model, graph, inputs, pixels, softmax, dtype)
    return description


def check_place(path: Path) -> None:
    """Check that a file can be written, before a long job.

    Raises:
        OSError: the folder does not exist, or ``path`` is a folder.
    """
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path.absolute().parent))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder has this name", str(path))


def _library() -> Any:
    try:
        import onnx as library
    except ImportError:
        raise ImportError('onnx: this needs the package onnx: pip install "lucid-mlx[onnx]"') from None
    return library


def _batch_size(batch_size: int | None, dynamic: Any) -> int:
    if "batch" in dynamic:
        if batch_size is not None:
            raise ValueError('onnx: batch_size is for a fixed batch; pass dynamic=() or ("size",) with it')
        return 2
    return 1 if batch_size is None else _checks.integer("onnx", "batch_size", batch_size, 1)


def _images(model: nn.Module, image_size: Any, batch_size: int) -> Tensor:
    """Images of the size that the model takes, or of another one."""
    transform = getattr(model, "preprocessing", None)
    size = image_size
    if size is None:
        if transform is None:
            raise ValueError("onnx: the model has no preprocessing and thus no size; pass image_size or example_inputs")
        size = transform.image_size
    height, width = _checks.pair("onnx", "image_size", size, 1)
    shape = (batch_size, getattr(model, "in_chans", 3), height, width)
    return tape.wrap(mx.random.normal(shape, key=mx.random.key(7)))


def _places(inputs: Sequence[Tensor], dynamic: Any) -> dict[str, list[tuple[int, int]]]:
    """The dimensions that vary, by name, for ``record``."""
    if isinstance(dynamic, Mapping):
        return {str(name): list(places) for name, places in dynamic.items()}
    names = [dynamic] if isinstance(dynamic, str) else list(dynamic)
    for name in names:
        _checks.one_of("onnx", "dynamic", name, _DIMENSIONS)
    found: dict[str, list[tuple[int, int]]] = {}
    if "batch" in names:
        found["batch"] = [(i, 0) for i, one in enumerate(inputs) if one.ndim]
    if "size" in names:
        images = [i for i, one in enumerate(inputs) if one.ndim == 4]
        if not images:
            raise ValueError(f"onnx: dynamic 'size' needs images (N, C, H, W), got {[one.shape for one in inputs]}")
        found |= {"height": [(i, 2) for i in images], "width": [(i, 3) for i in images]}
    return found


def _refuse_unknown(graph: Graph) -> None:
    """Refuse operations that are not in the table, all of them at once."""
    unknown = {node.operation: node for node in reversed(graph.nodes) if node.operation not in LOWERINGS}
    if unknown:
        places = ", ".join(str(node) for node in reversed(unknown.values()))
        hint = "; lucid.dequantize(model) gives full weights" if "quantized_linear" in unknown else ""
        raise ExportError(f"these operations cannot be written as ONNX: {places}{hint}")


class _Writer:
    """The file of a graph, and its description."""

    def __init__(
        self, library: Any, model: nn.Module, graph: Graph, half: bool, pixels: str | None, softmax: bool
    ) -> None:
        self.onnx, self.model, self.graph = library, model, graph
        self.half, self.pixels, self.softmax = half, pixels, softmax
        self.builder = Builder(library, graph, half)
        self._names = {axis.value.shape[axis.dim]: name for name, axes in graph.axes.items() for axis in axes}
        transform = getattr(model, "preprocessing", None)
        self.description: dict[str, Any] = {
            "model": str(getattr(model, "checkpoint_name", type(model).__name__)),
            "inputs": {},
            "outputs": {},
            "dtype": "float16" if half else "float32",
            "opset": OPSET,
            "classes": getattr(model, "class_names", None) or [],
            "preprocessing": None if transform is None else asdict(transform),
            "multiples": graph.multiples,
        }
        if (task := getattr(model, "task", "classification")) != "classification":
            self.description["task"] = task

    def proto(self) -> Any:
        """The file, as the library's ``ModelProto``."""
        helper, b = self.onnx.helper, self.builder
        inputs = [self._input(value, name) for value, name in zip(self.graph.inputs, self._input_names(), strict=True)]
        for node in self.graph.nodes:
            b.start(node)
            found = LOWERINGS[node.operation](b, node)
            for value, name in zip(node.outputs, found if isinstance(found, list | tuple) else [found], strict=False):
                b.set(value, name)
        outputs = [self._output(value, name) for name, value in self._outputs().items()]
        graph = helper.make_graph(b.nodes, "lucid", inputs, outputs, b.initializers)
        opsets = [helper.make_opsetid("", OPSET)]
        proto = helper.make_model(graph, opset_imports=opsets, producer_name="lucid", producer_version=__version__)
        proto.ir_version = _IR_VERSION
        words = {"pixels": self.pixels or "", "softmax": str(self.softmax).lower()}
        for key in ("model", "classes", "preprocessing", "multiples", "task"):
            if key not in self.description:
                continue
            value = self.description[key]
            words[key] = value if isinstance(value, str) else json.dumps(value)
        helper.set_model_props(proto, words)
        return proto

    def _input_names(self) -> list[str]:
        if len(self.graph.inputs) == 1:
            return ["images" if self.graph.inputs[0].ndim == 4 else "input"]
        return [f"input_{i}" for i in range(len(self.graph.inputs))]

    def _shape(self, shape: Sequence[Any]) -> list[Any]:
        """A shape with names for sizes that vary."""
        return [
            self._names.setdefault(size, f"size_{len(self._names)}") if isinstance(size, Size) else size
            for size in shape
        ]

    def _input(self, value: Value, name: str) -> Any:
        b, helper = self.builder, self.onnx.helper
        name = b.unique(name)
        shape, element, tensor = self._shape(value.shape), b.element(value.dtype), name
        outside = FLOAT if element == FLOAT16 and self.half else element
        if self.pixels == "nhwc":
            shape, outside = [shape[0], *shape[2:], shape[1]], 2
            tensor = b.add("Transpose", b.add("Cast", tensor, to=FLOAT), perm=[0, 3, 1, 2])
        if self.pixels is not None:
            tensor = self._normalized(tensor)
            tensor = b.cast(tensor, FLOAT, element)
        else:
            tensor = b.cast(tensor, outside, element)
        b.set(value, tensor)
        self.description["inputs"][name] = shape
        return helper.make_tensor_value_info(name, outside, shape)

    def _normalized(self, pixels: str) -> str:
        """Images from 0 to 255 (N, C, H, W), normalized as ``model.preprocessing`` says."""
        b, transform = self.builder, self.model.preprocessing
        mean, std = ([[[value]] for value in values] for values in (transform.mean, transform.std))
        scaled = b.add("Div", pixels, b.constant(255.0, FLOAT))
        found: str = b.add("Div", b.add("Sub", scaled, b.constant(mean, FLOAT)), b.constant(std, FLOAT))
        return found

    def _outputs(self) -> dict[str, Value]:
        found = self.graph.outputs
        if self.softmax:
            if len(found) != 1 or next(iter(found.values())).ndim not in (2, 4):
                raise ValueError("onnx: softmax needs a model with one output, (N, classes) or (N, classes, H, W)")
            return {"probabilities": next(iter(found.values()))}
        return found

    def _output(self, value: Value, name: str) -> Any:
        b, helper = self.builder, self.onnx.helper
        tensor, element = b.name(value), b.element(value.dtype)
        if self.half and element == FLOAT16:
            tensor, element = b.cast(tensor, element, FLOAT), FLOAT
        if self.softmax:
            tensor = b.add("Softmax", tensor, axis=1)
        name = b.unique(name)
        b.nodes.append(helper.make_node("Identity", [tensor], [name], name=name))
        self.description["outputs"][name] = self._shape(value.shape)
        return helper.make_tensor_value_info(name, element, self.description["outputs"][name])

"""Save the weights of a model in any dialect, with class names and preprocessing in the metadata."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lucid import _checks, nn, serialization
from lucid._tensor import Tensor
from lucid.models.preprocessing import ImageTransform
from lucid.models.weights.detect import Architecture, architecture_of, variant_of
from lucid.models.weights.dialects import DIALECTS, shape_in, translate
from lucid.models.weights.load import HUGGINGFACE_EPS, AnyConvNeXt, convnext_in, layer_norms, shapes_of, unwrap_compiled
from lucid.models.weights.match import CLASSIFIER, LoadReport
from lucid.nn.utils import quantization

# Options that cannot be read from the names and shapes of the parameters.
EXTRA_OPTIONS = ("stem_type", "patch_size", "output_stride", "global_pool", "norm_eps", "head_norm_eps")
_NORM_EPS = 1e-6  # of every LayerNorm by default
TASK_KEY = "lucid_task"  # in the metadata of files
TASKS = ("classification", "multilabel", "regression")
CONVOLUTIONAL_IN_TIMM = ("_atto", "_femto", "_pico", "_nano", "_ols", "_hnf")


def save_checkpoint(
    model: nn.Module,
    path: str | os.PathLike[str],
    dialect: str = "official",
    *,
    class_names: Sequence[str] | None = None,
    preprocessing: ImageTransform | None = None,
    name: str | None = None,
    pointwise_convolutions: bool | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the weights to a safetensors file that ``from_checkpoint`` and the libraries of ``dialect`` read.

    Names and shapes are those of the dialect: weights loaded from a dialect and saved in it again have the same
    bytes under the same names. The file is written atomically. Its metadata holds the class names, the preprocessing,
    the name, the model's ``task`` if it is no classifier, and those options of the model that cannot be read from its
    parameters, such as ``output_stride``.

    torchvision has no ConvNeXt V2, and only the official dialect has isotropic networks and quantized layers, see
    ``lucid.quantize``.

    Args:
        model: A ``ConvNeXt``, ``ConvNeXtV2`` or ``ConvNeXtIsotropic``, with any options.
        path: The file, whose name must end with ``.safetensors``.
        dialect: ``"official"``, ``"torchvision"``, ``"timm"`` or ``"huggingface"``. Hugging Face's final norm has eps
            1e-12; a config with ``layer_norm_eps=1e-6`` gives it this library's. Without a classifier the names are
            those of ``ConvNextModel``.
        class_names: One for each output of the classifier; an empty list says that the model gives features. Defaults
            to ``model.class_names``.
        preprocessing: How images become the model's input. Defaults to ``model.preprocessing``.
        name: A name for display, which becomes ``checkpoint_name`` of the loaded model.
        pointwise_convolutions: Write the Linear layers of blocks as 1x1 convolutions, timm's ``conv_mlp=True``.
            Defaults to the form in the timm checkpoint that the weights came from, otherwise to True for the variants
            for which timm has them (atto, femto, pico, nano). timm's classifier of a model without pooling always is a
            convolution.
        metadata: More strings to store besides ``{"format": "pt"}``, which transformers requires.

    Raises:
        ValueError: The dialect has no such network or parameter, ``class_names`` does not have one name
            per output, or the file name does not end with ``.safetensors``.
        TypeError: ``model`` is not a ConvNeXt.

    Example:
        >>> from lucid import models
        >>> model = models.convnext_atto(2)
        >>> models.save_checkpoint(
        ...     model, "pets.safetensors", class_names=["cat", "dog"], preprocessing=models.ImageTransform(224, 256)
        ... )
        >>> models.from_checkpoint("pets.safetensors").class_names
        ['cat', 'dog']
    """
    arrays, found = weights_in(
        "save_checkpoint", model, dialect, pointwise_convolutions, class_names, preprocessing, name, metadata or {}
    )
    serialization.save(arrays, path, found)


def weights_in(
    caller: str, model: nn.Module, dialect: str, pointwise_convolutions: bool | None,
    class_names: Sequence[str] | None, preprocessing: ImageTransform | None, name: str | None,
    metadata: Mapping[str, str],
) -> tuple[dict[str, Any], dict[str, str]]:  # fmt: skip
    """The arrays of a model by the names of ``dialect``, and the metadata of its file, see ``save_checkpoint``."""
    model = unwrap_compiled(model)
    body = convnext_in(caller, model)
    own = body.state_dict()
    _checks.one_of(caller, "dialect", dialect, DIALECTS)
    architecture = architecture_of(shapes_of(own))
    quantized = quantization_for(caller, body, dialect)
    if dialect == "torchvision" and architecture.family == "ConvNeXt" and not architecture.layer_scale:
        raise ValueError(f"{caller}: torchvision's ConvNeXt always has layer scale, but the model has none")
    if pointwise_convolutions is None:
        pointwise_convolutions = has_pointwise_convolutions(model)
    rest = {key: text for key, text in metadata.items() if key != quantization.KEY}
    described = _description(caller, body, class_names, preprocessing, name, rest) | quantized
    report: LoadReport | None = model.__dict__.get("load_report")
    base = _base_model(architecture, own, report) if dialect == "huggingface" else ""
    arrays = {}
    scales = {
        f"{layer}.{part}"
        for layer, one in body.named_modules()
        for part in ("scales", "biases")
        if isinstance(one, nn.QuantizedLinear)
    }
    for official, tensor in own.items():
        if official in scales:
            arrays[official] = tensor._array
            continue
        if translate(official, "official", "official") is None:
            raise ValueError(
                f"{caller}: the model's parameter {official!r} exists in no dialect; "
                "lucid.save(model.state_dict(), path) writes it under its own names"
            )
        theirs = translate(official, "official", dialect)
        if theirs is None:
            options = " and ".join(architecture.timm_options())
            options = options and f" with {options}"
            others = "'timm' or 'official'" if options and dialect != "timm" else "'official'"
            raise ValueError(f"{caller}: {dialect} has no {architecture.family}{options}; use dialect={others}")
        shape = shape_in(dialect, official, tensor.shape, pointwise_convolutions, pooled=bool(body.global_pool))
        arrays[theirs if official in CLASSIFIER else base + theirs] = tensor._array.reshape(shape)
    return arrays, {**described, "format": "pt"}


def has_pointwise_convolutions(model: nn.Module) -> bool:
    """Whether timm's model has 1x1 convolutions in its blocks: as in the checkpoint it came from, or else the variant.

    The model is a ConvNeXt.
    """
    report: LoadReport | None = model.__dict__.get("load_report")
    if report is not None and report.dialect == "timm":
        return report.pointwise_convolutions
    variant = variant_of(architecture_of(shapes_of(convnext_in("save_checkpoint", model).state_dict())))
    return (variant or "").endswith(CONVOLUTIONAL_IN_TIMM)


def quantization_for(caller: str, body: AnyConvNeXt, dialect: str) -> dict[str, str]:
    """The metadata of quantized layers, which only the official dialect has."""
    found = quantization.quantization_metadata(body)
    if found and dialect != "official":
        raise ValueError(
            f"{caller}: {dialect} has no quantized layers; save_checkpoint with dialect='official' keeps them, and "
            "lucid.dequantize(model) gives full weights"
        )
    return found


def weights_metadata(
    name: str, class_names: Sequence[str], preprocessing: ImageTransform | Mapping[str, Any], **more: Any
) -> dict[str, str]:
    """The metadata that ``from_checkpoint`` reads, for a file that is written by ``lucid.save``.

    ``preprocessing`` may also be a dict of fields of ``ImageTransform``; ``more`` are JSON values under other keys.
    """
    fields = asdict(preprocessing) if isinstance(preprocessing, ImageTransform) else preprocessing
    values = {"classes": list(class_names), "preprocessing": fields, **more}
    return {"format": "pt", "model": name, **{key: json.dumps(value) for key, value in values.items()}}


def extra_options(model: nn.Module) -> dict[str, Any]:
    """Options of a ConvNeXt that cannot be read from its parameters, without those at their defaults.

    They are stored as ``options`` in the metadata. Dropout and drop path rates are not included.
    """
    body = convnext_in("extra_options", unwrap_compiled(model))
    options: dict[str, Any] = {}
    stem_type = getattr(body, "stem_type", "patch")
    if stem_type != "patch" and body.patch_size != 4:  # one convolution, which looks like patches of 3 px
        options |= {"stem_type": stem_type, "patch_size": body.patch_size}
    if getattr(body, "output_stride", None) is not None:
        options["output_stride"] = body.output_stride
    if body.global_pool != "avg":
        options["global_pool"] = body.global_pool
    norm_eps = next(layer_norms(body)).eps
    if norm_eps != _NORM_EPS:
        options["norm_eps"] = norm_eps
    if isinstance(body.norm, nn.LayerNorm) and body.norm.eps not in (norm_eps, HUGGINGFACE_EPS):
        options["head_norm_eps"] = body.norm.eps
    return options


def _description(
    caller: str, body: AnyConvNeXt, class_names: Sequence[str] | None, preprocessing: ImageTransform | None,
    name: str | None, metadata: Mapping[str, str],
) -> dict[str, str]:  # fmt: skip
    """The metadata of a model. Arguments override ``metadata``, which overrides the model's attributes."""
    options = extra_options(body)
    found = {"options": json.dumps(options)} if options else {}
    if class_names is None and "classes" not in metadata:
        class_names = body.class_names
    if class_names is not None:
        found["classes"] = json.dumps(checked_class_names(caller, class_names, body))
    if preprocessing is None and "preprocessing" not in metadata:
        preprocessing = body.preprocessing
    if preprocessing is not None:
        found["preprocessing"] = json.dumps(asdict(preprocessing))
    if name is not None:
        found["model"] = name
    if body.task != TASKS[0]:
        found[TASK_KEY] = json.dumps(body.task)
    return {**metadata, **found}


def checked_class_names(caller: str, names: Any, body: AnyConvNeXt) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{caller}: class_names must be a list of strings, got {names!r}")
    outputs = body.head.weight.shape[0] if isinstance(body.head, nn.Linear | nn.QuantizedLinear) else 0
    if names and len(names) != outputs:
        raise ValueError(
            f"{caller}: class_names must have one name for each of the {outputs} outputs, got {len(names)}"
        )
    return list(names)


def _base_model(architecture: Architecture, own: Mapping[str, Tensor], report: LoadReport | None) -> str:
    """Hugging Face's prefix for the network when it comes with a classifier."""
    loaded = report is not None and report.dialect == "huggingface" and "convnext" in report.prefix
    if "head.weight" not in own and not loaded:
        return ""
    return "convnextv2." if architecture.family == "ConvNeXtV2" else "convnext."

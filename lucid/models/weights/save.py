"""Weights of a model to a file, in any of the dialects."""

import os
from collections.abc import Mapping

from lucid import _checks, nn, serialization
from lucid._tensor import Tensor
from lucid.models.weights.detect import Architecture, architecture_of, variant_of
from lucid.models.weights.dialects import DIALECTS, shape_in, translate
from lucid.models.weights.load import _body, _module_itself, _shapes
from lucid.models.weights.match import CLASSIFIER, LoadReport

_CONVOLUTIONAL_IN_TIMM = ("_atto", "_femto", "_pico", "_nano", "_ols", "_hnf")


def save_checkpoint(
    model: nn.Module,
    path: str | os.PathLike[str],
    dialect: str = "official",
    *,
    pointwise_convolutions: bool | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the weights to a safetensors file under the names and in the shapes of ``dialect``.

    What came from a dialect and is saved in it again has the same bytes under the same names. The file is complete or
    not there. ``metadata`` goes in beside ``{"format": "pt"}``, without which transformers does not read the file.

    - torchvision has no V2, and only the official dialect has isotropic networks.
    - ``pointwise_convolutions``: 1x1 convolutions for Linear layers, timm's ``conv_mlp=True``. By default as in the
      checkpoint of timm that the weights came from, else for atto, femto, pico and nano, for which timm has them.
      timm's classifier of a model without pooling is always one.
    - Hugging Face's final norm has eps 1e-12; a config that says ``layer_norm_eps=1e-6`` gives it the one of this
      library. Without classifier the names are those of ``ConvNextModel``.

    Raises:
        ValueError: the dialect has no such network or no such parameter, or the file is not called ``*.safetensors``.
        TypeError: ``model`` is no ConvNeXt.
    """
    model = _module_itself(model)
    body = _body("save_checkpoint", model)
    own = body.state_dict()
    _checks.one_of("save_checkpoint", "dialect", dialect, DIALECTS)
    architecture = architecture_of(_shapes(own))
    if dialect == "torchvision" and architecture.family == "ConvNeXt" and not architecture.layer_scale:
        raise ValueError("save_checkpoint: torchvision's ConvNeXt always has layer scale, the model has none")
    report: LoadReport | None = model.__dict__.get("load_report")
    if pointwise_convolutions is None and report is not None and report.dialect == "timm":
        pointwise_convolutions = report.pointwise_convolutions
    elif pointwise_convolutions is None:
        pointwise_convolutions = (variant_of(architecture) or "").endswith(_CONVOLUTIONAL_IN_TIMM)
    base = _base_model(architecture, own, report) if dialect == "huggingface" else ""
    arrays = {}
    for official, tensor in own.items():
        if translate(official, "official", "official") is None:
            raise ValueError(
                f"save_checkpoint: no ConvNeXt has the model's {official!r}; "
                "lucid.save(model.state_dict(), path) writes it under its own names"
            )
        name = translate(official, "official", dialect)
        if name is None:
            forms = " and ".join(architecture.forms())
            forms = forms and f" with {forms}"
            wide = "'timm' and 'official' have" if forms and dialect != "timm" else "'official' has"
            raise ValueError(f"save_checkpoint: {dialect} has no {architecture.family}{forms}; dialect={wide} it")
        shape = shape_in(dialect, official, tensor.shape, pointwise_convolutions, pooled=bool(body.global_pool))
        arrays[name if official in CLASSIFIER else base + name] = tensor._array.reshape(shape)
    serialization.save(arrays, path, {**(metadata or {}), "format": "pt"})


def _base_model(architecture: Architecture, own: Mapping[str, Tensor], report: LoadReport | None) -> str:
    """What Hugging Face puts before the names of the network where it stands beside a classifier."""
    loaded = report is not None and report.dialect == "huggingface" and "convnext" in report.prefix
    if "head.weight" not in own and not loaded:
        return ""
    return "convnextv2." if architecture.family == "ConvNeXtV2" else "convnext."

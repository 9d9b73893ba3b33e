"""The ``config.json`` of timm: written for ``timm.create_model("local-dir:...")``, and read.

Source: timm.models._hub (``save_config_for_hf``, ``_parse_model_cfg``), timm.models._pretrained, timm.models.convnext.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lucid import nn
from lucid.models.convnext import ConvNeXt, ConvNeXtIsotropic, ConvNeXtV2
from lucid.models.preprocessing import ImageTransform
from lucid.models.variants import VARIANTS
from lucid.models.weights.detect import architecture_of, variant_of
from lucid.models.weights.folder_config import (
    FolderConfig,
    checked_names,
    crop_fraction,
    entry,
    names_by_number,
    stages,
)
from lucid.models.weights.load import HUGGINGFACE_EPS, AnyConvNeXt, layer_norms, shapes_of
from lucid.models.weights.save import CONVOLUTIONAL_IN_TIMM
from lucid.models.weights.tags import IMAGENET_MEAN, IMAGENET_STD, similar_names

_STAGES = 4
_STRIDE = 32  # timm's default output_stride
_EPS = 1e-6
# Arguments with the same name and meaning in both libraries.
_NUMBER = (int, float)
_SAME: dict[str, Any] = {
    "in_chans": int, "patch_size": int, "global_pool": str, "drop_rate": _NUMBER, "head_init_scale": _NUMBER,
    "stem_type": str, "head_norm_first": bool, "head_hidden_size": int, "norm_eps": _NUMBER, "output_stride": int,
}  # fmt: skip
_RENAMED: dict[str, Any] = {"drop_path_rate": ("drop_path", _NUMBER), "ls_init_value": ("layer_scale_init", _NUMBER)}
_FINE_TUNED = re.compile("_ft_in(1|12|22)k")  # a classifier in place of CLIP's projection
_LAYER_NORMS = (None, "", "layernorm", "layernorm2d")


def timm_config(
    caller: str, body: AnyConvNeXt, pointwise: bool, class_names: Sequence[str] | None,
    transform: ImageTransform | None, license: str | None,
) -> dict[str, Any]:  # fmt: skip
    """The ``config.json`` of a model.

    Raises:
        ValueError: timm's ConvNeXt cannot be built like this.
    """
    body = _checked(caller, body)
    transform = transform or ImageTransform()
    outputs = body.head.weight.shape[0] if isinstance(body.head, nn.Linear) else 0
    variant = timm_variant(body)
    size = [body.in_chans, transform.image_size, transform.image_size]
    config: dict[str, Any] = {
        "architecture": variant, "num_classes": outputs, "num_features": body.num_features,
    }  # fmt: skip
    if body.global_pool:
        config["global_pool"] = body.global_pool
    if class_names:
        config["label_names"] = list(class_names)
    arguments = _model_args(body, variant, pointwise)
    if arguments:
        config["model_args"] = arguments
    config["pretrained_cfg"] = {
        "custom_load": False,
        "input_size": size,
        "fixed_input_size": False,
        "interpolation": transform.interpolation,
        "crop_pct": crop_fraction(transform.image_size, transform.resize_size),
        "crop_mode": transform.crop_mode,
        "mean": list(transform.mean),
        "std": list(transform.std),
        "num_classes": outputs,
        "pool_size": None,
        # timm adapts the weights of this layer to other channels, as if they were for 3 of them.
        "first_conv": "stem.0" if body.in_chans in (1, 3) else None,
        "classifier": "head.fc",
        **({"license": license} if license else {}),
    }
    return config


def timm_variant(body: AnyConvNeXt) -> str:
    """timm's name for the architecture, or for the one whose arguments then replace depths and widths."""
    found = variant_of(architecture_of(shapes_of(body.state_dict())))
    return found or ("convnextv2_tiny" if isinstance(body, ConvNeXtV2) else "convnext_tiny")


def _checked(caller: str, body: AnyConvNeXt) -> ConvNeXt:
    """The model, if timm can build it."""
    reason = ""
    if isinstance(body, ConvNeXtIsotropic):
        raise ValueError(f"{caller}: timm has no {type(body).__name__}; save_checkpoint writes one for Lucid")
    eps = next(layer_norms(body)).eps
    if len(body.dims) != _STAGES:
        reason = f"{_STAGES} stages, the model has {len(body.dims)}; dialect='huggingface' takes any number"
    elif body.patch_size == 2 and body.stem_type == "patch":
        reason = "another downsampling after a stem with patch_size=2; dialect='huggingface' does not"
    elif body.stem_type != "patch" and body.patch_size != 4:
        reason = f"overlapping stems of stride 4 only, the model's has {body.patch_size}"
    elif body.output_stride is None and 8 * body.patch_size > _STRIDE:
        reason = f"a total stride of at most {_STRIDE}, the model's is {8 * body.patch_size}"
    elif isinstance(body.norm, nn.LayerNorm) and body.norm.eps not in (eps, HUGGINGFACE_EPS):
        reason = f"one eps for all norms, the model's final norm has {body.norm.eps:g} and the others {eps:g}"
    if reason:
        raise ValueError(f"{caller}: timm's ConvNeXt has {reason}")
    return body


def _model_args(body: ConvNeXt, variant: str, pointwise: bool) -> dict[str, Any]:
    """The arguments of timm's function for ``variant`` that are not at its defaults."""
    kind, defaults = VARIANTS[variant]
    hidden = body.pre_logits.weight.shape[0] if isinstance(body.pre_logits, nn.Linear) else None
    scaled = any(name.endswith(".gamma") and ".grn." not in name for name in body.state_dict())
    common = {
        "depths": (), "dims": (), "in_chans": 3, "patch_size": 4, "stem_type": "patch", "global_pool": "avg",
        "output_stride": _STRIDE, "norm_eps": _EPS, "head_norm_first": False, "head_hidden_size": None,
        "conv_mlp": variant.endswith(CONVOLUTIONAL_IN_TIMM), "ls_init_value": 1.0 if kind is ConvNeXt else None,
    }  # fmt: skip
    wanted = {
        "depths": tuple(body.depths), "dims": tuple(body.dims), "in_chans": body.in_chans,
        "patch_size": body.patch_size, "stem_type": body.stem_type, "global_pool": body.global_pool,
        "output_stride": body.output_stride or _STRIDE, "norm_eps": next(layer_norms(body)).eps,
        "head_norm_first": body.head_norm_first, "head_hidden_size": hidden,
        "conv_mlp": pointwise, "ls_init_value": 1.0 if scaled else None,
    }  # fmt: skip
    expected = {**common, **{name: value for name, value in defaults.items() if name in common}}
    return {name: value for name, value in wanted.items() if value != expected[name]}


def parse_timm_config(config: Mapping[str, Any]) -> FolderConfig:
    """Read a ``config.json`` of timm, also in the form of its first versions.

    Raises:
        ValueError: A value is invalid, or Lucid has no such model.
    """
    variant = entry(config, "architecture", str, "")
    known = [name for name, (kind, _) in VARIANTS.items() if not issubclass(kind, ConvNeXtIsotropic)]
    if variant not in known:
        hint = similar_names(variant, known, "list_models()")
        raise ValueError(f"Lucid has no architecture {variant!r:.60}; {hint}")
    described = entry(config, "pretrained_cfg", dict, config)
    arguments = entry(config, "model_args", dict, {})
    kind, defaults = VARIANTS[variant]
    options = {**defaults, **_options(kind, arguments, defaults)}
    classes = described.get("num_classes", 1000)
    for source in (config, arguments):
        classes = source.get("num_classes", classes)
    num_classes = entry({"num_classes": classes}, "num_classes", int, 0)
    return FolderConfig(
        "timm", kind, options, num_classes, _class_names(config, described, num_classes), _transform(described), variant
    )


def _options(kind: type[nn.Module], arguments: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the class that ``model_args`` set."""
    options = stages(arguments, "depths", "dims", defaults)
    if not len(options["depths"]) == len(options["dims"]) == _STAGES:
        raise ValueError(f"'depths' and 'dims' of 'model_args' must have {_STAGES} numbers")
    left = {name: value for name, value in arguments.items() if name not in ("depths", "dims", "num_classes")}
    is_v2 = issubclass(kind, ConvNeXtV2)
    fixed: dict[str, Any] = {"conv_bias": (True,), "act_layer": ("gelu",), "norm_layer": _LAYER_NORMS}
    fixed |= {"kernel_sizes": (7, [7] * _STAGES), "use_grn": (is_v2,), "conv_mlp": (True, False)}
    for name, value in left.items():
        if name in fixed and value not in fixed[name]:
            raise ValueError(f"'model_args' has {name}={value!r:.40}, which Lucid's {kind.__name__} does not have")
        if name not in (*fixed, *_SAME, *_RENAMED) or (name == "ls_init_value" and is_v2 and value is not None):
            raise ValueError(f"'model_args' has {name!r:.40}, which Lucid's {kind.__name__} does not have")
        if name == "ls_init_value" and value is None and not is_v2:
            options["layer_scale_init"] = 0.0
        elif name in _SAME and value is not None:
            options[name] = entry(left, name, _SAME[name])
        elif name in _RENAMED and value is not None:
            ours, its_kind = _RENAMED[name]
            options[ours] = entry(left, name, its_kind)
    if options.get("output_stride") == _STRIDE or "output_stride" not in options:
        options["output_stride"] = _STRIDE if options.get("patch_size", 4) != 4 else None
    if options.get("patch_size") == 2 and options.get("stem_type", "patch") == "patch":
        raise ValueError("timm's stem with patch_size=2, followed by another downsampling, is not supported")
    return options


def _class_names(config: Mapping[str, Any], described: Mapping[str, Any], num_classes: int) -> list[str] | None:
    """The class names; old files call them "labels"."""
    for source, key in ((config, "label_names"), (described, "label_names"), (described, "labels")):
        names = entry(source, key, (list, dict))
        if names:
            if isinstance(names, dict):
                return names_by_number(names, num_classes)
            return checked_names(names, key, num_classes)
    tag = entry(described, "tag", str, "")
    is_projection = tag.startswith("clip_") and not _FINE_TUNED.search(tag)
    return None if num_classes and not is_projection else []


def _transform(described: Mapping[str, Any]) -> ImageTransform | None:
    """The preprocessing, with timm's defaults; None if the input is no image with 1 or 3 channels."""
    size = entry(described, "input_size", list, [3, 224, 224])
    if len(size) != 3 or not all(isinstance(one, int) and one > 0 for one in size) or size[1] != size[2]:
        raise ValueError(f"'input_size' must be channels, height and the same width, got {size!r:.60}")
    if size[0] not in (1, 3):
        return None
    crop = entry(described, "crop_pct", _NUMBER, 0.875)
    if not 0 < crop <= 1:
        raise ValueError(f"'crop_pct' must be above 0 and at most 1, got {crop!r}")
    return ImageTransform(
        size[1],
        int(size[1] / crop),
        entry(described, "crop_mode", str, "center"),
        entry(described, "interpolation", str, "bicubic"),
        entry(described, "mean", list, IMAGENET_MEAN),
        entry(described, "std", list, IMAGENET_STD),
    )

"""``config.json`` and ``preprocessor_config.json`` of transformers: written for ``from_pretrained``, and read.

Source: transformers.models.convnext, convnextv2 and dinov3_convnext (configuration, modeling, image processing), and
transformers.models.clip.image_processing_clip for preprocessing that ConvNextImageProcessor cannot express.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lucid import nn
from lucid.models.convnext import ConvNeXt, ConvNeXtIsotropic, ConvNeXtV2
from lucid.models.preprocessing import ImageTransform
from lucid.models.weights.detect import Architecture, variant_of
from lucid.models.weights.folder_config import (
    FolderConfig,
    checked_names,
    crop_fraction,
    entry,
    names_by_number,
    stages,
)
from lucid.models.weights.load import HUGGINGFACE_EPS, AnyConvNeXt, layer_norms
from lucid.models.weights.tags import CLIP_MEAN, CLIP_STD

PREPROCESSOR = "preprocessor_config.json"
DINOV3 = "dinov3_convnext"
MODEL_TYPES = {"convnext": ConvNeXt, "convnextv2": ConvNeXtV2, DINOV3: ConvNeXt}  # DINOv3's is only read
_CLASSES = {ConvNeXt: "ConvNext", ConvNeXtV2: "ConvNextV2"}
_EPS = 1e-6  # of every norm but the last, in the code of transformers
_SQUASHED = 384  # px; ConvNextImageProcessor crops smaller images and squashes larger ones
_FILTERS = {"bilinear": 2, "bicubic": 3}  # Pillow's numbers
_DEFAULTS = {"depths": (3, 3, 9, 3), "dims": (96, 192, 384, 768)}
_STANDARD = (0.5, 0.5, 0.5)  # IMAGENET_STANDARD_MEAN and _STD, the defaults of ConvNextImageProcessor


def transformers_config(
    caller: str, body: AnyConvNeXt, class_names: Sequence[str] | None, transform: ImageTransform | None
) -> dict[str, Any]:
    """The ``config.json`` of a model.

    Raises:
        ValueError: The ConvNeXts of transformers cannot be built like this.
    """
    _check(caller, body)
    kind = ConvNeXtV2 if isinstance(body, ConvNeXtV2) else ConvNeXt
    outputs = body.head.weight.shape[0] if isinstance(body.head, nn.Linear) else 0
    scaled = any(name.endswith(".gamma") and ".grn." not in name for name in body.state_dict())
    config: dict[str, Any] = {
        "architectures": [_CLASSES[kind] + ("ForImageClassification" if outputs else "Model")],
        "model_type": next(name for name, one in MODEL_TYPES.items() if one is kind),
        "num_channels": body.in_chans,
        "patch_size": body.patch_size,
        "num_stages": len(body.dims),
        "hidden_sizes": list(body.dims),
        "depths": list(body.depths),
        "hidden_act": "gelu",
        "initializer_range": 0.02,
        "layer_norm_eps": body.norm.eps,
        "drop_path_rate": 0.0,
        "image_size": transform.image_size if transform else 224,
    }
    if kind is ConvNeXt:
        config["layer_scale_init_value"] = 1e-6 if scaled else 0.0
    if outputs:
        names = list(class_names) if class_names else [f"LABEL_{number}" for number in range(outputs)]
        config["id2label"] = {str(number): name for number, name in enumerate(names)}
        config["label2id"] = {name: number for number, name in enumerate(names)}
    return config


def _check(caller: str, body: AnyConvNeXt) -> None:
    reason = ""
    if isinstance(body, ConvNeXtIsotropic):
        raise ValueError(f"{caller}: transformers has no {type(body).__name__}; save_checkpoint writes one for Lucid")
    eps = next(layer_norms(body)).eps
    if body.stem_type != "patch" or body.head_norm_first or body.pre_logits is not None:
        word = "head_norm_first" if body.head_norm_first else "stem_type"
        word = "head_hidden_size" if body.pre_logits is not None else word
        reason = f"no {word}; dialect='timm' does"
    elif body.global_pool != "avg":
        reason = f"average pooling only, the model has global_pool={body.global_pool!r}; dialect='timm' has it"
    elif body.output_stride is not None and body.feature_info[-1]["reduction"] != body.patch_size * 2 ** (
        len(body.dims) - 1
    ):
        reason = f"no output_stride, the model has output_stride={body.output_stride}; dialect='timm' has it"
    elif eps != _EPS:
        reason = f"norms with eps {_EPS:g}, the model's have {eps:g}; dialect='timm' takes any"
    if reason:
        raise ValueError(f"{caller}: the ConvNeXt of transformers has {reason}")


def preprocessor_config(transform: ImageTransform) -> dict[str, Any]:
    """The ``preprocessor_config.json`` of a transform."""
    channels = 3
    common = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": list(transform.mean) * (channels // len(transform.mean)),
        "image_std": list(transform.std) * (channels // len(transform.std)),
        "resample": _FILTERS[transform.interpolation],
        "rescale_factor": 1 / 255,
    }
    size, resize_size = transform.image_size, transform.resize_size
    crops = transform.crop_mode == "center"
    if size < _SQUASHED if crops else size >= _SQUASHED and resize_size == size:
        return {
            "image_processor_type": "ConvNextImageProcessor",
            "size": {"shortest_edge": size},
            "crop_pct": crop_fraction(size, resize_size) if crops else 0.875,
            **common,
        }
    return {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": resize_size} if crops else {"height": resize_size, "width": resize_size},
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_convert_rgb": True,
        **common,
    }


def parse_transformers_config(config: Mapping[str, Any], transform: ImageTransform | None) -> FolderConfig:
    """Read the ``config.json`` of a ConvNeXt or ConvNeXt V2 whose images are prepared with ``transform``.

    Raises:
        ValueError: A value is invalid, or Lucid's model does not have it.
    """
    kind = MODEL_TYPES[config["model_type"]]
    activation = entry(config, "hidden_act", str, "gelu")
    if activation != "gelu":
        raise ValueError(f"'hidden_act' is {activation!r:.40}, but Lucid's {kind.__name__} has 'gelu'")
    options = stages(config, "depths", "hidden_sizes", _DEFAULTS)
    if len(options["depths"]) != len(options["dims"]) or not options["dims"]:
        raise ValueError("'depths' and 'hidden_sizes' must have one number for each stage")
    options |= {
        "in_chans": entry(config, "num_channels", int, 3),
        "patch_size": entry(config, "patch_size", int, 4),
    }
    is_dinov3 = config["model_type"] == DINOV3
    if is_dinov3:  # one eps for all norms
        options["norm_eps"] = entry(config, "layer_norm_eps", (int, float), _EPS)
    else:
        options["head_norm_eps"] = entry(config, "layer_norm_eps", (int, float), HUGGINGFACE_EPS)
    scale = entry(config, "layer_scale_init_value", (int, float), 1e-6)
    if kind is ConvNeXt and scale <= 0:
        options["layer_scale_init"] = 0.0
    num_classes, names = (0, []) if is_dinov3 else _classes(config)
    has_scale = kind is ConvNeXt and scale > 0
    variant = variant_of(Architecture(kind.__name__, options["depths"], options["dims"], has_scale))
    return FolderConfig("dinov3" if is_dinov3 else "huggingface", kind, options, num_classes, names, transform, variant)


def _classes(config: Mapping[str, Any]) -> tuple[int, list[str] | None]:
    """The number of classes, and their names unless they are only numbered."""
    architectures = entry(config, "architectures", list, [])
    if architectures and not str(architectures[0]).endswith("ForImageClassification"):
        return 0, []
    labels = entry(config, "id2label", dict, {})
    num_classes = entry(config, "num_labels", int, len(labels) or 2)
    if labels and len(labels) != num_classes:
        raise ValueError(f"'id2label' has {len(labels)} names, but 'num_labels' is {num_classes}")
    names = names_by_number(labels, num_classes) if labels else []
    if all(name == f"LABEL_{number}" for number, name in enumerate(names)):
        return num_classes, None
    return num_classes, checked_names(names, "id2label", num_classes)


def parse_preprocessor(config: Mapping[str, Any]) -> ImageTransform:
    """The transform that a ``preprocessor_config.json`` describes.

    Raises:
        ValueError: A value is invalid, or ``ImageTransform`` cannot do it.
    """
    name = entry(config, "image_processor_type", str) or entry(config, "feature_extractor_type", str, "")
    is_convnext = name.removesuffix("Fast").removesuffix("Pil").startswith("ConvNext") or "crop_pct" in config
    for key in ("do_resize", "do_rescale", "do_normalize"):
        if not entry(config, key, bool, True):
            raise ValueError(f"{key!r} must be true, got false")
    if abs(entry(config, "rescale_factor", (int, float), 1 / 255) - 1 / 255) > 1e-9:
        raise ValueError(f"'rescale_factor' must be 1/255, got {config['rescale_factor']!r}")
    number = entry(config, "resample", int, _FILTERS["bicubic"])
    filters = [one for one, its_number in _FILTERS.items() if its_number == number]
    if not filters:
        raise ValueError(f"'resample' must be one of {list(_FILTERS.values())}, got {number}")
    default_mean, default_std = (_STANDARD, _STANDARD) if is_convnext else (CLIP_MEAN, CLIP_STD)
    mean = entry(config, "image_mean", list, default_mean)
    std = entry(config, "image_std", list, default_std)
    if is_convnext:
        size = _side(config, "size", _SQUASHED)
        crop = entry(config, "crop_pct", (int, float), 224 / 256)
        if not 0 < crop <= 1:
            raise ValueError(f"'crop_pct' must be above 0 and at most 1, got {crop!r}")
        mode, resize_size = ("center", int(size / crop)) if size < _SQUASHED else ("squash", size)
    else:
        given = config.get("size")
        mode = "squash" if isinstance(given, dict) and "height" in given else "center"
        size = resize_size = _side(config, "size", 224)
        if entry(config, "do_center_crop", bool, name.startswith("CLIP")):
            size = _side(config, "crop_size", 224)
        elif mode == "center":
            raise ValueError("'do_center_crop' must be true if 'size' is a shortest edge")
    return ImageTransform(size, resize_size, mode, filters[0], mean, std, round_crop=False)


def _side(config: Mapping[str, Any], key: str, default: int) -> int:
    """The side of a square in px: a number, {"shortest_edge": number}, or {"height": number, "width": number}."""
    given = entry(config, key, (int, dict), default)
    if isinstance(given, dict):
        sides = {given.get("height"), given.get("width")} if "height" in given else {given.get("shortest_edge")}
        given = next(iter(sides)) if len(sides) == 1 else None
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise ValueError(f"{key!r} must be the side of a square in px, got {config.get(key)!r:.60}")
    return given

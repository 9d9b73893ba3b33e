"""Names and shapes of ConvNeXts that are only read: DINOv3, OpenMMLab, FCMAE, OpenCLIP, and own classifiers.

Sources: transformers.models.dinov3_convnext, github.com/facebookresearch/dinov3, mmpretrain.models.backbones.convnext,
github.com/facebookresearch/ConvNeXt-V2 (``remap_checkpoint_keys`` in utils.py), timm.models.convnext
(``checkpoint_filter_fn``).
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import mlx.core as mx

from lucid import tape
from lucid._tensor_convert import as_array
from lucid.models.weights.dialects import translate

FOREIGN_DIALECTS = ("dinov3", "openmmlab", "fcmae")
UNUSED = "unused"
"""What ``official_name`` gives for norms of feature maps, which the classification network does not have."""

_Rules = tuple[tuple[str, str], ...]
_RULES: dict[str, _Rules] = {
    "dinov3": (
        (r"^stages\.(\d{1,3})\.downsample_layers\.", r"downsample_layers.\1."),
        (r"^stages\.(\d{1,3})\.layers\.", r"stages.\1."),
        (r"\.depthwise_conv\.", ".dwconv."),
        (r"\.pointwise_conv([12])\.", r".pwconv\1."),
        (r"(^|\.)layer_norm\.", r"\1norm."),
    ),
    "openmmlab": (
        (r"\.depthwise_conv\.", ".dwconv."),
        (r"\.pointwise_conv([12])\.", r".pwconv\1."),
    ),
    "fcmae": (
        (r"\.kernel$", ".weight"),
        (r"\.(?:ln|linear)\.(weight|bias)$", r".\1"),
    ),
}
# Dense prediction normalizes the features of every stage; the last of these norms takes the place of the final norm.
_FEATURE_NORM = re.compile(r"norms?\.?([0-9])\.(weight|bias)")
_LAST_STAGE = "3"
_OPEN_CLIP_HEAD = {
    "proj.weight": "head.weight",
    "proj.bias": "head.bias",
    "mlp.fc1.weight": "pre_logits.weight",
    "mlp.fc1.bias": "pre_logits.bias",
    "mlp.fc2.weight": "head.weight",
    "mlp.fc2.bias": "head.bias",
}
_OWN_HEAD = re.compile(r"(?:fc|head|classifier|linear|last_linear)(?:\.(?:\d{1,2}|fc|head|linear|classifier))*\.weight")
_DECODER = re.compile(
    r"(?:proj|pred)\.(?:weight|bias)|mask_token"
    r"|decoder\.\d{1,3}\.(?:(?:dwconv|norm|pwconv1|pwconv2)\.(?:weight|bias)|grn\.(?:gamma|beta))"
)


def official_name(name: str, dialect: str) -> str | None:
    """The official name of a parameter, ``UNUSED``, or None if the dialect has no such parameter."""
    for pattern, replacement in _RULES.get(dialect, ()):
        name = re.sub(pattern, replacement, name)
    if dialect in ("official", "openmmlab") and (match := _FEATURE_NORM.fullmatch(name)):
        return f"norm.{match[2]}" if match[1] == _LAST_STAGE else UNUSED
    return translate(name, "official" if dialect in FOREIGN_DIALECTS else dialect, "official")


def name_beside(name: str, dialect: str, prefix: str) -> str | None:
    """The official name of a parameter outside the ``prefix`` of the network, or None if it is not the network's."""
    if dialect == "openmmlab":
        inner = _after(name, prefix.removesuffix("backbone.") + "head.fc.")
        return f"head.{inner}" if inner in ("weight", "bias") else None
    if dialect == "dinov3" and prefix.endswith("model."):
        inner = _after(name, prefix.removesuffix("model.") + "layer_norm.")
        return f"norm.{inner}" if inner in ("weight", "bias") else None
    if dialect == "timm" and prefix.endswith("trunk."):
        return _OPEN_CLIP_HEAD.get(_after(name, prefix.removesuffix("trunk.") + "head.") or "")
    return None


def decoder_name(name: str, dialect: str, prefix: str) -> str | None:
    """The name in ``models.FCMAE`` of a parameter of its decoder, or None. ``prefix`` is that of the encoder."""
    inner = _after(name, prefix.removesuffix("encoder."))
    return inner if dialect in ("official", "timm", "fcmae") and is_decoder(inner or "") else None


def is_decoder(name: str) -> bool:
    """Whether ``models.FCMAE`` has a parameter of that name outside its encoder."""
    return _DECODER.fullmatch(name) is not None


def is_projection(name: str) -> bool:
    """Whether the name of a classifier's weight says that it is OpenCLIP's projection to embeddings."""
    return name.endswith(("visual.head.proj.weight", "visual.head.mlp.fc2.weight"))


def own_classifier(candidates: Mapping[str, Any], width: int) -> str | None:
    """The name, without prefix, of the only weight that could be that of a classifier for ``width`` features.

    Args:
        candidates: Values by name, with the prefix of the network or the network's parent removed.
        width: Channels of the last stage.
    """
    found = [name for name, value in candidates.items() if _OWN_HEAD.fullmatch(name) and len(value.shape) == 2]
    return found[0] if len(found) == 1 and candidates[found[0]].shape[1] == width else None


def zeros_for(weight: Any) -> Any:
    """The bias of a classifier without one."""
    array = as_array(weight)
    return tape.wrap(mx.zeros(array.shape[:1], array.dtype))


def converted(name: str, value: Any, dialect: str) -> Any:
    """``value`` in the shape of the parameter with the official ``name``. FCMAE stores kernels of sparse convolutions.

    They are (h * w, channels) or (h * w, in, out), with h and w swapped.
    """
    if dialect != "fcmae" or not name.endswith(".weight") or len(value.shape) not in (2, 3):
        return value
    side = math.isqrt(value.shape[0])
    if ".pwconv" in name or side * side != value.shape[0]:
        return value
    array = as_array(value)
    shape = (side, side, *array.shape[1:]) if array.ndim == 3 else (side, side, 1, array.shape[1])
    return tape.wrap(array.reshape(shape).transpose(3, 2, 1, 0))  # (w, h, in, out) to (out, in, h, w)


def _after(name: str, prefix: str) -> str | None:
    return name.removeprefix(prefix) if name.startswith(prefix) else None

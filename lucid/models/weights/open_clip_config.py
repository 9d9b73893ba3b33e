"""``open_clip_config.json``, which OpenCLIP writes beside its weights: how the image tower's images are prepared.

Source: github.com/mlfoundations/open_clip, ``push_to_hf_hub.py`` (``save_config_for_hf``) and ``transform.py``
(``PreprocessCfg``, ``image_transform``).
"""

from collections.abc import Mapping
from typing import Any

from lucid.models.preprocessing import ImageTransform
from lucid.models.weights.folder_config import entry
from lucid.models.weights.tags import CLIP_MEAN, CLIP_STD

OPEN_CLIP_CONFIG = "open_clip_config.json"
_SIZE = 224  # the default of OpenCLIP's image towers
_MODES = {"shortest": "center", "squash": "squash"}


def clip_transform(image_size: int = _SIZE) -> ImageTransform:
    """OpenCLIP's default preprocessing."""
    return ImageTransform(image_size, image_size, mean=CLIP_MEAN, std=CLIP_STD)


def parse_open_clip_config(config: Mapping[str, Any], width: int) -> ImageTransform | None:
    """The preprocessing of the image tower, None if the file does not say.

    Args:
        config: The content of the file.
        width: Width of the embeddings that the weights give, 0 if they have no projection.

    Raises:
        ValueError: A value is invalid, ``ImageTransform`` cannot do it, or the model is another one.
    """
    model, prepared = entry(config, "model_cfg", dict), entry(config, "preprocess_cfg", dict, {})
    if model is None:
        return None
    described = entry(model, "embed_dim", int, width)
    if width and described != width:
        raise ValueError(f"'embed_dim' is {described}, but the weights give embeddings of width {width}")
    size = prepared.get("size") or entry(model, "vision_cfg", dict, {}).get("image_size") or _SIZE
    sides = size if isinstance(size, list) else [size]
    if not all(isinstance(one, int) for one in sides) or len(set(sides)) != 1:
        raise ValueError(f"the image size must be the side of a square in px, got {size!r:.60}")
    mode = entry(prepared, "resize_mode", str, "shortest")
    if mode not in _MODES:
        raise ValueError(f"'resize_mode' must be one of {', '.join(_MODES)}, got {mode!r:.40}")
    interpolation = entry(prepared, "interpolation", str, "bicubic")
    return ImageTransform(
        sides[0], sides[0], _MODES[mode], "bicubic" if interpolation == "random" else interpolation,
        entry(prepared, "mean", list, CLIP_MEAN), entry(prepared, "std", list, CLIP_STD),
    )  # fmt: skip

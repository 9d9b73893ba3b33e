"""Open the folders of timm and transformers: ``config.json``, and weights in one file or in shards."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lucid import nn
from lucid._files import read_regular
from lucid.models.preprocessing import ImageTransform
from lucid.models.weights.detect import MismatchError, find_networks, select_network
from lucid.models.weights.folder_config import CONFIG, FolderConfig
from lucid.models.weights.load import load_checkpoint
from lucid.models.weights.open_clip_config import OPEN_CLIP_CONFIG, parse_open_clip_config
from lucid.models.weights.timm_config import parse_timm_config
from lucid.models.weights.transformers_config import (
    MODEL_TYPES,
    PREPROCESSOR,
    parse_preprocessor,
    parse_transformers_config,
)
from lucid.serialization import open_checkpoint
from lucid.serialization.checkpoint_folder import find_weights

_MAX_BYTES = 1 << 24  # of a JSON file; the names of 21,841 classes take 0.6 MB


def read_config(folder: Path) -> FolderConfig | None:
    """What ``config.json`` says about the model, None if there is none or if it is not of timm or transformers.

    Raises:
        ValueError: The file is not JSON, or describes a model that Lucid does not have.
    """
    path = folder / CONFIG
    if not path.exists():
        return None
    config = _read_json(path)
    model_type = config.get("model_type")
    is_timm = "architecture" in config and model_type in (None, "timm_wrapper")
    is_transformers = isinstance(model_type, str) and model_type in MODEL_TYPES
    if is_transformers and "architecture" in config:
        raise ValueError(
            f"{path}: it has both 'architecture', as timm's have, and 'model_type', as those of transformers have; "
            "remove one of them"
        )
    if is_timm:
        return _parsed(path, parse_timm_config, config)
    if is_transformers:
        preprocessor, transform = folder / PREPROCESSOR, None
        if preprocessor.exists():
            transform = _parsed(preprocessor, parse_preprocessor, _read_json(preprocessor))
        return _parsed(path, parse_transformers_config, config, transform)
    return None


def read_open_clip_transform(weights: Path, width: int) -> ImageTransform | None:
    """The preprocessing in the ``open_clip_config.json`` beside ``weights``, of an image tower with ``width`` outputs.

    None if there is no such file or if it does not say.

    Raises:
        ValueError: The file is not JSON, or a value is invalid.
    """
    path = weights.with_name(OPEN_CLIP_CONFIG)
    found: ImageTransform | None = None
    if path.exists():
        found = _parsed(path, parse_open_clip_config, _read_json(path), width)
    return found


def load_folder(model: nn.Module, folder: Path, config: FolderConfig, *, same_classes: bool = True) -> dict[str, str]:
    """Load the weights in ``folder`` into ``model``, tensor by tensor, and return their metadata.

    Args:
        model: A model as ``config`` describes it, or with another classifier, or with ``features_only``.
        folder: A folder with one weights file, or with shards and their index.
        config: What ``config.json`` says.
        same_classes: The model has the classifier of the folder, which therefore must be there.

    Raises:
        ValueError: The weights are missing or damaged, or do not fit ``config.json``.
        OSError: They cannot be read.
    """
    weights = find_weights(folder)
    opened = open_checkpoint(weights)
    networks = list(find_networks(opened.content)) if isinstance(opened.content, Mapping) else []
    if networks:
        tensors = select_network(str(weights), networks, use_ema=True).tensors
        outputs, *_ = tensors["head.weight"].shape if "head.weight" in tensors else (0,)
        if same_classes and outputs != config.num_classes:
            raise ValueError(
                f"{folder}: the weights do not fit {CONFIG}, which describes {config.num_classes} classes; their "
                f"classifier has {outputs}"
            )
    try:
        load_checkpoint(model, weights)
    except MismatchError as error:
        raise ValueError(f"{folder}: the weights do not fit {CONFIG}: {error}") from None
    return opened.metadata


def _parsed(path: Path, parse: Any, *arguments: Any) -> Any:
    """``parse(*arguments)``, with the path in its errors."""
    try:
        return parse(*arguments)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_regular(path, _MAX_BYTES))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: it is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: it must be a JSON object, got {type(found).__name__}")
    return found

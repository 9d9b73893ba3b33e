"""The configurations of folders of timm, transformers and OpenCLIP: a description of a model, or one clear error."""

import copy
import json
import random
from pathlib import Path
from typing import Any

from lucid.models.preprocessing import ImageTransform
from lucid.models.weights.folder import read_config, read_open_clip_transform
from lucid.models.weights.open_clip_config import OPEN_CLIP_CONFIG

from tests.fuzz.runner import scratch_file  # isort: skip

_RECORDED = Path(__file__).parents[2] / "reference" / "folders.json"
_VALUES = (
    None, True, False, 0, 1, -1, 3, 7, 1000, 10**7, 10**30, 0.5, 1e-300, 1e300, float("nan"), float("inf"), "", "x",
    "avg", "gelu", "convnext", "convnextv2", "timm_wrapper", "convnext_tiny", "ConvNextModel", "../../x", "\ud800", [],
    [1], [1, 2, 3, 4], [[]], ["x"], [None] * 4, {}, {"0": "x"}, {"-1": 1}, {"shortest_edge": 7}, {"height": 3}, [7] * 4,
)  # fmt: skip


def seeds() -> list[bytes]:
    """Objects with the content of the files."""
    vision = {"timm_model_name": "convnext_base", "timm_proj": "linear", "image_size": 256}
    prepared = {"mean": [0.5, 0.5, 0.5], "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    open_clip = {"model_cfg": {"embed_dim": 640, "vision_cfg": vision}, "preprocess_cfg": prepared}
    dinov3 = {"model_type": "dinov3_convnext", "hidden_sizes": [4] * 4, "depths": [1] * 4, "layer_norm_eps": 1e-6}
    found = [json.dumps({OPEN_CLIP_CONFIG: open_clip}).encode(), json.dumps({"config.json": dinov3}).encode()]
    for files in json.loads(_RECORDED.read_text(encoding="utf-8")).values():
        for whose in ("lucid", "theirs"):
            both = {name.partition("/")[2]: one for name, one in files.items() if name.startswith(whose)}
            found.append(json.dumps(both).encode())
    return found


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Replace, remove or add values."""
    try:
        both = json.loads(data)
    except (ValueError, RecursionError):
        return data
    for _ in range(rng.choice((1, 1, 2, 5))):
        places = list(_places(both))
        if not places:
            break
        container, key = rng.choice(places)
        match rng.randrange(4):
            case 0:
                del container[key]
            case 1 if isinstance(container, dict):
                container[rng.choice(("model_type", "architecture", "label_names", "id2label", "size", "depths"))] = (
                    copy.deepcopy(rng.choice(_VALUES))
                )
            case _:
                container[key] = copy.deepcopy(rng.choice(_VALUES))
    return json.dumps(both).encode("utf-8", "surrogatepass")


def _places(value: Any) -> Any:
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(one)


def check(data: bytes) -> None:
    try:
        both = json.loads(data)
    except (ValueError, RecursionError):
        both = None
    folder = scratch_file("config.json").parent
    for name in ("config.json", "preprocessor_config.json", OPEN_CLIP_CONFIG):
        content = json.dumps(both.get(name, {})).encode() if isinstance(both, dict) else data
        (folder / name).write_bytes(content)
    found = _read(folder, read_config, folder)
    transform = _read(folder, read_open_clip_transform, folder / "weights", 640)
    assert transform is None or isinstance(transform, ImageTransform)
    if found is not None:
        assert found.class_names is None or len(found.class_names) == found.num_classes
        assert found.preprocessing is None or isinstance(found.preprocessing, ImageTransform)
        assert len(found.options["depths"]) == len(found.options["dims"]) and max(found.options["depths"]) <= 999


def _read(folder: Path, read: Any, *arguments: Any) -> Any:
    """What ``read`` returns, None if it raises a clear error."""
    try:
        return read(*arguments)
    except ValueError as error:
        message = str(error)
    assert message.startswith(str(folder)) and "\n" not in message, message
    return None

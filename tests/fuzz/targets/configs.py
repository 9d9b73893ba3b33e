"""The configurations of folders of timm and transformers: a description of a model, or one clear error."""

import copy
import json
import random
from pathlib import Path
from typing import Any

from lucid.models.preprocessing import ImageTransform
from lucid.models.weights.folder import read_config

from tests.fuzz.runner import scratch_file  # isort: skip

_RECORDED = Path(__file__).parents[2] / "reference" / "folders.json"
_VALUES = (
    None, True, False, 0, 1, -1, 3, 7, 1000, 10**7, 10**30, 0.5, 1e-300, 1e300, float("nan"), float("inf"), "", "x",
    "avg", "gelu", "convnext", "convnextv2", "timm_wrapper", "convnext_tiny", "ConvNextModel", "../../x", "\ud800", [],
    [1], [1, 2, 3, 4], [[]], ["x"], [None] * 4, {}, {"0": "x"}, {"-1": 1}, {"shortest_edge": 7}, {"height": 3}, [7] * 4,
)  # fmt: skip


def seeds() -> list[bytes]:
    """Objects with the content of both files."""
    found = []
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
    for name in ("config.json", "preprocessor_config.json"):
        content = json.dumps(both.get(name, {})).encode() if isinstance(both, dict) else data
        (folder / name).write_bytes(content)
    message = None
    try:
        found = read_config(folder)
    except ValueError as error:
        found, message = None, str(error)
    assert message is None or (message.startswith(str(folder)) and "\n" not in message), message
    if found is not None:
        assert found.class_names is None or len(found.class_names) == found.num_classes
        assert found.preprocessing is None or isinstance(found.preprocessing, ImageTransform)
        assert len(found.options["depths"]) == len(found.options["dims"]) and max(found.options["depths"]) <= 999

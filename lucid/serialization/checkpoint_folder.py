"""Finds the weights in a folder: one file, or shards listed in an index, as transformers and accelerate write them."""

import json
from pathlib import Path
from typing import Any

WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
"""Suffixes of files that hold weights."""

# The first that exists is loaded: the files of a training run, and those that libraries write next to optimizer states.
_KNOWN = (
    "best.safetensors",
    "last.safetensors",
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)
_INDEX = ".index.json"
_MAX_INDEX_BYTES = 1 << 26
_MAX_LISTED = 5


def find_weights(folder: Path) -> Path:
    """The file with the weights in ``folder``, or the index of its shards.

    Raises:
        FileNotFoundError: The folder has no weights file.
        ValueError: It has several, or a format that is not supported.
    """
    for name in _KNOWN:
        if (folder / name).is_file():
            return folder / name
    files = sorted(path for path in folder.iterdir() if path.is_file())
    if any(path.suffix == ".distcp" for path in files):
        raise ValueError(
            f"load: {folder} is a distributed checkpoint (.distcp), which is not supported; in PyTorch, convert it "
            "with torch.distributed.checkpoint.format_utils.dcp_to_torch_save"
        )
    indices = [path for path in files if path.name.endswith((f".safetensors{_INDEX}", f".bin{_INDEX}"))]
    found = indices or [path for path in files if path.suffix in WEIGHT_SUFFIXES]
    if len(found) == 1:
        return found[0]
    if not found:
        raise FileNotFoundError(
            f"load: the folder {folder} has no weights file ({', '.join(WEIGHT_SUFFIXES)}); pass a file"
        )
    listed = ", ".join(path.name for path in found[:_MAX_LISTED]) + (", ..." if len(found) > _MAX_LISTED else "")
    raise ValueError(f"load: the folder {folder} has {len(found)} weights files ({listed}); pass one of them")


def is_index(path: Path) -> bool:
    return path.name.endswith(_INDEX)


def read_index(path: Path) -> dict[Path, list[str]]:
    """The shards that an index lists, with the names of the tensors in each.

    Raises:
        ValueError: The index is invalid, or lists a file that is not beside it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_INDEX_BYTES + 1)
        if len(data) > _MAX_INDEX_BYTES:
            raise ValueError(f"it is larger than {_MAX_INDEX_BYTES >> 20} MiB")
        index: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"load: {path} is not an index of shards: {error}") from None
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise ValueError(f"load: {path} is not an index of shards: it has no 'weight_map' from names to files")
    shards: dict[Path, list[str]] = {}
    for tensor, name in places.items():
        if Path(name).name != name or "\\" in name or not name.endswith(WEIGHT_SUFFIXES):
            raise ValueError(f"load: {path} lists {name!r}, which is not the name of a weights file beside it")
        shards.setdefault(path.parent / name, []).append(tensor)
    return shards

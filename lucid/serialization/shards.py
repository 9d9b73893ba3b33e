"""Writes large models in several safetensors files with an index, as transformers and accelerate do."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lucid._files import write_atomically
from lucid._tensor_convert import as_array
from lucid.serialization.safetensors_file import save_safetensors

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def save_shards(
    tensors: Mapping[str, Any], folder: Path, max_bytes: int | None = None, metadata: Mapping[str, str] | None = None
) -> list[Path]:
    """Write named tensors to ``model.safetensors`` in ``folder``, or to shards of at most ``max_bytes`` and an index.

    Tensors keep their order and are never split, so one that is larger than ``max_bytes`` has a shard of its own.
    Every shard has the ``metadata``.

    Returns:
        The files with tensors.

    Raises:
        OSError: Writing failed.
    """
    shards: list[dict[str, Any]] = [{}]
    filled = 0
    for name, tensor in tensors.items():
        size = as_array(tensor).nbytes
        if max_bytes is not None and shards[-1] and filled + size > max_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor
        filled += size
    if len(shards) == 1:
        path = folder / "model.safetensors"
        save_safetensors(tensors, path, metadata)
        return [path]
    paths = [folder / f"model-{i:05d}-of-{len(shards):05d}.safetensors" for i in range(1, len(shards) + 1)]
    for path, shard in zip(paths, shards, strict=True):
        save_safetensors(shard, path, metadata)
    places = {name: path.name for path, shard in zip(paths, shards, strict=True) for name in shard}
    total = sum(as_array(tensor).nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    write_atomically(folder / "model.safetensors.index.json", json.dumps(index, indent=2).encode())
    return paths


def parse_bytes(caller: str, name: str, size: int | str | None) -> int | None:
    """A size as transformers takes it: a number of bytes, or a string such as "5GB" or "200 MiB".

    Raises:
        ValueError: It is none of them, or not positive.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMG]i?B)", size, re.IGNORECASE) if isinstance(size, str) else None
    if found:
        size = int(float(found[1]) * _UNITS[found[2].upper()])
    if size is not None and (isinstance(size, str | bool) or not isinstance(size, int) or size < 1):
        raise ValueError(f'{caller}: {name} must be a number of bytes or a string such as "5GB", got {size!r}')
    return size

"""``torch.save`` and ``torch.load``: PyTorch's files, and whole models within one process.

PyTorch saves a whole model by pickling it, and loading it imports and runs what the file names. Here the file gets the
state dict and the name of the class, and ``load`` copies the model of that class that this process has saved. Another
process has to build the model from its program.
"""

from __future__ import annotations

import copy
import os
from typing import Any, BinaryIO

from lucid.nn.module import Module
from lucid.serialization import load as _load
from lucid.serialization import save_pytorch

_KEY = "lucid.torch.module"
_saved: dict[str, Module] = {}  # the model of each class that was saved last


def save(
    obj: Any, f: str | os.PathLike[str] | BinaryIO, pickle_module: Any = None, pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:  # fmt: skip
    """Write ``obj`` to a file that PyTorch reads, whatever the name of the file: tensors in plain containers.

    A module is written as its state dict and the name of its class.

    Args:
        obj: Tensors, state dicts, numbers, strings and None, in dictionaries, lists and tuples; or one module.
        f: A path or a binary file object.
        pickle_module, pickle_protocol: Have no effect.

    Raises:
        TypeError: ``obj`` holds anything else; the message says what and where.
        OSError: writing failed.
    """
    if isinstance(obj, Module):
        name = f"{type(obj).__module__}.{type(obj).__qualname__}"
        save_pytorch({_KEY: name, "state_dict": obj.state_dict()}, f)
        _saved[name] = copy.deepcopy(obj)
    else:
        save_pytorch(obj, f)


def load(
    f: str | os.PathLike[str] | BinaryIO, map_location: Any = None, pickle_module: Any = None, *,
    weights_only: bool | None = None, mmap: bool | None = None, **pickle_load_args: Any,
) -> Any:  # fmt: skip
    """What a file of PyTorch or a safetensors file holds, see ``lucid.load``.

    Args:
        f: A path or a binary file object.
        map_location: A device, checked and without effect.
        pickle_module, weights_only, mmap, **pickle_load_args: Have no effect: nothing is unpickled.

    Raises:
        RuntimeError: the file holds a whole model whose class this process has not saved.
        ValueError: the file is damaged, or all of it is one unsupported object.
    """
    found = _load(f, map_location)
    if not isinstance(found, dict) or _KEY not in found:
        return found
    model = _saved.get(found[_KEY])
    if model is None:
        raise RuntimeError(
            f"torch.load: the file holds a whole {found[_KEY]}, which another process saved; build the model and call "
            "model.load_state_dict(lucid.load(file)['state_dict'])"
        )
    made = copy.deepcopy(model)
    made.load_state_dict(found["state_dict"])
    return made

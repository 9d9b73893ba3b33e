"""An optimizer's state as flat tensors and strings, which is what a safetensors file holds.

::

    tensors, metadata = lucid.optim.flatten_state(optimizer.state_dict())
    lucid.save(tensors, "optimizer.safetensors", metadata)
    ...
    state = lucid.optim.unflatten_state(*lucid.serialization.load_with_metadata("optimizer.safetensors"))
    optimizer.load_state_dict(state)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lucid import tape
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array

_KEY = "optimizer"


def flatten_state(state_dict: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of an optimizer's ``state_dict()`` as "state.0.exp_avg", and all else as JSON under "optimizer".

    Raises:
        TypeError: an option of a group is nothing that JSON has.
    """
    tensors: dict[str, Tensor] = {}
    for index, values in state_dict["state"].items():
        for name, value in values.items():
            tensors[f"state.{index}.{name}"] = tape.wrap(as_array(value))
    groups = []
    for number, group in enumerate(state_dict["param_groups"]):
        plain = {}
        for name, value in group.items():
            if isinstance(value, Tensor):
                tensors[f"param_groups.{number}.{name}"] = value
            else:
                plain[name] = value
        groups.append(plain)
    try:
        text = json.dumps({"param_groups": groups})
    except TypeError as error:
        raise TypeError(f"flatten_state: a group holds what JSON has no word for: {error}") from None
    return tensors, {_KEY: text}


def unflatten_state(tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> dict[str, Any]:
    """The ``state_dict()`` from which ``flatten_state`` made ``tensors`` and ``metadata``.

    Raises:
        ValueError: they are not what ``flatten_state`` makes.
    """
    if _KEY not in metadata:
        raise ValueError(f"unflatten_state: the metadata has no {_KEY!r}: this is no optimizer's state")
    try:
        groups = json.loads(metadata[_KEY])["param_groups"]
        state: dict[int, dict[str, Any]] = {}
        for name, tensor in tensors.items():
            home, number, key = name.split(".", 2)
            if home == "state":
                state.setdefault(int(number), {})[key] = tensor
            elif home == "param_groups":
                groups[int(number)][key] = tensor
            else:
                raise ValueError(name)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"unflatten_state: this is no optimizer's state: {error}") from None
    return {"state": state, "param_groups": groups}

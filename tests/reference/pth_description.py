"""Whatever a checkpoint holds, as JSON: the same words for PyTorch's objects and for Lucid's."""

from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "pth"
"""Files that PyTorch wrote, and ``expected.json`` with what each holds."""

_CONTAINERS = {list: "list", tuple: "tuple", set: "set"}
_MAPPINGS = {dict: "dict", OrderedDict: "OrderedDict", Counter: "Counter"}


def described(value: Any) -> Any:
    """``value`` with its types; tensors with dtype, shape and values."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if type(value) in _MAPPINGS:
        return {_MAPPINGS[type(value)]: [[described(key), described(one)] for key, one in value.items()]}
    if type(value) in _CONTAINERS:
        items = sorted(value) if isinstance(value, set) else value
        return {_CONTAINERS[type(value)]: [described(one) for one in items]}
    if hasattr(value, "tolist"):
        values = value.tolist()
        if _word(value.dtype) == "complex64":
            values = [[one.real, one.imag] for one in values]
        return {"tensor": values, "dtype": _word(value.dtype), "shape": list(value.shape)}
    word = _word(value)
    if type(value).__module__ == "torch" and type(value).__name__ == "Size":
        return {"tuple": list(value)}
    return word if type(value).__name__ == "device" else {"dtype": word}


def _word(dtype: Any) -> str:
    return str(dtype).rpartition(".")[2].removesuffix("_")

"""What stands in a loaded checkpoint for an object that Lucid does not build."""

from dataclasses import dataclass
from typing import Any, NoReturn


@dataclass(frozen=True, eq=False, slots=True)
class Placeholder:
    """Stands for an object that was not created, such as an ``argparse.Namespace`` beside the weights.

    It only knows the ``name`` of the class or function that the file refers to. Nothing was imported or called, and
    the object's contents were dropped.
    """

    name: str

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        """Raise TypeError: whoever needs a tensor here learns what the file has instead."""
        raise TypeError(f"the file has {self.name} here, which is not supported")

    def __repr__(self) -> str:
        return f"Placeholder({self.name!r})"

"""The table of translations to ONNX: one function for each operation of Lucid.

A function takes the ``Builder`` and the node, adds nodes of ONNX, and returns the name of the result, or a list of
names for an operation with several.
"""

from collections.abc import Callable
from typing import Any

from lucid.export._graph import Node
from lucid.export._onnx.builder import Builder

Lowering = Callable[[Builder, Node], Any]
LOWERINGS: dict[str, Lowering] = {}


def lowers(*operations: str) -> Callable[[Lowering], Lowering]:
    """Enter a function in the table, for these operations."""

    def enter(function: Lowering) -> Lowering:
        for one in operations:
            LOWERINGS[one] = function
        return function

    return enter

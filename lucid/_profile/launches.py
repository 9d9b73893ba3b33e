"""Launches of kernels, with the bytes they read and write.

A launch reads each input once and writes each output once: what caches serve again is not traffic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from lucid._profile import layout
from lucid._profile.graph import Graph, Node
from lucid._profile.labels import Label
from lucid._profile.layout import Layout

Shape = tuple[int, ...]
Arrays = tuple[tuple[Shape, str], ...]


@dataclass(frozen=True)
class Kernel:
    """One launch.

    Attributes:
        name: The primitive, or those of a fused group joined by "+", or the name of a kernel of one's own.
        inputs: Shape and dtype of what it reads.
        outputs: Shape and dtype of what it writes.
        bytes_read: Bytes read from memory, each distinct element once.
        bytes_written: Bytes written to memory.
        flops: Additions, multiplications and function values.
        operation: The operation that asked for it, such as "linear".
        direction: "forward", "backward", "optimizer", or "" if unknown.
        module: The path of the module that asked for it, such as "stages.0.1.pwconv1".
        line: The line of the user's code, such as "convnext.py:88".
    """

    name: str
    inputs: Arrays
    outputs: Arrays
    bytes_read: int
    bytes_written: int
    flops: int
    operation: str = ""
    direction: str = ""
    module: str = ""
    line: str = ""

    @property
    def bytes(self) -> int:
        return self.bytes_read + self.bytes_written


class Recorder:
    """The launches so far, and how the arrays lie in memory. ``node`` is the primitive that launches."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.kernels: list[Kernel] = []
        self.layouts = {one: layout.dense(graph.shapes[one], one) for one in (*graph.inputs, *graph.constants)}
        self.node: Node

    def dense(self, node: Node) -> list[Layout]:
        return [layout.dense(self.graph.shapes[one], one) for one in node.outputs]

    def launch(
        self, name: str, inputs: Sequence[Layout], outputs: Sequence[Layout], flops: int, **options: Any
    ) -> None:
        """Record a launch. ``read_types`` and ``write_types`` are needed where they are not those of the node."""
        node, dtypes = self.node, self.graph.dtypes
        if not any(one.size for one in outputs):
            return
        types_in = options.get("read_types") or [dtypes[one] for one in node.inputs]
        types_out = options.get("write_types") or [dtypes[one] for one in node.outputs]
        read = [(one.shape, dtype, one.distinct) for one, dtype in zip(inputs, types_in, strict=True)]
        written = [(one.shape, dtype, one.distinct) for one, dtype in zip(outputs, types_out, strict=True)]
        label = self.graph.label_of(node) or Label("", "", "", "")
        self.kernels.append(
            Kernel(
                name,
                tuple((shape, _name(dtype)) for shape, dtype, _ in read),
                tuple((shape, _name(dtype)) for shape, dtype, _ in written),
                sum(count * dtype.size for _, dtype, count in read),
                sum(count * dtype.size for _, dtype, count in written),
                flops,
                label.operation,
                label.direction,
                label.module,
                label.line,
            )
        )

    def copy(self, x: Layout, dtype: mx.Dtype, reason: str = "") -> Layout:
        """A contiguous copy of ``x``."""
        made = layout.dense(x.shape, self.node.outputs[0])
        name = f"copy ({reason})" if reason else "copy"
        self.launch(name, [x], [made], 0, read_types=[dtype], write_types=[dtype])
        return made

    def contiguous(self, x: Layout, dtype: mx.Dtype, reason: str) -> Layout:
        return x if x.is_row_contiguous else self.copy(x, dtype, reason)

    def type_of(self, position: int) -> mx.Dtype:
        return self.graph.dtypes[self.node.inputs[position]]


def _name(dtype: mx.Dtype) -> str:
    return str(dtype).removeprefix("mlx.core.")

"""All launches of a graph, and the memory that its backward pass reads from its forward pass."""

import math
from dataclasses import dataclass, field

from lucid._profile import layout
from lucid._profile.fusion import ELEMENTWISE
from lucid._profile.graph import Graph, Node
from lucid._profile.launches import Kernel, Recorder
from lucid._profile.layout import Layout
from lucid._profile.rules import LAUNCHES

Shape = tuple[int, ...]


@dataclass
class Program:
    """All launches in order, and the memory that the backward pass reads from the forward pass."""

    kernels: list[Kernel] = field(default_factory=list)
    held_bytes: int = 0


def program(graph: Graph, forward: int | None) -> Program:
    """The launches of ``graph``; ``forward`` is the array that the forward pass computes."""
    found = Recorder(graph)
    for node in graph.nodes:
        _run(found, node)
    return Program(found.kernels, _held(found, forward))


def _run(recorder: Recorder, node: Node) -> None:
    recorder.node = node
    inputs = [recorder.layouts[one] for one in node.inputs]
    shapes = [recorder.graph.shapes[one] for one in node.outputs]
    launch = LAUNCHES.get(node.primitive)
    if launch is not None:
        made = launch(recorder, node, inputs, shapes)
    elif node.parts:
        made = _group(recorder, node, inputs, shapes)
    elif node.primitive in ELEMENTWISE:
        made = [layout.elementwise(inputs, shapes[0], node.outputs[0])]
        recorder.launch(node.primitive, inputs, made, math.prod(shapes[0]))
    else:
        made = recorder.dense(node)
        recorder.launch(node.primitive, inputs, made, sum(one.distinct for one in inputs))
    recorder.layouts |= dict(zip(node.outputs, made, strict=True))


def _group(recorder: Recorder, node: Node, inputs: list[Layout], shapes: list[Shape]) -> list[Layout]:
    made = [layout.compiled(inputs, shape, one) for shape, one in zip(shapes, node.outputs, strict=True)]
    work = [part for part in node.parts if part.primitive != "Broadcast"]
    recorder.launch("+".join(part.primitive for part in work), inputs, made, len(work) * math.prod(shapes[-1]))
    return made


def _held(recorder: Recorder, forward: int | None) -> int:
    """Bytes of what the forward pass makes and later primitives read, each buffer once."""
    if forward is None:
        return 0
    makers = recorder.graph.makers()
    done: set[int] = set()
    stack = [forward]
    while stack:
        node = makers.get(stack.pop())
        if node is not None and id(node) not in done:
            done.add(id(node))
            stack += node.inputs
    made = {one for node in recorder.graph.nodes if id(node) in done for one in node.outputs}
    read = {one for node in recorder.graph.nodes if id(node) not in done for one in node.inputs if one in made}
    sizes = {}  # by buffer, because views of one array hold it once
    for one in read:
        found = recorder.layouts[one]
        sizes[found.buffer] = found.size * recorder.graph.dtypes[one].size
    inputs = {*recorder.graph.inputs, *recorder.graph.constants}
    return sum(size for buffer, size in sizes.items() if buffer not in inputs)

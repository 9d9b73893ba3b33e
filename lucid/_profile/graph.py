"""The graph of a trace as MLX describes it, with the marks removed and equal primitives merged as ``mx.compile`` does.

``mx.export_function`` with a callback hands out every primitive of a function: its name, its arguments, and names,
shapes and dtypes of what goes in and comes out. Nothing is evaluated and nothing is allocated.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import mlx.core as mx

from lucid._profile.labels import MARK, STAND_IN, Label
from lucid._profile.opaque import Call, Calls

Shape = tuple[int, ...]
# Primitives that MLX never takes for equal: they lack ``is_equivalent`` in MLX 0.32.
_UNEQUAL = frozenset(("CustomKernel", "CustomTransforms", "Depends", "Expm1", "Log1p", "SVD", "Inverse", "Cholesky"))


@dataclass(eq=False)
class Node:
    """One primitive, or a group of elementwise primitives that run as one kernel (``parts``, in their order).

    ``inputs`` and ``outputs`` are numbers of arrays, ``arguments`` what MLX passes to the primitive.
    """

    primitive: str
    inputs: list[int]
    outputs: list[int]
    arguments: tuple[Any, ...] = ()
    label: int = 0
    parts: "list[Node]" = field(default_factory=list)


@dataclass
class Graph:
    """Primitives in an order in which they can run, and the arrays between them.

    ``constants`` are the arrays without a primitive that are no inputs; ``labels`` belong to the numbers of ``Node``.
    """

    nodes: list[Node]
    inputs: list[int]
    outputs: list[int]
    constants: set[int]
    shapes: dict[int, Shape]
    dtypes: dict[int, mx.Dtype]
    labels: list[Label]

    def makers(self) -> dict[int, Node]:
        """The node that makes each array."""
        return {one: node for node in self.nodes for one in node.outputs}

    def users(self) -> dict[int, list[Node]]:
        """The nodes that read each array, one that reads it twice listed twice."""
        found: dict[int, list[Node]] = {}
        for node in self.nodes:
            for one in node.inputs:
                found.setdefault(one, []).append(node)
        return found

    def label_of(self, node: Node) -> Label | None:
        return self.labels[node.label - 1] if node.label else None

    def pruned(self) -> "Graph":
        """The graph without the nodes that no output needs."""
        makers, needed, stack = self.makers(), set(), list(self.outputs)
        while stack:
            node = makers.get(stack.pop())
            if node is not None and id(node) not in needed:
                needed.add(id(node))
                stack += node.inputs
        return self.with_nodes([node for node in self.nodes if id(node) in needed])

    def ordered(self) -> "Graph":
        """The graph with its nodes in the order in which a depth-first walk from the outputs leaves them, as MLX's."""
        makers, done, nodes = self.makers(), set(self.inputs), list[Node]()
        stack = [(one, False) for one in reversed(self.outputs)]
        while stack:
            array, is_ready = stack.pop()
            node = makers.get(array)
            if node is None or array in done:
                continue
            if is_ready:
                done.update(node.outputs)
                nodes.append(node)
            else:
                stack.append((array, True))
                stack += [(one, False) for one in reversed(node.inputs) if one not in done]
        return self.with_nodes(nodes)

    def with_nodes(self, nodes: list[Node]) -> "Graph":
        return replace(self, nodes=nodes)


def trace(
    function: Callable[..., Sequence[mx.array]], arrays: Sequence[mx.array], labels: list[Label], calls: Calls
) -> Graph:
    """The graph of ``function`` for arguments of these shapes and dtypes, without marks and tags."""
    return _without_marks(_untagged(_exported(function, arrays, labels), calls))


@dataclass
class _Exported:
    """A graph as MLX exports it, with the values of its constants."""

    graph: Graph
    values: dict[int, mx.array]


def _exported(
    function: Callable[..., Sequence[mx.array]], arrays: Sequence[mx.array], labels: list[Label]
) -> _Exported:
    messages: list[dict[str, Any]] = []
    try:
        mx.export_function(messages.append, function, *arrays)
    except ValueError as error:
        if "export_function" not in str(error):
            raise
        raise RuntimeError(f"profile: MLX cannot describe this graph: {error}") from None
    numbers: dict[str, int] = {}
    shapes: dict[int, Shape] = {}
    dtypes: dict[int, mx.Dtype] = {}

    def number(name: str, shape: Any, dtype: mx.Dtype) -> int:
        found = numbers.setdefault(name, len(numbers))
        shapes[found], dtypes[found] = tuple(shape), dtype
        return found

    inputs: list[int] = []
    outputs: list[int] = []
    values: dict[int, mx.array] = {}
    nodes: list[Node] = []
    for message in messages:
        kind = message["type"]
        if kind == "inputs":
            inputs = [number(*one) for one in message["inputs"]]
        elif kind == "outputs":
            outputs = [number(*one) for one in message["outputs"]]
        elif kind == "constants":
            values = {number(name, one.shape, one.dtype): one for name, one in message["constants"]}
        elif kind == "primitive":
            arguments = tuple(_hashable(one) for one in message["arguments"])
            made, used = ([number(*one) for one in message[name]] for name in ("outputs", "inputs"))
            nodes.append(Node(message["name"], used, made, arguments))
    return _Exported(Graph(nodes, inputs, outputs, set(values), shapes, dtypes, labels), values)


def _untagged(exported: _Exported, calls: Calls) -> Graph:
    """The graph with calls in place of their formulas, see ``lucid._profile.opaque``."""
    graph, makers, users = exported.graph, exported.graph.makers(), exported.graph.users()

    def role(array: int) -> tuple[str, int, int] | None:
        node = makers.get(array)
        source = node.inputs[0] if node is not None and node.primitive == "Broadcast" else array
        return calls.meaning(exported.values[source]) if source in exported.values else None

    def before_cast(array: int) -> int:
        node = makers.get(array)
        return node.inputs[0] if node is not None and node.primitive == "AsType" else array

    def after_cast(array: int, dtype: mx.Dtype) -> int:
        if dtype == mx.float32:
            return array
        return next(one.outputs[0] for one in users[array] if one.primitive == "AsType")

    arguments: dict[tuple[int, int], int] = {}
    values: dict[tuple[int, int], int] = {}  # what the function computes
    results: dict[tuple[int, int], int] = {}
    cotangents: dict[tuple[int, int], int] = {}
    gradients: dict[tuple[int, int], int] = {}
    for node in graph.nodes:
        if node.primitive != "Multiply":
            continue
        forward, backward = role(node.inputs[1]), role(node.inputs[0])
        if forward is not None:
            kind, call, i = forward
            if kind == "value":
                arguments[call, i] = before_cast(node.inputs[0])
            elif kind == "result":
                results[call, i] = after_cast(node.outputs[0], calls.calls[call].results[i][1])
                product = makers[node.inputs[0]]
                values[call, i] = before_cast(makers[product.inputs[0]].inputs[0])
        elif backward is not None:
            kind, call, i = backward
            if kind == "result":
                cotangents[call, i] = before_cast(node.inputs[1])
            elif kind == "argument":
                gradients[call, i] = after_cast(node.outputs[0], calls.calls[call].arguments[i][1])
    return _spliced(graph, calls, arguments, values, results, cotangents, gradients)


def _spliced(
    graph: Graph, calls: Calls, arguments: dict[tuple[int, int], int], values: dict[tuple[int, int], int],
    results: dict[tuple[int, int], int], cotangents: dict[tuple[int, int], int], gradients: dict[tuple[int, int], int],
) -> Graph:  # fmt: skip
    shapes, dtypes = graph.shapes, graph.dtypes
    fresh = max(shapes, default=0) + 1
    added: list[Node] = []
    replaced: set[int] = set()
    for number in sorted({call for call, _ in (*results, *gradients)}):
        call = calls.calls[number]
        given = [arguments[number, i] for i in range(len(call.arguments))]
        made = [i for i in range(len(call.results)) if (number, i) in results]
        if made:
            inputs = [*given, *(values[number, i] for i in made)]
            added.append(Node("CustomTransforms", inputs, [results[number, i] for i in made]))
            replaced |= {results[number, i] for i in made}
        wanted = [i for i in range(len(call.arguments)) if (number, i) in gradients]
        if not wanted:
            continue
        sent = []
        for i, (shape, dtype) in enumerate(call.results):
            if (number, i) not in cotangents:
                shapes[fresh], dtypes[fresh] = shape, dtype
                added.append(Node("Full", [], [fresh]))
                sent.append(fresh)
                fresh += 1
            else:
                sent.append(cotangents[number, i])

        def pull(*arrays: mx.array, call: Call = call, wanted: list[int] = wanted) -> list[mx.array]:
            found = call.gradients(list(arrays))
            return [found[i] for i in wanted]

        operands = [mx.zeros(*one) for one in (*call.results, *call.arguments)]
        part = _untagged(_exported(pull, operands, graph.labels), calls)
        renamed = dict(zip(part.inputs, (*sent, *given), strict=True))
        ends = {one: gradients[number, i] for i, one in zip(wanted, part.outputs, strict=True)}
        for one in part.shapes:
            if one not in renamed:
                renamed[one] = fresh
                shapes[fresh], dtypes[fresh] = part.shapes[one], part.dtypes[one]
                fresh += 1
        graph.constants |= {renamed[one] for one in part.constants}
        for node in part.nodes:
            added.append(
                Node(
                    node.primitive,
                    [renamed[one] for one in node.inputs],
                    [renamed[one] for one in node.outputs],
                    node.arguments,
                )
            )
        for one, target in ends.items():
            added.append(Node("Copy", [renamed[one]], [target]))
            replaced.add(target)
    kept = [node for node in graph.nodes if not replaced.intersection(node.outputs)]
    return graph.with_nodes([*kept, *added]).pruned().ordered()


def _hashable(value: Any) -> Any:
    return tuple(_hashable(one) for one in value) if isinstance(value, list | tuple) else value


def _without_marks(graph: Graph) -> Graph:
    same: dict[int, int] = {}  # the array that a mark stands for
    newest: dict[int, int] = {}  # the label of an array
    kept = []
    for node in graph.nodes:
        label = max([newest.get(one, 0) for one in node.inputs], default=0)
        node.inputs = [same.get(one, one) for one in node.inputs]
        if node.primitive in ("Copy", "StopGradient"):
            same[node.outputs[0]], newest[node.outputs[0]] = node.inputs[0], label
            continue
        if node.primitive == "CustomKernel":
            name = node.arguments[0].removeprefix("custom_kernel_")
            if name.startswith(MARK):
                same[node.outputs[0]] = node.inputs[0]
                newest[node.outputs[0]] = max(label, node.arguments[2])
                continue
            if name.startswith(STAND_IN):
                primitive, argument = name[len(STAND_IN) + 1 :].split("_")[:2]
                node.primitive, node.arguments = primitive, (int(argument) if argument.isdigit() else argument,)
        node.label = label
        newest |= dict.fromkeys(node.outputs, label)
        kept.append(node)
    outputs = [same.get(one, one) for one in graph.outputs]
    return Graph(kept, graph.inputs, outputs, graph.constants, graph.shapes, graph.dtypes, graph.labels).pruned()


def merged(graph: Graph) -> Graph:
    """``graph`` with equal primitives of equal inputs merged, as ``mx.compile`` does."""
    same: dict[int, int] = {}
    known: dict[Any, Node] = {}
    kept, outputs = [], set(graph.outputs)
    for node in graph.nodes:
        inputs = [same.get(one, one) for one in node.inputs]
        key = node.primitive, tuple(inputs), node.arguments, tuple(graph.shapes[one] for one in node.outputs)
        first = None if node.primitive in _UNEQUAL else known.get(key)
        if first is not None and not outputs.intersection(node.outputs):
            same |= dict(zip(node.outputs, first.outputs, strict=True))
            continue
        node = Node(node.primitive, inputs, node.outputs, node.arguments, node.label)
        if first is None:
            known[key] = node
        kept.append(node)
    return graph.with_nodes(kept).pruned()


def with_groups(graph: Graph, fuse: Callable[[Graph], Graph]) -> Graph:
    """An eager run of ``graph``: primitives that carry the label of a group are fused, all others stay alone."""
    members: dict[int, list[Node]] = {}
    for node in graph.nodes:
        label = graph.label_of(node)
        if label is not None and label.group is not None:
            members.setdefault(label.group, []).append(node)
    used = Counter(one for node in graph.nodes for one in node.inputs)
    used.update(graph.outputs)
    kept: list[Node] = []
    for node in graph.nodes:
        label = graph.label_of(node)
        group = members.get(label.group) if label is not None and label.group is not None else None
        if group is None:
            kept.append(node)
        elif node is group[-1]:
            made = {one for member in group for one in member.outputs}
            inside = Counter(one for member in group for one in member.inputs)
            outputs = [one for one in made if used[one] > inside[one]]
            inputs = sorted(set(inside) - made)
            part = Graph(group, inputs, outputs, graph.constants, graph.shapes, graph.dtypes, graph.labels)
            kept += fuse(merged(part)).nodes
    return graph.with_nodes(kept).pruned()

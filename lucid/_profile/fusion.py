"""Which elementwise primitives MLX runs as one kernel: the algorithm of ``compile_fuse`` in mlx/compile.cpp (0.32).

MLX goes through the primitives from last to first. From each one that is elementwise, it collects backwards what may
run in the same kernel: elementwise primitives all of whose users are collected already, up to 11 in a row and 24
inputs. Constants that are broadcast are collected in a copy for each group. A primitive that is used elsewhere too is
not collected: the group reads its result from memory. The tests compare the groups with those of MLX itself.
"""

from lucid._profile.graph import Graph, Node

MAX_DEPTH, MAX_ARRAYS = 11, 24
_UNARY = """Abs ArcCos ArcCosh ArcSin ArcSinh ArcTan ArcTanh AsType Ceil Cos Conjugate Cosh Remainder Erf ErfInv Exp
Floor Log Log2 Log10 Log1p LogicalNot Negative Round Sigmoid Sign Sin Sinh Square Sqrt Rsqrt Tan Tanh Expm1 Real Imag
BitwiseInvert"""
_BINARY = """Add Divide Equal NaNEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr LogAddExp Maximum
Minimum Multiply NotEqual Power Subtract BitwiseBinary BitwiseAnd BitwiseOr BitwiseXor LeftShift RightShift ArcTan2"""
ELEMENTWISE = frozenset((*_UNARY.split(), *_BINARY.split(), "Select"))
_FUSABLE = ELEMENTWISE | {"Broadcast"}


def fused(graph: Graph) -> Graph:
    """``graph`` with groups of primitives in place of those that run as one kernel."""
    return _Fusion(graph).run()


class _Fusion:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.outputs = set(graph.outputs)
        self.makers = graph.makers()
        self.users = graph.users()
        self.next_array = max(graph.shapes, default=0) + 1

    def run(self) -> Graph:
        graph, done, tape = self.graph, set(), []
        for node in reversed(graph.nodes):
            last = node.outputs[0]
            if last in done:
                continue
            group: set[int] = set()
            if node.primitive in _FUSABLE and node.primitive != "Broadcast":
                self._collect(last, 0, graph.shapes[last], group, set())
            if len(group) <= 1:
                tape.append(node)
                continue
            compiled = self._group(last, group)
            done |= {one for part in compiled.parts for one in part.outputs}
            tape.append(compiled)
        tape.reverse()
        return graph.with_nodes(tape).pruned()

    def _collect(self, array: int, depth: int, shape: tuple[int, ...], group: set[int], inputs: set[int]) -> None:
        if array in group:
            return
        node = self.makers.get(array)
        if (
            depth >= MAX_DEPTH
            or node is None
            or node.primitive not in _FUSABLE
            or (array in self.outputs and self.graph.shapes[array] != shape)
        ):
            inputs.add(array)
            return
        if depth > 0 and not all(user.outputs[0] in group for user in self.users.get(array, ())):
            if node.primitive == "Broadcast" and len(inputs) < MAX_ARRAYS:
                self._collect(self._split(node, group), depth, shape, group, inputs)
            else:
                inputs.add(array)
            return
        if array in self.outputs:
            inputs.add(array)
        else:
            inputs.discard(array)
        if len(inputs) >= MAX_ARRAYS:
            return
        group.add(array)
        for one in node.inputs:
            self._collect(one, depth + 1, shape, group, inputs)

    def _split(self, node: Node, group: set[int]) -> int:
        """A copy of a broadcast for its users in ``group``. As in MLX, it does not count as a user of its input."""
        graph, array = self.graph, node.outputs[0]
        copy = self.next_array
        self.next_array += 1
        graph.shapes[copy], graph.dtypes[copy] = graph.shapes[array], graph.dtypes[array]
        made = Node("Broadcast", list(node.inputs), [copy], node.arguments, node.label)
        self.makers[copy] = made
        inside = [user for user in self.users[array] if user.outputs[0] in group]
        for user in inside:
            user.inputs = [copy if one == array else one for one in user.inputs]
        self.users[copy] = inside
        self.users[array] = [user for user in self.users[array] if user.outputs[0] not in group]
        return copy

    def _group(self, last: int, group: set[int]) -> Node:
        inputs: list[int] = []
        parts: list[Node] = []
        seen: set[int] = set()

        def order(array: int) -> None:
            if array not in group:
                if array not in inputs:
                    inputs.append(array)
                return
            if array in seen:
                return
            seen.add(array)
            for one in self.makers[array].inputs:
                order(one)
            parts.append(self.makers[array])

        order(last)
        kept = [part.outputs[0] for part in parts[:-1] if part.outputs[0] in self.outputs]
        compiled = Node("Compiled", inputs, [*kept, last], label=max(part.label for part in parts), parts=parts)
        for array in (*kept, *inputs):
            outside = [user for user in self.users.get(array, ()) if user.outputs[0] not in group]
            self.users[array] = outside + ([compiled] if array in inputs else [])
        for part in parts[:-1]:
            if part.outputs[0] not in kept:
                self.users.pop(part.outputs[0], None)
        self.makers |= dict.fromkeys(compiled.outputs, compiled)
        return compiled

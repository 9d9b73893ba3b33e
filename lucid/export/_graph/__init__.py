"""The graph of a model: what ``forward`` computes, at the level of Lucid's operations, for the formats to translate.

    graph = record(model, [lucid.zeros(2, 3, 224, 224)])
    for node in graph.nodes:
        print(node.operation, node.arguments, node.outputs)

``record`` calls ``forward`` once with arrays that have no values. Every operation of ``lucid`` becomes a ``Node``, in
the order in which they ran: functions, methods, operators, and those that layers and composed functions call. So
``nn.Conv2d`` is a ``conv2d``, ``F.interpolate`` an ``interpolate``, ``x[:, ::2]`` a ``getitem``, ``x + 1`` an ``add``.
The blocks of ConvNeXt appear as plain operations, never as the fused ones (``lucid/models/_fused_block.py``). What does
not depend on the inputs is computed while recording and becomes a ``Constant``; what no output depends on is left out.

- ``node.arguments`` has every argument by parameter name, defaults included. ``Value`` stands for a tensor
  (``Constant`` is a ``Value`` that has its array), also inside of tuples; lists are tuples. Other arguments are as they
  were passed, such as ``stride=2``, ``padding="same"`` or ``dim=-1``; a dtype is an ``mx.Dtype``.
- ``graph.inputs`` are values without a node. ``graph.outputs`` has the outputs by name: "output" for a single tensor;
  otherwise the position or the key in what ``forward`` returns, nested ones joined with ".". ``graph.result`` is that
  structure with a ``Value`` for each tensor.
- ``graph.constants`` has the parameters and buffers that the graph uses, by their names in the state dict.

Sizes that vary. ``record(model, inputs, dynamic={"batch": [(0, 0)], "height": [(0, 2)]})`` says that dimension 0 of
input 0 is the batch, which is to have any size, and dimension 2 the height. ``forward`` is then recorded for several
sizes and the recordings compared. Whatever integer differs becomes a ``Size``: in shapes, and in arguments such as
those of ``reshape``, ``getitem`` or ``interpolate``. ``graph.expression(size, node)`` says how to compute it from the
sizes of tensors that are there before ``node`` runs; for the result of a ``reshape``, look at ``node.output.shape``. A
constant whose shape varies is a ``Filled`` or an ``Expanded``. What differs in any other way cannot be exported and is
refused, by name and line. Some models take only certain sizes, such as multiples of 8 in a U-Net: ``graph.multiples``
has that number for each name in ``dynamic``, usually 1.
"""

from lucid.export._graph.graph import Graph, record
from lucid.export._graph.merging import named_outputs
from lucid.export._graph.recording import structure
from lucid.export._graph.values import (
    Axis,
    Constant,
    Expanded,
    Expression,
    Filled,
    Node,
    Size,
    Value,
    sizes_in,
    values_in,
)

__all__ = [
    "Axis", "Constant", "Expanded", "Expression", "Filled", "Graph", "Node", "Size", "Value", "named_outputs", "record",
    "sizes_in", "structure", "values_in",
]  # fmt: skip

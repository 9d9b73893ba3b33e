"""The gradient of a compiled function whose result is differentiated outside of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from lucid import _grad_mode, tape
from lucid._compile.recipe import Recipe
from lucid._compile.state import Plan
from lucid._tensor import Tensor


class CompiledNode(tape.Node):
    """One call of a compiled function on the record. Its backward pass is compiled as well, and starts with a second
    forward pass, since the graph of the first one gives its result alone."""

    __slots__ = ("_inputs", "_plan", "_recipe", "_sources")

    def __init__(
        self, recipe: Recipe, plan: Plan, tensors: list[Tensor], inputs: list[mx.array], outputs: list[mx.array]
    ) -> None:
        shapes = [(outputs[at].shape, outputs[at].dtype) for at in recipe.tracked]
        super().__init__(recipe.where, [tape.edge_of(tensors[i]) for i in recipe.sources], shapes)
        self._recipe, self._plan, self._inputs = recipe, plan, inputs
        first_argument = len(inputs) - recipe.count_of_last
        listed = len(plan.tensors)
        self._sources = [i if i < listed else first_argument + i - listed for i in recipe.sources]

    def pullback(self, cotangents: list[Tensor]) -> Sequence[Tensor | None]:
        if _grad_mode.is_recording():
            raise RuntimeError(
                f"{self.name}: create_graph through a compiled function is not offered; put the whole computation "
                "of both gradients inside"
            )
        recipe, sources = self._recipe, self._sources
        if recipe.pull is None:
            recipe.pull = mx.compile(_Pull(recipe, self._plan, sources))
        gradients = recipe.pull(self._inputs, [one._array for one in cotangents])
        return [tape.wrap(one) for one in gradients]

    def free(self) -> None:
        super().free()
        self._inputs = []


class _Pull:
    def __init__(self, recipe: Recipe, plan: Plan, sources: list[int]) -> None:
        self._values, self._plan, self._sources = recipe.values, plan, sources

    def __call__(self, inputs: list[mx.array], cotangents: list[mx.array]) -> list[mx.array]:
        def forward(*primals: mx.array) -> Any:
            values = list(inputs)
            for place, primal in zip(self._sources, primals, strict=True):
                values[place] = primal
            return self._values(self._plan, values)

        return mx.vjp(forward, [inputs[i] for i in self._sources], cotangents)[1]

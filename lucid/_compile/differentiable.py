"""Gradients of a compiled function whose result is differentiated outside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from lucid import _grad_mode, _threads, tape
from lucid._compile.state import Plan
from lucid._compile.trace import Trace
from lucid._tensor import Tensor


class CompiledNode(tape.Node):
    """One call of a compiled function on the tape.

    Its backward pass is compiled too, and recomputes the forward pass, whose graph returns no intermediate values.
    """

    __slots__ = ("_inputs", "_plan", "_sources", "_trace")

    def __init__(
        self, trace: Trace, plan: Plan, tensors: list[Tensor], inputs: list[mx.array], outputs: list[mx.array]
    ) -> None:
        shapes = [(outputs[at].shape, outputs[at].dtype) for at in trace.tracked]
        super().__init__(trace.caller, [tape.edge_of(tensors[i]) for i in trace.sources], shapes)
        self._trace, self._plan, self._inputs = trace, plan, inputs
        first_argument = len(inputs) - trace.num_trailing
        listed = len(plan.tensors)
        self._sources = [i if i < listed else first_argument + i - listed for i in trace.sources]

    def pullback(self, cotangents: list[Tensor]) -> Sequence[Tensor | None]:
        if _grad_mode.is_recording():
            raise RuntimeError(
                f"{self.name}: create_graph=True is not supported through a compiled function; compute both "
                "gradients inside it"
            )
        trace, sources = self._trace, self._sources
        with _threads.lock:  # tracing puts placeholders into the tensors of the state
            if trace.compiled_pullback is None:
                trace.compiled_pullback = mx.compile(_CompiledPullback(trace, self._plan, sources))
            gradients = trace.compiled_pullback(self._inputs, [one._array for one in cotangents])
        return [tape.wrap(one) for one in gradients]

    def free(self) -> None:
        super().free()
        self._inputs = []


class _CompiledPullback:
    def __init__(self, trace: Trace, plan: Plan, sources: list[int]) -> None:
        self._replay, self._plan, self._sources = trace.replay, plan, sources

    def __call__(self, inputs: list[mx.array], cotangents: list[mx.array]) -> list[mx.array]:
        def forward(*primals: mx.array) -> Any:
            values = list(inputs)
            for place, primal in zip(self._sources, primals, strict=True):
                values[place] = primal
            return self._replay(self._plan, values)

        return mx.vjp(forward, [inputs[i] for i in self._sources], cotangents)[1]

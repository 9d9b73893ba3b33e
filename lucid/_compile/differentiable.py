"""Gradients of a compiled function whose result is differentiated outside it."""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx

from lucid import _grad_mode, _threads, tape
from lucid._compile.messages import reading_inside
from lucid._compile.state import EMPTY_PLAN, Plan
from lucid._compile.trace import Trace
from lucid._compile.values import EMPTY_VIEW, View
from lucid._tensor import Tensor


class CompiledNode(tape.Node):
    """One call of a compiled function on the tape.

    Its backward pass is compiled too, and recomputes the forward pass, whose graph returns no intermediate values.
    """

    __slots__ = ("_inputs", "_plan", "_pullback", "_view")

    def __init__(
        self,
        pullback: Pullback,
        plan: Plan,
        view: View,
        tensors: list[Tensor],
        inputs: list[mx.array],
        outputs: list[mx.array],
    ) -> None:
        trace = pullback.trace
        shapes = [(outputs[at].shape, outputs[at].dtype) for at in trace.tracked]
        super().__init__(trace.caller, [tape.edge_of(tensors[i]) for i in trace.sources], shapes)
        self._pullback, self._plan, self._view, self._inputs = pullback, plan, view, inputs

    def pullback(self, cotangents: list[Tensor]) -> Sequence[Tensor | None]:
        if _grad_mode.is_recording():
            raise RuntimeError(
                f"{self.name}: create_graph=True is not supported through a compiled function; compute both "
                "gradients inside it"
            )
        with _threads.lock:  # tracing puts placeholders into the tensors of the state
            return self._pullback(self._plan, self._view, self._inputs, [one._array for one in cotangents])

    def free(self) -> None:
        super().free()
        self._inputs = []


class Pullback:
    """The compiled backward pass of a graph, traced right after it, so that both see the same Python values."""

    def __init__(self, trace: Trace, plan: Plan, view: View, inputs: list[mx.array], outputs: list[mx.array]) -> None:
        self.trace = trace
        self._used: list[bool] = []  # which sources have a gradient
        self._error: Exception | None = None  # raised if the user calls backward(), as in eager mode
        self._call = mx.compile(self._run)
        try:
            self(plan, view, inputs, [mx.zeros_like(outputs[at]) for at in trace.tracked])
        except Exception as error:
            if trace.done:  # MLX's own, see ``Compiled._trace``
                raise
            self._error = reading_inside(trace.caller, error) or error.with_traceback(None)

    def _run(self, inputs: list[mx.array], cotangents: list[mx.array]) -> list[mx.array]:
        found = self.trace.pull_back(self._plan, self._view, inputs, cotangents)
        self._used = [one is not None for one in found]
        return [one for one in found if one is not None]

    def __call__(
        self, plan: Plan, view: View, inputs: list[mx.array], cotangents: list[mx.array]
    ) -> list[Tensor | None]:
        if self._error is not None:
            raise self._error
        self._plan, self._view = plan, view  # for MLX, which traces again in another thread
        try:
            arrays = iter(self._call(inputs, cotangents))
        finally:
            self._plan, self._view = EMPTY_PLAN, EMPTY_VIEW
        return [tape.wrap(next(arrays)) if used else None for used in self._used]

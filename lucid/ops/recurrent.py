"""Recurrent layers: one direction of one layer over a whole sequence.

The inputs of all steps are multiplied at once. Only the product with the state is left in the loop over time, which
splits and stacks arrays instead of slicing them, so that its gradient takes time linear in the length.

Sources: Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735 (LSTM); Sak et al. 2014, arXiv:1402.1128
(projections); Cho et al. 2014, arXiv:1406.1078 (GRU).
"""

from typing import Any

import mlx.core as mx

from lucid.kernels import float64
from lucid.ops._common import real_numbers
from lucid.ops._types import TensorLike
from lucid.tape import op

GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


@op(autocast="half")
def recurrent_layer(
    input: TensorLike, hidden: TensorLike, cell: TensorLike, weights: list[Any], mode: str, reverse: bool,
    lengths: mx.array | None,
) -> tuple[mx.array, ...]:  # fmt: skip
    """The states after all steps (T, N, H), the last one (N, H), and for an LSTM the last cell (N, H).

    Shapes: input (T, N, I), hidden (N, H) and, for an LSTM, cell (N, C); weights of input (G C, I) and state (G C, H),
    either with its bias or without, and for an LSTM with projection (H, C). ``mode`` is a key of ``GATES``.

    Args:
        reverse: Whether to go from the last step to the first.
        lengths: The length of each sequence (N,), after which its state stays as it is.
    """
    x, h = real_numbers("recurrent_layer", input), real_numbers("recurrent_layer", hidden)
    w_input, w_state, b_input, b_state, w_out = weights
    steps, batch = x.shape[:2]
    if b_state is not None and mode != "GRU":  # the candidate of a GRU multiplies the bias of the state by a gate
        b_input = b_input + b_state
    rows = x.reshape(steps * batch, x.shape[2])
    found = rows @ w_input.T if b_input is None else mx.addmm(b_input, rows, w_input.T)
    order = range(steps - 1, -1, -1) if reverse else range(steps)
    parts: Any = mx.split(found.reshape(steps, batch, -1), steps, 0) if steps else []
    states: list[Any] = [None] * steps
    for step in order:
        from_input = parts[step][0]
        new_cell = None
        if mode == "LSTM":
            i, f, g, o = mx.split(mx.addmm(from_input, h, w_state.T), 4, -1)
            new_cell = float64.sigmoid(f) * cell + float64.sigmoid(i) * _tanh(g)
            new = float64.sigmoid(o) * _tanh(new_cell)
            if w_out is not None:
                new = new @ w_out.T
        elif mode == "GRU":
            from_state = h @ w_state.T if b_state is None else mx.addmm(b_state, h, w_state.T)
            r, z, n = mx.split(from_input, 3, -1)
            state_r, state_z, state_n = mx.split(from_state, 3, -1)
            candidate = _tanh(n + float64.sigmoid(r + state_r) * state_n)
            new = candidate + float64.sigmoid(z + state_z) * (h - candidate)
        else:
            total = mx.addmm(from_input, h, w_state.T)
            new = _tanh(total) if mode == "RNN_TANH" else mx.where(total > 0, total, 0 * total)
        if lengths is not None:
            active = (step < lengths)[:, None]
            new = mx.where(active, new, h)
            new_cell = None if new_cell is None else mx.where(active, new_cell, cell)
        h, cell = new, new_cell
        states[step] = h
    out = mx.stack(states) if steps else mx.zeros((0, *h.shape), h.dtype)
    return (out, mx.array(h)) if cell is None or mode != "LSTM" else (out, mx.array(h), cell)


def _tanh(x: mx.array) -> mx.array:
    return float64.tanh64(x) if x.dtype == mx.float64 else mx.tanh(x)

"""Single steps of recurrent layers."""

import math
from typing import Any

from lucid import _checks
from lucid._tensor import Tensor
from lucid.nn import init
from lucid.nn._common import empty_parameter, parameter_dtype
from lucid.nn.module import Module
from lucid.ops.recurrent import recurrent_layer


class RNNCellBase(Module):
    """What ``RNNCell``, ``LSTMCell`` and ``GRUCell`` have in common: their parameters.

    Args:
        input_size: The number of features of the input.
        hidden_size: The number of features of the state.
        bias: Whether the cell has biases.
        num_chunks: The number of gates.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> nn.RNNCellBase(4, 8, True, 3).weight_hh.shape
        (24, 8)
    """

    mode = ""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: object = None,
        dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        where = type(self).__name__
        kept = parameter_dtype(where, device, dtype)
        self.input_size = _checks.integer(where, "input_size", input_size, 0)
        self.hidden_size = _checks.integer(where, "hidden_size", hidden_size, 1)
        self.bias = bool(bias)
        rows = _checks.integer(where, "num_chunks", num_chunks, 1) * hidden_size
        self.weight_ih = empty_parameter(rows, input_size, dtype=kept)
        self.weight_hh = empty_parameter(rows, hidden_size, dtype=kept)
        self.register_parameter("bias_ih", empty_parameter(rows, dtype=kept) if bias else None)
        self.register_parameter("bias_hh", empty_parameter(rows, dtype=kept) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reset the parameters to new random values."""
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _step(self, input: Any, states: Any) -> tuple[Tensor, ...]:
        """The new states; ``states`` is None or as many as the cell has."""
        where = type(self).__name__
        if not isinstance(input, Tensor):
            raise TypeError(f"{where}: input must be a Tensor, got {type(input).__name__}")
        _checks.rank(where, "input", input.shape, (1, 2), "(N, features) or (features,)")
        if input.shape[-1] != self.input_size:
            raise _checks.ArgumentError(f"{where}: input must have {self.input_size} features, got {input.shape[-1]}")
        expected = (*input.shape[:-1], self.hidden_size)
        count = 2 if self.mode == "LSTM" else 1
        if states is None:
            states = (input.new_zeros(expected),) * count
        for state in states:
            if not isinstance(state, Tensor) or state.shape != expected:
                got = state.shape if isinstance(state, Tensor) else type(state).__name__
                raise _checks.ArgumentError(f"{where}: hx must have shape {expected}, got {got}")
        x = input if input.ndim == 2 else input.unsqueeze(0)
        rows = [one if input.ndim == 2 else one.unsqueeze(0) for one in states]
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, None]
        _, *new = recurrent_layer(
            x.unsqueeze(0), rows[0], rows[1] if count == 2 else None, weights, self.mode, False, None
        )
        return tuple(new) if input.ndim == 2 else tuple(one.squeeze(0) for one in new)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """One step ``tanh(W_ih x + b_ih + W_hh h + b_hh)``.

    Shapes: input (N, input_size) or (input_size,), state (N, hidden_size) or (hidden_size,), by default zeros.

    Args:
        input_size: The number of features of the input.
        hidden_size: The number of features of the state.
        bias: Whether the cell has biases.
        nonlinearity: "tanh" or "relu".
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> cell = nn.RNNCell(4, 8)
        >>> state = lucid.zeros(2, 8)
        >>> for x in lucid.randn(10, 2, 4):
        ...     state = cell(x, state)
        ...
        >>> state.shape
        (2, 8)
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: object = None,
        dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity
        if nonlinearity in ("tanh", "relu"):
            self.mode = f"RNN_{nonlinearity.upper()}"

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        _checks.one_of("RNNCell", "nonlinearity", self.nonlinearity, ("tanh", "relu"))
        return self._step(input, None if hx is None else (hx,))[0]


class LSTMCell(RNNCellBase):
    """One step of an LSTM, with the states (h, c).

    Shapes: input (N, input_size) or (input_size,), h and c (N, hidden_size) or (hidden_size,), by default zeros.

    Args:
        input_size: The number of features of the input.
        hidden_size: The number of features of the state.
        bias: Whether the cell has biases.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> h, c = nn.LSTMCell(4, 8)(lucid.randn(2, 4))
        >>> h.shape, c.shape
        ((2, 8), (2, 8))
    """

    mode = "LSTM"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: object = None, dtype: object = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        if hx is not None and not (isinstance(hx, tuple | list) and len(hx) == 2):
            raise TypeError(f"LSTMCell: hx must be a tuple of hidden state and cell, got {type(hx).__name__}")
        h, c = self._step(input, hx)
        return h, c


class GRUCell(RNNCellBase):
    """One step of a GRU.

    Shapes: input (N, input_size) or (input_size,), state (N, hidden_size) or (hidden_size,), by default zeros.

    Args:
        input_size: The number of features of the input.
        hidden_size: The number of features of the state.
        bias: Whether the cell has biases.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> nn.GRUCell(4, 8)(lucid.randn(2, 4)).shape
        (2, 8)
    """

    mode = "GRU"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: object = None, dtype: object = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(input, None if hx is None else (hx,))[0]

"""Recurrent layers and cells: RNN, LSTM and GRU."""

import math
import warnings
from typing import Any

import mlx.core as mx

from lucid import _checks
from lucid._precision import autocast_dtype
from lucid._tensor import Tensor
from lucid.nn import functional, init
from lucid.nn._common import empty_parameter, parameter_dtype
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter
from lucid.nn.utils.rnn import PackedSequence, layout_of
from lucid.ops import joining
from lucid.ops.gather_scatter import index_select
from lucid.ops.joining import unbind
from lucid.ops.recurrent import GATES, recurrent_layer


class RNNBase(Module):
    """What ``RNN``, ``LSTM`` and ``GRU`` have in common, with the names of parameters of PyTorch.

    Layer k has ``weight_ih_lk`` (gates * hidden_size, input_size), ``weight_hh_lk``, ``bias_ih_lk``, ``bias_hh_lk``
    and, with a projection, ``weight_hr_lk``; those of the second direction end in ``_reverse``. All are initialized
    uniformly in ±1 / sqrt(hidden_size).

    Args:
        mode: "RNN_TANH", "RNN_RELU", "LSTM" or "GRU".
        input_size: The number of features of the input.
        hidden_size: The number of features of the state.
        num_layers: The number of layers.
        bias: Whether the layers have biases.
        batch_first: Whether the batch is the first dimension of input and output, and not the second.
        dropout: The probability of zeroing an output of a layer but the last during training.
        bidirectional: Whether to go through the sequence in both directions.
        proj_size: The size of the state of an LSTM after a linear map; 0 for none.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> nn.RNNBase("GRU", 4, 8).weight_hh_l0.shape
        (24, 8)
    """

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
        device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        where = type(self).__name__
        kept = parameter_dtype(where, device, dtype)
        self.mode = _checks.one_of(where, "mode", mode, tuple(GATES))
        self.input_size = _checks.integer(where, "input_size", input_size, 1)
        self.hidden_size = _checks.integer(where, "hidden_size", hidden_size, 1)
        self.num_layers = _checks.integer(where, "num_layers", num_layers, 1)
        self.bias = bool(bias)
        self.batch_first = _checks.flag(where, "batch_first", batch_first)
        self.dropout = _checks.probability(where, "dropout", dropout)
        self.bidirectional = _checks.flag(where, "bidirectional", bidirectional)
        self.proj_size = _checks.integer(where, "proj_size", proj_size, 0)
        if self.proj_size and (mode != "LSTM" or self.proj_size >= self.hidden_size):
            raise ValueError(
                f"{where}: proj_size is for LSTMs and must be less than hidden_size {hidden_size}, got {proj_size}"
            )
        if self.dropout and num_layers == 1:
            warnings.warn(
                f"{where}: dropout={dropout} has no effect, as it follows all layers but the last, and num_layers is 1",
                stacklevel=_checks.level_of_user(),
            )
        self._all_weights: list[list[str]] = []
        rows, state = GATES[mode] * hidden_size, self.proj_size or self.hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else state * self._directions
            for suffix in self._suffixes(layer):
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, width), "weight_hh": (rows, state)}
                if self.bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if self.proj_size:
                    shapes["weight_hr"] = (self.proj_size, hidden_size)
                for name, shape in shapes.items():
                    setattr(self, name + suffix, empty_parameter(*shape, dtype=kept))
                self._all_weights.append([name + suffix for name in shapes])
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self._directions]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def reset_parameters(self) -> None:
        """Reset the parameters to new random values."""
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Does nothing: PyTorch moves the parameters to one block of memory here, for cuDNN."""

    def _of_sequence(self, input: Any, hx: Any) -> Any:
        where = type(self).__name__
        packed = isinstance(input, PackedSequence)
        layout = layout_of(where, input) if isinstance(input, PackedSequence) else None
        x = layout.padded(input.data) if layout is not None else input
        if not isinstance(x, Tensor):
            raise TypeError(f"{where}: input must be a Tensor or a PackedSequence, got {type(x).__name__}")
        _checks.rank(where, "input", x.shape, (3,) if packed else (2, 3), "(T, N, features) or (T, features)")
        is_single, swap = x.ndim == 2, self.batch_first and not packed and x.ndim == 3
        if is_single:
            x = x.unsqueeze(1)
        elif swap:
            x = x.transpose(0, 1)
        if x.shape[2] != self.input_size:
            raise _checks.ArgumentError(f"{where}: input must have {self.input_size} features, got {x.shape[2]}")
        if x.dtype != self.weight_ih_l0.dtype and autocast_dtype() is None:
            names = _checks.dtype_name(self.weight_ih_l0.dtype), _checks.dtype_name(x.dtype)
            raise ValueError("{}: input must have the dtype of the weights, {}, got {}".format(where, *names))
        states = self._initial_states(where, x, hx, is_single)
        if packed and input.sorted_indices is not None:
            states = [index_select(one, 1, input.sorted_indices) for one in states]
        lengths = None if layout is None else mx.array(layout.lengths)
        x, states = self._run(x, states, lengths)
        if packed and input.unsorted_indices is not None:
            states = [index_select(one, 1, input.unsorted_indices) for one in states]
        if is_single:
            x, states = x.squeeze(1), [one.squeeze(1) for one in states]
        elif swap:
            x = x.transpose(0, 1)
        out: Any = input._replace(data=layout.packed(x)) if layout is not None else x
        return out, (tuple(states) if self.mode == "LSTM" else states[0])

    def _run(self, x: Tensor, states: list[Tensor], lengths: mx.array | None) -> tuple[Tensor, list[Tensor]]:
        """The output of the last layer, and the last states of all layers and directions."""
        starts = list(zip(*(unbind(one) for one in states), strict=True))
        ends: list[Any] = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = functional.dropout(x, self.dropout, self.training)
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                own = [getattr(self, name + suffix, None) for name in _WEIGHTS]
                state = starts[layer * self._directions + direction]
                cell = state[1] if self.mode == "LSTM" else None
                out, *end = recurrent_layer(x, state[0], cell, own, self.mode, direction == 1, lengths)
                outputs.append(out)
                ends.append(end)
            x = outputs[0] if len(outputs) == 1 else joining.cat(outputs, 2)
        return x, [joining.stack(one) for one in zip(*ends, strict=True)]

    def _initial_states(self, caller: str, x: Tensor, hx: Any, is_single: bool) -> list[Tensor]:
        """The initial state of all layers and directions, and for an LSTM its cell, each (layers, N, size)."""
        count = self.num_layers * self._directions
        sizes = [self.proj_size or self.hidden_size, self.hidden_size][: 2 if self.mode == "LSTM" else 1]
        if hx is None:
            return [x.new_zeros((count, x.shape[1], size)) for size in sizes]
        if len(sizes) == 2 and not (isinstance(hx, tuple | list) and len(hx) == 2):
            raise TypeError(f"{caller}: hx must be a tuple of hidden state and cell, got {type(hx).__name__}")
        found = list(hx) if len(sizes) == 2 else [hx]
        for i, (state, size) in enumerate(zip(found, sizes, strict=True)):
            if not isinstance(state, Tensor):
                raise TypeError(f"{caller}: hx must be a Tensor, got {type(state).__name__}")
            if is_single:
                if state.ndim != 2:
                    raise _checks.ArgumentError(f"{caller}: hx must be 2-D for an input of 2-D, got {state.shape}")
                found[i] = state = state.unsqueeze(1)
            if state.shape != (count, x.shape[1], size):
                raise _checks.ArgumentError(
                    f"{caller}: hx must have shape {(count, x.shape[1], size)}, got {state.shape}"
                )
            if state.dtype != x.dtype:
                names = _checks.dtype_name(x.dtype), _checks.dtype_name(state.dtype)
                raise _checks.DtypeError("{}: hx must have the dtype of input, {}, got {}".format(caller, *names))
        return found

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        usual = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
        }
        for name, value in usual.items():
            if getattr(self, name) != value:
                text += f", {name}={getattr(self, name)}"
        return text


_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


class RNN(RNNBase):
    """``h = tanh(W_ih x + b_ih + W_hh h + b_hh)`` at every step, with the output of one layer as input of the next.

    Shapes: input (T, N, input_size) or (N, T, input_size) with ``batch_first``, or without a batch, or packed; out
    (T, N, directions * hidden_size); states (layers * directions, N, hidden_size). See ``nn.RNNBase`` for parameters.

    Args:
        input_size: The number of features of the input.
        hidden_size: The number of features of the state.
        num_layers: The number of layers.
        nonlinearity: "tanh" or "relu".
        bias: Whether the layers have biases.
        batch_first: Whether the batch is the first dimension of input and output, and not the second.
        dropout: The probability of zeroing an output of a layer but the last during training.
        bidirectional: Whether to go through the sequence in both directions.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> out, state = nn.RNN(4, 8, batch_first=True)(lucid.randn(2, 10, 4))
        >>> out.shape, state.shape
        ((2, 10, 8), (1, 2, 8))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: object = None,
        dtype: object = None,
    ) -> None:  # fmt: skip
        mode = f"RNN_{_checks.one_of('RNN', 'nonlinearity', nonlinearity, ('tanh', 'relu')).upper()}"
        super().__init__(
            mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Any:
        return self._of_sequence(input, hx)


class LSTM(RNNBase):
    """Long short-term memory, with the output of one layer as input of the next.

    Shapes: as ``nn.RNN``, with the states (h, c) instead of one; with ``proj_size``, h has that size. The rows of the
    weights are those of the input gate, the forget gate, the cell and the output gate. See ``nn.RNNBase``.

    Args:
        input_size: The number of features of the input.
        hidden_size: The number of features of the state.
        num_layers: The number of layers.
        bias: Whether the layers have biases.
        batch_first: Whether the batch is the first dimension of input and output, and not the second.
        dropout: The probability of zeroing an output of a layer but the last during training.
        bidirectional: Whether to go through the sequence in both directions.
        proj_size: The size of h after a linear map; 0 for none.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> out, (h, c) = nn.LSTM(4, 8, batch_first=True)(lucid.randn(2, 10, 4))
        >>> out.shape, h.shape, c.shape
        ((2, 10, 8), (1, 2, 8), (1, 2, 8))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: object = None,
        dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device,
            dtype,
        )  # fmt: skip

    def forward(self, input: Any, hx: Any = None) -> Any:
        return self._of_sequence(input, hx)


class GRU(RNNBase):
    """Gated recurrent units, with the output of one layer as input of the next.

    Shapes: as ``nn.RNN``. The rows of the weights are those of the reset gate, the update gate and the candidate.
    See ``nn.RNNBase``.

    Args:
        input_size: The number of features of the input.
        hidden_size: The number of features of the state.
        num_layers: The number of layers.
        bias: Whether the layers have biases.
        batch_first: Whether the batch is the first dimension of input and output, and not the second.
        dropout: The probability of zeroing an output of a layer but the last during training.
        bidirectional: Whether to go through the sequence in both directions.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> out, state = nn.GRU(4, 8, batch_first=True)(lucid.randn(2, 10, 4))
        >>> out.shape, state.shape
        ((2, 10, 8), (1, 2, 8))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )

    def forward(self, input: Any, hx: Any = None) -> Any:
        return self._of_sequence(input, hx)

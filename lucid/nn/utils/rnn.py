"""Sequences of different lengths: padded to one tensor, or packed without padding."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks, tape
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.ops import joining
from lucid.ops.gather_scatter import index_select
from lucid.ops.joining import unbind
from lucid.ops.padding import pad

__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
    "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip


class _PackedSequence(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_PackedSequence):
    """Sequences of different lengths without padding: all first steps, then all second steps, and so on.

    Made by ``pack_padded_sequence`` and ``pack_sequence``, for ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU``.

    Attributes:
        data: The steps (sum of lengths, ...), sequences in the order of decreasing length.
        batch_sizes: The number of sequences that have each step (longest length,).
        sorted_indices: Which sequence is the first, second, ... of ``data``; None if they are in order.
        unsorted_indices: The reverse of it.

    Example:
        >>> packed = nn.utils.rnn.pack_sequence([lucid.tensor([1, 2, 3]), lucid.tensor([4])])
        >>> packed.data.tolist(), packed.batch_sizes.tolist()
        ([1, 4, 2, 3], [2, 1, 1])
    """

    def __new__(
        cls, data: Tensor, batch_sizes: Tensor | None = None, sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> "PackedSequence":  # fmt: skip
        if batch_sizes is None:
            raise ValueError("PackedSequence: batch_sizes is required")
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> "PackedSequence":
        """The same sequences with ``data`` converted as ``Tensor.to`` does."""
        return self._replace(data=self.data.to(*args, **kwargs))

    def float(self) -> "PackedSequence":
        """The same sequences in float32."""
        return self._replace(data=self.data.float())

    def double(self) -> "PackedSequence":
        """The same sequences in float64."""
        return self._replace(data=self.data.double())

    def half(self) -> "PackedSequence":
        """The same sequences in float16."""
        return self._replace(data=self.data.half())

    def cpu(self) -> "PackedSequence":
        """The sequences themselves: memory is unified."""
        return self

    def cuda(self, *args: Any, **kwargs: Any) -> "PackedSequence":
        """The sequences themselves: memory is unified."""
        return self

    def pin_memory(self) -> "PackedSequence":
        """The sequences themselves: memory is unified."""
        return self

    @property
    def is_cuda(self) -> bool:
        """False: memory is unified."""
        return False


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes ``permutation``; None stays None."""
    if permutation is None:
        return None
    return tape.wrap(mx.argsort(as_array(permutation)).astype(mx.int64))


class Layout:
    """Where each step of packed sequences is in a padded tensor (T, N, ...)."""

    def __init__(self, batch_sizes: np.ndarray) -> None:
        self.batch = int(batch_sizes[0]) if batch_sizes.size else 0
        self.steps = len(batch_sizes)
        starts = np.cumsum(batch_sizes) - batch_sizes
        number = np.arange(self.batch)
        inside = number < batch_sizes[:, None]  # (T, N)
        self.lengths = inside.sum(0)
        self.to_padded = np.where(inside, starts[:, None] + number, 0).reshape(-1)  # the rest repeats the first step
        self.to_packed = np.flatnonzero(inside)

    def padded(self, data: Tensor) -> Tensor:
        """(T, N, ...); after the end of a sequence there are copies of the first step."""
        rows = index_select(data, 0, mx.array(self.to_padded))
        return rows.reshape(self.steps, self.batch, *data.shape[1:])

    def packed(self, padded: Tensor) -> Tensor:
        return index_select(padded.reshape(-1, *padded.shape[2:]), 0, mx.array(self.to_packed))


def layout_of(caller: str, sequence: PackedSequence) -> Layout:
    """The layout of ``sequence``. Waits for its ``batch_sizes``."""
    return Layout(np.asarray(_bounds.as_numpy(caller, sequence.batch_sizes._array), np.int64))


def _lengths(caller: str, lengths: Any) -> np.ndarray:
    array = as_array(lengths)
    if array.ndim != 1:
        raise _checks.ArgumentError(f"{caller}: lengths must be a vector, got shape {array.shape}")
    found = np.asarray(_bounds.as_numpy(caller, array), np.int64)
    if not found.size or found.min() < 1:
        raise _checks.ArgumentError(f"{caller}: every length must be at least 1, got {found.tolist()}")
    return found


def _integers(values: np.ndarray) -> Tensor:
    return tape.wrap(mx.array(np.asarray(values, np.int64)))


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The sequences of the padded ``input`` (T, N, ...) without their padding.

    Args:
        lengths: The length of each sequence (N,), a list or a tensor.
        batch_first: Whether ``input`` is (N, T, ...).
        enforce_sorted: Whether ``lengths`` must decrease; otherwise the sequences are sorted.

    Raises:
        ValueError: a length is below 1 or above T, or ``lengths`` does not decrease.
    """
    caller = "pack_padded_sequence"
    if not isinstance(input, Tensor):
        raise TypeError(f"{caller}: input must be a Tensor, got {type(input).__name__}")
    if input.ndim < 2:
        raise _checks.ArgumentError(f"{caller}: input must be (T, N, ...), got shape {input.shape}")
    sizes = _lengths(caller, lengths)
    time, batch = (1, 0) if _checks.flag(caller, "batch_first", batch_first) else (0, 1)
    if sizes.size != input.shape[batch]:
        raise _checks.ArgumentError(f"{caller}: expected {input.shape[batch]} lengths, got {sizes.size}")
    if sizes.max() > input.shape[time]:
        raise _checks.ArgumentError(f"{caller}: lengths must be at most {input.shape[time]}, got {sizes.max()}")
    order = None
    if not _checks.flag(caller, "enforce_sorted", enforce_sorted):
        order = np.argsort(-sizes, kind="stable")
        input, sizes = index_select(input, batch, mx.array(order)), sizes[order]
    elif (np.diff(sizes) > 0).any():
        raise _checks.ArgumentError(
            f"{caller}: lengths must decrease, got {sizes.tolist()}; enforce_sorted=False sorts the sequences"
        )
    if batch == 0:
        input = input.transpose(0, 1)
    counts = (sizes > np.arange(sizes[0])[:, None]).sum(1)
    layout = Layout(counts)
    data = layout.packed(input[: layout.steps])
    return PackedSequence(data, _integers(counts), None if order is None else _integers(order))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The packed sequences as a padded tensor (T, N, ...), and their lengths (N,), in the original order.

    Args:
        batch_first: Whether to return (N, T, ...).
        padding_value: The value after the end of a sequence.
        total_length: T, by default the largest length.

    Raises:
        ValueError: ``total_length`` is less than the largest length.
    """
    caller = "pad_packed_sequence"
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"{caller}: sequence must be a PackedSequence, got {type(sequence).__name__}")
    value = _checks.number(caller, "padding_value", padding_value)
    layout = layout_of(caller, sequence)
    padded = layout.padded(sequence.data)
    outside = np.arange(layout.steps)[:, None] >= layout.lengths
    if outside.any():
        mask = mx.array(outside).reshape(*outside.shape, *(1,) * (padded.ndim - 2))
        padded = padded.masked_fill(tape.wrap(mask), value)
    lengths = layout.lengths
    if total_length is not None:
        rest = _checks.integer(caller, "total_length", total_length) - layout.steps
        if rest < 0:
            raise _checks.ArgumentError(f"{caller}: total_length must be at least {layout.steps}, got {total_length}")
        padded = pad(padded, (0, 0) * (padded.ndim - 1) + (0, rest), value=value)
    if sequence.unsorted_indices is not None:
        order = as_array(sequence.unsorted_indices)
        padded = index_select(padded, 1, order)
        lengths = lengths[np.asarray(_bounds.as_numpy(caller, order))]
    return (padded.transpose(0, 1) if batch_first else padded), _integers(lengths)


def pad_sequence(
    sequences: Iterable[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """``sequences`` (L_i, ...) padded to the longest and stacked, to (T, N, ...).

    Args:
        batch_first: Whether to return (N, T, ...).
        padding_side: "right" or "left".

    Example:
        >>> nn.utils.rnn.pad_sequence([lucid.tensor([1, 2]), lucid.tensor([3])], batch_first=True).tolist()
        [[1, 2], [3, 0]]
    """
    caller = "pad_sequence"
    side = _checks.one_of(caller, "padding_side", padding_side, ("left", "right"))
    listed = _sequences(caller, sequences)
    longest = max(one.shape[0] for one in listed)
    padded = []
    for one in listed:
        missing = longest - one.shape[0]
        ends = (0, missing) if side == "right" else (missing, 0)
        padded.append(pad(one, (0, 0) * (one.ndim - 1) + ends, value=padding_value) if missing else one)
    return joining.stack(padded, 0 if batch_first else 1)


def _sequences(caller: str, sequences: Iterable[Tensor]) -> list[Tensor]:
    if not isinstance(sequences, Iterable):
        raise TypeError(f"{caller}: sequences must be a list of tensors, got {type(sequences).__name__}")
    listed = list(sequences)
    for one in listed:
        if not isinstance(one, Tensor):
            raise TypeError(f"{caller}: sequences must be tensors, got {type(one).__name__}")
    if not listed or any(one.ndim == 0 for one in listed):
        raise _checks.ArgumentError(f"{caller}: expected at least one sequence, of at least 1 dimension")
    if any(one.shape[1:] != listed[0].shape[1:] for one in listed):
        shapes = " and ".join(dict.fromkeys(str(one.shape) for one in listed))
        raise _checks.ArgumentError(f"{caller}: sequences may only differ in their first size, got shapes {shapes}")
    return listed


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences (L_i, ...) of a padded tensor (T, N, ...), or (N, T, ...) with ``batch_first``."""
    if not isinstance(padded_sequences, Tensor):
        raise TypeError(f"unpad_sequence: padded_sequences must be a Tensor, got {type(padded_sequences).__name__}")
    sizes = _lengths("unpad_sequence", lengths)
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[: int(size)] for row, size in zip(unbind(rows), sizes, strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """``sequences`` (L_i, ...) packed. They must be in the order of decreasing length with ``enforce_sorted``."""
    listed = _sequences("pack_sequence", sequences)
    lengths = [one.shape[0] for one in listed]
    return pack_padded_sequence(pad_sequence(listed), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences (L_i, ...) that were packed, in the original order."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)

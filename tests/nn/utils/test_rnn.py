"""Padded and packed sequences."""

import pytest

import lucid
from lucid.nn.utils import rnn

SEQUENCES = [lucid.tensor([1.0, 2.0]), lucid.tensor([3.0, 4.0, 5.0]), lucid.tensor([6.0])]


def test_pad_sequence():
    assert rnn.pad_sequence(SEQUENCES, True, -1.0).tolist() == [[1, 2, -1], [3, 4, 5], [6, -1, -1]]
    assert rnn.pad_sequence(SEQUENCES).tolist() == [[1, 3, 6], [2, 4, 0], [0, 5, 0]]
    assert rnn.pad_sequence(SEQUENCES, True, padding_side="left").tolist() == [[0, 1, 2], [3, 4, 5], [0, 0, 6]]


def test_packing_sorts_and_unpacking_restores():
    packed = rnn.pack_sequence(SEQUENCES, enforce_sorted=False)
    assert packed.data.tolist() == [3, 1, 6, 4, 2, 5]
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices.tolist() == [1, 0, 2] and packed.unsorted_indices.tolist() == [1, 0, 2]
    padded, lengths = rnn.pad_packed_sequence(packed, True, 9.0, total_length=4)
    assert padded.tolist() == [[1, 2, 9, 9], [3, 4, 5, 9], [6, 9, 9, 9]] and lengths.tolist() == [2, 3, 1]
    assert [one.tolist() for one in rnn.unpack_sequence(packed)] == [[1, 2], [3, 4, 5], [6]]


def test_gradients_flow_through_packing():
    x = lucid.arange(6.0).reshape(3, 2).requires_grad_()
    packed = rnn.pack_padded_sequence(x, lucid.tensor([3, 1]))
    assert packed.data.tolist() == [0, 1, 2, 4] and packed.sorted_indices is None
    padded, _ = rnn.pad_packed_sequence(packed)
    (padded * padded).sum().backward()
    assert x.grad.tolist() == [[0, 2], [4, 0], [8, 0]]


def test_packed_sequences_convert():
    packed = rnn.pack_sequence([lucid.tensor([1.0])])
    assert packed.half().data.dtype == packed.to(lucid.float16).data.dtype == lucid.float16
    assert packed.cpu() is packed and not packed.is_cuda


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda: rnn.pack_padded_sequence(lucid.ones(3, 2), [1, 3]),
            "lengths must decrease, got",
        ),
        (lambda: rnn.pack_padded_sequence(lucid.ones(3, 2), [4, 1]), "lengths must be at most 3, got 4"),
        (lambda: rnn.pack_padded_sequence(lucid.ones(3, 2), [3, 0]), "every length must be at least 1"),
        (lambda: rnn.pack_padded_sequence(lucid.ones(3, 2), [3]), "expected 2 lengths, got 1"),
        (lambda: rnn.pad_sequence([]), "expected at least one sequence"),
        (lambda: rnn.pad_sequence([lucid.ones(2, 2), lucid.ones(2, 3)]), "may only differ in their first size"),
        (
            lambda: rnn.pad_packed_sequence(rnn.pack_sequence(SEQUENCES[1:]), total_length=2),
            "total_length must be at least 3, got 2",
        ),
    ],
)
def test_wrong_arguments_are_named(use, message):
    with pytest.raises(ValueError, match=message):
        use()

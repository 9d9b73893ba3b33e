"""Recurrent layers: options, packed sequences, compiled steps, errors."""

import numpy as np
import pytest

import lucid
from lucid import nn

LAYERS = [nn.RNN, nn.LSTM, nn.GRU]


@pytest.mark.parametrize("layer", LAYERS)
def test_packed_sequences_give_what_each_sequence_gives(layer):
    lucid.manual_seed(0)
    model = layer(3, 4, num_layers=2, bidirectional=True).requires_grad_(False)
    sequences = [lucid.randn(length, 3) for length in (2, 5, 1)]
    packed = nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
    out, state = model(packed)
    for at, one in enumerate(nn.utils.rnn.unpack_sequence(out)):
        alone, end = model(sequences[at])
        np.testing.assert_allclose(one.numpy(), alone.numpy(), rtol=1e-4, atol=1e-6)
        ends = zip(*(([state], [end]) if layer is not nn.LSTM else (state, end)), strict=True)
        for a, b in ends:
            np.testing.assert_allclose(a[:, at].numpy(), b.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_compiled_training_step_equals_an_eager_one(layer):
    x, wanted = lucid.randn(6, 2, 3), lucid.randn(6, 2, 4)

    def trained(compiled):
        lucid.manual_seed(1)
        model = layer(3, 4)
        optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)

        def step(x, wanted):
            optimizer.zero_grad()
            loss = (model(x)[0] - wanted).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        run = lucid.compile(step, state=[model, optimizer]) if compiled else step
        return [run(x, wanted).item() for _ in range(4)]

    np.testing.assert_allclose(trained(True), trained(False), rtol=1e-5)


def test_dropout_is_between_layers_and_in_training_only():
    lucid.manual_seed(0)
    model = nn.GRU(3, 8, num_layers=2, dropout=0.5)
    x = lucid.randn(4, 2, 3)
    assert not lucid.equal(model(x)[0], model(x)[0])
    model.eval()
    assert lucid.equal(model(x)[0], model(x)[0])
    with pytest.warns(UserWarning, match="LSTM: dropout=0.5 has no effect"):
        nn.LSTM(3, 4, dropout=0.5)


def test_names_are_those_of_pytorch():
    model = nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2)
    assert list(model.state_dict())[:5] == [
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_hr_l0",
    ]  # fmt: skip
    assert "weight_ih_l1_reverse" in model.state_dict() and len(model.all_weights) == 4
    model.flatten_parameters()
    assert repr(nn.GRU(3, 4, 2, bias=False)).startswith("GRU(3, 4, num_layers=2, bias=False")


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: nn.GRU(3, 4)(lucid.zeros(5, 2, 2)), RuntimeError, "GRU: input must have 3 features, got 2"),
        (
            lambda: nn.LSTM(3, 4)(lucid.zeros(5, 2, 3), lucid.zeros(1, 2, 4)),
            TypeError,
            "hx must be a tuple",
        ),
        (lambda: nn.RNN(3, 4)(lucid.zeros(5, 2, 3), lucid.zeros(1, 3, 4)), RuntimeError, "hx must have shape"),
        (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, "must be less than hidden_size 4, got 4"),
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), ValueError, "nonlinearity must be 'tanh' or 'relu'"),
        (lambda: nn.GRU(3, 0), ValueError, "hidden_size must be at least 1"),
        (lambda: nn.GRUCell(3, 4)(lucid.zeros(2, 2)), RuntimeError, "GRUCell: input must have 3 features, got 2"),
        (lambda: nn.GRUCell(3, 4)(lucid.zeros(2, 3), lucid.zeros(2, 3)), RuntimeError, "hx must have shape"),
    ],
)
def test_wrong_arguments_are_named(use, error, message):
    with pytest.raises(error, match=message):
        use()

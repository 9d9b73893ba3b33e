"""Modules to compare between PyTorch and Lucid: activations, losses, attention and recurrent layers."""

import warnings
from pathlib import Path

import numpy as np

from tests.reference.nn_cases import ModuleCase, layer, wave

FILE = Path(__file__).with_name("nn_sequences.npz")
LABELS = np.array([0, 2, 1, 1])
SIGNS = np.float32([1, -1, 1, -1])


def quietly(word, *arguments):
    """``lib.nn.<word>``, which warns that it is deprecated."""

    def build(lib):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(lib.nn, word)(*arguments)

    return build


class First:
    """A layer of ``lib.nn`` called with options; what it returns is one tensor."""

    def __init__(self, word, *arguments, call=None, **options):
        self.word, self.arguments, self.options, self.call = word, arguments, options, call or {}

    def __call__(self, lib):
        call = self.call

        class Whole(lib.nn.Module):
            def __init__(self, layer):
                super().__init__()
                self.layer = layer

            def forward(self, *inputs):
                more = {name: value(lib, inputs[0]) for name, value in call.items()}
                return lib.cat([one.reshape(-1) for one in flat(self.layer(*inputs, **more)) if one is not None])

        return Whole(getattr(lib.nn, self.word)(*self.arguments, **self.options))


def flat(value):
    return [one for part in value for one in flat(part)] if isinstance(value, tuple | list) else [value]


def whole(word, *arguments, inputs, call=None, name="", **options):
    """As ``layer``, for layers with several results, and with options of the call."""
    shown = ", ".join([*map(str, arguments), *(f"{key}={value}" for key, value in options.items()), *(call or ())])
    arrays = tuple(one if isinstance(one, np.ndarray) else wave(one, 0.3 + i) for i, one in enumerate(inputs))
    return ModuleCase(f"{word}({shown}){name and ' '}{name}", First(word, *arguments, call=call, **options), arrays)


def forbidden(*rows):
    return lambda lib, like: lib.tensor(rows, dtype=lib.bool)


def causal(size):
    return lambda lib, like: lib.triu(lib.full_like(like.new_ones((size, size)), float("-inf")), 1)


def yes(lib, like):
    return True


def no(lib, like):
    return False


class Packed(First):
    """A recurrent layer called with packed sequences."""

    def __call__(self, lib):
        class Whole(lib.nn.Module):
            def __init__(self, layer):
                super().__init__()
                self.layer = layer

            def forward(self, x):
                packed = lib.nn.utils.rnn.pack_padded_sequence(x, [2, 5, 3], enforce_sorted=False)
                out, state = self.layer(packed)
                padded, _ = lib.nn.utils.rnn.pad_packed_sequence(out)
                return lib.cat([one.reshape(-1) for one in flat([padded, state])])

        return Whole(getattr(lib.nn, self.word)(*self.arguments, **self.options))


SMALL = {"dim_feedforward": 6, "dropout": 0.0}
BAGS = np.array([[1, 2, 4, 5], [4, 3, 2, 6]])
FLAT, STARTS = np.array([1, 2, 4, 5, 4, 3, 2, 6, 1]), np.array([0, 3, 3, 7])
TABLES = [
    *(
        layer("EmbeddingBag", 7, 3, mode=mode, padding_idx=padding, inputs=inputs, name=name)
        for mode in ("sum", "mean", "max")
        for padding in (None, 4)
        for name, inputs in (("of rows", [BAGS]), ("of offsets", [FLAT, STARTS]))
    ),
    layer("EmbeddingBag", 7, 3, 0.8, inputs=[FLAT, STARTS]),
    layer("EmbeddingBag", 7, 3, include_last_offset=True, inputs=[FLAT, np.array([0, 3, 9])]),
    whole("AdaptiveLogSoftmaxWithLoss", 8, 20, [4, 10], 2.0, inputs=[(5, 8), np.array([0, 3, 7, 12, 19])]),
    whole("AdaptiveLogSoftmaxWithLoss", 8, 20, [4], head_bias=True, inputs=[(8,), np.array(5)], name="without batch"),
]
SEQUENCES = [
    *(
        whole(word, 3, 4, inputs=[(5, 2, 3)], **options)
        for word in ("RNN", "LSTM", "GRU")
        for options in (
            {}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True, "bias": False},
        )
    ),
    whole("RNN", 3, 4, nonlinearity="relu", inputs=[(5, 2, 3), (1, 2, 4)]),
    whole("GRU", 3, 4, inputs=[(5, 3), (1, 4)], name="without batch"),
    whole("LSTM", 3, 4, proj_size=2, num_layers=2, bidirectional=True, inputs=[(5, 2, 3)]),
    *(
        ModuleCase(
            f"{word} of packed sequences", Packed(word, 3, 4, num_layers=2, bidirectional=True), (wave((5, 3, 3), 0.2),)
        )
        for word in ("RNN", "LSTM", "GRU")
    ),
    layer("RNNCell", 3, 4, inputs=[(2, 3), (2, 4)]),
    layer("RNNCell", 3, 4, False, "relu", inputs=[(2, 3)]),
    layer("GRUCell", 3, 4, inputs=[(2, 3), (2, 4)]),
    whole("LSTMCell", 3, 4, inputs=[(2, 3)]),
    whole("LSTMCell", 3, 4, inputs=[(3,)], name="without batch"),
    whole("MultiheadAttention", 4, 2, inputs=[(3, 2, 4), (5, 2, 4), (5, 2, 4)]),
    whole("MultiheadAttention", 4, 2, batch_first=True, bias=False, inputs=[(2, 3, 4)] * 3,
          call={"need_weights": no, "attn_mask": causal(3), "is_causal": yes}),
    whole("MultiheadAttention", 4, 2, kdim=3, vdim=5, add_bias_kv=True, add_zero_attn=True,
          inputs=[(3, 2, 4), (5, 2, 3), (5, 2, 5)], call={"average_attn_weights": no,
          "key_padding_mask": forbidden([0, 0, 1, 0, 1], [0, 0, 0, 1, 1])}),
    whole("MultiheadAttention", 4, 2, inputs=[(3, 4), (5, 4), (5, 4)],
          call={"key_padding_mask": forbidden(0, 0, 1, 0, 1)}, name="without batch"),
    whole("MultiheadAttention", 4, 2, inputs=[(3, 2, 4)] * 3, name="with both masks",
          call={"attn_mask": causal(3), "key_padding_mask": forbidden([0, 0, 1], [0, 0, 0]), "need_weights": no}),
    whole("TransformerEncoderLayer", 4, 2, **SMALL, inputs=[(3, 2, 4)]),
    whole("TransformerEncoderLayer", 4, 2, **SMALL, activation="gelu", norm_first=True, batch_first=True, bias=False,
          inputs=[(2, 3, 4)], call={"src_mask": causal(3), "is_causal": yes}),
    whole("TransformerDecoderLayer", 4, 2, **SMALL, inputs=[(3, 2, 4), (5, 2, 4)],
          call={"tgt_mask": causal(3), "tgt_is_causal": yes,
                "memory_key_padding_mask": forbidden([0, 0, 1, 0, 1], [0, 0, 0, 1, 1])}),
    whole("TransformerDecoderLayer", 4, 2, **SMALL, norm_first=True, inputs=[(3, 2, 4), (5, 2, 4)]),
    whole("Transformer", 4, 2, 2, 2, **SMALL, batch_first=True, inputs=[(2, 5, 4), (2, 3, 4)],
          call={"tgt_mask": causal(3)}),
]  # fmt: skip

CASES = [
    *TABLES,
    *SEQUENCES,
    layer("PReLU", inputs=(2, 3, 4)),
    layer("PReLU", 3, 0.1, inputs=(2, 3, 4)),
    layer("RReLU", 0.1, 0.4, inputs=(2, 7), training=False),
    layer("CELU", 0.5, inputs=(7,)),
    layer("GLU", inputs=(2, 6)),
    layer("GLU", 0, inputs=(2, 6)),
    layer("Hardtanh", -0.5, 0.7, inputs=(9,)),
    layer("Threshold", 0.2, -3.0, inputs=(9,)),
    layer("Hardshrink", 0.3, inputs=(9,)),
    layer("Softshrink", 0.3, inputs=(9,)),
    layer("Softmin", 1, inputs=(2, 5)),
    layer("Softmax2d", inputs=(2, 3, 2, 2)),
    *(layer(word, inputs=[3 * wave((9,), 0.2)]) for word in ("SELU", "Softsign", "Tanhshrink")),
    layer("MarginRankingLoss", 0.3, inputs=[(4,), 0.5 * wave((4,), 2.0), SIGNS.astype(np.int64)]),
    layer("CosineEmbeddingLoss", 0.2, reduction="none", inputs=[(4, 3), wave((4, 3), 2.0), SIGNS.astype(np.int64)]),
    layer("HingeEmbeddingLoss", 0.8, inputs=[(4,), SIGNS.astype(np.int64)]),
    layer("SoftMarginLoss", reduction="sum", inputs=[(4,), SIGNS.astype(np.int64)]),
    layer("MultiMarginLoss", 2, 0.7, inputs=[(4, 3), LABELS]),
    layer("MultiMarginLoss", reduction="none", inputs=[(4, 3), LABELS]),
    layer("MultiLabelMarginLoss", inputs=[(2, 4), np.array([[3, 0, -1, 1], [2, -1, 0, 0]])]),
    layer("MultiLabelSoftMarginLoss", reduction="none", inputs=[(2, 4), np.array([[1, 0, 1, 1], [0, 0, 1, 0]])]),
    layer("TripletMarginLoss", 0.5, inputs=[(4, 3), (4, 3), (4, 3)]),
    layer("TripletMarginLoss", 2.0, 1.0, swap=True, reduction="sum", inputs=[(4, 3), (4, 3), (4, 3)]),
    layer("TripletMarginWithDistanceLoss", swap=True, inputs=[(4, 3), (4, 3), (4, 3)]),
    layer("PoissonNLLLoss", full=True, inputs=[(7,), np.arange(7)]),
    layer("PoissonNLLLoss", False, inputs=[np.abs(wave((7,), 0.3)) + 0.2, np.arange(7)]),
    layer("GaussianNLLLoss", full=True, inputs=[(4, 3), (4, 3), np.abs(wave((4, 3), 1.0)) + 0.1]),
    layer("GaussianNLLLoss", reduction="none", inputs=[(4, 3), (4, 3), np.abs(wave((4, 1), 1.0)) + 0.1]),
    *(
        layer(
            "CTCLoss", 0, reduction, zero_infinity=True,
            inputs=[np.log(0.25 + 0 * wave((6, 3, 4), 0.3)) + 0.1 * wave((6, 3, 4), 0.3), targets,
                    np.array([6, 2, 3]), np.array([3, 3, 2])],
            name=name,
        )
        for reduction in ("mean", "sum", "none")
        for name, targets in (
            ("of rows", np.array([[1, 1, 2], [3, 2, 1], [2, 2, 1]])),
            ("of concatenated targets", np.array([1, 1, 2, 3, 2, 1, 2, 2])),
        )
    ),
    ModuleCase(
        "NLLLoss2d",
        quietly("NLLLoss2d", None, None, 2),
        (wave((2, 3, 2, 2), 1.0), np.arange(8).reshape(2, 2, 2) % 3),
    ),
]  # fmt: skip

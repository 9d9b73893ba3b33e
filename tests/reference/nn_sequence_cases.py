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


CASES = [
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

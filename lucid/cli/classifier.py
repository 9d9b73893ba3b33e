"""What ``lucid classify`` and ``lucid serve`` share: the classifier, also of texts, and its most probable classes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lucid
from lucid import explain, models, nn
from lucid.cli._common import quantize
from lucid.cli.photos import Prepared
from lucid.cli.results import Predictions
from lucid.evaluation import TextEmbeddings, ZeroShotClassifier


def add_text_embeddings_option(group: Any) -> None:
    group.add_argument(
        "--text-embeddings", type=Path, metavar="FILE",
        help="classify with an image tower of CLIP and these embeddings of the class names (.safetensors or .npy)",
    )  # fmt: skip


def load_classifier(
    model: str, *, texts: Path | None = None, image_size: int | None = None, bits: int | None = None
) -> nn.Module:
    """The classifier that the arguments ``model``, ``--text-embeddings``, ``--image-size`` and ``--bits`` name.

    The texts are read before the model, which may be a download.

    Raises:
        ValueError: The model has no classifier and there are no texts, or the two do not belong together.
        OSError: A file cannot be read.
        DownloadError: A download failed.
    """
    text = None if texts is None else TextEmbeddings.load(texts)
    loaded = models.from_checkpoint(model, image_size=image_size)
    quantize(loaded, bits)
    if text is not None:
        try:
            return ZeroShotClassifier(loaded, text)
        except ValueError as error:
            raise ValueError(f"{texts}: {str(error).partition(': ')[2]}") from None
    if not loaded.class_names:
        raise ValueError(
            f"{model} has no classifier; its outputs are features, which a CLIP model can compare with "
            "--text-embeddings"
        )
    return loaded


def predicted(
    model: nn.Module, batch: list[Prepared], top: int, explains: bool, averaged: nn.Module | None = None
) -> Iterator[tuple[Prepared, Predictions, lucid.Tensor | None]]:
    """Each image with its most probable classes, and a heat map (H, W) of the best one.

    ``averaged`` gives the probabilities, if it is not the model itself.
    """
    pixels = lucid.stack([one.pixels for one in batch])
    values, numbers = probabilities(model if averaged is None else averaged, pixels).topk(
        min(top, len(model.class_names)), dim=1
    )
    heat = explain.grad_cam(model, pixels, numbers[:, 0]) if explains else None
    for i, (one, row, classes) in enumerate(zip(batch, values.tolist(), numbers.tolist(), strict=True)):
        found = [(number, model.class_names[number], value) for number, value in zip(classes, row, strict=True)]
        yield one, found, None if heat is None else heat[i]


def probabilities(model: nn.Module, pixels: lucid.Tensor) -> lucid.Tensor:
    """The probability of each class, (N, classes)."""
    with lucid.no_grad():
        result: lucid.Tensor = model(pixels).softmax(dim=1)
    return result

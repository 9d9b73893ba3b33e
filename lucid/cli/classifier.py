"""What ``lucid classify`` and ``lucid serve`` share: the classifier, also of texts, and its most probable classes.

The model may also predict several labels, each with a probability of its own, or numbers.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lucid
from lucid import explain, models, nn
from lucid.cli._common import quantize
from lucid.cli.photos import Prepared
from lucid.cli.results import Predictions
from lucid.evaluation import TextEmbeddings, ZeroShotClassifier
from lucid.explain._classifier import as_predictions, task_of


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
    model: nn.Module, batch: list[Prepared], top: int | None, explains: bool, averaged: nn.Module | None = None
) -> Iterator[tuple[Prepared, Predictions, lucid.Tensor | None]]:
    """Each image with its most probable classes, and a heat map (H, W) of the best one.

    ``top=None`` gives all of them; numbers of a regression are in the order of the model. ``averaged`` gives the
    outputs, if it is not the model itself.
    """
    pixels = lucid.stack([one.pixels for one in batch])
    found = predictions(model, model if averaged is None else averaged, pixels)
    count = len(model.class_names)
    if task_of(model) == "regression":
        values, numbers = found, lucid.arange(count).expand(len(batch), count)
    else:
        values, numbers = found.topk(count if top is None else min(top, count), dim=1)
    heat = explain.grad_cam(model, pixels, numbers[:, 0]) if explains else None
    for i, (one, row, classes) in enumerate(zip(batch, values.tolist(), numbers.tolist(), strict=True)):
        shown = [(number, model.class_names[number], value) for number, value in zip(classes, row, strict=True)]
        yield one, shown, None if heat is None else heat[i]


def predictions(model: nn.Module, averaged: nn.Module, pixels: lucid.Tensor) -> lucid.Tensor:
    """What the task of ``model`` makes of the outputs of ``averaged``, (N, outputs): probabilities, or numbers."""
    with lucid.no_grad():
        return as_predictions(averaged(pixels), task_of(model))

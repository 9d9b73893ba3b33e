"""Zero-shot classification: images are compared with the embeddings of class names.

Sources: Radford et al. 2021, Learning Transferable Visual Models From Natural Language Supervision, arXiv:2103.00020;
github.com/mlfoundations/open_clip, ``zero_shot_classifier.py``.
"""

from typing import Any

import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import nn
from lucid.evaluation._arrays import as_features, softmax_rows, unit_rows
from lucid.evaluation.features import Features
from lucid.evaluation.neighbors import Predictions
from lucid.evaluation.text_embeddings import TextEmbeddings


def zero_shot(images: Any, text: TextEmbeddings) -> Predictions:
    """The probabilities of classes for images, from the embeddings of both.

    With both embeddings normalized, the softmax over the classes of ``logit_scale`` times their cosine similarity,
    in float64.

    Args:
        images: (M, D) outputs of the image tower, such as ``Features`` or an array.
        text: The embeddings of the names of the classes, from the text tower of the same model.

    Raises:
        ValueError: The widths differ, or an embedding is not finite or zero.
        TypeError: The embeddings are no real numbers.

    Example:
        >>> text = evaluation.TextEmbeddings(np.eye(2, 3), ["cat", "dog"])
        >>> [best, *_], *_ = evaluation.zero_shot([[0.1, 2.0, 0.3]], text).top(1)
        >>> best[0]
        'dog'
    """
    where = "zero_shot"
    if not isinstance(text, TextEmbeddings):
        raise TypeError(f"{where}: text must be TextEmbeddings, got {type(text).__name__}")
    rows = as_features(where, "images", images.values if isinstance(images, Features) else images).astype(np.float64)
    check_width(where, text, rows.shape[1])
    is_zero = ~rows.any(axis=1)
    if is_zero.any():
        raise ValueError(f"{where}: images must not have embeddings of zeros, as row {int(is_zero.argmax())} has")
    logits = text.logit_scale * unit_rows(rows) @ text.directions().T
    return Predictions(softmax_rows(logits), text.classes)


class ZeroShotClassifier(nn.Module):
    """A classifier whose classes are texts: the image tower of a CLIP model, and embeddings of the class names.

    It returns logits (N, C): ``logit_scale`` times the cosine similarity of image and text. ``class_names`` are those
    of the text, and ``preprocessing`` is the model's, so that it is used like any other classifier.

    Args:
        model: The image tower; it returns embeddings (N, D). It is not copied.
        text: The embeddings of the names of C classes, of width D.

    Raises:
        ValueError: A model of this library returns another number of outputs.

    Example:
        >>> tower = models.ConvNeXt(16, [1, 1], [8, 16], patch_size=2).eval()
        >>> text = evaluation.TextEmbeddings(np.eye(2, 16), ["cat", "dog"])
        >>> classifier = evaluation.ZeroShotClassifier(tower, text)
        >>> classifier(lucid.rand(3, 3, 32, 32)).shape, classifier.class_names
        ((3, 2), ['cat', 'dog'])
    """

    directions: lucid.Tensor

    def __init__(self, model: nn.Module, text: TextEmbeddings) -> None:
        super().__init__()
        outputs = getattr(model, "num_classes", None)
        if outputs is not None:
            check_width(type(self).__name__, text, outputs or model.head_hidden_size)  # without a head, of its input
        self.model, self.logit_scale = model, text.logit_scale
        self.register_buffer("directions", lucid.tensor(text.directions().astype(np.float32)))
        self.class_names = list(text.classes)
        for name in ("preprocessing", "in_chans", "checkpoint_name"):
            setattr(self, name, getattr(model, name, None))
        self.training = model.training

    def forward(self, x: lucid.Tensor) -> lucid.Tensor:
        embeddings = F.normalize(self.model(x).float(), dim=1)
        return self.logit_scale * F.linear(embeddings, self.directions)  # (N, C)


def check_width(caller: str, text: TextEmbeddings, width: int) -> None:
    """Raise a ``ValueError`` unless images have the width of the texts."""
    if text.width != width:
        raise ValueError(
            f"{caller}: text embeddings have the width {text.width}, but those of images have {width}; both must come "
            "from the same CLIP model"
        )

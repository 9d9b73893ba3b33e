"""Pictures of what a masked autoencoder sees and predicts: image, visible part, reconstruction."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

import lucid
from lucid._files import write_atomically
from lucid.training.report import Gallery, Sample, png
from lucid.training.samples import pixels

if TYPE_CHECKING:
    from lucid.training.trainer import Trainer

FILE = "reconstructions.png"
MIN_PX = 96  # smaller images are enlarged
_HINT = (
    "Images that are not for training: what is there, what the encoder sees, and what the decoder adds. "
    "The network predicts {what}. The masks are the same after every epoch."
)
_WHITE = 255


class Reconstructions:
    """The ``galleries`` of a ``RunFolder`` for ``FCMAE``; also writes ``reconstructions.png`` into the folder.

    Args:
        examples: Gives the images, uint8 (N, C, H, W). Called once.
    """

    def __init__(self, examples: Callable[[], np.ndarray]) -> None:
        self._examples = examples
        self._images: np.ndarray | None = None

    def __call__(self, trainer: "Trainer") -> list[Gallery]:
        if self._images is None:
            self._images = self._examples()
        model: Any = trainer.model
        rows = reconstructed(trainer, lucid.tensor(self._images))
        if trainer.folder is not None:
            enlarged = [_enlarged(row) for row in rows]
            gap = np.full((8, *enlarged[0].shape[1:]), _WHITE, np.uint8)
            sheet = [part for row in enlarged for part in (row, gap)][:-1]
            write_atomically(trainer.folder.path / FILE, png(np.concatenate(sheet)))
        what = "the pattern of a patch; its brightness and contrast are those of the image"
        hint = _HINT.format(what=what if model.normalize_targets else "pixels")
        return [Gallery("Reconstructions", hint, [Sample(row, "") for row in rows], columns=3)]


@lucid.no_grad()
def reconstructed(trainer: "Trainer", images: lucid.Tensor) -> list[np.ndarray]:
    """For each of the ``images`` three pictures side by side, (H, W, C): it, its visible part, its reconstruction."""
    model: Any = trainer.model
    was_training = model.training
    model.eval()
    with nullcontext() if trainer.ema is None else trainer.ema.applied():
        x = images if trainer.test_transform is None else trainer.test_transform(images)
        _, prediction, mask = model(x)
        shown = [x, model.hide(x, mask), model.reconstruct(x, prediction, mask)]
    model.train(was_training)
    parts = [pixels(trainer, one) for one in shown]  # each (N, H, W, C)
    gap = np.full((*parts[0].shape[:2], max(1, parts[0].shape[2] // 32), parts[0].shape[3]), _WHITE, np.uint8)
    return list(np.concatenate([parts[0], gap, parts[1], gap, parts[2]], axis=2))


def _enlarged(image: np.ndarray) -> np.ndarray:
    times = -(-MIN_PX // image.shape[0])
    return image.repeat(times, axis=0).repeat(times, axis=1)

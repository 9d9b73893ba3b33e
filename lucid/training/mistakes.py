"""The most confident mistakes of a classifier."""

import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import distributed as dist

MAX_MISTAKES = 24


def predictions(outputs: lucid.Tensor, targets: lucid.Tensor) -> np.ndarray:
    """(N, 4): class, predicted class, and their probabilities, the predicted class first; no rows for other targets."""
    if outputs.ndim != 2 or targets.ndim != 1:  # each pixel has a class, or each class a share
        return np.empty((0, 4))
    probabilities = F.softmax(outputs, dim=1)
    confidence, predicted = probabilities.max(dim=1)
    of_truth = probabilities.gather(1, targets.reshape(-1, 1)).reshape(-1)
    columns = targets, predicted, confidence, of_truth
    return np.stack([column.numpy() for column in columns], axis=1, dtype=np.float64)


def most_confident_mistakes(rows: np.ndarray) -> list[tuple[int, int, int, float, float]]:
    """The most confident mistakes of all processes, from the ``rows`` of this one's samples."""
    numbers = dist.get_rank() + dist.get_world_size() * np.arange(len(rows))
    wrong = np.flatnonzero(rows[:, 0] != rows[:, 1])
    found = most_confident(np.column_stack([numbers, rows])[wrong])
    if dist.get_world_size() > 1:
        padded = np.full((MAX_MISTAKES, 5), -1.0)  # all processes send equally many
        padded[: len(found)] = found
        together = np.concatenate([one.numpy() for one in dist.all_gather(lucid.tensor(padded, dtype=lucid.float32))])
        found = most_confident(together[together[:, 0] >= 0])
    return [(*map(int, row[:3]), *map(float, row[3:])) for row in found]  # type: ignore[misc]


def most_confident(rows: np.ndarray) -> np.ndarray:
    """The rows with the highest probability of the predicted class; among ties, the first samples."""
    return rows[np.lexsort((rows[:, 0], -rows[:, 3]))][:MAX_MISTAKES]

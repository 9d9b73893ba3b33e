"""``Evaluation``: what evaluating a model on the test data found."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Evaluation:
    """The result of an evaluation. ``confusion[i, j]`` counts samples of class i that were predicted as class j."""

    loss: float
    metrics: dict[str, float] = field(default_factory=dict)
    confusion: np.ndarray | None = None  # of a classifier
    # Sample number, its class, the predicted class, and the probabilities of the latter and the former.
    mistakes: list[tuple[int, int, int, float, float]] = field(default_factory=list)  # the most confident first
    sections: list[str] = field(default_factory=list)  # what a task adds to the report, as HTML

    @property
    def accuracy(self) -> float:
        """The fraction of correct predictions of a classifier."""
        if self.confusion is None:
            raise AttributeError(
                "Evaluation: accuracy is only available for classifiers, and this run has a custom loss"
            )
        return float(self.confusion.trace() / self.confusion.sum())

"""Metrics computed on the device: updates never wait for a value and can be part of a compiled step.

::

    accuracy, mean_loss = lucid.metrics.Accuracy(), lucid.metrics.MeanMetric()

    @lucid.compile(state=[model, optimizer, accuracy, mean_loss])
    def step(images, labels):
        optimizer.zero_grad()
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        accuracy.update(logits, labels)
        mean_loss.update(loss, len(labels))

    for images, labels in loader:
        step(images, labels)
    print(mean_loss.compute().item(), accuracy.compute().item())  # only this waits for values

Names follow torchmetrics. All state is a sum over samples, so results do not depend on the batching, and the states of
several processes can be added. ``average_precision`` and ``auroc``, which depend on the order of all scores, are
functions of all predictions at once.
"""

from lucid.metrics._accuracy import Accuracy, accuracy
from lucid.metrics.calibration import CalibrationError
from lucid.metrics.confusion import ConfusionMatrix
from lucid.metrics.f1 import F1Score
from lucid.metrics.iou import MeanIoU
from lucid.metrics.mean import MeanMetric
from lucid.metrics.metric import Metric
from lucid.metrics.ranking import auroc, average_precision

__all__ = [
    "Accuracy",
    "CalibrationError",
    "ConfusionMatrix",
    "F1Score",
    "MeanIoU",
    "MeanMetric",
    "Metric",
    "accuracy",
    "auroc",
    "average_precision",
]

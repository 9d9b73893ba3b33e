"""Metrics that count on the device: an update never waits for a value, and it can be part of a compiled step.

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
    print(mean_loss.compute().item(), accuracy.compute().item())  # here, and only here, the values are waited for

The names are torchmetrics'. Every state is a sum over samples, so results do not depend on how samples are batched, and
the states of several processes add up to that of all.
"""

from lucid.metrics._accuracy import Accuracy, accuracy
from lucid.metrics.confusion import ConfusionMatrix
from lucid.metrics.mean import MeanMetric
from lucid.metrics.metric import Metric

__all__ = ["Accuracy", "ConfusionMatrix", "MeanMetric", "Metric", "accuracy"]

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
several processes can be added.
"""

from lucid.metrics._accuracy import Accuracy, accuracy
from lucid.metrics.confusion import ConfusionMatrix
from lucid.metrics.mean import MeanMetric
from lucid.metrics.metric import Metric

__all__ = ["Accuracy", "ConfusionMatrix", "MeanMetric", "Metric", "accuracy"]

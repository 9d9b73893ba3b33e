"""What the trainer does with several metrics at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lucid.metrics import Metric


def metric_values(metrics: Mapping[str, Metric]) -> dict[str, float]:
    """The values by name. Waits for them."""
    return {name: metric.compute().item() for name, metric in metrics.items()}


@contextmanager
def preserved(metrics: Mapping[str, Metric]) -> Iterator[None]:
    """Inside, the metrics start from zero; afterwards they are as they were."""
    states = {name: metric.state_dict() for name, metric in metrics.items()}
    for metric in metrics.values():
        metric.reset()
    try:
        yield
    finally:
        for name, metric in metrics.items():
            metric.load_state_dict(states[name])

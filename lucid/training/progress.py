"""The time and the output of a training run: a clock, a progress bar, and a line for each epoch."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from lucid import distributed as dist


def require(package: str) -> Any:
    """The module of an optional package.

    Raises:
        ImportError: The package is not installed; the message says how to install it.
    """
    try:
        return import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        raise ImportError(
            f'lucid.training needs {name}, which is not installed: pip install "lucid-mlx[train]"'
        ) from error


@dataclass
class Clock:
    """Time and samples of the current epoch, across interruptions."""

    seconds: float = 0.0  # spent training
    waiting: float = 0.0  # the part of it spent waiting for data
    seen: int = 0  # samples
    steps: int = 0


def timed(batches: Any, clock: Clock) -> Iterator[Any]:
    """``batches``; the time spent waiting for them is added to ``clock``."""
    iterator = iter(batches)
    while True:
        start = time.perf_counter()
        batch = next(iterator, None)
        clock.waiting += time.perf_counter() - start
        if batch is None:
            return
        yield batch


class ProgressBar:
    """A bar for the steps of an epoch, on a terminal only. It also shows when the whole run will end."""

    def __init__(self, title: str, steps: int, done: int, epochs_left: int, hidden: bool = False) -> None:
        self.start, self.first, self.total = time.perf_counter(), done, steps * epochs_left
        # None hides the bar where the output is not a terminal.
        disable = None if dist.is_main() and not hidden else True
        self.bar = require("tqdm").tqdm(
            total=steps, initial=done, desc=title, unit=" steps", leave=False, disable=disable
        )

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def show(self, step: int, values: dict[str, float]) -> None:
        """Move to ``step`` and show the epoch's ``values`` so far."""
        per_second = (step - self.first) / (time.perf_counter() - self.start)
        text = ", ".join(f"{name} {_number(name, value, 3, 1)}" for name, value in values.items())
        left = duration(round((self.total - step) / per_second))
        self.bar.set_postfix_str(f"{text}, run ends in {left}", refresh=False)
        self.bar.update(step - self.bar.n)


def epoch_line(title: str, row: dict[str, Any], unit: str) -> str:
    """An epoch in one line: ``epoch 3/9: loss 0.412, accuracy 91.20%; test loss ...; 812 images/s, ...``."""
    parts: dict[str, list[str]] = {}
    for column, value in row.items():
        split, _, name = column.partition("_")
        if column not in ("epoch", "lr", "seconds", "waiting", f"{unit}_per_second"):
            first = "" if split == "train" or split in parts else f"{split} "
            parts.setdefault(split, []).append(f"{first}{name.replace('_', ' ')} {_number(name, value, 3, 2)}")
    results = "; ".join(", ".join(values) for values in parts.values())
    return (
        f"{title}: {results}; {row[f'{unit}_per_second']:,.0f} {unit}/s, "
        f"{row['waiting']:.1%} of the time waiting for data"
    )


def _number(name: str, value: float, digits: int, percent_digits: int) -> str:
    return f"{value:.{percent_digits}%}" if name == "accuracy" else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """45 s, 3 min 20 s, or 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"

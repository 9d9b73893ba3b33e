"""The time and the output of a training run: a clock, a progress bar, and a line for each epoch."""

import io
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from lucid import distributed as dist

COLUMNS = 80  # of a terminal
SECONDS_BETWEEN_LINES = 60.0  # without a terminal
MENTIONED_WAITING = 0.05  # share of the time of an epoch


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
    """The steps of an epoch: a bar on a terminal, otherwise a line every minute.

    While there is a bar, whatever the program prints appears above it.
    """

    def __init__(self, title: str, steps: int, done: Clock, epochs_left: int, unit: str = "samples") -> None:
        self.title, self.steps, self.unit, self.total = title, steps, unit, steps * epochs_left
        self.start = self.line_at = time.perf_counter()
        self.first, self.first_seen = done.steps, done.seen
        self.is_main = dist.is_main()
        # None hides the bar where the output is not a terminal.
        self.bar = require("tqdm").tqdm(
            total=steps, initial=done.steps, desc=title, leave=False, disable=None if self.is_main else True,
            bar_format="{desc}: {percentage:3.0f}%|{bar:12}| {n_fmt}/{total_fmt}{postfix}", dynamic_ncols=True,
        )  # fmt: skip
        self._streams: tuple[Any, Any] | None = None

    def __enter__(self) -> "ProgressBar":
        if not self.bar.disable:
            self._streams = sys.stdout, sys.stderr
            sys.stdout, sys.stderr = (_AboveTheBar(self.bar, one) for one in self._streams)
        return self

    def __exit__(self, *_: object) -> None:
        if self._streams is not None:
            for one in (sys.stdout, sys.stderr):
                if isinstance(one, _AboveTheBar):
                    one.end()
            sys.stdout, sys.stderr = self._streams
        self.bar.close()

    def is_due(self) -> bool:
        """Whether ``show`` should be called now, because a line was last printed a minute ago."""
        return self.is_main and self.bar.disable and time.perf_counter() - self.line_at >= SECONDS_BETWEEN_LINES

    def show(self, clock: Clock, values: dict[str, float]) -> None:
        """Move to the step of ``clock`` and show the epoch's ``values`` so far."""
        seconds = time.perf_counter() - self.start
        left = time_left((self.total - clock.steps) * seconds / max(1, clock.steps - self.first))
        results = " ".join(_number(name, value) for name, value in values.items() if name in ("loss", "accuracy"))
        if not self.bar.disable:
            self.bar.set_postfix_str(f"loss {results}, {left}", refresh=False)
            self.bar.update(clock.steps - self.bar.n)
        elif self.is_due():
            self.line_at = time.perf_counter()
            rate = f"{(clock.seen - self.first_seen) / seconds:,.0f} {self.unit}/s"
            print(f"{self.title}: step {clock.steps} of {self.steps}, loss {results}; {rate}; {left}", flush=True)


class _AboveTheBar(io.TextIOBase):
    """A stream whose lines appear above a progress bar."""

    def __init__(self, bar: Any, stream: Any) -> None:
        self._bar, self._stream, self._rest = bar, stream, ""

    def write(self, text: str) -> int:
        *lines, self._rest = f"{self._rest}{text}".split("\n")
        for line in lines:
            self._bar.write(line, file=self._stream)
        return len(text)

    def end(self) -> None:
        """Write what had no end of line."""
        if self._rest:
            self.write("\n")

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding


def epoch_line(
    title: str, row: dict[str, Any], unit: str, monitor: str = "", *, is_best: bool = False, seconds_left: float = 0
) -> str:
    """An epoch in a line of at most 80 columns, if its main results fit in one.

    ``epoch 3/9: loss 0.412 91.2%; test 0.389 92.14% best; 812 images/s; 12 min left``. What does not fit is left out:
    first all metrics but the loss and the one in the column ``monitor``, by default the accuracy, then the speed.
    "waiting 12%" is the share of the time spent waiting for data, if it is above 5 %.
    """
    monitored = monitor.partition("_")[2]
    splits: dict[str, dict[str, float]] = {}
    for column, value in row.items():
        split, _, name = column.partition("_")
        if column not in ("epoch", "lr", "seconds", "waiting", f"{unit}_per_second"):
            splits.setdefault(split, {})[name] = value

    def results(split: str, values: dict[str, float], only_main: bool) -> str:
        is_named = monitored in values and monitored not in ("loss", "accuracy")
        unnamed = ("loss",) if is_named else ("loss", "accuracy")
        named = [name for name in values if name not in unnamed and not (only_main and name != monitored)]
        main = [_number(name, values[name], split != "train") for name in unnamed if name in values]
        text = " ".join(["loss" if split == "train" else split, *main])
        return ", ".join([text, *(f"{n.replace('_', ' ')} {_number(n, values[n])}" for n in named)])

    *_, last = splits
    waiting = f"waiting {row['waiting']:.0%}" if row["waiting"] > MENTIONED_WAITING else ""
    rate, left = f"{row[f'{unit}_per_second']:,.0f} {unit}/s", time_left(seconds_left) if seconds_left else ""
    full, short = (waiting, rate, left), (waiting, left)
    for only_main, end in ((False, full), (True, full), (True, short), (True, (left,))):
        parts = [results(split, values, only_main) for split, values in splits.items()]
        parts[list(splits).index(last)] += " best" if is_best else ""
        line = f"{title}: {'; '.join(filter(None, [*parts, *end]))}"
        if len(line) <= COLUMNS:
            break
    return line


def _number(name: str, value: float, is_exact: bool = False) -> str:
    if name == "accuracy":
        return f"{value:.2%}" if is_exact else f"{value:.1%}"
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.4g}"


def time_left(seconds: float) -> str:
    """45 s left, 3 min left, or 2.1 h left."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s left"
    return f"{seconds / 60:.0f} min left" if seconds < 3570 else f"{seconds / 3600:.1f} h left"


def duration(seconds: float) -> str:
    """45 s, 3 min 20 s, or 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"

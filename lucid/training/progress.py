"""What training says about itself: a progress bar, and a line for every epoch."""

import time
from typing import Any

from tqdm import tqdm

from lucid import distributed as dist


class Bar:
    """A progress bar for an epoch, where somebody watches; it also says when the whole run will be over."""

    def __init__(self, trainer: Any, title: str) -> None:
        self.trainer, self.start = trainer, time.perf_counter()
        self.begun_at = trainer.clock.seen
        total = len(trainer.train_loader) * trainer.recipe.batch_size
        hidden = None if dist.is_main() else True  # None: where nobody watches
        self.bar = tqdm(total=total, initial=self.begun_at, desc=title, unit=" img", leave=False, disable=hidden)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def show(self, loss: float, accuracy: float) -> None:
        recipe, seen = self.trainer.recipe, self.trainer.clock.seen
        per_second = (seen - self.begun_at) / (time.perf_counter() - self.start)
        left = self.bar.total * (recipe.epochs - len(self.trainer.history)) - seen
        text = f"loss {loss:.3f}, accuracy {accuracy:.1%}, run ends in {duration(round(left / per_second))}"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(seen - self.bar.n)


def line(title: str, row: dict[str, Any], part: str) -> str:
    return (
        f"{title}: loss {row['train_loss']:.3f}, accuracy {row['train_accuracy']:.2%}; "
        f"{part} loss {row[f'{part}_loss']:.3f}, accuracy {row[f'{part}_accuracy']:.2%}; "
        f"{row['images_per_second']:,.0f} images/s, {row['waiting']:.1%} of the time waiting for data"
    )


def duration(seconds: float) -> str:
    """45 s, 3 min 20 s, or 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"

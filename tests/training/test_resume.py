"""The loop around training: when it ends, and what it measures."""

import time
from types import SimpleNamespace

import pytest

pytest.importorskip("matplotlib", reason="the examples draw with matplotlib")
pytest.importorskip("tqdm", reason="the examples show their progress with tqdm")

from lucid.training import run_folder, trainer


def test_patience_ends_a_run_whose_accuracy_stands_still():
    def finished(patience, *accuracies):
        history = [{"epoch": n, "test_accuracy": one} for n, one in enumerate(accuracies, start=1)]
        recipe = trainer.Recipe(epochs=5, patience=patience)
        return trainer.is_finished(SimpleNamespace(recipe=recipe, history=history, part="test"))

    assert [finished(0, *[0.5] * n) for n in (0, 4, 5)] == [False, False, True]
    assert not finished(2) and not finished(2, 0.5, 0.4) and finished(2, 0.5, 0.4, 0.5)
    assert not finished(2, 0.5, 0.4, 0.6, 0.5)


def test_waiting_is_measured():
    clock, moments = trainer.Clock(), []

    def slow():
        for number in range(3):
            moments.append(time.perf_counter())
            while time.perf_counter() < moments[-1] + 0.01:
                pass
            yield number

    assert list(trainer.timed(slow(), clock)) == [0, 1, 2]
    assert clock.waiting >= 0.03


@pytest.mark.filterwarnings("error")
def test_a_title_in_letters_that_the_font_has_not_is_no_reason_to_warn():
    row = {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
    assert run_folder.draw_curves([row], "日本", "val").startswith(b"\x89PNG")

"""The clock, the progress bar and the line of an epoch."""

import io
import re
import time

import pytest

from lucid.training import progress


def test_waiting_is_measured():
    clock, moments = progress.Clock(), []

    def slow():
        for number in range(3):
            moments.append(time.perf_counter())
            while time.perf_counter() < moments[-1] + 0.01:
                pass
            yield number

    assert list(progress.timed(slow(), clock)) == [0, 1, 2]
    assert clock.waiting >= 0.03


def test_the_bar_shows_results_and_the_end_of_the_run(monkeypatch):
    tqdm = pytest.importorskip("tqdm", reason="the bar is tqdm's")
    shown, kind = io.StringIO(), tqdm.tqdm
    monkeypatch.setattr(tqdm, "tqdm", lambda **options: kind(file=shown, **{**options, "disable": False}))
    with progress.ProgressBar("epoch 2/3", steps=10, done=4, epochs_left=2) as one:
        one.start -= 3
        one.show(7, {"loss": 0.5, "accuracy": 0.25})
        assert one.bar.n == 7 and one.bar.total == 10
        # 3 steps took 3 s, and 13 are left of the two epochs.
        assert one.bar.postfix == "loss 0.500, accuracy 25.0%, run ends in 13 s"
    assert "epoch 2/3" in shown.getvalue()


def test_no_bar_without_a_terminal(capsys):
    pytest.importorskip("tqdm", reason="the bar is tqdm's")
    with progress.ProgressBar("epoch 1/1", steps=2, done=0, epochs_left=1) as one:
        one.show(1, {"loss": 1.0})
    assert capsys.readouterr().err == ""


def test_an_epoch_is_one_line():
    row = {
        "epoch": 3, "lr": 1e-3, "train_loss": 0.4117, "train_accuracy": 0.912, "train_mean_error": 2.0, "val_loss": 0.5,
        "val_accuracy": 1.0, "val_mean_error": 3.0, "samples_per_second": 8123.4, "waiting": 0.021, "seconds": 2.0,
    }  # fmt: skip
    assert progress.epoch_line("epoch 3/9", row, "samples") == (
        "epoch 3/9: loss 0.412, accuracy 91.20%, mean error 2.000; val loss 0.500, accuracy 100.00%, mean error 3.000; "
        "8,123 samples/s, 2.1% of the time waiting for data"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.234, "1.23 s"), (59.6, "59.6 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_are_readable(seconds, text):
    assert progress.duration(seconds) == text


def test_a_missing_package_says_what_to_install():
    with pytest.raises(
        ImportError, match=re.escape("lucid.training needs nothing_of_the_kind, which is not installed: pip")
    ):
        progress.require("nothing_of_the_kind.part")

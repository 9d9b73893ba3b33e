"""The clock, the progress bar and the line of an epoch."""

import io
import re
import sys
import time
from types import SimpleNamespace

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


@pytest.fixture
def terminal(monkeypatch):
    """What a terminal of 80 columns gets."""
    tqdm = pytest.importorskip("tqdm", reason="the bar is tqdm's")
    shown, kind = io.StringIO(), tqdm.tqdm
    fixed = {"file": shown, "disable": False, "dynamic_ncols": False, "ncols": 80}
    monkeypatch.setattr(tqdm, "tqdm", lambda **options: kind(**{**options, **fixed}))
    return shown


def test_the_bar_shows_results_and_the_end_of_the_run(terminal, monkeypatch):
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: 100.0))
    with progress.ProgressBar("epoch 2/3", 10, progress.Clock(steps=4), epochs_left=2) as one:
        one.start -= 3
        one.show(progress.Clock(steps=7), {"loss": 0.5, "accuracy": 0.25, "mean_error": 1.0})
        assert one.bar.n == 7 and one.bar.total == 10
        # 3 steps took 3 s, and 13 are left of the two epochs.
        assert one.bar.postfix == "loss 0.500 25.0%, 13 s left"
        one.bar.refresh()
    last = terminal.getvalue().rstrip("\r ").split("\r")[-1].rstrip()
    assert (
        last.startswith("epoch 2/3:  70%|") and last.endswith("| 7/10, loss 0.500 25.0%, 13 s left") and len(last) <= 80
    )


def test_nothing_is_written_into_the_bar(terminal, capsys):
    before = sys.stdout, sys.stderr
    with progress.ProgressBar("epoch 1/1", 10, progress.Clock(), epochs_left=1) as one:
        print("a line", "and more")
        print("an error", file=sys.stderr)
        print("no end of line yet", end="")
        assert sys.stdout.isatty() == before[0].isatty()
        one.show(progress.Clock(steps=3), {"loss": 1.0})
    assert (sys.stdout, sys.stderr) == before
    captured = capsys.readouterr()
    # tqdm clears the bar, writes the line to the stream that it was for, and draws the bar again.
    assert captured.out == "a line and more\nno end of line yet\n" and captured.err == "an error\n"
    assert "a line" not in terminal.getvalue()


def test_without_a_terminal_there_is_a_line_a_minute(capsys):
    pytest.importorskip("tqdm", reason="the bar is tqdm's")
    with progress.ProgressBar("epoch 1/2", 10, progress.Clock(), epochs_left=2, unit="images") as one:
        one.show(progress.Clock(steps=1, seen=32), {"loss": 1.0})
        assert not one.is_due() and capsys.readouterr() == ("", "")
        one.start -= 120
        one.line_at -= 60
        assert one.is_due()
        one.show(progress.Clock(steps=2, seen=64), {"loss": 0.25, "accuracy": 0.5})
        assert not one.is_due()
    out, err = capsys.readouterr()
    assert err == ""
    assert re.fullmatch(r"epoch 1/2: step 2 of 10, loss 0.250 50.0%; 1 images/s; 18 min left\n", out)


ROW = {
    "epoch": 3, "lr": 1e-3, "train_loss": 0.4117, "train_accuracy": 0.912, "val_loss": 0.5, "val_accuracy": 0.9214,
    "samples_per_second": 8123.4, "waiting": 0.021, "seconds": 2.0,
}  # fmt: skip


def test_an_epoch_is_one_line():
    assert progress.epoch_line("epoch 3/9", ROW, "samples") == (
        "epoch 3/9: loss 0.412 91.2%; val 0.500 92.14%; 8,123 samples/s"
    )
    assert progress.epoch_line("epoch 3/9", ROW, "samples", is_best=True, seconds_left=700) == (
        "epoch 3/9: loss 0.412 91.2%; val 0.500 92.14% best; 8,123 samples/s; 12 min left"
    )


def test_the_line_of_an_epoch_fits_in_80_columns():
    others = {"train_mean_error": 2.0, "val_mean_error": 3.0}
    for more, wanted in [
        (others, "epoch 113/300: loss 0.412 91.2%; val 0.500 92.14% best; 2.5 h left"),
        ({"waiting": 0.25}, "epoch 113/300: loss 0.412 91.2%; val 0.500 92.14% best; waiting 25%; 2.5 h left"),
        ({"waiting": 0.05}, "epoch 113/300: loss 0.412 91.2%; val 0.500 92.14% best; 2.5 h left"),
    ]:
        line = progress.epoch_line("epoch 113/300", {**ROW, **more}, "samples", is_best=True, seconds_left=9000)
        assert line == wanted and len(line) <= 80


def test_the_metric_that_decides_which_epoch_is_best_always_shows():
    row = {**ROW, "val_mean_iou": 0.8766}
    line = progress.epoch_line("epoch 113/300", row, "samples", "val_mean_iou", is_best=True, seconds_left=9000)
    assert line == "epoch 113/300: loss 0.412 91.2%; val 0.500, mean iou 0.877 best; 2.5 h left"
    assert len(line) <= 80
    for shown in ("val_accuracy", "val_loss"):  # these need no name
        line = progress.epoch_line("epoch 3/9", ROW, "samples", shown)
        assert line == "epoch 3/9: loss 0.412 91.2%; val 0.500 92.14%; 8,123 samples/s"


def test_metrics_of_one_s_own_are_shown_where_they_fit():
    row = {"epoch": 1, "train_loss": 0.5, "train_error": 2.0, "seconds": 1.0, "waiting": 0.0, "samples_per_second": 9.0}
    assert progress.epoch_line("epoch 1/9", row, "samples") == "epoch 1/9: loss 0.500, error 2.000; 9 samples/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (3500, "58 min"), (3599, "1.0 h"), (7500, "2.1 h")],
)
def test_the_time_left_is_short(seconds, text):
    assert progress.time_left(seconds) == f"{text} left"


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

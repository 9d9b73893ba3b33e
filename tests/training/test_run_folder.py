"""The files of a run folder."""

import pytest

from lucid.training import run_folder

pytest.importorskip("matplotlib", reason="curves are drawn with matplotlib")


@pytest.mark.filterwarnings("error")
def test_a_title_in_letters_that_the_font_lacks_causes_no_warning(tmp_path):
    row = {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
    run_folder.write_curves(tmp_path / "curves.png", [row], "日本", "val")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_row_is_the_first_of_the_best():
    history = [{"epoch": n, "test_loss": loss} for n, loss in enumerate([3, 1, 2, 1], start=1)]
    assert run_folder.best_row(history, "test_loss", "min")["epoch"] == 2
    assert run_folder.best_row(history, "test_loss", "max")["epoch"] == 1

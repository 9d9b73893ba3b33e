"""Recipes as options, as JSON and as values that are checked."""

import argparse
import json
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from lucid.cli import _common
from lucid.training import recipe


@pytest.fixture(scope="module")
def recipes():
    names = {**vars(recipe), **vars(_common)}
    return SimpleNamespace(**names)


@pytest.fixture(scope="module")
def kind(recipes):
    @dataclass(frozen=True, kw_only=True)
    class Own(recipes.Recipe):
        sizes: tuple[int, ...] = recipes.knob((1, 2), "some sizes")
        color: str = recipes.knob("red", "a color", choices=("red", "blue"))

    return Own


def parsed(recipes, kind, *arguments):
    parser = recipes.Parser()
    recipes.options(parser, kind)
    return parser.parse_args(arguments)


def test_every_field_is_an_option(recipes, kind):
    given = ["--sizes", "3", "4", "5", "--color", "blue", "--epochs", "7", "--lr", "1e-2", "--no-flip", "--amp"]
    found = recipes.choose(kind, parsed(recipes, kind, *given), {"epochs": 9, "batch_size": 32})
    assert (found.sizes, found.color, found.epochs, found.lr, found.flip) == ((3, 4, 5), "blue", 7, 0.01, False)
    assert found.amp == "bfloat16" and found.batch_size == 32
    assert recipes.choose(kind, parsed(recipes, kind), {}) == kind()


def test_a_program_sees_its_own_fields_first(recipes, kind):
    assert [one.name for one in recipes.in_order(kind)][:3] == ["sizes", "color", "epochs"]
    assert list(json.loads(recipes.shown(kind())))[:3] == ["sizes", "color", "epochs"]


def test_what_is_shown_is_read_again(recipes, kind, tmp_path):
    one = kind(sizes=(5,), lr=3.0, augment="trivial", flip=False)
    (tmp_path / "mine.json").write_text(recipes.shown(one))
    assert kind(**recipes.read_config(tmp_path / "mine.json", kind)) == one


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON: "),
        ("[1]", "must hold an object"),
        ('{"epoch": 3, "lr": 1.0}', "there is no setting epoch; --print-config shows all"),
    ],
)
def test_wrong_files_are_named(recipes, kind, tmp_path, content, message):
    path = tmp_path / "mine.json"
    path.write_text(content)
    with pytest.raises(ValueError) as caught:
        recipes.read_config(path, kind)
    assert str(caught.value).startswith(f"--config {path}") and message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "--epochs must be at least 1, got 0"),
        ({"epochs": True}, TypeError, "--epochs must be of type int, got True"),
        ({"epochs": "3"}, TypeError, "--epochs must be of type int, got '3'"),
        ({"flip": 1}, TypeError, "--flip must be of type bool, got 1"),
        ({"lr": float("nan")}, ValueError, "--lr must be a finite number, got nan"),
        ({"erasing": 1.1}, ValueError, "--erasing must be at least 0 and at most 1, got 1.1"),
        ({"drop_path": 1}, ValueError, "--drop-path must be at least 0 and below 1, got 1.0"),
        ({"color": "green"}, ValueError, "--color must be one of red, blue, got green"),
        ({"sizes": [1, 2.5]}, TypeError, "--sizes must be a list of int, got [1, 2.5]"),
        ({"sizes": 3}, TypeError, "--sizes must be a list of int, got 3"),
        ({"batch_size": 10, "accumulate": 3}, ValueError, "--accumulate 3 does not divide --batch-size 10"),
        ({"lr": 1e-3, "min_lr": 1e-2}, ValueError, "--min-lr must be at most --lr, 0.001, got 0.01"),
        ({"layer_decay": 0.0}, ValueError, "--layer-decay must be above 0 and at most 1, got 0"),
    ],
)
def test_wrong_values_are_named(kind, values, error, message):
    with pytest.raises(error) as caught:
        kind(**values)
    assert str(caught.value) == message


def test_a_checkpoint_is_not_contradicted(recipes, kind, tmp_path):
    saved = {"epochs": 9, "sizes": [5, 6]}
    same = parsed(recipes, kind, "--epochs", "9", "--sizes", "5", "6")
    assert recipes.choose(kind, same, saved, saved=True) == kind(epochs=9, sizes=(5, 6))
    for arguments, message in (
        (["--epochs", "8"], "--epochs 8 contradicts the checkpoint, which has 9"),
        (["--sizes", "5"], "--sizes 5 contradicts the checkpoint, which has 5 6"),
    ):
        with pytest.raises(ValueError, match=message):
            recipes.choose(kind, parsed(recipes, kind, *arguments), saved, saved=True)
    (tmp_path / "mine.json").write_text('{"epochs": 8, "sizes": [5, 6]}')
    same.config = tmp_path / "mine.json"  # an option goes before it, here too
    assert recipes.choose(kind, same, saved, saved=True).epochs == 9
    same.epochs = None
    with pytest.raises(ValueError, match="--epochs 8 contradicts the checkpoint, which has 9"):
        recipes.choose(kind, same, saved, saved=True)
    same.config = None
    with pytest.raises(ValueError, match="is of another program: it has the setting photos, which is not known here"):
        recipes.choose(kind, same, {**saved, "photos": 3}, saved=True)


def test_a_warm_up_ends_with_the_epochs(recipes, kind):
    preset = {"epochs": 30, "warmup_epochs": 4}
    found = recipes.choose(kind, parsed(recipes, kind, "--epochs", "3"), preset)
    assert (found.epochs, found.warmup_epochs) == (3, 3)
    found = recipes.choose(kind, parsed(recipes, kind, "--epochs", "3", "--warmup-epochs", "0"), preset)
    assert (found.epochs, found.warmup_epochs) == (3, 0)
    with pytest.raises(ValueError, match="--warmup-epochs must be at most --epochs, 3, got 5"):
        recipes.choose(kind, parsed(recipes, kind, "--epochs", "3", "--warmup-epochs", "5"), preset)


def test_mistakes_of_the_command_line_are_one_sentence(recipes, kind, capsys):
    parser = recipes.Parser(prog="train")
    recipes.options(parser, kind)
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["--color", "green"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert isinstance(parser, argparse.ArgumentParser)

"""Settings as options: a recipe's fields on the command line, in a file, and in a checkpoint."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("PIL", reason="the commands read images with Pillow")

from lucid.cli import _common
from lucid.training import Recipe, SettingError, setting


@dataclass(frozen=True, kw_only=True)
class Own(Recipe):
    sizes: tuple[int, ...] = setting((1, 2), "some sizes")
    color: str = setting("red", "a color", choices=("red", "blue"))


def parsed(*arguments):
    parser = _common.Parser()
    _common.add_setting_options(parser, Own)
    return parser.parse_args(arguments)


def test_every_field_is_an_option():
    given = ["--sizes", "3", "4", "5", "--color", "blue", "--epochs", "7", "--lr", "1e-2", "--no-flip", "--amp"]
    found = _common.choose(Own, parsed(*given), {"epochs": 9, "batch_size": 32})
    assert (found.sizes, found.color, found.epochs, found.lr, found.flip) == ((3, 4, 5), "blue", 7, 0.01, False)
    assert found.amp == "bfloat16" and found.batch_size == 32
    assert _common.choose(Own, parsed(), {}) == Own()


def test_settings_are_read_from_a_file(tmp_path):
    one = Own(sizes=(5,), lr=3.0, augment="trivial", flip=False)
    (tmp_path / "mine.json").write_text(one.to_json())
    assert Own(**_common.read_config(tmp_path / "mine.json", Own)) == one
    assert _common.read_config(None, Own) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON: "),
        (b"\xff{}", "not valid JSON: "),
        ("[1]", "expected a JSON object, got list"),
        ('{"epoch": 3, "lr": 1.0}', "unknown setting epoch; --print-config shows all settings"),
    ],
)
def test_wrong_files_are_named(tmp_path, content, message):
    path = tmp_path / "mine.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError) as caught:
        _common.read_config(path, Own)
    assert str(caught.value).startswith(f"--config {path}: ") and message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"drop_path": 1}, "--drop-path must be at least 0 and below 1, got 1.0"),
        ({"sizes": 3}, "--sizes must be a list of int, got 3"),
        ({"batch_size": 10, "accumulate": 3}, "--batch-size must be a multiple of --accumulate, 3, got 10"),
        ({"lr": 1e-3, "min_lr": 1e-2}, "--min-lr must be at most --lr, 0.001, got 0.01"),
    ],
)
def test_errors_name_options(values, message):
    with pytest.raises(SettingError) as caught:
        Own(**values)
    assert _common.message_of(caught.value) == message


def test_a_switch_is_named_as_it_is_typed():
    error = SettingError("weights and pretrained=False are mutually exclusive", "weights", "pretrained")
    assert _common.message_of(error) == "--weights and --no-pretrained are mutually exclusive"


def test_a_checkpoint_is_not_contradicted(tmp_path):
    saved = {"epochs": 9, "sizes": [5, 6]}
    same = parsed("--epochs", "9", "--sizes", "5", "6")
    assert _common.choose(Own, same, saved, saved=True) == Own(epochs=9, sizes=(5, 6))
    for arguments, message in (
        (["--epochs", "8"], "--epochs 8 contradicts the checkpoint, which has 9"),
        (["--sizes", "5"], "--sizes 5 contradicts the checkpoint, which has 5 6"),
    ):
        with pytest.raises(ValueError, match=message):
            _common.choose(Own, parsed(*arguments), saved, saved=True)
    (tmp_path / "mine.json").write_text('{"epochs": 8, "sizes": [5, 6]}')
    same.config = tmp_path / "mine.json"  # options override it here too
    assert _common.choose(Own, same, saved, saved=True).epochs == 9
    same.epochs = None
    with pytest.raises(ValueError, match="--epochs 8 contradicts the checkpoint, which has 9"):
        _common.choose(Own, same, saved, saved=True)
    same.config = None
    with pytest.raises(ValueError, match="the checkpoint was written by another command: unknown setting photos"):
        _common.choose(Own, same, {**saved, "photos": 3}, saved=True)


def test_the_warm_up_of_a_preset_is_cut_to_the_epochs():
    preset = {"epochs": 30, "warmup_epochs": 4}
    found = _common.choose(Own, parsed("--epochs", "3"), preset)
    assert (found.epochs, found.warmup_epochs) == (3, 3)
    found = _common.choose(Own, parsed("--epochs", "3", "--warmup-epochs", "0"), preset)
    assert (found.epochs, found.warmup_epochs) == (3, 0)
    with pytest.raises(ValueError) as caught:
        _common.choose(Own, parsed("--epochs", "3", "--warmup-epochs", "5"), preset)
    assert _common.message_of(caught.value) == "--warmup-epochs must be at most --epochs, 3, got 5"


def test_parser_errors_are_one_line_with_exit_code_2(capsys):
    parser = _common.Parser(prog="train")
    _common.add_setting_options(parser, Own)
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["--color", "green"])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("train: error: argument --color: invalid choice: 'green'") and error.count("\n") == 1


def test_printed_settings_are_json():
    assert json.loads(Own(sizes=(7,)).to_json())["sizes"] == [7]


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/random"])
def test_an_endless_config_is_refused(path):
    with pytest.raises(OSError, match=f"{path} is not a regular file"):
        _common.read_config(Path(path), Own)

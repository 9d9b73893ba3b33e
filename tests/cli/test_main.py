"""The command itself: help, version, mistakes, and packages that are missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from lucid import cli
from lucid._version import __version__

ROOT = Path(__file__).parents[2]


def run(*arguments, missing=()):
    """Run the command where some packages cannot be imported."""
    block = f"import sys; sys.modules.update(dict.fromkeys({list(missing)}))"
    code = f"{block}\nfrom lucid.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, cwd=ROOT,
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(capsys, arguments):
    assert cli.main(arguments) == 0
    output = capsys.readouterr().out
    assert [line.split()[0] for line in output.splitlines() if line.startswith("  ")] == list(cli.COMMANDS)


def test_the_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"lucid {__version__}\n"


def test_an_unknown_command_is_one_line(capsys):
    assert cli.main(["trian"]) == 2
    assert capsys.readouterr().err == (
        f"lucid: error: unknown command 'trian', expected one of {', '.join(cli.COMMANDS)}\n"
    )


def test_a_module_runs_as_the_command_does():
    done = subprocess.run([sys.executable, "-m", "lucid", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, f"lucid {__version__}\n")


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_help(command, capsys):
    pytest.importorskip("PIL", reason="classify reads images with Pillow")
    pytest.importorskip("matplotlib", reason="classify draws with matplotlib's font")
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    output = capsys.readouterr().out
    assert caught.value.code == 0 and output.startswith(f"usage: lucid {command} ") and f"    lucid {command}" in output


EXTRAS = ["PIL", "tqdm", "matplotlib", "sklearn", "huggingface_hub", "tensorboardX"]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["classify", "a.png"], "Pillow"),
        (["train", "--dataset", "digits", "--out", "{tmp}"], "matplotlib"),
        (["train", "--dataset", "digits", "--out", "{tmp}", "--find-lr"], "matplotlib"),
        (["finetune", "{tmp}/photos"], "tqdm"),
    ],
)
def test_a_missing_extra_is_named(tmp_path, arguments, name):
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "1.png").write_bytes(b"")
    missing = [one for one in EXTRAS if one != "sklearn"]  # of which only the data file is read
    done = run(*(one.format(tmp=tmp_path) for one in arguments), missing=missing)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"lucid {arguments[0]}: error: ") and done.stderr.count("\n") == 1
    assert "pip install" in done.stderr and name.lower() in done.stderr.lower()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["info"], ["train", "--print-config"], ["export", "--help"], ["bench", "--help"]]
)
def test_what_needs_no_extra_runs_without(arguments, tmp_path):
    done = run(*(one.format(tmp=tmp_path) for one in arguments), missing=EXTRAS)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_library_needs_mlx_and_numpy_only():
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({EXTRAS}))\n"
        "import lucid; assert not any(name.startswith(('lucid.training', 'lucid.cli')) for name in sys.modules)\n"
        "import numpy as np; from lucid import nn, training\n"
        "x, y = np.zeros((8, 2)), np.arange(8) % 2\n"
        "recipe = training.Recipe(epochs=1, batch_size=4)\n"
        "def fit(progress, **options):\n"
        "    training.Trainer(nn.Linear(2, 2), recipe, train=(x, y), **options).fit(progress=progress)\n"
        "fit(False)\n"
        "for arguments in ({'progress': True}, {'progress': False, 'folder': 'never'}):\n"
        "    try:\n"
        "        fit(**arguments)\n"
        "    except ImportError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    message = 'lucid.training needs {}, which is not installed: pip install "lucid-mlx[train]"'
    assert done.stdout.splitlines() == [message.format("tqdm"), message.format("matplotlib")], done.stderr
    assert not (ROOT / "never").exists()


def test_the_console_script_is_declared():
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("needs the checkout")
    assert '[project.scripts]\nlucid = "lucid.cli:main"\n' in (ROOT / "pyproject.toml").read_text()

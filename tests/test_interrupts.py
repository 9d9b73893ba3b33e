"""Ctrl-C while the command starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Presses Ctrl-C at the import of a module.
FINDER = """
import importlib.abc, os, signal, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
"""
SCRIPT = "import sys\nfrom lucid.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"


def run(tmp_path, at, *words):
    (tmp_path / "sitecustomize.py").write_text(FINDER)
    environment = {**os.environ, "INTERRUPT_AT": at, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    return subprocess.run([sys.executable, *words], env=environment, cwd=tmp_path, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("how", "at"),
    [("module", "numpy"), ("module", "lucid.cli.info"), ("script", "lucid.nn"), ("script", "lucid.cli")],
)
def test_ctrl_c_during_imports_shows_no_traceback(tmp_path, how, at):
    (tmp_path / "lucid").write_text(SCRIPT)  # as pip writes it
    words = ["-m", "lucid"] if how == "module" else [str(tmp_path / "lucid")]
    done = run(tmp_path, at, *words, "info")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_in_a_command_is_one_line(tmp_path):
    """Where no command handles it itself."""
    (tmp_path / "x.safetensors").write_bytes(b"")
    program = (
        "import lucid.cli.info as info\n"
        "def interrupt(path):\n    raise KeyboardInterrupt\n"
        "info.describe_weights = interrupt\n"
        "import lucid.cli\nraise SystemExit(lucid.cli.main(['info', 'x.safetensors']))"
    )
    done = run(tmp_path, "nothing", "-c", program)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\nlucid info: interrupted\n")


@pytest.mark.parametrize("words", [["-c", "import lucid"], ["program.py", "-m", "lucid"]])
def test_other_programs_keep_their_signals(tmp_path, words):
    (tmp_path / "program.py").write_text("import lucid\n")
    assert run(tmp_path, "lucid.nn", *words).stderr.endswith("\nKeyboardInterrupt\n")
    check = "import signal, lucid; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    assert run(tmp_path, "nothing", "-c", check).returncode == 0

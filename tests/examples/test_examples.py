"""Examples are short, and their docstrings say how to run them and what they print."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
MAX_LINES = 150


def test_these_are_the_examples():
    names = {path.stem for path in EXAMPLES}
    assert names == {
        "classify_photo", "custom_kernel", "distributed", "draw_shapes", "finetune_photos", "train_cifar10",
        "zero_shot_cloth",
    }  # fmt: skip


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_documented(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    docstring = ast.get_docstring(ast.parse(text))
    assert f"python examples/{path.name}" in docstring and "Prints" in docstring


@pytest.mark.parametrize(
    "name", ["classify_photo", "distributed", "draw_shapes", "finetune_photos", "train_cifar10", "zero_shot_cloth"]
)
def test_help_is_shown(name):
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"usage: {name}.py")


def test_programs_named_in_the_docs_exist():
    for path in (ROOT / "docs").glob("*.md"):
        for name in re.findall(r"examples/[\w/]+\.py", path.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{path.name}: {name}"

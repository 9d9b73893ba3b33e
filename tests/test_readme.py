"""The code in README.md and docs/ runs as written, and links lead somewhere."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def code_blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


BLOCKS = [
    pytest.param(code, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, code in enumerate(code_blocks(page))
]


@pytest.mark.parametrize("code", BLOCKS)
def test_code_runs_as_written(code, tmp_path):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    if ".mlpackage" in code:
        pytest.importorskip("coremltools", reason="packages are written with coremltools")
    if "onnxruntime" in code:
        pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    if "metal_simulator" in code and shutil.which("g++") is None:
        pytest.skip("the simulator needs g++")
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    percent = re.search(r"([\d.]+)% test accuracy", result.stdout)
    assert percent is None or float(percent[1]) > 90


def test_the_readme_has_code_of_about_twenty_lines():
    first, *_ = code_blocks(ROOT / "README.md")
    assert 15 <= len([line for line in first.splitlines() if line.strip()]) <= 25


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_images_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        # Reference pages exist in the built site only; make docs checks links to them.
        known = target.startswith(("https://", "reference/")) or (page.parent / target).exists()
        assert known, f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page):
    """`lucid/tape.py` and the like, in text and tables; not those with a placeholder."""
    for name in re.findall(r"`((?:lucid|metal|tests|examples|docs)/[\w./-]+)`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists() or "X" in name.split("/")[-1] or "/X/" in name, f"{page.name}: {name}"

"""The README's code runs as written, and the files that it names exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=[f"block{number}" for number in range(len(BLOCKS))])
def test_code_runs_as_written(code, tmp_path):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    percent = re.search(r"([\d.]+)% of the test digits are right", result.stdout)
    assert percent is None or float(percent[1]) > 90


def test_the_readme_has_code_of_about_twenty_lines():
    lines = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert len(BLOCKS) >= 1
    assert 15 <= len(lines) <= 25


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md"])
def test_links_and_pictures_lead_somewhere(file):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / file).read_text(encoding="utf-8")):
        assert target.startswith("https://") or (ROOT / target).exists(), f"{file}: {target}"

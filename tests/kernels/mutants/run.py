"""Runs the mutants of the kernels: ``python -m tests.kernels.mutants [name or file, in part] ...``.

Each mutant is a copy of the sources with one change, and the few tests that should fail for it. The tests of all chosen
mutants must first pass without any change. The run ends with code 0 if every mutant is killed except for those that the
table calls equivalent.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.kernels.mutants.table import MUTANTS, Mutant

ROOT = Path(__file__).parents[3]
COPIED = ("lucid", "metal", "tests", "pyproject.toml")
TIMEOUT_S = 300
_SUCCESS, _FAILURE = 0, 1  # pytest's codes; the others are errors of the run itself


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: "killed", "survived" or "broken", the first failure, and the seconds."""

    mutant: Mutant
    state: str
    detail: str
    seconds: float

    @property
    def is_as_expected(self) -> bool:
        return self.state == ("survived" if self.mutant.equivalent else "killed")


def copy_sources(folder: Path) -> None:
    """Copy everything that the tests read."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy2(source, folder / name)


def run_tests(folder: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """pytest in ``folder``, until the first failure."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)


def run_mutant(folder: Path, mutant: Mutant) -> Outcome:
    """Change the copy in ``folder``, run the mutant's tests and change it back."""
    file = folder / mutant.file
    original = file.read_text(encoding="utf-8")
    started = time.monotonic()
    try:
        file.write_text(mutant.applied(original), encoding="utf-8")
        done = run_tests(folder, mutant.tests)
        state = {_SUCCESS: "survived", _FAILURE: "killed"}.get(done.returncode, "broken")
        lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        if state == "killed" and re.search(r"(header|source):\d+:\d+: error: ", done.stdout):
            state, lines = "broken", ["- the shader does not compile"]
        elif state == "broken":
            lines = lines or (done.stdout + done.stderr).strip().splitlines()[-1:]
        detail = lines[0].partition(" ")[2].rpartition("/")[2] if lines else ""
    except subprocess.TimeoutExpired:
        state, detail = "killed", f"no end after {TIMEOUT_S} s"
    finally:
        file.write_text(original, encoding="utf-8")
    return Outcome(mutant, state, detail, time.monotonic() - started)


def chosen(patterns: Sequence[str]) -> list[Mutant]:
    """The mutants whose name or file contains one of the patterns; all without patterns."""
    return [one for one in MUTANTS if not patterns or any(text in f"{one.file} {one.name}" for text in patterns)]


def run_all(mutants: Sequence[Mutant]) -> list[Outcome]:
    """Run the mutants one after another, printing a line for each.

    Raises:
        RuntimeError: A test fails without any change.
    """
    with tempfile.TemporaryDirectory(prefix="lucid-mutants-") as name:
        folder = Path(name)
        copy_sources(folder)
        tests = sorted({test for one in mutants for test in one.tests})
        done = run_tests(folder, tests)
        if done.returncode != _SUCCESS:
            raise RuntimeError(f"without a mutation:\n{done.stdout}{done.stderr}")
        print(f"without a mutation: {done.stdout.strip().splitlines()[-1]}", flush=True)
        outcomes = []
        for mutant in mutants:
            outcomes.append(run_mutant(folder, mutant))
            one = outcomes[-1]
            print(f"{one.state:8} {one.seconds:5.1f} s  {mutant.file}: {mutant.name}  [{one.detail[:90]}]", flush=True)
        return outcomes


def print_summary(outcomes: Sequence[Outcome]) -> None:
    """The survivors with their reasons, and the counts."""
    states = [one.state for one in outcomes]
    print()
    for one in outcomes:
        if one.state != "killed":
            reason = one.mutant.equivalent or "NOT EQUIVALENT: a test is missing"
            print(
                f"{one.state}: {one.mutant.file}: {one.mutant.name}: {one.detail if one.state == 'broken' else reason}"
            )
        elif one.mutant.equivalent:
            print(f"killed although the table calls it equivalent: {one.mutant.file}: {one.mutant.name}")
    print(f"{len(outcomes)} mutants: {', '.join(f'{states.count(s)} {s}' for s in sorted(set(states)))}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kernels.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*", help="run only mutants whose file or name contains one of these")
    mutants = chosen(parser.parse_args(arguments).patterns)
    outcomes = run_all(mutants)
    print_summary(outcomes)
    return 0 if outcomes and all(one.is_as_expected for one in outcomes) else 1

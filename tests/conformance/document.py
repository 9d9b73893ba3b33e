"""Write the documentation of deliberate differences: ``python -m tests.conformance.document``."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.conformance.deliberate import LEFT_OUT, PARAMETERS, SAMPLES

FILE = Path(__file__).parents[2] / "docs" / "pytorch-differences.md"
HEAD = """\
# Differences from PyTorch

Lucid is compared with PyTorch 2.13 on PyTorch's own test inputs: values, first and second derivatives, dtypes, shapes
and errors of operations, layers, optimizers and schedules, and names, positions and defaults of parameters. This page
lists what differs on purpose; a test keeps it complete. [PyTorch to Lucid](pytorch.md) describes what differs in
principle: laziness, devices, files.

<!-- Written by: python -m tests.conformance.document -->

## Results

| where | PyTorch | Lucid | why |
|--|--|--|--|
"""
PARAMETER_HEAD = """
## Parameters

| where | Lucid | why |
|--|--|--|
"""


def text() -> str:
    results = [f"| {one.title} | {one.pytorch} | {one.lucid} | {one.why} |" for one in SAMPLES]
    results += [f"| {' | '.join(row)} |" for row in LEFT_OUT]
    parameters = [f"| {one.title} | {one.lucid} | {one.why} |" for one in PARAMETERS]
    return HEAD + "\n".join(results) + "\n" + PARAMETER_HEAD + "\n".join(parameters) + "\n"


def main() -> int:
    FILE.write_text(text(), encoding="utf-8")
    print(f"{FILE.name}: {len(SAMPLES)} differences, {len(PARAMETERS)} of parameters")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Every loop of the shaders says whether it is unrolled."""

import re

import pytest

from lucid.kernels import library

SHADERS = sorted(path.name for path in library.METAL_FOLDER.glob("*.metal"))


@pytest.mark.parametrize("shader", SHADERS)
def test_loops_over_registers_are_unrolled_and_no_others(shader):
    """An array that a loop indexes stays in registers only if the loop is unrolled entirely."""
    lines = library.source(shader).splitlines()
    loops = [number for number, line in enumerate(lines) if re.match(r"\s*for \(", line)]
    assert loops
    for number in loops:
        start, limit = re.match(
            r"\s*for \(int \w+ = (.*?); \w+(?: [-+] 1| \+ 1)? *[<>] *(.*?);", lines[number]
        ).groups()
        constant = re.fullmatch(r"[A-Z0-9 +\-()]+", start) and re.fullmatch(r"[A-Z0-9 +\-()]+", limit)
        wanted = r"#pragma unroll" if constant else r"#pragma unroll \d+"
        assert re.fullmatch(wanted, lines[number - 1]), f"{shader}:{number + 1}: {lines[number - 1]}"

"""The folder of the benchmarks on the path, because they import each other by name."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "examples" / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def benchmarks_can_be_imported():
    """Imported benchmarks are forgotten after each test file."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").parent == BENCHMARKS:
            del sys.modules[name]

"""The benchmarks import each other by name, as programs in one folder do."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "examples" / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def benchmarks_can_be_imported():
    """While one file of tests runs; the next one starts without any of them."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").parent == BENCHMARKS:
            del sys.modules[name]

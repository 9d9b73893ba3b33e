"""The architecture: imports go down only, no function hides a module, one package per kernel, files stay small."""

import ast
import importlib
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import lucid

ROOT = Path(__file__).parents[1]
# Lowest first. A unit imports units of rows above its own, never its neighbors in the row.
LEVELS = [
    ["_version", "_checks", "_interrupts"],
    ["_device"],
    ["_threads"],
    [
        "_argument_names",
        "_dtypes",
        "_errors",
        "_grad_mode",
        "_late",
        "_placement",
        "_precision",
        "_process_group",
        "_deferred",
        "_files",
        "_layout",
        "_memory_format",
        "memory",
    ],
    ["_machine", "_bounds"],
    ["kernels", "tape"],
    ["_overwritten"],
    ["_aliases", "_backward"],
    ["_views"],
    ["ops"],
    ["_tensor_convert", "_tensor_repr", "_tensor_operators", "_tensor_methods", "_tensor_inplace"],
    ["_generator"],
    ["_draws"],
    ["_tensor_attributes", "_tensor_casting", "_tensor_random"],
    ["_tensor"],
    ["_typed_tensors", "random"],
    ["_creation", "_queries"],
    ["autograd", "distributions", "fft", "linalg", "serialization", "signal", "special", "utils"],
    ["masked"],
    ["nn", "optim", "data"],
    ["optim.swa_utils"],
    ["_summary"],
    ["amp", "func", "metrics", "checkpoint", "distributed", "_compile", "models"],
    ["_profile"],
    ["explain", "evaluation", "export"],
    ["training"],
    ["benchmark"],
    ["torch"],
    ["cli"],
    ["__main__"],
]
LEVEL = {unit: level for level, row in enumerate(LEVELS) for unit in row}
# From here on a unit may also `import lucid`, which imports nothing of these rows.
WHOLE = LEVEL["export"]
# The only packages that may be imported inside a function: the extras. Everything else stands at the top of the file.
OPTIONAL = {"PIL", "pillow_heif", "huggingface_hub", "tqdm", "matplotlib", "sklearn", "tensorboardX"}
OPTIONAL |= {"coremltools", "onnx", "onnxruntime", "gradio", "fastapi", "uvicorn"}
MAX_LINES = 500
# _device explains a missing MLX backend and loads OpenBLAS before mlx.core is imported.
LATE = {("_device", "mlx")}
FILES = sorted(path for path in (ROOT / "lucid").rglob("*.py") if path != ROOT / "lucid" / "__init__.py")


def unit(parts):
    """The unit of the table that a dotted name inside ``lucid`` belongs to: a module of its own row, or a package."""
    dotted = ".".join(parts[:2])
    return dotted if dotted in LEVEL else parts[0]


def unit_of(path):
    return unit(path.relative_to(ROOT / "lucid").with_suffix("").parts)


def imports(tree, outermost=True):
    """Every import as (dotted name, line, stands at the top of the file); those under `if TYPE_CHECKING:` left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, outermost) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from ((f"{base}.{alias.name}", node.lineno, outermost) for alias in node.names)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda)
            yield from imports(node, outermost and not inside)


def faults(source, own):
    for name, line, outermost in imports(ast.parse(source)):
        top, *rest = name.split(".")
        if top == "":
            yield f"line {line}: a relative import"
        elif top != "lucid":
            if not outermost and top not in OPTIONAL and (own, top) not in LATE:
                yield f"line {line}: {name} is imported inside a function and is no optional package"
        elif (not rest or rest[0] not in LEVEL) and LEVEL[own] >= WHOLE:
            if not outermost:
                yield f"line {line}: {name} is imported inside a function"
        elif not rest or rest[0] not in LEVEL:
            yield f"line {line}: {name} is in no level of the table"
        elif not outermost:
            yield f"line {line}: {name} is imported inside a function"
        elif unit(rest) != own and LEVEL[unit(rest)] >= LEVEL[own]:
            yield f"line {line}: {own} (level {LEVEL[own]}) imports {name} (level {LEVEL[unit(rest)]})"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path):
    assert unit_of(path) in LEVEL, f"{unit_of(path)} is in no level of the table"
    assert list(faults(path.read_text(), unit_of(path))) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (
            "from lucid.nn import Linear",
            f"optim (level {LEVEL['optim']}) imports lucid.nn.Linear (level {LEVEL['nn']})",
        ),
        ("import lucid.models.convnext", f"imports lucid.models.convnext (level {LEVEL['models']})"),
        ("from . import sgd", "a relative import"),
        ("def f():\n    from lucid import tape", "line 2: lucid.tape is imported inside a function"),
        ("from lucid import Tensor", "lucid.Tensor is in no level"),
        ("try:\n    import lucid\nexcept ImportError:\n    pass", "lucid is in no level"),
        ("def f():\n    import json", "line 2: json is imported inside a function"),
    ],
)
def test_the_import_rule_finds(source, fault):
    [found] = faults(source, "optim")
    assert fault in found


@pytest.mark.parametrize(
    "source",
    [
        "from lucid.optim.sgd import SGD",
        "from lucid._tensor import Tensor",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lucid.models import ConvNeXt",
        "def f():\n    import tqdm",
    ],
)
def test_the_import_rule_allows(source):
    assert list(faults(source, "optim")) == []


def test_no_public_name_hides_a_module():
    for info in pkgutil.walk_packages(lucid.__path__, "lucid."):
        importlib.import_module(info.name)
        package, _, stem = info.name.rpartition(".")
        beside = getattr(importlib.import_module(package), stem)
        assert isinstance(beside, ModuleType), f"{package}.{stem} is {beside!r}: it hides the file of that name"


def test_no_file_is_too_long():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > MAX_LINES} == {}
    assert sorted(lengths.values())[len(lengths) // 2] < 140


def test_contributing_shows_the_table():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [re.findall(r"`([\w.]+)`", line.split("|")[2]) for line in re.findall(r"^\| \d .*", text, re.MULTILINE)]
    named = [unit for row in rows for unit in row if unit not in ("examples", "tests", "docs")]
    present = {unit_of(path) for path in FILES}
    assert named == [unit for row in LEVELS for unit in row if unit in present]


def test_each_shader_has_a_module_and_tests_of_its_name():
    """``metal/X.metal`` has ``lucid/kernels/X``, and every kernel has ``tests/kernels/X/`` or ``test_X.py``."""

    def names(folder, pattern):
        return {path.stem.removeprefix("test_") for path in (ROOT / folder).glob(pattern)}

    def packages(folder):
        return {path.parent.name for path in (ROOT / folder).glob("*/*.py")}

    shaders = names("metal", "*.metal")
    kernels = names("lucid/kernels", "*.py") - {"__init__"} | packages("lucid/kernels")
    tests = names("tests/kernels", "test_*.py") | packages("tests/kernels")
    assert shaders, "metal/ holds no shader"
    assert shaders <= kernels, f"lucid/kernels lacks {sorted(shaders - kernels)}"
    assert kernels <= tests, f"tests/kernels lacks tests of {sorted(kernels - tests)}"
    for package in packages("lucid/kernels"):
        modules = names(f"lucid/kernels/{package}", "*.py") - {"__init__", "__main__"}
        missing = modules - names(f"tests/kernels/{package}", "test_*.py")
        assert not missing, f"tests/kernels/{package} lacks tests of {sorted(missing)}"

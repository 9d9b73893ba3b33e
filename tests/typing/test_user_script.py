"""What type checkers say about programs that use the installed library: nothing."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import indent
from types import ModuleType

import pytest

import lucid
import lucid.nn.functional as F
from lucid import _late, _tensor_methods, optim
from tests.test_docstrings import examples as docstring_examples

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "user_script.py"
# What the examples in docstrings use.
IMPORTS = """import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import data, distributions, evaluation, export, metrics, models, nn, optim, training"""
PYRIGHT = shutil.which("pyright") or shutil.which("pyright", path=str(Path(sys.executable).parent))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with nothing but the package, as an installed wheel has it."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "lucid", folder / "lucid", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The user's script, the code of README.md, docs/ and docstrings, and the short examples."""
    folder = tmp_path_factory.mktemp("programs")
    shutil.copy(SCRIPT, folder)
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        if page.is_file():
            blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
            for number, code in enumerate(blocks):
                name = f"{page.relative_to(ROOT).with_suffix('')}_{number}".replace("/", "_").replace("-", "_")
                (folder / f"{name}.py").write_text(code, encoding="utf-8")
    examples = ("".join(one.source for one in parameter.values[0].examples) for parameter in docstring_examples())
    functions = [f"def example_{number}() -> None:\n{indent(code, '    ')}" for number, code in enumerate(examples)]
    (folder / "docstrings.py").write_text("\n\n".join([IMPORTS, *functions]), encoding="utf-8")
    for name in ("classify_photo", "finetune_photos", "train_cifar10"):
        shutil.copy(ROOT / "examples" / f"{name}.py", folder)
    return folder


def run(command, folder, **environment):
    result = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="needs mypy")
def test_mypy_finds_no_error(site, programs):
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(site / "cache"), "--follow-imports", "silent"]
    optional = ["--disable-error-code", "import-untyped", "--disable-error-code", "import-not-found"]
    run([*command, "--strict", SCRIPT.name], programs, MYPYPATH=str(site))
    run([*command, *optional, "."], programs, MYPYPATH=str(site))


@pytest.mark.skipif(PYRIGHT is None, reason="needs pyright")
@pytest.mark.parametrize(("mode", "files"), [("standard", SCRIPT.name), ("basic", ".")])
def test_pyright_finds_no_error(site, programs, mode, files):
    settings = {"include": [files], "typeCheckingMode": mode, "reportMissingImports": "warning"}
    (programs / "pyrightconfig.json").write_text(json.dumps(settings))
    run([PYRIGHT, "--pythonpath", sys.executable], programs, PYTHONPATH=str(site))


@pytest.mark.parametrize("module", [lucid, F, optim, optim.lr_scheduler], ids=lambda module: module.__name__)
def test_all_has_every_public_name(module):
    """Type checkers take an imported name for private unless ``__all__`` has it."""
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)
    source = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    modules = {name for name, value in vars(module).items() if isinstance(value, ModuleType)}
    imported = {alias.asname or alias.name for node in source.body if isinstance(node, ast.ImportFrom)
                for alias in node.names if node.module and node.module.startswith("lucid")}  # fmt: skip
    stars = {node.module for node in source.body if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"}
    wanted = {name for star in stars for name in sys.modules[star].__all__}
    wanted |= {name for name in imported if name != "*" and name not in modules | {"Tensor", "TensorLike"}}
    wanted |= {node.name for node in source.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"}
    assert wanted <= set(module.__all__)
    assert {"lr_scheduler"} <= set(optim.__all__)


@pytest.mark.parametrize("name", ["Tensor", "nn", "optim", "data", "models", "float32", "no_grad", "compile", "load"])
def test_lucid_exports(name):
    assert name in lucid.__all__


def test_late_names_are_declared():
    """Type checkers see the names that ``lucid._late`` imports at their first use only where they are declared."""
    assert {name for name in _late.NAMES if not name.startswith("_")} <= set(lucid.__all__)
    for module, names in ((lucid, _late.NAMES), (_tensor_methods, _late.METHODS)):
        nodes = ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8")))
        blocks = [one for one in nodes if isinstance(one, ast.If) and ast.unparse(one.test) == "TYPE_CHECKING"]
        body = [statement for block in blocks for statement in block.body]
        found = {alias.name for one in body if isinstance(one, ast.ImportFrom) for alias in one.names}
        found |= {one.target.id for one in body if isinstance(one, ast.AnnAssign)}
        assert set(names) <= found, sorted(set(names) - found)

"""``import lucid`` is fast and silent, and its errors say what is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lucid

ROOT = Path(__file__).parents[1]


def run_python(code, *options, **environment):
    return subprocess.run(
        [sys.executable, *options, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_import_is_silent_and_loads_nothing_heavy():
    heavy = [
        "torch", "matplotlib", "sklearn", "scipy", "PIL", "tqdm", "pickle", "ssl", "tarfile", "argparse", "subprocess",
        "concurrent.futures", "lucid._compile", "lucid.data", "lucid.linalg", "lucid.models", "lucid.serialization",
    ]  # fmt: skip
    result = run_python(f"import lucid; print(sorted(set({heavy}) & set(sys.modules)))", "-W", "error")
    assert (result.returncode, result.stderr) == (0, "")
    assert set(eval_list(result.stdout)) <= {"pickle"}  # NumPy imports pickle itself


def eval_list(text):
    return [word.strip(" '") for word in text.strip().strip("[]").split(",") if word.strip()]


def broken_mlx(folder, error):
    """A package mlx whose core fails to load with a linker error."""
    (folder / "mlx" / "core").mkdir(parents=True)
    (folder / "mlx" / "core" / "__init__.py").write_text(f"raise ImportError({error!r})")
    return str(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="on macOS MLX brings its backend by itself")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("libmlx.so: cannot open shared object file: No such file or directory", "MLX is installed without a backend"),
        (
            "libcuda.so.1: cannot open shared object file: No such file or directory",
            "MLX's backend failed to load: libcuda",
        ),
    ],
)
def test_a_missing_backend_error_names_the_extra_to_install(tmp_path, error, said):
    result = run_python(f"sys.path.insert(0, {broken_mlx(tmp_path, error)!r}); import lucid, lucid._device")
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1
    assert last.startswith(f"ImportError: lucid: {said}")
    assert "pip install 'lucid-mlx[cpu]'" in last
    assert "pip install 'lucid-mlx[cuda]'" in last


def test_missing_mlx_raises(tmp_path):
    # -I -S: no site-packages, so no MLX.
    result = run_python("import lucid._device", "-I", "-S")
    assert result.returncode == 1
    wanted = "ImportError: lucid requires MLX, which is not installed. Install it with pip install lucid-mlx."
    assert wanted in result.stderr


@pytest.mark.parametrize("name", ["cuda", "backends", "mps", "xpu"])
def test_pytorch_s_device_modules_are_missing_with_advice(name):
    with pytest.raises(AttributeError, match=f"module 'lucid' has no attribute '{name}': lucid.get_default_device"):
        getattr(lucid, name)
    assert not hasattr(lucid, name)
    with pytest.raises(AttributeError, match="module 'lucid' has no attribute 'softmaxx'$"):
        lucid.softmaxx  # noqa: B018


@pytest.mark.parametrize("code", ["import lucid.nn", "from lucid import models", "from lucid.cli import info"])
def test_the_other_package_of_that_name_in_its_place_raises(tmp_path, code):
    """What pip leaves when PyPI's lucid is installed after lucid-mlx."""
    shutil.copytree(ROOT / "lucid", tmp_path / "lucid", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "lucid" / "__init__.py").write_text("__version__ = '0.3.10'")
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert result.returncode == 1
    assert "pip uninstall lucid; pip install --force-reinstall --no-deps lucid-mlx" in result.stderr

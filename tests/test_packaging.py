import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import lucid
from lucid._version import __version__
from lucid.kernels import library

ROOT = Path(__file__).parents[1]
# Tests of an installed sdist or wheel have no project around them.
pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="needs the checkout")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling", reason="needs hatchling to build the wheel")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    [path] = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_the_package_and_the_shaders_and_nothing_else(wheel):
    wanted = {
        path.relative_to(ROOT)
        for path in (ROOT / "lucid").rglob("*")
        if path.suffix in (".css", ".py", ".txt", ".typed")
    }
    wanted |= {"lucid" / path.relative_to(ROOT) for path in (ROOT / "metal").rglob("*") if path.is_file()}
    files = {path.relative_to(wheel) for path in wheel.rglob("*") if path.is_file()}
    assert {path for path in files if path.parts[0] == "lucid"} == wanted
    assert {path.parts[0] for path in files} == {"lucid", f"lucid_mlx-{__version__}.dist-info"}


def test_the_wheel_requires_mlx_and_numpy_only(wheel):
    [metadata] = wheel.glob("*.dist-info/METADATA")
    required = re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra)", metadata.read_text(), re.MULTILINE)
    assert sorted(required) == ["mlx", "numpy"]
    assert "torch" not in re.findall(r"^Requires-Dist: ([\w-]+)", metadata.read_text(), re.MULTILINE)


def test_the_wheel_imports_by_itself_and_finds_its_own_shaders(wheel, tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(wheel)!r})\n"
        "import lucid, lucid.kernels.library as library, lucid._version as version\n"
        "print(lucid.__file__, version.__version__, library.METAL_FOLDER, sep='\\n')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120
    )
    file, version, folder = result.stdout.splitlines()
    assert (Path(file), version) == (wheel / "lucid" / "__init__.py", __version__)
    assert Path(folder) == wheel / "lucid" / "metal"


def test_the_checkout_finds_the_shaders_next_to_the_package():
    assert Path(lucid.__file__).parent == ROOT / "lucid"
    assert Path(library.METAL_FOLDER) == ROOT / "metal"

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
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
        if path.suffix in (".cpp", ".css", ".h", ".py", ".txt", ".typed")
    }
    wanted |= {
        "lucid" / path.relative_to(ROOT) for path in (ROOT / "metal").rglob("*") if path.suffix in (".h", ".metal")
    }
    files = {path.relative_to(wheel) for path in wheel.rglob("*") if path.is_file()}
    assert {path for path in files if path.parts[0] == "lucid"} == wanted
    assert {path.parts[0] for path in files} == {"lucid", f"lucid_mlx-{__version__}.dist-info"}


def test_the_wheel_requires_mlx_and_numpy_only(wheel):
    [metadata] = wheel.glob("*.dist-info/METADATA")
    required = re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra)", metadata.read_text(), re.MULTILINE)
    assert sorted(required) == ["mlx", "numpy"]
    assert "torch" not in re.findall(r"^Requires-Dist: ([\w-]+)", metadata.read_text(), re.MULTILINE)


@pytest.mark.skipif((ROOT / "PKG-INFO").is_file(), reason="an sdist keeps the metadata it was built with")
def test_the_metadata_has_the_addresses_of_the_repository_that_publishes_it(tmp_path):
    pytest.importorskip("hatchling", reason="needs hatchling to read the metadata")
    command = [sys.executable, "-m", "hatchling", "metadata"]
    environment = {name: value for name, value in os.environ.items() if name != "LUCID_REPOSITORY"}
    address = {"LUCID_REPOSITORY": "https://example.org/them/lucid/"}
    read = [
        json.loads(subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, timeout=60).stdout)
        for env in (environment, environment | address)
    ]
    assert "urls" not in read[0]
    assert read[0]["readme"]["text"] == (ROOT / "README.md").read_text(encoding="utf-8")
    assert read[1]["urls"]["Changelog"] == f"https://example.org/them/lucid/blob/v{__version__}/CHANGELOG.md"
    targets = re.findall(r"\]\(([^)]+)\)", read[1]["readme"]["text"])
    assert targets and all(target.startswith(("https://", "#")) for target in targets)
    assert f"](https://example.org/them/lucid/raw/v{__version__}/examples/results/" in read[1]["readme"]["text"]
    wanted = [f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)]
    assert set(wanted) <= set(read[0]["classifiers"])


def test_the_sdist_holds_what_its_tests_need(tmp_path):
    pytest.importorskip("hatchling", reason="needs hatchling to build the sdist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    [path] = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    tracked = []  # in a checkout; an unpacked sdist has no index of its files
    if (ROOT / ".git").exists() and shutil.which("git"):
        tracked = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split()
    unneeded = (".github/", ".pre-commit-config.yaml")
    assert {name for name in tracked if not name.startswith(unneeded) and (ROOT / name).is_file()} <= names
    assert {"pyproject.toml", "hatch_build.py", "lucid/__init__.py", "tests/conftest.py", ".ci/run"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith(("build/", ".venv/", "runs/"))]


def release_notes(*words):
    command = [sys.executable, str(ROOT / ".ci" / "release_notes.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_release_notes_are_the_section_of_the_changelog():
    found = release_notes(f"v{__version__}")
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if f"## {__version__}" not in text:
        assert (found.returncode, found.stderr.strip()) == (1, f"CHANGELOG.md has no section for {__version__}")
    else:
        assert found.returncode == 0
        assert found.stdout.strip() and found.stdout.strip() in text and "\n## " not in found.stdout
    other = release_notes("v99.0.0")
    assert other.returncode == 1
    assert other.stderr.strip() == f"the tag is for 99.0.0, lucid/_version.py says {__version__}"


def test_a_section_of_the_changelog_ends_where_the_next_begins():
    code = runpy.run_path(str(ROOT / ".ci" / "release_notes.py"))
    text = "# Changelog\n\n## Unreleased\n\n- c\n\n## 0.2.0 (2026-12-01)\n\n### Added\n\n- b\n\n## 0.1.0\n\n- a\n"
    assert [code["section"](text, version) for version in ("0.2.0", "0.1.0", "0.2")] == ["### Added\n\n- b", "- a", ""]


def test_the_citation_has_the_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


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

"""Builds are cached by content, safely for several processes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import pytest

from tests.metal_simulator import Kernel, build, cache_folder, missing

ROOT = Path(__file__).parents[2]
SCRIPT = """
import mlx.core as mx
from tests.metal_simulator import Kernel
for n in range(3):
    kernel = Kernel("k", ["x"], ["y"], f"y[0] = x[0] + {n};")
    one = {"grid": (1, 1, 1), "threadgroup": (1, 1, 1)}
    [y] = kernel(inputs=[mx.zeros(8)], output_shapes=[(1,)], output_dtypes=[mx.float32], **one)
    assert y.item() == n
print("done")
"""


def library(kernel, check=True):
    return build.kernel_library(kernel.signature([mx.zeros(9)], [mx.float32]), check)


def test_two_processes_share_a_cold_cache(simulator, tmp_path):
    environment = os.environ | {"LUCID_SIMULATOR_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT]
    processes = [
        subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert output == "done\n"
    assert len(list(tmp_path.glob("machine-*"))) == 2  # the program and its lock
    assert len(list(tmp_path.glob("kernel-*.so"))) == 3
    assert [path for path in tmp_path.iterdir() if path.suffix in (".partial", ".cpp")] == []


def test_builds_are_keyed_by_content(simulator):
    def kernel(source="y[0] = x[0];", header=""):
        return Kernel("k", ["x"], ["y"], source, header)

    first = library(kernel())
    assert library(kernel()) == first
    others = {library(kernel("y[0] = x[1];")), library(kernel(header="// other\n")), library(kernel(), check=False)}
    assert len(others | {first}) == 4


def test_a_failed_build_leaves_nothing_behind(simulator, tmp_path, monkeypatch):
    monkeypatch.setenv("LUCID_SIMULATOR_CACHE", str(tmp_path))
    with pytest.raises(build.BuildError, match="source:1:.*nonsense"):
        library(Kernel("k", ["x"], ["y"], "nonsense;"))
    assert {path.suffix for path in tmp_path.iterdir()} <= {".lock"}


def test_the_cache_folder_is_private_to_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv("LUCID_SIMULATOR_CACHE", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = cache_folder()
    assert folder.parent == tmp_path and folder.stat().st_mode & 0o077 == 0
    monkeypatch.setenv("LUCID_SIMULATOR_CACHE", str(tmp_path / "a" / "b"))
    assert cache_folder() == tmp_path / "a" / "b" and cache_folder().is_dir()


def test_a_cache_folder_of_another_user_is_refused(monkeypatch, tmp_path):
    monkeypatch.delenv("LUCID_SIMULATOR_CACHE", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine = os.getuid()
    (tmp_path / f"lucid-metal-simulator-{mine + 1}").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with pytest.raises(build.BuildError, match="belongs to another user; set LUCID_SIMULATOR_CACHE"):
        cache_folder()


@pytest.mark.parametrize(
    ("system", "compiler", "reason"),
    [
        ("Darwin", "g++", "the simulator runs on Linux, this is Darwin"),
        ("Linux", None, "the simulator needs g\\+\\+ 12 or later"),
    ],
)
def test_what_is_missing_is_named(monkeypatch, system, compiler, reason):
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr(build, "compiler", lambda: compiler)
    assert re.fullmatch(reason, missing())
    with pytest.raises(build.BuildError, match=reason):
        build.machine()


def test_lines_are_read_from_addr2line(simulator):
    assert build._readable("/tmp/x/header:12 (discriminator 3)") == "header line 12"
    assert build._readable("/tmp/x/runtime.h:12") == "" and build._readable("??:0") == ""
    assert build.lines_of(Path("nowhere"), [0, 0]) == ["", ""]

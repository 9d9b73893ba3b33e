"""The builder: what it needs, where it writes, and that it never stands in the way.

The compiler is a script here that copies the kernels of this machine, compiled before, and counts its calls.
"""

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lucid import _device
from lucid.kernels import native
from lucid.kernels.native import build

USE = "import mlx.core as mx, lucid; print(lucid.nn.functional.gelu(lucid.ones(2))[0].item() > 0.84)"
LINK = 'for one in "$@"; do case "$one" in *.so) cp "{library}" "$one";; esac; done'

pytestmark = pytest.mark.skipif(_device.backend() != "cpu", reason="the C++ kernels run on the CPU")


def run(cache, code=USE, **environment):
    environment = {"LUCID_NATIVE": "", "LUCID_CACHE": str(cache), **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=100,
        check=True,
    )  # fmt: skip


@pytest.fixture
def compiler(tmp_path):
    """A function that makes a compiler: what it does when it links, and its exit code."""

    def make(link, code=0):
        script = tmp_path / "compiler"
        script.write_text(
            f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncase "$*" in *-shared*) {link};; esac\n'
            f'[ {code} = 0 ] || echo "x.cpp:1:2: error: no such thing" >&2\nexit {code}\n'
        )
        script.chmod(0o755)
        return str(script)

    return make


@pytest.fixture
def copying(compiler, cpp):
    """A compiler whose result is the library that this process has loaded."""
    return compiler(LINK.format(library=cpp.__file__))


def links(tmp_path):
    return [line for line in (tmp_path / "calls").read_text().splitlines() if "-shared" in line]


def test_the_first_use_says_that_it_compiles_and_later_ones_say_nothing(tmp_path, copying):
    cache = tmp_path / "cache"
    first, second = run(cache, CXX=copying), run(cache, CXX=copying)
    assert first.stdout == second.stdout == "True\n"
    assert first.stderr.startswith("lucid: compiling the CPU kernels") and first.stderr.count("\n") == 1
    assert second.stderr == ""
    assert len(links(tmp_path)) == 1
    files = sorted((cache / "native").iterdir())
    assert [one.suffix for one in files] == ["", ".so"]  # the lock and the library
    assert stat.S_IMODE((cache / "native").stat().st_mode) == 0o700
    assert not files[1].stat().st_mode & 0o077


def test_an_import_compiles_nothing(tmp_path, copying):
    done = run(tmp_path / "cache", "import lucid, lucid.models; print(lucid.ones(2).sum().item())", CXX=copying)
    assert done.stderr == "" and not (tmp_path / "calls").exists()


def test_processes_that_start_together_compile_once(tmp_path, copying):
    environment = {**os.environ, "LUCID_NATIVE": "", "LUCID_CACHE": str(tmp_path / "cache"), "CXX": copying}
    started = [
        subprocess.Popen([sys.executable, "-c", USE], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    assert [one.communicate(timeout=100)[0] for one in started] == [b"True\n"] * 3
    assert len(links(tmp_path)) == 1


def test_a_failed_build_is_explained_and_not_repeated(tmp_path, compiler):
    broken = compiler(":", code=1)
    first = run(tmp_path / "cache", CXX=broken)
    calls = (tmp_path / "calls").read_text()
    second = run(tmp_path / "cache", CXX=broken)
    assert first.stdout == second.stdout == "True\n"
    wanted = "lucid: the CPU kernels are not compiled: compiler failed: x.cpp:1:2: error: no such thing"
    assert wanted in first.stderr and second.stderr.startswith(wanted) and second.stderr.count("\n") == 1
    assert "to try again, delete " in second.stderr and "to try again" not in first.stderr
    assert (tmp_path / "calls").read_text() == calls


def test_an_interrupted_build_is_repeated(tmp_path, compiler):
    """A compiler that is killed, for want of memory say, proves nothing about the next time."""
    killed = compiler("kill -9 $$")
    assert "compiler failed: no message" in run(tmp_path / "cache", CXX=killed).stderr
    run(tmp_path / "cache", CXX=killed)
    assert len(links(tmp_path)) == 2


def test_an_interrupt_of_this_process_alone_ends_the_compilers_too(tmp_path, monkeypatch):
    """As from a notebook; a terminal interrupts the compilers as well."""
    monkeypatch.setattr(build._device, "cpu_count", lambda: 2)
    script = tmp_path / "slow"
    script.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/started\nsleep 50 & wait\n")
    script.chmod(0o755)
    for _ in range(2):
        timer = threading.Timer(0.5, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT))
        timer.start()
        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            build._run_all([[str(script)]] * 3)
        timer.join()
        assert time.monotonic() - begin < 20
    assert len((tmp_path / "started").read_text().split()) == 4  # the third of each is not started


def test_a_compiler_that_hangs_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "_TIMEOUT_S", 0.3)
    begin = time.monotonic()
    with pytest.raises(build.NotBuilt, match="sleep failed: .*timed out after 0.3 seconds"):
        build._run_all([["sleep", "50"]])
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize(
    "message",
    ["g++: fatal error: Killed signal terminated program cc1plus", "x.s: error: No space left on device"],
)
def test_a_build_that_lacked_memory_or_disk_space_is_repeated(tmp_path, compiler, message):
    """The driver of GCC exits with 1 if the system kills the compiler proper."""
    starved = compiler(f'echo "{message}" >&2; exit 1')
    assert f"compiler failed: {message}" in run(tmp_path / "cache", CXX=starved).stderr
    run(tmp_path / "cache", CXX=starved)
    assert len(links(tmp_path)) == 2


def test_a_lock_that_is_never_released_delays_but_does_not_block(tmp_path, copying, monkeypatch):
    monkeypatch.setenv("LUCID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", copying)
    monkeypatch.setattr(build, "_LOCK_TIMEOUT_S", 0.3)
    with open(build.private_folder() / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        build.load()
    assert len(links(tmp_path)) == 1


def test_the_lock_is_free_after_a_build_although_a_forked_process_has_the_file(tmp_path):
    with build._locked(tmp_path / "lock"):
        [descriptor] = [
            int(one) for one in os.listdir("/dev/fd")
            if os.path.exists(f"/dev/fd/{one}") and os.path.samefile(f"/dev/fd/{one}", tmp_path / "lock")
        ]  # fmt: skip
        copy = os.dup(descriptor)  # what fork does
    try:
        with open(tmp_path / "lock") as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(copy)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_forked_during_a_build_does_not_wait_for_it(monkeypatch):
    monkeypatch.setattr(native, "_lock", threading.Lock())
    with native._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if native._lock.acquire(timeout=5) else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_a_user_without_a_home_folder_computes_without_the_kernels(tmp_path):
    code = (
        "import os, pwd\nfor name in ('HOME', 'XDG_CACHE_HOME', 'LUCID_CACHE'): os.environ.pop(name, None)\n"
        "def getpwuid(uid): raise KeyError(uid)\npwd.getpwuid = getpwuid\n"
    )
    done = run(tmp_path, code + USE)
    assert done.stdout == "True\n"
    assert "not compiled: this user has no home folder; LUCID_CACHE names a folder for caches" in done.stderr


@pytest.fixture
def own_sources(tmp_path, monkeypatch):
    """A copy of the sources that the builder reads, with an empty cache."""
    try:
        build._requirements()
    except build.NotBuilt as error:
        pytest.skip(str(error))
    for name in (*build._SOURCES, *build._HEADERS):
        (tmp_path / "kernels" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(build._KERNELS / name, tmp_path / "kernels" / name)
    monkeypatch.setattr(build, "_KERNELS", tmp_path / "kernels")
    monkeypatch.setenv("LUCID_CACHE", str(tmp_path))
    return tmp_path / "kernels"


def delete(kernels):
    shutil.rmtree(kernels)


def replace(kernels):
    """By the same files, as when the package is installed again."""
    kernels.rename(kernels.with_name("old"))
    shutil.copytree(kernels.with_name("old"), kernels)


def edit(kernels):
    with (kernels / build._HEADERS[0]).open("a") as file:
        file.write("// more")


def nothing(kernels):
    pass


@pytest.mark.parametrize(
    ("happens", "is_recorded"), [(delete, False), (replace, False), (edit, False), (nothing, True)]
)
def test_a_failure_is_recorded_only_if_the_sources_stayed(tmp_path, own_sources, monkeypatch, happens, is_recorded):
    def fail(*_):
        happens(own_sources)
        raise build.CompilerError("simd.h: No such file or directory")

    monkeypatch.setattr(build, "_build", fail)
    with pytest.raises(build.CompilerError):
        build.load()
    assert len(list((tmp_path / "native").glob("*.txt"))) == is_recorded


def test_sources_that_vanish_while_the_compiler_runs(tmp_path, own_sources, compiler, monkeypatch):
    """Through the real commands: the compiler finds no file, and the next time it is called again."""
    monkeypatch.setenv("CXX", compiler(":", code=1))
    script = Path(os.environ["CXX"])
    script.write_text(script.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\nrm -rf {own_sources}\n"))
    with pytest.raises(build.CompilerError, match="no such thing"):
        build.load()
    assert not own_sources.exists() and not list((tmp_path / "native").glob("*.txt"))


def test_a_library_of_another_abi_is_not_used(tmp_path, compiler, monkeypatch):
    class Other:
        def gelu(self, x):
            raise TypeError("incompatible function arguments")

        def exec_module(self, module):
            module.gelu = self.gelu

        def create_module(self, spec):
            return None

    monkeypatch.setattr(build.importlib.machinery, "ExtensionFileLoader", lambda *_: Other())
    with pytest.raises(build.NotBuilt, match="nanobind and MLX have different ABIs"):
        build._import(tmp_path / "library.so")


def test_a_library_that_cannot_be_loaded_is_named(tmp_path, compiler):
    done = run(tmp_path / "cache", CXX=compiler('for one in "$@"; do case "$one" in *.so) echo > "$one";; esac; done'))
    assert done.stdout == "True\n" and "file too short; to compile again, delete" in done.stderr


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"CXX": "/no/such/compiler"}, "no C++ compiler: CXX=/no/such/compiler names no program"),
        ({"PATH": "/nowhere", "CXX": ""}, "no C++ compiler"),
    ],
)
def test_without_a_compiler_one_line_says_what_is_missing(tmp_path, setting, reason):
    done = run(tmp_path / "cache", USE + "; lucid.nn.functional.gelu(lucid.ones(3)).sum().item()", **setting)
    assert done.stdout == "True\n"
    assert done.stderr.count("\n") == 1 and reason in done.stderr and "LUCID_NATIVE=off hides this line" in done.stderr


def test_off_is_silent(tmp_path):
    done = run(tmp_path / "cache", LUCID_NATIVE="off", CXX="/no/such/compiler")
    assert (done.stdout, done.stderr) == ("True\n", "") and not (tmp_path / "cache").exists()


def test_other_values_are_refused(monkeypatch):
    monkeypatch.setenv("LUCID_NATIVE", "yes")
    with pytest.raises(ValueError, match="LUCID_NATIVE must be 'auto' or 'off', got 'yes'"):
        native.library()


@pytest.mark.parametrize("missing", ["nanobind", "headers"])
def test_what_is_missing_is_named(monkeypatch, missing):
    if missing == "nanobind":
        monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
        wanted = "pip install nanobind"
    else:
        monkeypatch.setattr(build.sysconfig, "get_path", lambda name: "/nowhere")
        wanted = "python3-dev"
    monkeypatch.setattr(build.shutil, "which", lambda name: name)
    with pytest.raises(build.NotBuilt, match=wanted):
        build.load()


def test_a_folder_that_others_can_write_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("LUCID_CACHE", str(tmp_path))
    folder = build.private_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o770)
    with pytest.raises(build.NotBuilt, match="must belong to this user, with permissions 0700"):
        build.private_folder()
    folder.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)
    with pytest.raises(build.NotBuilt, match="must belong to this user"):
        build.private_folder()


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LUCID_CACHE", str(tmp_path / "file"))
    with pytest.raises(build.NotBuilt, match="cannot be created: File exists; LUCID_CACHE names another folder"):
        build.private_folder()


def test_the_key_depends_on_sources_compiler_options_and_processor(tmp_path, monkeypatch):
    compilers = [tmp_path / name for name in ("one", "other")]
    for number, one in enumerate(compilers):
        one.write_text("x" * number)
    keys = [build._digest(str(compilers[0]), ["-O2"])]
    assert build._digest(str(compilers[0]), ["-O2"]) == keys[0]
    keys += [build._digest(str(compilers[1]), ["-O2"]), build._digest(str(compilers[0]), ["-O3"])]
    with monkeypatch.context() as patch:
        patch.setattr(build, "_processor", lambda: "another one")
        keys.append(build._digest(str(compilers[0]), ["-O2"]))
    with monkeypatch.context() as patch:
        patch.setattr(build, "_SOURCES", build._SOURCES[1:])
        keys.append(build._digest(str(compilers[0]), ["-O2"]))
    assert len(set(keys)) == len(keys)


def test_every_source_and_header_is_part_of_the_key():
    folder = Path(native.__file__).parents[1]
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".cpp", ".h")}
    assert found == {*build._SOURCES, *build._HEADERS}


@pytest.mark.parametrize(
    ("environment", "threads"),
    [({"LUCID_NUM_THREADS": "3"}, 3), ({"OMP_NUM_THREADS": "2,1"}, 2), ({"OPENBLAS_NUM_THREADS": "5"}, 5), ({}, 7)],
)
def test_threads_are_counted(monkeypatch, environment, threads):
    for name in ("LUCID_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(_device, "cpu_count", lambda: 7)
    assert native._thread_count() == threads

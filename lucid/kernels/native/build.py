"""Compiles the C++ kernels at first use and loads them.

The library goes into a folder of the user's cache that nobody else can write to. Its name contains a digest of all that
it depends on: the sources, MLX, nanobind, Python, the compiler and its options, and the processor, whose instructions
it uses. It is built in a temporary folder and then renamed; a lock keeps other processes from building it too. They
wait for a limited time, and then build it themselves. If the compiler does not accept the sources, this is recorded
under the same name and not repeated, unless a file that it reads was deleted or replaced meanwhile.
"""

import fcntl
import hashlib
import importlib.machinery
import importlib.util
import os
import platform
import re
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mlx.core as mx

from lucid import _device, _files

_KERNELS = Path(__file__).parents[1]
_SOURCES = (
    "depthwise_conv2d/depthwise_conv2d.cpp", "native/blas.cpp", "native/matmul.cpp", "native/module.cpp",
    "native/parallel.cpp", "native/pointwise.cpp",
)  # fmt: skip
_HEADERS = ("native/matmul.h", "native/parallel.h", "native/primitive.h", "native/simd.h")
_COMPILERS = ("g++", "clang++") if sys.platform == "linux" else ("clang++", "g++")
# No -ffast-math: NaN and infinity stay what they are. Only multiplications and additions are contracted.
_OPTIONS = (
    "-std=c++20", "-O2", "-ffp-contract=fast", "-fno-math-errno", "-fno-strict-aliasing", "-fPIC",
    "-fvisibility=hidden", "-DNDEBUG", "-DNB_DOMAIN=mlx", "-w",
)  # fmt: skip
_NAME = "lucid_native"
_TIMEOUT_S = 300
_LOCK_TIMEOUT_S = 120  # of a build in another process, which takes 15 seconds, or minutes on a busy machine
_LOCK_POLL_S = 0.1
# Messages of a compiler that lacks memory or disk space, or of which a part was killed for that.
_NOT_ITS_FAULT = re.compile(
    r"\b(Killed|Terminated|Interrupt|[Oo]ut of memory|[Cc]annot allocate memory|memory exhausted|No space left|"
    r"[Qq]uota exceeded|Input/output error)\b"
)


class NotBuilt(Exception):
    """Why there is no library."""


class CompilerError(NotBuilt):
    """The compiler does not accept the sources; it would not the next time either."""


def load() -> Any:
    """The module, compiled first if this was not done before.

    Raises:
        NotBuilt: with the reason.
    """
    compiler, includes, library_folder = _requirements()
    before = _states(includes, library_folder)
    options = [*_OPTIONS, *_processor_options(), *(f"-I{folder}" for folder in includes)]
    sources = [_KERNELS / name for name in _SOURCES]
    sources.append(_nanobind_source(includes))
    folder = private_folder()
    library = folder / f"{_NAME}-{_digest(compiler, options)}.so"
    failure = library.with_suffix(".txt")
    if not _is_private(library):
        with _locked(folder / "lock"):
            if failure.is_file():
                raise NotBuilt(f"{failure.read_text(errors='replace')}; to try again, delete {failure}")
            if not _is_private(library):  # another process may have built it meanwhile
                try:
                    _build(compiler, options, sources, library_folder, library)
                except CompilerError as error:
                    # An upgrade may delete or replace a file during a build.
                    if None not in before and _states(includes, library_folder) == before:
                        _files.write_atomically(failure, str(error).encode())
                    raise
    return _import(library)


def _states(includes: list[Path], library_folder: Path) -> list[tuple[int, ...] | None]:
    """What changes when a file that the compiler reads is written or replaced; None for one that is missing.

    Of MLX, nanobind and Python these are a header each, and the library.
    """
    _, mlx, nanobind, _, python = includes
    paths = [_KERNELS / name for name in (*_SOURCES, *_HEADERS)]
    paths += [
        mlx / "mlx" / "mlx.h",
        nanobind / "nanobind" / "nanobind.h",
        _nanobind_source(includes),
        python / "Python.h",
    ]
    found: list[tuple[int, ...] | None] = []
    for path in (*paths, *sorted(library_folder.glob("libmlx.*"))):
        try:
            status = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return found


def _nanobind_source(includes: list[Path]) -> Path:
    return includes[2].parent / "src" / "nb_combined.cpp"


def private_folder() -> Path:
    """The folder of the libraries, which only this user can write to.

    Raises:
        NotBuilt: it cannot be made, or is someone else's.
    """
    try:
        folder = _files.cache_folder() / "native"
    except OSError as error:
        raise NotBuilt(str(error)) from None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
    except OSError as error:
        raise NotBuilt(f"{folder} cannot be created: {error.strerror}; LUCID_CACHE names another folder") from None
    if not _is_private(folder) or not os.access(folder, os.W_OK):
        raise NotBuilt(f"{folder} must belong to this user, with permissions 0700; LUCID_CACHE names another folder")
    return folder


def _is_private(path: Path) -> bool:
    """Whether the file or folder exists, and only this user can have written it."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return status.st_uid == os.getuid() and not status.st_mode & 0o022 and not stat.S_ISLNK(status.st_mode)


def _requirements() -> tuple[str, list[Path], Path]:
    """The compiler, the folders of headers (Lucid's, MLX's, nanobind's, robin_map's, Python's), and libmlx's folder."""
    compiler = os.environ.get("CXX") or next(filter(shutil.which, _COMPILERS), None)
    if compiler is not None and shutil.which(compiler) is None:
        raise NotBuilt(f"no C++ compiler: CXX={compiler} names no program")
    if compiler is None:
        raise NotBuilt("no C++ compiler (apt-get install g++, dnf install gcc-c++ or xcode-select --install)")
    mlx = Path(mx.__file__).parent
    found = importlib.util.find_spec("nanobind")
    if found is None or found.origin is None:
        raise NotBuilt("nanobind is not installed (pip install nanobind)")
    nanobind, python = Path(found.origin).parent, Path(sysconfig.get_path("include"))
    includes = [
        _KERNELS / "native", mlx / "include", nanobind / "include", nanobind / "ext" / "robin_map" / "include", python,
    ]  # fmt: skip
    if not (mlx / "include" / "mlx" / "mlx.h").is_file():
        raise NotBuilt("this build of MLX has no headers")
    if not (python / "Python.h").is_file():
        raise NotBuilt("Python has no headers (apt-get install python3-dev or dnf install python3-devel)")
    return shutil.which(compiler) or compiler, includes, mlx / "lib"


def _processor_options() -> list[str]:
    return ["-march=native"] if platform.machine() in ("x86_64", "AMD64") else ["-mcpu=native"]


def _digest(compiler: str, options: list[str]) -> str:
    """16 hexadecimal digits of all that the library depends on."""
    status = os.stat(os.path.realpath(compiler))
    try:
        nanobind_version = importlib.import_module("nanobind").__version__
    except ImportError:
        nanobind_version = ""
    parts = [
        mx.__version__,  # type: ignore[attr-defined]
        nanobind_version, sys.version, sysconfig.get_config_var("EXT_SUFFIX") or "",
        platform.platform(), _processor(), compiler, str(status.st_size), str(status.st_mtime_ns), *options,
    ]  # fmt: skip
    digest = hashlib.sha256("\0".join(parts).encode())
    for name in _SOURCES + _HEADERS:
        digest.update((_KERNELS / name).read_bytes())
    return digest.hexdigest()[:16]


def _processor() -> str:
    """The processor and its features: a home folder may be shared by different machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return f"{platform.machine()} {mx.device_info().get('device_name', '')}"
    named = (line.partition(":") for line in lines)
    # Frequency, core and the like differ from one call to the next.
    wanted = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU implementer", "CPU part")
    return "\n".join(value.strip() for name, _, value in named if name.strip() in wanted)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file, waiting for other processes, but not forever: one that is stopped or hangs may hold it.

    Without the lock a library may be built twice, which does no harm. Some file systems have no locks.
    """
    with _files.open_unlinked(path) as file:
        end = time.monotonic() + _LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < end:
                    time.sleep(_LOCK_POLL_S)
                    continue
            except OSError:
                pass
            break
        try:
            yield
        finally:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)  # a process forked meanwhile has the file too, and would keep the lock


def _build(compiler: str, options: list[str], sources: list[Path], library_folder: Path, library: Path) -> None:
    print(
        "lucid: compiling the CPU kernels for this machine, once; it takes some 15 seconds on two CPUs "
        "(LUCID_NATIVE=off skips it)",
        file=sys.stderr,
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="build-", dir=library.parent) as folder:
        objects = [Path(folder) / f"{source.stem}.o" for source in sources]
        commands = [
            [compiler, *options, "-c", str(source), "-o", str(one)]
            for source, one in zip(sources, objects, strict=True)
        ]
        _run_all(commands)
        built = Path(folder) / library.name
        _run_all([[
            compiler, "-shared", *map(str, objects), f"-L{library_folder}", "-lmlx", f"-Wl,-rpath,{library_folder}",
            *(("-undefined", "dynamic_lookup") if sys.platform == "darwin" else ()), "-o", str(built),
        ]])  # fmt: skip
        built.chmod(0o700)
        os.replace(built, library)


def _run_all(commands: list[list[str]]) -> None:
    """Run the commands, as many at a time as there are CPUs.

    Raises:
        CompilerError: one of them failed, with the first error that it printed.
        NotBuilt: one of them was killed, took too long, or had too little memory or disk space.
    """
    started: list[subprocess.Popen[str]] = []
    stop = threading.Event()

    def run(command: list[str]) -> tuple[int, str]:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            errors="replace", env={**os.environ, "LC_ALL": "C"}, start_new_session=True,
        ) as process:  # fmt: skip
            started.append(process)
            if stop.is_set():
                _end(process, signal.SIGTERM)
            try:
                printed = process.communicate(timeout=_TIMEOUT_S)[1]
            except subprocess.TimeoutExpired:
                _end(process, signal.SIGKILL)
                raise
        return process.returncode, printed

    with ThreadPoolExecutor(_device.cpu_count()) as pool:
        try:
            results = list(pool.map(run, commands))
        except BaseException as error:  # Ctrl-C too, which a notebook sends to this process only
            stop.set()
            for process in started:
                _end(process, signal.SIGTERM)
            if isinstance(error, (OSError, subprocess.TimeoutExpired)):
                raise NotBuilt(f"{Path(commands[0][0]).name} failed: {error}") from None
            raise
    for code, output in results:
        if code:
            printed = output.splitlines()
            lines = [line for line in printed if "error" in line.lower()] or printed or ["no message"]
            kind = NotBuilt if code < 0 or _NOT_ITS_FAULT.search(output) else CompilerError  # negative: killed
            raise kind(f"{Path(commands[0][0]).name} failed: {lines[0].strip()[:300]}")


def _end(process: "subprocess.Popen[str]", by: signal.Signals) -> None:
    """End a compiler and the programs that it has started: it is the leader of a session of its own."""
    if process.poll() is None:
        with suppress(OSError):
            os.killpg(process.pid, by)


def _import(library: Path) -> Any:
    loader = importlib.machinery.ExtensionFileLoader(_NAME, str(library))
    try:
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(_NAME, loader))  # type: ignore[arg-type]
        loader.exec_module(module)
        # nanobind shares arrays between modules of the same ABI only.
        if not isinstance(module.gelu(mx.zeros(1)), mx.array):
            raise TypeError
    except ImportError as error:
        raise NotBuilt(f"{error}; to compile again, delete {library}") from None
    except TypeError:
        raise NotBuilt("nanobind and MLX have different ABIs (pip install --upgrade nanobind mlx)") from None
    return module

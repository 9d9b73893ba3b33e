"""Builds the library that the machine loads from a kernel's signature: C++ source, compiler, cache."""

import fcntl
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.metal_simulator.signature import ATTRIBUTES, Signature
from tests.metal_simulator.source_text import with_shared_variables

HERE = Path(__file__).parent
MACHINE = HERE / "machine"  # the program that runs kernels
SHIM = HERE / "shim"  # what kernels are compiled against
MACHINE_FLAGS = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-rdynamic"]
KERNEL_FLAGS = [
    "-std=c++14",  # Metal's C++
    "-O1",
    "-fPIC",
    "-shared",
    "-nostdlib",
    "-fno-exceptions",
    "-fno-rtti",
    "-ffp-contract=off",  # a * b + c rounds twice; only fma rounds once
    "-fsingle-precision-constant",  # 2.0 is a float in Metal
    "-w",  # attributes and pragmas are Metal's; strict mode handles other warnings
    # An uninitialized register holds a conspicuous number (-1.7e38). Value numbering would assume whatever the other
    # branch assigns.
    "-ftrivial-auto-var-init=pattern",
    "-fno-tree-fre",
    # hooks.cpp has the handlers; libubsan is not linked.
    "-fsanitize=bounds,shift,signed-integer-overflow,integer-divide-by-zero,return",
    "-fno-sanitize-recover=all",
]
# Instruments every memory access; hooks.cpp takes the place of libtsan. -g1 gives faults their lines.
CHECK_FLAGS = ["-fsanitize=thread", "-DSIMULATOR_CHECK", "-g1"]
KERNEL_INCLUDES = [f"-I{SHIM}", f"-I{MACHINE}"]
COMPILE_TIMEOUT_S = 300
MIN_GCC = 12  # has -ftrivial-auto-var-init
MAX_ERROR_LINES = 60


class BuildError(RuntimeError):
    """The kernel does not compile; the message is the compiler's."""


@functools.cache
def compiler() -> str | None:
    """The path of a g++ that is new enough, or None."""
    for name in ("g++", *(f"g++-{version}" for version in range(MIN_GCC + 8, MIN_GCC - 1, -1))):
        path = shutil.which(name)
        if path:
            done = subprocess.run([path, "-dumpversion"], capture_output=True, text=True)
            major = done.stdout.strip().split(".")[0]
            if major.isdigit() and int(major) >= MIN_GCC:
                return path
    return None


def missing() -> str | None:
    """Why kernels cannot be simulated on this machine, or None if they can."""
    if platform.system() != "Linux":
        return f"the simulator runs on Linux, this is {platform.system()}"
    return None if compiler() else f"the simulator needs g++ {MIN_GCC} or later"


def cache_folder() -> Path:
    """``LUCID_SIMULATOR_CACHE``, or a folder for this user in the system's temporary folder.

    Raises:
        BuildError: The folder in the temporary folder belongs to another user, whose libraries would be loaded.
    """
    named = os.environ.get("LUCID_SIMULATOR_CACHE")
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"lucid-metal-simulator-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not named and folder.stat().st_uid != os.getuid():
        raise BuildError(f"the cache folder {folder} belongs to another user; set LUCID_SIMULATOR_CACHE")
    return folder


@functools.cache
def _machine_dependent_flags() -> list[str]:
    """Use the fma instruction if there is one: without it each fma is a call into libm."""
    try:
        has_fma = " fma " in Path("/proc/cpuinfo").read_text()
    except OSError:
        has_fma = False
    return ["-mfma"] if has_fma and platform.machine() == "x86_64" else []


@functools.cache
def _contents(*folders: Path) -> str:
    """The content of all files in the folders, which is part of the cache key."""
    return "".join(path.read_text() for folder in folders for path in sorted(folder.iterdir()) if path.is_file())


@functools.cache
def _compiler_version(path: str) -> str:
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _built(target: Path, command: list[str]) -> Path:
    """``target``, built with ``command`` plus ``-o`` if it does not exist, by one process only.

    The file is renamed into place, so an existing one is complete; a lock makes other processes wait for it.
    """
    if target.exists():
        return target
    with open(target.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        partial = target.with_suffix(f".{os.getpid()}.partial")
        done = subprocess.run([*command, "-o", str(partial)], capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()[:MAX_ERROR_LINES]
            raise BuildError("\n".join(lines) or f"the compiler exited with code {done.returncode}")
        os.replace(partial, target)
    return target


def machine() -> Path:
    """The program that loads and runs a kernel's library; built on first use."""
    path = _required_compiler()
    key = _digest(_contents(MACHINE), _compiler_version(path), *MACHINE_FLAGS)
    command = [path, *MACHINE_FLAGS, *map(str, sorted(MACHINE.glob("*.cpp"))), "-ldl", "-lm"]
    return _built(cache_folder() / f"machine-{key}", command)


def kernel_text(signature: Signature) -> str:
    """The C++ of a kernel: the shim, the unchanged header and body, and an entry point without parameters."""
    arguments = []
    for index, parameter in enumerate((*signature.inputs, *signature.outputs)):
        const = "const " if index < len(signature.inputs) else ""
        dereferenced = "*" if parameter.by_reference else ""
        arguments.append(f"{dereferenced}static_cast<{const}{parameter.type}*>(simulator::buffer({index}))")
    for name in signature.attributes:
        value = f"simulator::this_thread().{name}"
        arguments.append(f"uint3({value}.x, {value}.y, {value}.z)" if ATTRIBUTES[name] == "uint3" else value)
    separator = ",\n    "
    return "\n".join(
        [
            '#include "metal.h"',
            '#line 1 "header"',
            # Nothing in between, as in MLX: a header that ends in a comment swallows the signature.
            signature.header + signature.text(f'#line 1 "source"\n{with_shared_variables(signature.source)}'),
            '#line 1 "entry"',
            'extern "C" void simulator_kernel_entry() {',
            f"  {signature.name}{signature.template_values}(\n    {separator.join(arguments)});",
            "}\n",
        ]
    )


def kernel_library(signature: Signature, check: bool) -> Path:
    """The kernel as a shared library, instrumented if ``check``."""
    text = kernel_text(signature)
    path = _required_compiler()
    flags = [*KERNEL_FLAGS, *(CHECK_FLAGS if check else []), *_machine_dependent_flags(), *KERNEL_INCLUDES]
    key = _digest(text, _contents(SHIM, MACHINE), _compiler_version(path), *flags)
    target = cache_folder() / f"kernel-{key}.so"
    if target.exists():
        return target
    source = target.with_suffix(f".{os.getpid()}.cpp")
    source.write_text(text)
    try:
        return _built(target, [path, *flags, str(source), "-lm"])
    finally:
        source.unlink()


def lines_of(library: Path, offsets: list[int]) -> list[str]:
    """The line of the shader for each offset in the library, ``""`` if it is unknown."""
    tool = shutil.which("addr2line")
    if tool is None or not any(offsets):
        return ["" for _ in offsets]
    # A return address comes after its call: one byte earlier is inside the call.
    addresses = [hex(max(offset - 1, 0)) for offset in offsets]
    done = subprocess.run([tool, "-e", str(library), *addresses], capture_output=True, text=True)
    lines = done.stdout.splitlines() if done.returncode == 0 else ["" for _ in offsets]
    return [_readable(line) if offset else "" for line, offset in zip(lines, offsets, strict=True)]


def _readable(line: str) -> str:
    """``header line 12`` from addr2line's ``/folder/header:12 (discriminator 3)``."""
    name, _, number = line.split(" ")[0].rpartition(":")
    name = Path(name).name
    return f"{name} line {number}" if name in ("header", "source") else ""


def _required_compiler() -> str:
    reason = missing()
    if reason:
        raise BuildError(reason)
    return compiler() or ""

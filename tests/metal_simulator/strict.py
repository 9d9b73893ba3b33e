"""Checks that a kernel is legal Metal, as far as possible without Metal's compiler.

There are three checks: a list of keywords that Metal lacks; clang as pedantic C++14, on the source that the simulator
compiles; and clang as C++ for OpenCL, which has Metal's address spaces and most of its restrictions. The README lists
what they miss.
"""

import functools
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import mlx.core as mx

from tests.metal_simulator.build import KERNEL_INCLUDES, kernel_text
from tests.metal_simulator.signature import ATTRIBUTES, Signature, TemplateArguments, signature
from tests.metal_simulator.source_text import without_comments
from tests.metal_simulator.syntax_tree import pointers_without_space, recursive_functions

CLANG_VERSIONS = range(22, 13, -1)  # newest first; C++ for OpenCL 2021 came with 14
TIMEOUT_S = 120
CPP14_FLAGS = [
    "-fsyntax-only",
    "-std=c++14",
    "-pedantic-errors",
    "-Werror=vla",
    "-fno-exceptions",
    "-fno-rtti",
    "-Wno-unknown-attributes",  # [[kernel]], [[buffer(0)]]
]
OPENCL_FLAGS = [
    "-x",
    "cl",
    "-cl-std=clc++2021",
    "--target=spir64-unknown-unknown",
    # double off, half on, and the generic address space, which marks pointers without an address space.
    "-Xclang",
    "-cl-ext=-all,+cl_khr_fp16,+__opencl_c_generic_address_space",
    "-fsyntax-only",
    "-cl-single-precision-constant",  # 2.0 is a float in Metal
    "-Werror",
    "-Wall",
    "-Wno-unused",
    "-Wno-unknown-attributes",
    "-Wno-ignored-attributes",
    "-Wno-unknown-pragmas",
    "-Wno-c++17-attribute-extensions",
]
# Keywords that one of the two compilers accepts, or reports less clearly.
FORBIDDEN = {
    r"\bgoto\b": "goto",
    r"\bnew\b": "new",
    r"\bdelete\b": "delete",
    r"\b(?:try|catch|throw)\b": "exceptions",
    r"\bvirtual\b": "virtual functions",
    r"\bdynamic_cast\b": "dynamic_cast",
    r"\btypeid\b": "typeid",
    r"\bnoexcept\b": "noexcept",
    r"\bthread_local\b": "thread_local",
    r"\bregister\b": "register",
    r"\bstatic\b": "static",
    r"\bmutable\b": "mutable",
    r"\bdouble\b": "double",
    r"\blong\s+long\b": "long long",
    r"\basm\b": "assembly",
    r"\bprintf\b": "printf",
    r"\bstd\s*::": "the C++ standard library",
    r"\[[&=\w,\s]*\]\s*\([^()]*\)\s*(?:->[^{;]*)?\{": "lambdas (before Metal 3.2)",
    r"#\s*include\s*(?!<metal_stdlib>)[<\"]": "#include",
}


@functools.cache
def clang() -> str | None:
    """The newest installed clang++ that supports C++ for OpenCL 2021, or None."""
    for name in [*(f"clang++-{version}" for version in CLANG_VERSIONS), "clang++"]:
        path = shutil.which(name)
        if path is None:
            continue
        done = subprocess.run([path, "--version"], capture_output=True, text=True)
        version = re.search(
            r"clang version (\d+)", done.stdout
        )  # Apple's clang has other version numbers and lacks the target
        if version and int(version[1]) >= min(CLANG_VERSIONS) and "Apple" not in done.stdout:
            return path
    return None


def missing() -> str | None:
    """Why strict mode cannot run on this machine, or None if it can."""
    return None if clang() else f"strict mode needs clang {min(CLANG_VERSIONS)} or later"


def check(
    header: str,
    source: str,
    input_names: Sequence[str],
    inputs: Sequence[mx.array],
    output_names: Sequence[str],
    output_dtypes: Sequence[mx.Dtype],
    template: TemplateArguments = (),
) -> list[str]:
    """Everything that is wrong with the kernel, one line each; empty for a legal kernel.

    The inputs determine types and address spaces: check with arrays of 8 or more elements, and again with fewer.
    """
    kernel = signature("strict", input_names, output_names, source, header, inputs, output_dtypes, template)
    with tempfile.TemporaryDirectory() as folder:
        return [
            *_forbidden_keywords("header", header),
            *_forbidden_keywords("source", source),
            *_cpp14_errors(kernel, Path(folder)),
            *_opencl_errors(kernel, Path(folder)),
        ]


def _forbidden_keywords(name: str, text: str) -> list[str]:
    text = without_comments(text)
    return [
        f"{name} line {text.count(chr(10), 0, match.start()) + 1}: Metal has no {what}"
        for pattern, what in FORBIDDEN.items()
        for match in re.finditer(pattern, text)
    ]


def _parsed(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [clang() or "clang++", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=TIMEOUT_S)


def _errors(stderr: str, language: str) -> list[str]:
    """clang's errors as ``source line 3: ... (C++14)``."""
    found = re.findall(r"^(?:\./)?([^\s:]+):(\d+):\d+: (?:fatal )?error: (.*)$", stderr, re.MULTILINE)
    return [f"{Path(file).name} line {line}: {message} ({language})" for file, line, message in found]


def _cpp14_errors(kernel: Signature, folder: Path) -> list[str]:
    (folder / "kernel.cpp").write_text(kernel_text(kernel))
    includes = [
        flag.replace("-I", "-isystem", 1) for flag in KERNEL_INCLUDES
    ]  # the shim itself does not have to be pedantic
    done = _parsed([*CPP14_FLAGS, *includes, "kernel.cpp"], folder)
    return (_errors(done.stderr, "C++14") or [done.stderr.strip()]) if done.returncode else []


def _opencl_text(kernel: Signature) -> str:
    """The kernel as C++ for OpenCL. Header and body are included from files, so that errors carry their names.

    An OpenCL kernel cannot be a template or take references: template arguments become constants in the body, and
    references become pointers.
    """
    parameters, constants = [], []
    for count, parameter in enumerate((*kernel.inputs, *kernel.outputs)):
        const = "const " if count < len(kernel.inputs) else ""
        if parameter.by_reference:
            parameters.append(f"{const}{parameter.space} {parameter.type}* {parameter.name}_pointer")
            constants.append(f"{const}{parameter.declaration} = *{parameter.name}_pointer;")
        else:
            parameters.append(const + parameter.declaration)
    parameters += [f"{ATTRIBUTES[name]} {name}" for name in kernel.attributes]
    for kind, name, value in kernel.template:
        constants.append(f"typedef {value} {name};" if kind == "typename" else f"constexpr {kind} {name} = {value};")
    head = ",\n  ".join(parameters)
    return f'#include "strict.h"\n#include "header"\nkernel void entry(\n  {head}) {{\n' + "\n".join(
        [*constants, '#include "source"', "}\n"]
    )


def _to_opencl(text: str) -> str:
    """Rewrite ``metal::x`` as ``::x`` and ``float2(a, b)`` as ``(float2)(a, b)``; line numbers stay the same."""
    text = re.sub(r"\bmetal\s*::", "::", text)
    return re.sub(r"\b((?:u?(?:char|short|int|long)|float|half)[234])\s*\(", r"(\1)(", text)


def _opencl_errors(kernel: Signature, folder: Path) -> list[str]:
    (folder / "header").write_text(_to_opencl(kernel.header) + "\n")
    (folder / "source").write_text(_to_opencl(kernel.source) + "\n")
    (folder / "kernel.cl").write_text(_opencl_text(kernel))
    flags = [*OPENCL_FLAGS, "-I.", *KERNEL_INCLUDES]
    done = _parsed([*flags, "kernel.cl"], folder)
    if done.returncode:
        return _errors(done.stderr, "C++ for OpenCL") or [done.stderr.strip()]
    tree = json.loads(_parsed([*flags, "-Xclang", "-ast-dump=json", "kernel.cl"], folder).stdout)
    recursive = [f"'{name}' calls itself: Metal has no recursion" for name in recursive_functions(tree)]
    return pointers_without_space(tree, {"header", "source"}) + recursive

"""A description of this machine, for reports, ``lucid info`` and benchmarks."""

import os
import platform
from typing import Any

import numpy as np

from lucid import _device
from lucid._version import __version__

import mlx.core as mx  # isort: skip  # After _device: on Linux it loads a fast BLAS ahead of MLX.


# Variables that change how fast the CPU computes. OPENBLAS_CORETYPE forces kernels for another processor.
_VARIABLES = (
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "LUCID_NUM_THREADS",
    "LUCID_NATIVE", "LUCID_KERNELS",
)  # fmt: skip


def describe_machine(torch: tuple[Any, str] | None = None) -> dict[str, Any]:
    """Hardware, system and versions, without user, host or folder names."""
    device = mx.device_info()
    versions = {"python": platform.python_version(), "lucid": __version__, "mlx": mx.__version__}  # type: ignore[attr-defined]
    if torch is not None:
        versions["torch"] = f"{torch[0].__version__} on {torch[1]}"
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "backend": _device.backend(),
        "device": f"{device.get('device_name', '')} {device.get('architecture', '')}".strip(),
        "system": platform.platform(),
        "cpus": count,
        "blas": _device.openblas,
        "environment": {name: os.environ[name] for name in _VARIABLES if os.environ.get(name)},
        "versions": {**versions, "numpy": np.__version__},
    }


def headline(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [f"{machine['device']} ({machine['backend']}, {machine['cpus']} CPUs), {machine['system']}", versions]
    if machine["backend"] == "cpu":
        native = machine.get("native", "")
        lines.append(f"BLAS: {machine['blas'] or 'of MLX'}{f'; native kernels: {native}' if native else ''}")
    if machine["environment"]:
        lines.append(", ".join(f"{name}={value}" for name, value in machine["environment"].items()))
    if "OPENBLAS_CORETYPE" in machine["environment"]:
        lines.append(
            "OPENBLAS_CORETYPE is set: OpenBLAS does not choose its kernels for this CPU and may be half as fast."
        )
    return "\n".join(lines) + "\n"

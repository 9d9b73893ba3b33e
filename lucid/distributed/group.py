"""The process group: which processes train together, and the rank of this one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx

from lucid import _checks
from lucid.distributed import init_guard
from lucid.distributed.launcher import Launch, read_launch
from lucid.distributed.watchdog import Watchdog

BACKENDS = ("any", "ring", "mpi", "jaccl", "nccl")


@dataclass(frozen=True)
class ProcessGroup:
    """All processes of the run. ``mlx`` is None for a single process, ``watchdog`` if there is none."""

    rank: int = 0
    size: int = 1
    backend: str | None = None
    mlx: mx.distributed.Group | None = None
    watchdog: Watchdog | None = None


_group: ProcessGroup | None = None
_former: ProcessGroup | None = None  # after destroy_process_group: only the rank remains


def init_process_group(backend: str = "any", *, timeout_s: float = 60.0, watch: bool = True) -> None:
    """Join the processes started by the launcher; a process started alone forms a group of one.

    Further calls have no effect.

    Args:
        backend: "ring", "mpi", "jaccl", "nccl", or "any" for the launcher's choice.
        timeout_s: Seconds to wait for all ranks. If one is missing, this process exits with a message.
        watch: Keep connections to the neighboring ranks. If a rank dies or calls a different collective, all ranks then
            exit with a message instead of waiting forever.

    Raises:
        RuntimeError: the launcher's variables are invalid, or MLX cannot start the backend.
        ValueError: ``backend`` is unknown, or ``timeout_s`` is not positive.
    """
    global _group
    where = "init_process_group"
    _checks.one_of(where, "backend", backend, BACKENDS)
    timeout_s = _checks.number(where, "timeout_s", timeout_s, 0, above=True)
    if _group is not None:
        return
    launch = read_launch()
    if launch is None and backend != "any":
        launch = Launch(backend, 0, None)
    if launch is None:
        _group = ProcessGroup()
        return
    if backend == "any":
        backend = launch.backend
    with _time_limit(launch, timeout_s):
        group = _start_backend(backend, launch)
        rank, size = group.rank(), group.size()
        if size == 1:
            _group = ProcessGroup(backend=backend)
            return
        watchdog = Watchdog.start(group, launch.addresses) if watch else None
    _group = ProcessGroup(rank, size, backend, group, watchdog)


def destroy_process_group() -> None:
    """Wait for all ranks to call it, then leave the group. This process keeps its rank.

    A program that does not call it leaves the group on exit. Call it before long work on a single rank: a rank that has
    not left within ten minutes of another counts as stuck.
    """
    global _group, _former
    if _group is None:
        return
    if _group.watchdog is not None:
        _group.watchdog.leave()
    _former = ProcessGroup(rank=_group.rank)
    _group = None


def is_available() -> bool:
    """Whether MLX was built with a communication backend."""
    return mx.distributed.is_available()


def is_initialized() -> bool:
    """Whether this process is in a group."""
    return _group is not None


def current_group() -> ProcessGroup:
    """The current group; a group of one before ``init_process_group`` and after ``destroy_process_group``.

    Raises:
        RuntimeError: the process was launched as one of several but has not joined the group.
    """
    if _group is not None:
        return _group
    if _former is not None:
        return _former
    if read_launch() is not None:
        raise RuntimeError(
            "lucid.distributed: this process was launched as one of several; call "
            "lucid.distributed.init_process_group() first"
        )
    return ProcessGroup()


def get_rank() -> int:
    """The index of this process in its group, from 0.

    Raises:
        RuntimeError: the process was launched as one of several but has not joined the group.
    """
    return current_group().rank


def get_world_size() -> int:
    """The number of processes in the group; 1 without a group.

    Raises:
        RuntimeError: the process was launched as one of several but has not joined the group.
    """
    return current_group().size


def get_backend() -> str | None:
    """The communication backend: "ring", "mpi", "jaccl" or "nccl"; None for a single process."""
    return current_group().backend


def _start_backend(backend: str, launch: Launch) -> mx.distributed.Group:
    if not mx.distributed.is_available(backend):
        reason = "this MLX was built without it"
        if backend == "mpi":
            reason = "install Open MPI, or set MLX_MPI_LIBNAME to its library, e.g. libmpi.so.40"
        raise RuntimeError(f"init_process_group: the backend {backend!r} is not available: {reason}")
    try:
        return mx.distributed.init(strict=True, backend=backend)
    except (RuntimeError, ValueError) as error:
        raise RuntimeError(
            f"init_process_group: rank {launch.rank} could not start the backend {backend!r} (MLX: {error}). Check "
            "that all ranks are running, that the ports in the host file are free, and that this machine can reach the "
            "others; mlx.launch and mpirun start all ranks together"
        ) from None


@contextlib.contextmanager
def _time_limit(launch: Launch, timeout_s: float) -> Iterator[None]:
    """Kill this process, with a message, if the block takes longer than ``timeout_s``."""
    others = "the other ranks" if launch.size is None else f"all {launch.size} ranks"
    message = (
        f"lucid.distributed: rank {launch.rank} gave up after waiting {timeout_s:g} s for {others}: "
        f"some were not started, or they cannot reach each other ({launch.backend})"
    )
    if not sys.executable:  # an embedded Python
        yield
        return
    command = [sys.executable, "-I", "-S", str(Path(init_guard.__file__)), str(os.getpid()), str(timeout_s), message]
    with subprocess.Popen(command, stdin=subprocess.PIPE):  # on exit the pipe is closed and the guard awaited
        yield

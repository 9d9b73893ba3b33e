"""The group of processes that train together: who is in it, and which of them this is."""

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
    """All processes of the run. ``mlx`` is None where there is only one, ``watch`` where nobody watches."""

    rank: int = 0
    size: int = 1
    backend: str | None = None
    mlx: mx.distributed.Group | None = None
    watchdog: Watchdog | None = None


_group: ProcessGroup | None = None
_former: ProcessGroup | None = None  # after the group was left: only the rank remains


def init_process_group(backend: str = "any", *, timeout_s: float = 60.0, watch: bool = True) -> None:
    """Join the processes that the launcher started with this one; alone, be a group of one where nothing needs sending.

    - ``backend``: "ring", "mpi", "jaccl", "nccl", or "any": the one that the launcher has prepared.
    - ``timeout_s``: seconds until all ranks have to be there. When one is missing this process ends with a message.
    - ``watch``: keep a connection to the neighbours, so that a rank that dies ends the others with a message, and ranks
      that call different collectives learn of it. Without it they may wait for ever.

    A second call changes nothing.

    Raises:
        RuntimeError: the launcher's variables are wrong, or MLX cannot start the backend.
        ValueError: there is no such backend, or ``timeout_s`` is not positive.
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
        watching = Watchdog.start(group, launch.addresses) if watch else None
    _group = ProcessGroup(rank, size, backend, group, watching)


def destroy_process_group() -> None:
    """Leave the group once all ranks want to. Afterwards this process is on its own, and keeps its rank's number.

    A program that ends without it leaves by itself. Long work of one rank after the last collective belongs after it:
    a rank that has not left ten minutes after another is taken for stuck.
    """
    global _group, _former
    if _group is None:
        return
    if _group.watchdog is not None:
        _group.watchdog.leave()
    _former = ProcessGroup(rank=_group.rank)
    _group = None


def is_available() -> bool:
    """Whether MLX can communicate at all."""
    return mx.distributed.is_available()


def is_initialized() -> bool:
    """Whether ``init_process_group`` was called."""
    return _group is not None


def current_group() -> ProcessGroup:
    """The group; before ``init_process_group`` and after ``destroy_process_group`` a group of one.

    Raises:
        RuntimeError: the process was launched as one of several and has not joined them.
    """
    if _group is not None:
        return _group
    if _former is not None:
        return _former
    if read_launch() is not None:
        raise RuntimeError(
            "lucid.distributed: this process was launched as one of several; call "
            "lucid.distributed.init_process_group() first, or they all do the same work alone"
        )
    return ProcessGroup()


def get_rank() -> int:
    """The number of this process in its group, from 0; 0 where there is only one.

    Raises:
        RuntimeError: the process was launched as one of several and has not joined them.
    """
    return current_group().rank


def get_world_size() -> int:
    """How many processes are in the group; 1 outside of one.

    Raises:
        RuntimeError: the process was launched as one of several and has not joined them.
    """
    return current_group().size


def get_backend() -> str | None:
    """What carries the messages: "ring", "mpi", "jaccl" or "nccl"; None where there is one process."""
    return current_group().backend


def _start_backend(backend: str, launch: Launch) -> mx.distributed.Group:
    if not mx.distributed.is_available(backend):
        reason = "this MLX was built without it"
        if backend == "mpi":
            reason = "install Open MPI, or name its library: MLX_MPI_LIBNAME=libmpi.so.40"
        raise RuntimeError(f"init_process_group: the backend {backend!r} is not available: {reason}")
    try:
        return mx.distributed.init(strict=True, backend=backend)
    except (RuntimeError, ValueError) as error:
        raise RuntimeError(
            f"init_process_group: rank {launch.rank} could not start the backend {backend!r} (MLX: {error}). Are all "
            "ranks started, are the host file's ports free, and can this machine reach the others? mlx.launch and "
            "mpirun start the ranks together"
        ) from None


@contextlib.contextmanager
def _time_limit(launch: Launch, timeout_s: float) -> Iterator[None]:
    """End this process, with a message, when the block takes longer than ``timeout_s``."""
    others = "the other ranks" if launch.size is None else f"all {launch.size} ranks"
    message = (
        f"lucid.distributed: rank {launch.rank} has waited {timeout_s:g} s for {others} and gives up: "
        f"not all were started, or they cannot reach each other ({launch.backend})"
    )
    if not sys.executable:  # an embedded Python
        yield
        return
    command = [sys.executable, "-I", "-S", str(Path(init_guard.__file__)), str(os.getpid()), str(timeout_s), message]
    with subprocess.Popen(command, stdin=subprocess.PIPE):  # leaving the block closes the pipe and waits
        yield

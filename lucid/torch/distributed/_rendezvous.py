"""Joins the processes that ``torchrun`` numbers, by writing the host file that MLX's ring reads.

``mlx.launch`` tells every process the addresses of all of them (MLX_HOSTFILE), and PyTorch's launchers only that of
rank 0 (MASTER_ADDR, MASTER_PORT). So rank 0 listens there, every other process connects and sends its address and a
free port, and rank 0 answers with those of all.

The other way round, RANK, WORLD_SIZE and LOCAL_RANK are set for programs that read them under ``mlx.launch``.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from lucid.distributed.launcher import read_launch

_MAX_LINE = 1 << 16
_PAUSE_S = 0.1


def publish() -> None:
    """Set PyTorch's variables from those of ``mlx.launch`` or ``mpirun``, unless they are set."""
    launch = read_launch()
    if launch is None or launch.size is None:
        return
    os.environ.setdefault("RANK", str(launch.rank))
    os.environ.setdefault("WORLD_SIZE", str(launch.size))
    os.environ.setdefault("LOCAL_RANK", "0")  # of a machine with one GPU


def join(init_method: str | None, world_size: int, rank: int, timeout_s: float) -> None:
    """Set MLX's variables for this process, unless its launcher has set them.

    Raises:
        RuntimeError: the number of processes, of this one, or the address of rank 0 is missing or wrong.
    """
    if read_launch() is not None:
        return
    where = "torch.distributed.init_process_group"
    size = world_size if world_size > 0 else _variable(where, "WORLD_SIZE", "1")
    if size == 1:
        return
    number = rank if rank >= 0 else _variable(where, "RANK", None)
    if not 0 <= number < size:
        raise RuntimeError(f"{where}: rank must be from 0 to {size - 1}, got {number}")
    if init_method in (None, "env://"):
        host, port = os.environ.get("MASTER_ADDR", ""), _variable(where, "MASTER_PORT", None)
    elif str(init_method).startswith("tcp://") and str(init_method).rpartition(":")[2].isdecimal():
        host, _, given = str(init_method).removeprefix("tcp://").rpartition(":")
        port = int(given)
    else:
        raise RuntimeError(f"{where}: init_method must be env:// or tcp://HOST:PORT, got {init_method!r}")
    deadline = time.monotonic() + timeout_s
    try:
        hosts = _serve(host, port, size, deadline) if number == 0 else _ask(host, port, number, deadline)
    except (OSError, ValueError) as error:
        raise RuntimeError(f"{where}: rank {number} could not meet the others at {host}:{port}: {error}") from None
    folder = tempfile.mkdtemp(prefix="lucid-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "hosts.json"
    path.write_text(json.dumps([[one] for one in hosts]))
    os.environ["MLX_RANK"], os.environ["MLX_HOSTFILE"] = str(number), str(path)


def _variable(where: str, name: str, default: str | None) -> int:
    text = os.environ.get(name, default)
    if text is None or not text.isdecimal():
        raise RuntimeError(
            f"{where}: {name} must be a number, got {text!r}; start the program with torchrun or mlx.launch, or pass "
            "rank=, world_size= and init_method='tcp://HOST:PORT'"
        )
    return int(text)


def _serve(host: str, port: int, size: int, deadline: float) -> list[str]:
    """Rank 0: collect the addresses of all, and send them to all."""
    found: dict[int, str] = {0: f"{host}:{free_port()}"}
    connections: list[socket.socket] = []
    with socket.create_server(("", port)) as server:
        try:
            while len(found) < size:
                server.settimeout(max(deadline - time.monotonic(), _PAUSE_S))
                connection, (address, *_) = server.accept()
                connection.settimeout(max(deadline - time.monotonic(), _PAUSE_S))
                connections.append(connection)
                number, free = _read(connection)
                if number in found or not 0 < number < size:
                    raise ValueError(f"two processes have the rank {number}, or it is not below {size}")
                found[number] = f"{address}:{free}"
            listed = [found[number] for number in range(size)]
            for connection in connections:
                connection.sendall(json.dumps(listed).encode() + b"\n")
        finally:
            for connection in connections:
                connection.close()
    return listed


def _ask(host: str, port: int, number: int, deadline: float) -> list[str]:
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=max(deadline - time.monotonic(), _PAUSE_S))
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)  # rank 0 does not listen yet
            continue
        with connection:
            connection.sendall(json.dumps([number, free_port()]).encode() + b"\n")
            return [str(one) for one in _read(connection)]


def _read(connection: socket.socket) -> Any:
    data = b""
    while not data.endswith(b"\n"):
        more = connection.recv(4096)
        if not more or len(data) > _MAX_LINE:
            raise ValueError("the connection ended early")
        data += more
    found = json.loads(data)
    if not isinstance(found, list):
        raise ValueError("it sent something else than a list")
    return found


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])

"""Processes that work together, started on this machine the three ways people start them."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import mlx.core as mx
import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120
LAUNCHER = shutil.which("mlx.launch", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))

needs_launcher = pytest.mark.skipif(LAUNCHER is None, reason="no mlx.launch beside this Python or on the PATH")

needs_mpi = pytest.mark.skipif(
    shutil.which("mpirun") is None or not mx.distributed.is_available("mpi"),
    reason="no mpirun, or MLX cannot find MPI's library (apt-get install openmpi-bin libopenmpi-dev)",
)


def free_ports(count):
    """Ports in a row that nobody listens on."""
    for start in range(20000 + os.getpid() % 20000, 60000, 37):
        sockets = []
        try:
            for port in range(start, start + count):
                sockets.append(socket.create_server(("127.0.0.1", port)))
            return list(range(start, start + count))
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise RuntimeError("no free ports")


def environment(**variables):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLX_", "OMPI_", "PMI"))}
    return kept | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | variables


def start_ring(size, folder, program, *arguments, ranks=None):
    """The processes of a ring, started by MLX's environment variables alone; of all ``ranks`` where none are named."""
    hosts = folder / "hosts.json"
    hosts.write_text(json.dumps([[f"127.0.0.1:{port}"] for port in free_ports(size)]))
    return [
        subprocess.Popen(
            [sys.executable, str(program), *map(str, arguments)],
            env=environment(MLX_RANK=str(rank), MLX_HOSTFILE=str(hosts)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (range(size) if ranks is None else ranks)
    ]


def finish(processes):
    """Exit code, standard output and standard error of each; none is left behind."""
    deadline = time.monotonic() + TIMEOUT_S
    try:
        outputs = [one.communicate(timeout=max(1, deadline - time.monotonic())) for one in processes]
        return [(one.returncode, *output) for one, output in zip(processes, outputs, strict=True)]
    finally:
        for one in processes:
            if one.poll() is None:
                one.kill()
                one.communicate()


def run_ring(size, folder, program, *arguments):
    return finish(start_ring(size, folder, program, *arguments))


def run_launcher(size, folder, program, *arguments):
    """``mlx.launch -n size -- python program``. It gives exit code 0 whatever happens."""
    command = [LAUNCHER, "-n", str(size), "--backend", "ring"]
    command += ["--starting-port", str(free_ports(size)[0]), "--", sys.executable, str(program), *map(str, arguments)]
    return [_run(command)]


def run_mpi(size, folder, program, *arguments):
    command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-np", str(size)]
    return [_run([*command, sys.executable, str(program), *map(str, arguments)])]


def _run(command):
    # mlx.launch reads its input without a pause when there is nothing to come: it gets a pipe that stays open.
    with subprocess.Popen(
        command,
        env=environment(),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + TIMEOUT_S
        try:
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            process.kill()
        output = process.communicate()
    return process.returncode, *output

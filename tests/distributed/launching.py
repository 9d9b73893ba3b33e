"""Start cooperating processes on this machine: through environment variables, mlx.launch or mpirun."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import mlx.core as mx
import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300
LAUNCHER = shutil.which("mlx.launch", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))

needs_launcher = pytest.mark.skipif(LAUNCHER is None, reason="no mlx.launch beside this Python or on the PATH")

needs_mpi = pytest.mark.skipif(
    shutil.which("mpirun") is None or not mx.distributed.is_available("mpi"),
    reason="no mpirun, or MLX cannot find MPI's library (apt-get install openmpi-bin libopenmpi-dev)",
)


def free_ports(count):
    """Consecutive free ports."""
    for _ in range(1000):
        # Below the ephemeral ports, and random because other tests may run at the same time.
        start = random.SystemRandom().randrange(20000, 32000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(start, start + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return list(range(start, start + count))
    raise RuntimeError("no free ports")


def environment(**variables):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLX_", "OMPI_", "PMI"))}
    return kept | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | variables


def start_ring(size, folder, program, *arguments, ranks=None):
    """Start the processes of a ring through MLX's environment variables; all ranks unless ``ranks`` are given."""
    hosts = folder / "hosts.json"
    hosts.write_text(json.dumps([[f"127.0.0.1:{port}"] for port in free_ports(size)]))
    return [
        _started([sys.executable, program, *arguments], environment(MLX_RANK=str(rank), MLX_HOSTFILE=str(hosts)))
        for rank in (range(size) if ranks is None else ranks)
    ]


def finish(processes):
    """Exit code, standard output and standard error of each; on a timeout all are killed with their children."""
    deadline = time.monotonic() + TIMEOUT_S
    results = []
    try:
        for one in processes:
            try:
                output = one.communicate(timeout=max(1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _kill(processes)
                output = one.communicate(timeout=20)
            results.append((one.returncode, *output))
        return results
    finally:
        _kill(processes)


def _kill(processes):
    for one in processes:
        if one.poll() is None:
            os.killpg(one.pid, signal.SIGKILL)


def run_ring(size, folder, program, *arguments):
    return finish(start_ring(size, folder, program, *arguments))


def run_launcher(size, folder, program, *arguments):
    """``mlx.launch -n size -- python program``, which always exits with code 0."""
    return launch(size, [sys.executable, program, *arguments])


def launch(size, command):
    """``mlx.launch -n size -- command`` on unique ports: MLX lets two rings share ports and mixes them up."""
    options = ["-n", size, "--backend", "ring", "--starting-port", free_ports(size)[0]]
    return _run([LAUNCHER, *options, "--", *command])


def run_mpi(size, folder, program, *arguments):
    # A single machine needs no ssh, but mpirun requires some program in its place.
    command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--mca", "plm_rsh_agent", "false", "-np", size]
    return _run([*command, sys.executable, program, *arguments])


def _run(command):
    # mlx.launch polls a closed stdin in a busy loop, so it gets a pipe that stays open.
    reading, writing = os.pipe()
    try:
        return finish([_started(command, environment(), stdin=reading)])
    finally:
        os.close(reading)
        os.close(writing)


def _started(command, variables, stdin=None):
    return subprocess.Popen(
        list(map(str, command)),
        env=variables,
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that it can be killed with its children
    )

import os
import subprocess
import sys

import mlx.core as mx
import pytest

from lucid import distributed as dist
from lucid.distributed import group
from lucid.distributed.launcher import Launch, read_launch
from tests.distributed.launching import finish, needs_mpi, run_mpi, start_ring


def test_a_single_process_is_a_group_of_one():
    assert (dist.rank(), dist.world_size(), dist.get_backend()) == (0, 1, None)
    assert not dist.is_initialized()
    dist.init()
    dist.init_process_group()  # again
    assert dist.is_initialized() and dist.is_available()
    assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, None)
    dist.destroy_process_group()
    assert not dist.is_initialized()


def test_a_process_that_has_left_keeps_its_rank(monkeypatch, as_rank):
    as_rank(1, 2)
    monkeypatch.setattr(group, "read_launch", lambda: Launch("ring", 1, 2))
    dist.destroy_process_group()
    dist.destroy_process_group()  # again
    assert (dist.get_rank(), dist.get_world_size(), dist.is_initialized()) == (1, 1, False)
    assert not dist.is_main()


def test_a_launched_process_must_join_first(monkeypatch):
    monkeypatch.setattr(group, "read_launch", lambda: Launch("ring", 1, 2))
    with pytest.raises(RuntimeError, match=r"launched as one of several; call .*init_process_group\(\) first"):
        dist.get_rank()
    with pytest.raises(RuntimeError, match="launched as one of several"):
        dist.DistributedSampler(range(3))


def test_init_refuses_unavailable_backends():
    with pytest.raises(ValueError, match="init_process_group: backend must be 'any', .* got 'gloo'"):
        dist.init("gloo")
    with pytest.raises(ValueError, match="init_process_group: timeout_s must be above 0, got 0"):
        dist.init(timeout_s=0)
    with pytest.raises(RuntimeError, match="rank 0 could not start the backend 'ring' .*MLX_RANK"):
        dist.init("ring")
    # No platform has both: jaccl is for Macs, nccl for NVIDIA GPUs.
    missing = "nccl" if mx.distributed.is_available("jaccl") else "jaccl"
    with pytest.raises(RuntimeError, match=f"the backend '{missing}' is not available: this MLX was built without it"):
        dist.init(missing)
    assert not dist.is_initialized()


def test_a_host_file_without_addresses_is_explained(tmp_path, monkeypatch):
    hosts = tmp_path / "hosts.json"
    hosts.write_text("[[], []]")
    variables = {"MLX_RANK": "0", "MLX_HOSTFILE": str(hosts)}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(group, "read_launch", lambda: read_launch(variables))
    with pytest.raises(RuntimeError, match="init_process_group: rank 0 could not start the backend 'ring'"):
        dist.init()


def program(folder, body):
    path = folder / "program.py"
    path.write_text(f"from lucid import distributed as dist\n{body}\n")
    return path


def test_a_missing_peer_ends_the_wait_with_a_message(tmp_path):
    path = program(tmp_path, "dist.init(timeout_s=1)")
    [(code, _, errors)] = finish(start_ring(2, tmp_path, path, ranks=[0]))
    assert code == -9
    assert "rank 0 gave up after waiting 1 s for all 2 ranks: some were not started" in errors


@needs_mpi
def test_a_single_process_under_mpirun_is_a_group_of_one(tmp_path):
    path = program(tmp_path, "dist.init(); print(dist.get_world_size(), dist.get_backend())")
    assert [(code, output) for code, output, _ in run_mpi(1, tmp_path, path)] == [(0, "1 None\n")]


def test_the_guard_ignores_a_process_that_is_ready_or_gone():
    guard = [sys.executable, "-I", "-S", group.init_guard.__file__, str(os.getpid()), "60", "never said"]
    assert subprocess.run(guard, stdin=subprocess.DEVNULL, capture_output=True, timeout=60).stderr == b""

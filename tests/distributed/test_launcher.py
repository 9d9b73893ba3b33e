import json

import pytest

from lucid.distributed.launcher import Launch, read_launch


def test_a_process_started_alone_is_not_a_launch():
    assert read_launch({}) is None
    assert read_launch({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"}) is None


def test_ring_variables_give_rank_size_and_addresses(tmp_path):
    hosts = tmp_path / "hosts.json"
    hosts.write_text(json.dumps([["10.0.0.1:5000"], ["10.0.0.2:5000", "10.0.1.2:5001"]]))
    launch = read_launch({"MLX_RANK": "1", "MLX_HOSTFILE": str(hosts)})
    assert launch == Launch("ring", 1, 2, ("10.0.0.2", "10.0.1.2"))
    hosts.write_text("\n")  # written by mlx.launch -n 1
    assert read_launch({"MLX_RANK": "0", "MLX_HOSTFILE": str(hosts)}) is None


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4", "PMIX_RANK": "2"}, Launch("mpi", 2, 4)),
        ({"PMI_RANK": "0", "PMI_SIZE": "2"}, Launch("mpi", 0, 2)),
        ({"PMIX_RANK": "1"}, Launch("mpi", 1, None)),
        ({"MLX_RANK": "1", "MLX_JACCL_COORDINATOR": "10.0.0.1:32323"}, Launch("jaccl", 1, None)),
        ({"MLX_RANK": "1", "NCCL_HOST_IP": "10.0.0.1", "MLX_WORLD_SIZE": "8"}, Launch("nccl", 1, 8)),
    ],
)
def test_variables_of_other_launchers(environment, wanted):
    assert read_launch(environment) == wanted


@pytest.mark.parametrize("content", ["no json", "{}", "[1, 2]", '["10.0.0.1:5000"', None])
def test_an_invalid_host_file_is_named(tmp_path, content):
    hosts = tmp_path / "hosts.json"
    if content is not None:
        hosts.write_text(content)
    with pytest.raises(RuntimeError, match="hosts.json (must be a JSON list|lists 0 ranks|but)") as caught:
        read_launch({"MLX_RANK": "0", "MLX_HOSTFILE": str(hosts)})
    assert "init_process_group: " in str(caught.value)


def test_inconsistent_variables_are_refused(tmp_path):
    hosts = tmp_path / "hosts.json"
    hosts.write_text('[["a:1"], ["b:1"]]')
    with pytest.raises(RuntimeError, match="MLX_RANK is 2 but .*hosts.json lists 2 ranks"):
        read_launch({"MLX_RANK": "2", "MLX_HOSTFILE": str(hosts)})
    with pytest.raises(RuntimeError, match="MLX_RANK must be an integer of at least 0, got '-1'"):
        read_launch({"MLX_RANK": "-1", "MLX_HOSTFILE": str(hosts)})
    with pytest.raises(RuntimeError, match="MLX_RANK is 0 but MLX_HOSTFILE is not set"):
        read_launch({"MLX_RANK": "0"})

"""Reads the environment variables of launchers.

``mlx.launch`` and manual launches set MLX's variables; ``mpirun`` sets those of its MPI implementation.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_MPI_RANKS = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")
_MPI_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


@dataclass(frozen=True)
class Launch:
    """One of several processes. ``addresses`` are this rank's own, if the launcher provides them."""

    backend: str
    rank: int
    size: int | None  # None: known only to the backend
    addresses: tuple[str, ...] = ()


def read_launch(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """The launch that this process is part of; None if it is the only process.

    Raises:
        RuntimeError: the variables are inconsistent or name an invalid host file.
    """
    rank = environment.get("MLX_RANK", "")
    launch = None
    if rank and environment.get("MLX_JACCL_COORDINATOR"):
        launch = Launch("jaccl", _parse_int("MLX_RANK", rank), None)
    elif rank and environment.get("NCCL_HOST_IP"):
        size = environment.get("MLX_WORLD_SIZE", "")
        launch = Launch("nccl", _parse_int("MLX_RANK", rank), _parse_int("MLX_WORLD_SIZE", size))
    elif rank and environment.get("MLX_HOSTFILE"):
        launch = _read_host_file(_parse_int("MLX_RANK", rank), Path(environment["MLX_HOSTFILE"]))
    elif rank:
        raise RuntimeError(
            f"init_process_group: MLX_RANK is {rank} but MLX_HOSTFILE is not set; start with mlx.launch, or set "
            "MLX_HOSTFILE to a JSON file with every rank's addresses"
        )
    else:
        found = next((environment[name] for name in _MPI_RANKS if environment.get(name)), None)
        total = next((environment[name] for name in _MPI_SIZES if environment.get(name)), None)
        if found is not None:
            launch = Launch(
                "mpi", _parse_int("the rank", found), None if total is None else _parse_int("the size", total)
            )
    return None if launch is None or launch.size == 1 else launch


def _read_host_file(rank: int, path: Path) -> Launch:
    try:
        text = path.read_text()
        hosts = json.loads(text) if text.strip() else [[""]]  # mlx.launch -n 1 writes an empty file
        addresses = [[str(one) for one in host] for host in hosts]
    except (OSError, ValueError, TypeError) as error:
        raise RuntimeError(
            f'init_process_group: MLX_HOSTFILE {path} must be a JSON list like [["10.0.0.1:32323"], '
            f'["10.0.0.2:32323"]], with one list of addresses per rank: {error}'
        ) from None
    if rank >= len(addresses):
        raise RuntimeError(f"init_process_group: MLX_RANK is {rank} but {path} lists {len(addresses)} ranks")
    return Launch("ring", rank, len(addresses), tuple(one.rpartition(":")[0] for one in addresses[rank]))


def _parse_int(name: str, text: str) -> int:
    if not text.isdecimal():
        raise RuntimeError(f"init_process_group: {name} must be an integer of at least 0, got {text!r}")
    return int(text)

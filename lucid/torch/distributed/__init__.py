"""``torch.distributed`` on ``lucid.distributed``: process groups, collectives and objects."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import mlx.core as mx

from lucid import distributed as _distributed
from lucid._tensor import Tensor
from lucid.distributed import destroy_process_group as destroy_process_group
from lucid.distributed import get_rank as _get_rank
from lucid.distributed import get_world_size as _get_world_size
from lucid.distributed import is_available as is_available
from lucid.distributed import is_initialized as is_initialized
from lucid.torch._names import fallback
from lucid.torch.distributed._rendezvous import join

__getattr__ = fallback(
    __name__,
    _distributed,
    hidden=(
        "DistributedBatchSampler", "DistributedSampler", "average_gradients", "broadcast_parameters", "fold_in_rank",
        "init", "is_main", "rank", "reduce_metrics", "world_size",
    ),
)  # fmt: skip
_ONE_GROUP = "Lucid has one group of all processes"


class ReduceOp:
    """Reductions by name."""

    SUM, AVG, MAX, MIN = "sum", "mean", "max", "min"


reduce_op = ReduceOp


class group:
    """``group.WORLD``, the group of all processes."""

    WORLD = None


class Work:
    """What a collective with ``async_op=True`` returns. Results are lazy in any case."""

    def wait(self, timeout: Any = None) -> bool:
        """True."""
        return True

    def is_completed(self) -> bool:
        """True."""
        return True


def init_process_group(
    backend: str | None = None, init_method: str | None = None, timeout: timedelta | None = None, world_size: int = -1,
    rank: int = -1, store: Any = None, group_name: str = "", pg_options: Any = None, device_id: Any = None,
) -> None:  # fmt: skip
    """Join the other processes, which ``torchrun``, ``mlx.launch`` or the program's own arguments number.

    Args:
        backend: "mpi", or any other name, such as "nccl" or "gloo", for the backend of the launcher.
        init_method: "env://", the default, or "tcp://HOST:PORT" of rank 0.
        timeout: How long to wait for all processes, a minute by default.
        world_size: The number of processes, by default WORLD_SIZE.
        rank: The number of this process, by default RANK.
        store, group_name, pg_options, device_id: Have no effect.

    Raises:
        RuntimeError: the number of processes or of this one is unknown, or they cannot reach each other.
    """
    seconds = 60.0 if timeout is None else timeout.total_seconds()
    join(init_method, world_size, rank, seconds)
    _distributed.init_process_group("mpi" if backend == "mpi" else "any", timeout_s=seconds)


def get_rank(group: Any = None) -> int:
    """The number of this process; 0 without a group."""
    return _get_rank()


def get_world_size(group: Any = None) -> int:
    """The number of processes; 1 without a group."""
    return _get_world_size()


def get_backend(group: Any = None) -> str:
    """The name of MLX's backend; "gloo" for a single process."""
    return _distributed.get_backend() or "gloo"


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """The number of this process on its machine, LOCAL_RANK."""
    return int(os.environ.get("LOCAL_RANK", 0 if fallback_rank is None else fallback_rank))


def is_nccl_available() -> bool:
    """Whether MLX can use NCCL."""
    return bool(mx.distributed.is_available("nccl"))


def is_mpi_available() -> bool:
    """Whether MLX can use MPI."""
    return bool(mx.distributed.is_available("mpi"))


def is_gloo_available() -> bool:
    """False; MLX's ring takes its place."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether ``torchrun`` started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def new_group(ranks: Any = None, *args: Any, **kwargs: Any) -> None:
    """The group of all processes, if ``ranks`` are all of them.

    Raises:
        NotImplementedError: they are some of them.
    """
    if ranks is not None and sorted(ranks) != list(range(get_world_size())):
        raise NotImplementedError(f"torch.distributed.new_group: {_ONE_GROUP}, got ranks {list(ranks)}")


def all_reduce(tensor: Tensor, op: str = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """Replace ``tensor`` by the sum, mean, maximum or minimum over all processes."""
    _distributed.all_reduce(tensor, op)
    return _work(async_op)


def reduce(
    tensor: Tensor, dst: int = 0, op: str = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """``all_reduce``, whose result only rank ``dst`` keeps."""
    mine = tensor if get_rank() == dst else tensor.detach().clone()
    _distributed.all_reduce(mine, op)
    return _work(async_op)


def broadcast(
    tensor: Tensor, src: int = 0, group: Any = None, async_op: bool = False, group_src: int | None = None
) -> Work | None:
    """Replace ``tensor`` by that of rank ``src``."""
    _distributed.broadcast(tensor, src)
    return _work(async_op)


def all_gather(tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False) -> Work | None:
    """Write the tensors of all processes to ``tensor_list``."""
    _distributed.all_gather(tensor_list, tensor)
    return _work(async_op)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """Write the tensors of all processes, one after the other, to ``output_tensor``."""
    parts = _distributed.all_gather(input_tensor)
    for place, part in zip(output_tensor.detach().view(len(parts), *input_tensor.shape), parts, strict=True):
        place.copy_(part)
    return _work(async_op)


def gather(
    tensor: Tensor, gather_list: list[Tensor] | None = None, dst: int = 0, group: Any = None, async_op: bool = False
) -> Work | None:
    """Write the tensors of all processes to ``gather_list`` of rank ``dst``."""
    parts = _distributed.all_gather(tensor)
    if get_rank() == dst and gather_list is not None:
        for place, part in zip(gather_list, parts, strict=True):
            place.copy_(part)
    return _work(async_op)


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Wait until all processes have called it."""
    _distributed.barrier()
    return _work(async_op)


monitored_barrier = barrier


def _work(async_op: bool) -> Work | None:
    return Work() if async_op else None

"""Distributed training on one or several machines: PyTorch's API on ``mx.distributed``.

Every process runs the same program on its share of the data, and gradients are averaged before each step::

    import lucid
    from lucid import distributed as dist

    dist.init_process_group()                        # a single process forms a group of one
    lucid.manual_seed(0)
    model = models.convnext_tiny(num_classes=10)
    dist.broadcast_parameters(model)                 # all start with rank 0's weights
    dist.fold_in_rank()                              # dropout and augmentation now differ by rank
    optimizer = optim.AdamW(model.parameters(), lr=1e-3 * dist.get_world_size())
    loader = data.DataLoader(train_set, batch_sampler=dist.DistributedBatchSampler(train_set, batch_size=64))

    @lucid.compile(state=[model, optimizer])
    def step(images, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        dist.average_gradients(model.parameters(), num_samples=len(labels))
        optimizer.step()
        return loss

    for images, labels in loader:
        loss = step(images, labels)
    ...                                              # evaluate a shard: DistributedSampler(test_set, shuffle=False)
    dist.reduce_metrics(accuracy)                    # accuracy.compute() then covers all samples
    if dist.is_main():                               # rank 0 writes
        lucid.save(model.state_dict(), "model.safetensors")
    dist.destroy_process_group()

Start it with ``mlx.launch -n 2 -- python train.py`` or ``mpirun -np 2 python train.py``. With one of these samplers, a
loader's batch transform draws different random numbers on every rank, even with a fixed ``seed``.

All ranks must call the same collectives in the same order. If a rank dies, calls a different one or stops early, the
others exit with an error message.
"""

from lucid.distributed.collectives import (
    ReduceOp,
    all_gather,
    all_reduce,
    barrier,
    broadcast,
    broadcast_parameters,
    reduce_metrics,
)
from lucid.distributed.gradients import average_gradients
from lucid.distributed.group import (
    destroy_process_group,
    get_backend,
    get_rank,
    get_world_size,
    init_process_group,
    is_available,
    is_initialized,
)
from lucid.distributed.main_rank import fold_in_rank, is_main
from lucid.distributed.samplers import DistributedBatchSampler, DistributedSampler

# Short names for the functions that every program calls.
init = init_process_group
rank = get_rank
world_size = get_world_size

__all__ = [
    "DistributedBatchSampler",
    "DistributedSampler",
    "ReduceOp",
    "all_gather",
    "all_reduce",
    "average_gradients",
    "barrier",
    "broadcast",
    "broadcast_parameters",
    "destroy_process_group",
    "fold_in_rank",
    "get_backend",
    "get_rank",
    "get_world_size",
    "init",
    "init_process_group",
    "is_available",
    "is_initialized",
    "is_main",
    "rank",
    "reduce_metrics",
    "world_size",
]

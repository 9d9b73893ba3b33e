"""Training in several processes, on one machine or many, over MLX's own engine: PyTorch's words on ``mx.distributed``.

Every process runs the same program on its share of the data, and gradients are averaged before each step::

    import lucid
    from lucid import distributed as dist

    dist.init_process_group()                        # alone, a group of one: nothing below changes
    lucid.manual_seed(0)
    model = models.convnext_tiny(num_classes=10)
    dist.broadcast_parameters(model)                 # all begin with rank 0's weights
    dist.fold_in_rank()                              # dropout and augmentation differ by rank from here on
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
    ...                                              # evaluate a share: DistributedSampler(test_set, shuffle=False)
    dist.reduce_metrics(accuracy)                    # then accuracy.compute() speaks of all samples
    if dist.is_main():                               # rank 0 writes
        lucid.save(model.state_dict(), "model.safetensors")
    dist.destroy_process_group()

Start it with ``mlx.launch -n 2 -- python train.py`` or ``mpirun -np 2 python train.py``. A loader with one of these
samplers and a ``seed`` gives its batch transform other numbers on every rank.

Collectives must be called by all ranks, equally often and in the same order. A rank that dies, calls something else or
stops early ends the others with a message.
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

# Short names for the three that every program calls.
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

"""Run by every process of test_sync_batch_norm.py: ``python sync_batch_norm.py OUT``, which gets OUT/RANK.npz."""

import sys
from pathlib import Path

import numpy as np

import lucid
from lucid import distributed as dist
from lucid import nn, optim

SIZES = (3, 5)  # samples of each rank
STEPS = 3


def batches():
    rng = np.random.default_rng(3)
    return rng.normal(2.0, 3.0, (STEPS, sum(SIZES), 3, 4, 2)).astype(np.float32)


def model():
    lucid.manual_seed(0)
    return nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4), nn.Tanh()))


def trained(start, stop, compiled):
    """Outputs, gradients of the input and the state of the model after each step on the samples from start to stop."""
    net = model()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    found = {}

    def step(x):
        optimizer.zero_grad()
        x = x.detach().requires_grad_()
        y = net(x)
        (y * y).sum().backward()
        for parameter in net.parameters():
            dist.all_reduce(parameter.grad)
        optimizer.step()
        return y.detach(), x.grad

    if compiled:
        step = lucid.compile(step, state=[net, optimizer])
    for number, batch in enumerate(batches()):
        y, gradient = step(lucid.tensor(batch[start:stop]))
        found |= {f"output {number}": y.numpy(), f"gradient {number}": gradient.numpy()}
        found |= {f"{name} {number}": one.numpy() for name, one in net.state_dict().items()}
    return found


if __name__ == "__main__":
    dist.init_process_group()
    rank = dist.get_rank()
    start = sum(SIZES[:rank])
    for kind in ("eager", "compiled"):
        np.savez(Path(sys.argv[1]) / f"{kind}-{rank}.npz", **trained(start, start + SIZES[rank], kind == "compiled"))
    dist.destroy_process_group()

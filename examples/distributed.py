"""Data-parallel training: every process computes gradients on its share of each batch, and they are averaged.

    python examples/distributed.py                            # one process
    mlx.launch -n 2 -- python examples/distributed.py         # two processes, the same losses
    mpirun -np 2 python examples/distributed.py               # the same over MPI, if Open MPI is installed

Trains a small ConvNeXt on handwritten digits. Prints the loss of every epoch and the accuracy on the test images, both
over all processes: the number of processes only affects rounding. See docs/distributed.md for several machines.
``lucid train --distributed`` trains larger models the same way. Needs pip install "lucid-mlx[train]".
"""

import argparse

import lucid
import lucid.nn.functional as F
from lucid import data, metrics, models, optim
from lucid import distributed as dist
from lucid.data import augment

BATCH_SIZE = 64  # of all processes together


def train(epochs: int) -> float:
    """Train; the accuracy on the test images of all processes."""
    processes = dist.get_world_size()
    if BATCH_SIZE % processes:
        raise ValueError(f"the number of processes must divide {BATCH_SIZE}, got {processes}")
    train_set, test_set = augment.DeviceDataset(data.Digits()), augment.DeviceDataset(data.Digits(train=False))
    # The batches k of all processes make up batch k of a single process.
    batches = dist.DistributedBatchSampler(train_set, BATCH_SIZE // processes, seed=0)
    train_loader = augment.DeviceLoader(train_set, batch_sampler=batches, seed=0)
    own_part = dist.DistributedSampler(test_set, shuffle=False)
    test_loader = augment.DeviceLoader(test_set, batch_size=64, sampler=own_part)
    normalize = augment.Normalize(data.Digits.mean, data.Digits.std)

    lucid.manual_seed(0)
    model = models.ConvNeXt(10, depths=(1, 1), dims=(16, 32), in_chans=1, patch_size=2, layer_scale_init=1.0)
    dist.broadcast_parameters(model)  # start from the weights of rank 0
    dist.fold_in_rank()  # from here on, random numbers differ between processes
    optimizer = optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.05)
    mean_loss, accuracy = metrics.MeanMetric(), metrics.Accuracy()

    for epoch in range(1, epochs + 1):
        for images, labels in train_loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(normalize(images)), labels)
            loss.backward()
            dist.average_gradients(model.parameters(), num_samples=len(labels))
            optimizer.step()
            mean_loss.update(loss.detach(), len(labels))
        dist.reduce_metrics(mean_loss)  # every process gets the mean of all
        if dist.is_main():
            print(f"epoch {epoch}: loss {mean_loss.compute().item():.4f}", flush=True)
        mean_loss.reset()

    model.eval()
    with lucid.no_grad():
        for images, labels in test_loader:  # each process tests with its share
            accuracy.update(model(normalize(images)), labels)
    dist.reduce_metrics(accuracy)
    return accuracy.compute().item()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train on handwritten digits in several processes.")
    parser.add_argument("--epochs", type=int, default=5, help="default: %(default)s")
    args = parser.parse_args(argv)
    dist.init_process_group()  # started without a launcher, a group of one
    accuracy = train(args.epochs)
    if dist.is_main():
        print(f"{dist.get_world_size()} process(es): {accuracy:.2%} of the test images are classified correctly")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

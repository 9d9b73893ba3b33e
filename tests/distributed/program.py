"""What each process does in the tests, and what a test does alone to compare: ``python program.py OUT BACKEND``.

Every rank writes what it has found to ``OUT/RANK.npz``; what all must agree on is checked by the test.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import data, metrics, models, nn, optim
from lucid import distributed as dist
from lucid.data import augment

SAMPLES, BATCH = 29, 12  # 12, 12 and 5: of the last batch three ranks have 2, 2 and 1
EPOCHS, TRAIN_BATCH = 3, 84  # 1,442 = 17 * 84 + 14


def convnext(seed):
    lucid.manual_seed(seed)
    return models.ConvNeXt(
        num_classes=10, depths=(1, 1), dims=(8, 16), in_chans=1, patch_size=2, layer_scale_init=1.0, drop_path=0.0
    )


def samples():
    rng = np.random.default_rng(5)
    images = rng.normal(size=(SAMPLES, 1, 8, 8)).astype(np.float32)
    return data.TensorDataset(images, rng.integers(10, size=SAMPLES))


def shared_batches(dataset, batch_size, **options):
    """This rank's part of batches of ``batch_size``; alone, all of them."""
    sampler = dist.DistributedBatchSampler(dataset, batch_size // dist.get_world_size(), **options)
    return data.DataLoader(dataset, batch_sampler=sampler)


def gradients():
    """The weights at the start and the gradients of each batch, as vectors."""
    model = convnext(seed=dist.get_rank())
    dist.broadcast_parameters(model)
    found = [np.concatenate([p.detach().numpy().reshape(-1) for p in model.parameters()])]
    for images, labels in shared_batches(samples(), BATCH, shuffle=False):
        model.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        # So small that large weights have a message each and the others share some.
        dist.average_gradients(model.parameters(), num_samples=len(labels), bucket_mb=0.001)
        found.append(np.concatenate([p.grad.numpy().reshape(-1) for p in model.parameters()]))
    return np.stack(found)


def compiled_weights():
    """The weights of a linear layer after each step, loss and gradients within ``lucid.compile``."""
    lucid.manual_seed(0)
    model = nn.Linear(64, 10)
    optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.9)

    @lucid.compile(state=[model, optimizer])
    def step(images, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images.flatten(1)), labels)
        loss.backward()
        dist.average_gradients(model.parameters(), num_samples=len(labels), bucket_mb=0.001)
        optimizer.step()
        share = loss.detach() * len(labels)
        return dist.all_reduce(share)

    found = []
    for images, labels in shared_batches(samples(), BATCH, shuffle=False):
        loss = step(images, labels).item()
        found.append(np.append(model.weight.detach().numpy(), loss))
    return np.stack(found)


def trained_accuracy():
    """A small ConvNeXt on the digits: the share of test images that are right, and the confusion matrix."""
    train_set, test_set = data.Digits(train=True), data.Digits(train=False)
    prepare = augment.Normalize((0.3051,), (0.3762,), train_set.max_value)
    model = convnext(seed=3)
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    sampler = dist.DistributedBatchSampler(train_set, TRAIN_BATCH // dist.get_world_size(), seed=1)
    loader = data.DataLoader(train_set, batch_sampler=sampler)
    for _ in range(EPOCHS):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(prepare(images)), labels).backward()
            dist.average_gradients(model.parameters(), num_samples=len(labels))
            optimizer.step()

    accuracy, confusion = metrics.Accuracy(), metrics.ConfusionMatrix(10)
    sampler = dist.DistributedSampler(test_set, shuffle=False)
    with lucid.no_grad():
        for images, labels in data.DataLoader(test_set, 64, sampler=sampler):
            logits = model.eval()(prepare(images))
            accuracy.update(logits, labels)
            confusion.update(logits, labels)
    dist.reduce_metrics(accuracy, confusion)
    return accuracy.compute().item(), confusion.compute().numpy()


def collectives():
    """Collectives whose results are known: they are checked right here, on every rank."""
    rank, size = dist.get_rank(), dist.get_world_size()
    ranks = np.arange(size)
    for op, wanted in (("sum", ranks.sum()), ("mean", ranks.mean()), ("max", size - 1), ("min", 0)):
        tensor = lucid.tensor([[float(rank)], [2.0]])
        assert dist.all_reduce(tensor, op) is tensor
        np.testing.assert_allclose(tensor.numpy(), [[wanted], [2 * size if op == "sum" else 2]], rtol=1e-6)
    for dtype in ("int32", "int64", "uint8", "float16", "bfloat16", "float32"):
        total = dist.all_reduce(lucid.tensor([rank + 1, 2, 3], dtype=dtype))
        assert total.dtype == getattr(lucid, dtype)
        assert total.tolist() == [ranks.sum() + size, 2 * size, 3 * size]
    assert dist.all_reduce(lucid.tensor([rank == 0, False, True])).tolist() == [True, False, True]
    assert [one.tolist() for one in dist.all_gather(lucid.tensor([rank, 7]))] == [[r, 7] for r in ranks]
    places = [lucid.zeros(2) for _ in ranks]
    dist.all_gather(places, lucid.tensor([float(rank), 1.0]))
    assert [one.tolist() for one in places] == [[r, 1] for r in ranks]

    # Bit by bit: the sign of zero, NaN, and values that a sum would round.
    values = lucid.tensor([-0.0, float("nan"), 1e-40, float(rank)])
    dist.broadcast(values, src=size - 1)
    wanted = np.array([-0.0, np.nan, 1e-40, size - 1], np.float32)
    assert values.numpy().tobytes() == wanted.tobytes()
    for tensor in (lucid.tensor([rank == 1, True]), lucid.tensor([1 + rank], dtype="int64"), lucid.tensor(0.5 + rank)):
        kept = tensor.dtype
        dist.broadcast(tensor, src=1)
        assert tensor.dtype == kept
        assert tensor.tolist() in ([True, True], [2], 1.5)

    half = lucid.nn.Parameter(lucid.ones(3, dtype="float16"))
    half.grad = lucid.tensor([1000.0, float(rank), 60.0], dtype="float16")
    dist.average_gradients([half], num_samples=100)  # 100 * 1000 would overflow
    np.testing.assert_allclose(half.grad.numpy(), [1000, ranks.mean(), 60], rtol=1e-3)
    half.grad = lucid.tensor([float("nan") if rank else 3.0] * 3, dtype="float16")
    dist.average_gradients([half], num_samples=0 if rank else 5)  # the others have nothing to say
    assert half.grad.tolist() == [3, 3, 3]

    summed = lucid.compile(lambda tensor: dist.all_reduce(tensor * 2))(lucid.ones(2))
    if rank == 0:  # what the others do not look at, they have to send all the same
        assert summed.tolist() == [2 * size, 2 * size]

    lucid.manual_seed(0)
    same = lucid.randn(4)
    dist.fold_in_rank()
    drawn = dist.all_gather(lucid.randn(4))
    assert all(one.tolist() == same.tolist() for one in dist.all_gather(same))
    assert len({tuple(one.tolist()) for one in drawn}) == size

    with pytest.raises(ValueError, match="rank 1 holds 1 tensors and rank 0 2"):
        dist.broadcast_parameters([lucid.zeros(3)] if rank else [lucid.zeros(3), lucid.zeros(2)])
    dist.barrier()


def seen():
    """The indices that this rank's loaders give in two epochs, of a set that three ranks cannot share evenly."""
    dataset = data.TensorDataset(np.arange(53))
    single = data.DataLoader(dataset, 4, sampler=dist.DistributedSampler(dataset, seed=2))
    batches = data.DataLoader(dataset, batch_sampler=dist.DistributedBatchSampler(dataset, 4, seed=2))
    return [np.concatenate([batch[0].numpy() for batch in loader]) for loader in (single, batches) for _ in range(2)]


def main(out, backend):
    dist.init_process_group(timeout_s=100)
    assert dist.is_initialized() and dist.get_backend() == backend
    collectives()
    accuracy, confusion = trained_accuracy()
    indices = {f"seen_{i}": one for i, one in enumerate(seen())}
    np.savez(
        out / f"{dist.get_rank()}.npz", gradients=gradients(), compiled=compiled_weights(), accuracy=accuracy,
        confusion=confusion, **indices,
    )  # fmt: skip
    gradients()  # still under way when the process leaves
    if backend == "ring":
        dist.destroy_process_group()  # else the end of the program does it
        assert not dist.is_initialized() and dist.get_world_size() == 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

"""Collectives in a single process; program.py, started by test_program.py, covers several."""

import mlx.core as mx
import pytest

import lucid
from lucid import distributed as dist
from lucid import metrics, nn, optim
from lucid.distributed.collectives import apply_flattened, bucket_indices


def test_collectives_of_a_single_process_change_nothing():
    tensor = lucid.tensor([1.0, 2.0])
    array = tensor.mlx
    assert dist.all_reduce(tensor, "mean") is tensor
    assert dist.broadcast(tensor) is tensor
    assert tensor.mlx is array
    [only] = dist.all_gather(tensor)
    assert only.tolist() == [1, 2]
    places = [lucid.zeros(2)]
    assert dist.all_gather(places, tensor) is places and places[0].tolist() == [1, 2]
    accuracy = metrics.Accuracy()
    accuracy.update(lucid.tensor([[0.0, 1.0]]), lucid.tensor([1]))
    dist.reduce_metrics(accuracy)
    assert accuracy.compute().item() == 1
    dist.barrier()


def test_broadcast_parameters_accepts_all_owners_of_tensors():
    model = nn.Linear(2, 3)
    dist.broadcast_parameters(
        model, optim.AdamW(model.parameters()), model.state_dict(), [lucid.zeros(2)], lucid.zeros(1), metrics.Accuracy()
    )
    with pytest.raises(TypeError, match="broadcast_parameters: expected modules, optimizers or tensors, got int"):
        dist.broadcast_parameters(model, 3)
    with pytest.raises(TypeError, match="expected modules, optimizers or tensors, got str"):
        dist.broadcast_parameters(["weight"])


def test_collectives_refuse_invalid_arguments():
    with pytest.raises(
        TypeError, match=r"all_reduce: tensor must be a Tensor, got float; lucid.tensor\(...\) makes one"
    ):
        dist.all_reduce(1.0)
    with pytest.raises(ValueError, match="all_reduce: op must be 'sum', 'mean', 'max' or 'min', got 'product'"):
        dist.all_reduce(lucid.zeros(1), "product")
    with pytest.raises(TypeError, match="all_reduce: the mean needs a floating-point tensor, got int32"):
        dist.all_reduce(lucid.tensor([1, 2], dtype="int32"), dist.ReduceOp.AVG)
    with pytest.raises(RuntimeError, match=r"all_reduce: gradients do not flow between ranks; use tensor.detach\(\)"):
        dist.all_reduce(lucid.zeros(1, requires_grad=True) * 2)
    with pytest.raises(ValueError, match="broadcast: src must be a rank from 0 to 0, got 1"):
        dist.broadcast(lucid.zeros(1), src=1)
    with pytest.raises(ValueError, match="broadcast_parameters: src must be a rank from 0 to 0, got -1"):
        dist.broadcast_parameters(lucid.zeros(1), src=-1)
    with pytest.raises(ValueError, match="all_gather: tensor_list must hold one tensor for each of 1 ranks, got 2"):
        dist.all_gather([lucid.zeros(1), lucid.zeros(1)], lucid.zeros(1))
    with pytest.raises(ValueError, match=r"must hold tensors like tensor, float32 \(1,\), got float32 \(2,\)"):
        dist.all_gather([lucid.zeros(2)], lucid.zeros(1))
    with pytest.raises(TypeError, match=r"reduce_metrics: a metric must have state_tensors\(\), got dict"):
        dist.reduce_metrics({})


def test_buckets_keep_the_order_the_dtype_and_the_limit():
    arrays = [mx.zeros(n, dtype) for n, dtype in ((2, mx.float32), (1, mx.float16), (1, mx.float32), (9, mx.float32))]
    arrays += [mx.zeros(1, mx.float32), mx.zeros(2, mx.float16)]
    assert bucket_indices(arrays, 12) == [[0, 2], [1, 5], [3], [4]]
    assert bucket_indices(arrays, 1e9) == [[0, 2, 3, 4], [1, 5]]
    assert bucket_indices(arrays, 0.1) == [[0], [1], [2], [3], [4], [5]]
    assert bucket_indices([], 12) == []


@pytest.mark.parametrize("shapes", [[(2, 3)], [(2, 3), (), (0, 4), (5,), (1, 1, 2)]])
def test_apply_flattened_keeps_shapes(shapes):
    arrays = [mx.random.normal(shape) for shape in shapes]
    calls = []

    def doubled(vector):
        calls.append(vector.shape)
        return vector * 2

    results = apply_flattened(doubled, arrays)
    assert calls == [(sum(one.size for one in arrays),)]
    assert [one.shape for one in results] == shapes
    assert all(mx.array_equal(got, one * 2) for got, one in zip(results, arrays, strict=True))

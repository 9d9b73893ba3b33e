"""Collectives: all_reduce, all_gather, broadcast, and functions built on them.

A collective is scheduled when it is called (``mx.async_eval``) and does not wait for its result, so ranks that make the
same calls communicate in the same order, whenever the results are read. A compiled function cannot schedule anything
while it is traced; there each collective depends on the previous one instead.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred, _grad_mode, _process_group, tape
from lucid._checks import dtype_name
from lucid._tensor import Tensor
from lucid.distributed.group import ProcessGroup, current_group, get_rank, get_world_size
from lucid.distributed.ring_sockets import gather_records

BUCKET_BYTES = 32 * 2**20
_UNSIGNED = {1: mx.uint8, 2: mx.uint16, 4: mx.uint32, 8: mx.uint64}


class ReduceOp:
    """PyTorch's names for reductions; the strings work too."""

    SUM = "sum"
    AVG = "mean"
    MAX = "max"
    MIN = "min"


def all_reduce(tensor: Tensor, op: str = "sum") -> Tensor:
    """Reduce ``tensor`` over all ranks in place, and return it. As in PyTorch, no gradient flows through.

    Args:
        tensor: A tensor of the same shape and dtype on all ranks.
        op: "sum", "mean", "max" or "min".

    Raises:
        TypeError: ``tensor`` is not a tensor, or ``op`` is "mean" and ``tensor`` holds integers.
        ValueError: ``op`` is unknown.
        RuntimeError: ``tensor`` is part of a graph.
    """
    where = "all_reduce"
    _check_tensor(where, tensor)
    op = _checks.one_of(where, "op", "mean" if op == "avg" else op, ("sum", "mean", "max", "min"))
    if op == "mean" and not mx.issubdtype(tensor.dtype, mx.inexact):
        raise TypeError(f"all_reduce: the mean needs a floating-point tensor, got {dtype_name(tensor.dtype)}")
    group = current_group()
    if group.size > 1:
        record_call(group, f"all_reduce({op}, {dtype_name(tensor.dtype)} {tensor.shape})")
        _assign(tensor, reduce_array(group, tensor._array, op), where)
    return tensor


def all_gather(tensor_list: list[Tensor] | Tensor, tensor: Tensor | None = None) -> list[Tensor]:
    """The tensors of all ranks, in rank order: ``all_gather(tensor)``.

    PyTorch's form ``all_gather(tensor_list, tensor)`` writes to a list with one tensor per rank. Shape and dtype must
    be the same on all ranks.

    Raises:
        TypeError: ``tensor`` is not a tensor.
        ValueError: ``tensor_list`` has the wrong length, or tensors of the wrong shape or dtype.
    """
    where = "all_gather"
    source = tensor_list if tensor is None else tensor
    _check_tensor(where, source)
    assert isinstance(source, Tensor)
    group = current_group()
    places = tensor_list if isinstance(tensor_list, list) else None
    if places is not None:
        if len(places) != group.size:
            raise ValueError(
                f"{where}: tensor_list must hold one tensor for each of {group.size} ranks, got {len(places)}"
            )
        for one in places:
            _check_tensor(where, one)
            if one.shape != source.shape or one.dtype != source.dtype:
                raise ValueError(
                    f"{where}: tensor_list must hold tensors like tensor, {dtype_name(source.dtype)} {source.shape}, "
                    f"got {dtype_name(one.dtype)} {one.shape}"
                )
    if group.size == 1:
        rows = [source._array]
    else:
        gathered = gather_array(source._array)
        rows = [gathered[i] for i in range(group.size)]
    if places is None:
        return [tape.wrap(row) for row in rows]
    for one, row in zip(places, rows, strict=True):
        _assign(one, row, where)
    return places


def broadcast(tensor: Tensor, src: int = 0) -> Tensor:
    """Overwrite ``tensor`` with that of rank ``src``, bit for bit, and return it.

    Raises:
        TypeError: ``tensor`` is not a tensor.
        ValueError: ``src`` is not a rank.
        RuntimeError: ``tensor`` is part of a graph.
    """
    where = "broadcast"
    _check_tensor(where, tensor)
    group = current_group()
    _check_rank(where, src, group)
    if group.size > 1:
        record_call(group, f"broadcast(from {src}, {dtype_name(tensor.dtype)} {tensor.shape})")
        _assign(tensor, _broadcast_array(group, tensor._array, src), where)
    return tensor


def broadcast_parameters(*owners: Any, src: int = 0) -> None:
    """Overwrite all tensors of ``owners`` with those of rank ``src``. Call it before the first step.

    Args:
        *owners: Modules (parameters and buffers), objects with ``state_tensors()`` (optimizers, EMA, metrics), tensors,
            and dictionaries or iterables of these.
        src: The rank whose values all ranks get.

    Raises:
        TypeError: an owner holds no tensors.
        ValueError: ``src`` is not a rank, or the ranks' tensors differ in number, shape or dtype.
    """
    where = "broadcast_parameters"
    group = current_group()
    _check_rank(where, src, group)
    tensors = list({id(one): one for owner in owners for one in _tensors_of(where, owner)}.values())
    if group.size == 1:
        return
    record_call(group, f"broadcast_parameters(from {src})")
    assert group.mlx is not None
    described = ", ".join(f"{dtype_name(one.dtype)} {one.shape}" for one in tensors)
    found = gather_records(group.mlx, [len(tensors), zlib.crc32(described.encode())])
    for rank, one in enumerate(found):
        if one != found[src]:
            raise ValueError(
                f"{where}: the {one[0]} tensors of rank {rank} and the {found[src][0]} tensors of rank {src} differ in "
                "number, shape or dtype; all ranks must build the same model"
            )
    for positions in bucket_indices([one._array for one in tensors], BUCKET_BYTES):
        sent = apply_flattened(
            lambda vector: _broadcast_array(group, vector, src), [tensors[i]._array for i in positions]
        )
        for i, array in zip(positions, sent, strict=True):
            tensors[i]._rebind(array)
    _deferred.wait([one._array for one in tensors])


def reduce_metrics(*metrics: Any) -> None:
    """Sum the states of ``metrics`` over all ranks in place, so that ``compute()`` covers all samples.

    A metric is any object with ``state_tensors()`` whose states are sums. Call it once before ``compute()``, and
    ``reset()`` the metric afterwards: a second call would count the other ranks twice.

    Raises:
        TypeError: a metric has no ``state_tensors()``.
    """
    where = "reduce_metrics"
    group = current_group()
    tensors = [one for metric in metrics for one in _states_of(where, metric)]
    if group.size == 1 or not tensors:
        return
    record_call(group, f"reduce_metrics({', '.join(f'{dtype_name(one.dtype)} {one.shape}' for one in tensors)})"[:1000])
    for positions in bucket_indices([one._array for one in tensors], BUCKET_BYTES):
        sums = apply_flattened(
            lambda vector: reduce_array(group, vector, "sum"), [tensors[i]._array for i in positions]
        )
        for i, array in zip(positions, sums, strict=True):
            tensors[i]._rebind(array)


def barrier() -> None:
    """Wait until all ranks have called it."""
    group = current_group()
    if group.size > 1:
        record_call(group, "barrier()")
        _deferred.wait(mx.distributed.all_sum(mx.array(1), group=group.mlx))


# Helpers -----------------------------------------------------------------------------------------------------------


def record_call(group: ProcessGroup, what: str) -> None:
    """Report a collective to the watchdog, now or at every call of the function being traced."""
    if group.watchdog is not None:
        _deferred.on_call(functools.partial(group.watchdog.record_call, what))


def after_last_collective(array: mx.array) -> mx.array:
    """``array``, made to depend on the collective that was traced last."""
    memo = _deferred.memo()
    before = None if memo is None else memo.get("collective")
    return array if before is None else mx.depends([array], [before])[0]


def start_collective(array: mx.array) -> mx.array:
    """Schedule ``array``, the result of a collective; in a trace, the next collective will depend on it."""
    memo = _deferred.memo()
    if memo is not None:
        memo["collective"] = array
    _deferred.start([array])
    return array


def reduce_array(group: ProcessGroup, array: mx.array, op: str) -> mx.array:
    """The sum, mean, max or min of all ranks' arrays, scheduled."""
    sent = after_last_collective(array)
    if array.dtype == mx.bool_:  # MPI cannot sum booleans; the maximum is equivalent
        sent, op = sent.astype(mx.uint8), "max" if op == "sum" else op
    if op == "mean":
        sent = sent / group.size
    collective = {"max": mx.distributed.all_max, "min": mx.distributed.all_min}.get(op, mx.distributed.all_sum)
    result = start_collective(collective(sent, group=group.mlx))
    return result if result.dtype == array.dtype else result.astype(array.dtype)


def gather_array(array: mx.array) -> mx.array:
    """All ranks' arrays, stacked, scheduled."""
    group = current_group()
    record_call(group, f"all_gather({dtype_name(array.dtype)} {array.shape})")
    return start_collective(mx.distributed.all_gather(after_last_collective(array)[None], group=group.mlx))


def _total(array: mx.array) -> mx.array:
    group = current_group()
    record_call(group, f"all_reduce(sum, {dtype_name(array.dtype)} {array.shape})")
    return reduce_array(group, array, "sum")


_process_group.register(_process_group.Collectives(get_rank, get_world_size, gather_array, _total))


def _broadcast_array(group: ProcessGroup, array: mx.array, src: int) -> mx.array:
    """Rank ``src``'s array: its bits as integers, summed with zeros. A sum of floats would lose the sign of -0."""
    words = array.reshape(-1).astype(mx.uint8) if array.dtype == mx.bool_ else array.reshape(-1)
    words = words.view(_UNSIGNED[array.itemsize])
    words = after_last_collective(words if group.rank == src else mx.zeros_like(words))
    result = start_collective(mx.distributed.all_sum(words, group=group.mlx))
    result = result.astype(mx.bool_) if array.dtype == mx.bool_ else result.view(array.dtype)
    return result.reshape(array.shape)


def _assign(tensor: Tensor, array: mx.array, caller: str) -> None:
    with _grad_mode.set_recording(False):
        tensor._become(tape.wrap(array), caller)


def _check_tensor(caller: str, tensor: Any) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{caller}: tensor must be a Tensor, got {type(tensor).__name__}; lucid.tensor(...) makes one")
    if tensor._node is not None:
        raise RuntimeError(f"{caller}: gradients do not flow between ranks; use tensor.detach()")


def _check_rank(caller: str, src: Any, group: ProcessGroup) -> None:
    if not 0 <= _checks.integer(caller, "src", src) < group.size:
        raise ValueError(f"{caller}: src must be a rank from 0 to {group.size - 1}, got {src}")


def _states_of(caller: str, metric: Any) -> list[Tensor]:
    if not callable(getattr(metric, "state_tensors", None)):
        raise TypeError(f"{caller}: a metric must have state_tensors(), got {type(metric).__name__}")
    return list(metric.state_tensors())


def _tensors_of(caller: str, owner: Any) -> Iterator[Tensor]:
    if isinstance(owner, Tensor):
        yield owner
    elif callable(getattr(owner, "state_tensors", None)):
        yield from owner.state_tensors()
    elif callable(getattr(owner, "parameters", None)) and callable(getattr(owner, "buffers", None)):
        yield from owner.parameters()
        yield from owner.buffers()
    elif isinstance(owner, Mapping):
        for value in owner.values():
            yield from _tensors_of(caller, value)
    elif isinstance(owner, Iterable) and not isinstance(owner, str):
        for value in owner:
            yield from _tensors_of(caller, value)
    else:
        raise TypeError(f"{caller}: expected modules, optimizers or tensors, got {type(owner).__name__}")


# Buckets: every message pays the latency, so small arrays share one ------------------------------------------------


def bucket_indices(arrays: Sequence[mx.array], limit_bytes: float) -> list[list[int]]:
    """Indices of ``arrays`` grouped by dtype into buckets of at most ``limit_bytes``; larger arrays get their own."""
    filled: list[list[int]] = []
    open_ones: dict[mx.Dtype, tuple[list[int], int]] = {}
    for position, array in enumerate(arrays):
        bucket, size = open_ones.get(array.dtype, ([], 0))
        if not bucket or size + array.nbytes > limit_bytes:
            bucket, size = [], 0
            filled.append(bucket)
        bucket.append(position)
        open_ones[array.dtype] = bucket, size + array.nbytes
    return filled


def apply_flattened(function: Callable[[mx.array], mx.array], arrays: Sequence[mx.array]) -> list[mx.array]:
    """Apply ``function``, which keeps the length, to the concatenation of all ``arrays``, and split the result."""
    if len(arrays) == 1:
        return [function(arrays[0].reshape(-1)).reshape(arrays[0].shape)]
    vector = function(mx.concatenate([one.reshape(-1) for one in arrays]))
    results, start = [], 0
    for one in arrays:
        results.append(vector[start : start + one.size].reshape(one.shape))
        start += one.size
    return results

"""Tensors that travel: all_reduce, all_gather, broadcast, and what is made of them.

A collective starts when it is called, without waiting for its result (``mx.async_eval``), so ranks that make the same
calls send in the same order, however lazily the results are read. Inside a compiled function nothing can start; there
each collective is made to depend on the one before.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred, _grad_mode, tape
from lucid._checks import dtype_name
from lucid._tensor import Tensor
from lucid.distributed.buckets import buckets, through
from lucid.distributed.group import ProcessGroup, current
from lucid.distributed.links import gather

BUCKET_BYTES = 32 * 2**20
_UNSIGNED = {1: mx.uint8, 2: mx.uint16, 4: mx.uint32, 8: mx.uint64}


class ReduceOp:
    """PyTorch's names of the reductions; the plain words do as well."""

    SUM = "sum"
    AVG = "mean"
    MAX = "max"
    MIN = "min"


def all_reduce(tensor: Tensor, op: str = "sum") -> Tensor:
    """``tensor``, changed in place to the sum (or "mean", "max", "min") of all ranks' tensors of its shape and dtype.

    As in PyTorch the gradient does not pass.

    Raises:
        TypeError: it is no tensor, or "mean" is wanted of integers.
        ValueError: there is no such ``op``.
        RuntimeError: the tensor is part of a graph.
    """
    where = "all_reduce"
    _check_tensor(where, tensor)
    op = _checks.one_of(where, "op", "mean" if op == "avg" else op, ("sum", "mean", "max", "min"))
    if op == "mean" and not mx.issubdtype(tensor.dtype, mx.inexact):
        raise TypeError(f"all_reduce: the mean needs a floating-point tensor, got {dtype_name(tensor.dtype)}")
    group = current()
    if group.size > 1:
        note(group, f"all_reduce({op}, {dtype_name(tensor.dtype)} {tensor.shape})")
        _put(tensor, reduced(group, tensor._array, op), where)
    return tensor


def all_gather(tensor_list: list[Tensor] | Tensor, tensor: Tensor | None = None) -> list[Tensor]:
    """All ranks' tensors, in the order of ranks: ``all_gather(tensor)``.

    PyTorch's ``all_gather(tensor_list, tensor)`` fills a list of as many tensors as there are ranks. Shape and dtype
    must be the same on all ranks.

    Raises:
        TypeError: it is no tensor.
        ValueError: the list has another length, or tensors of another shape.
    """
    where = "all_gather"
    source = tensor_list if tensor is None else tensor
    _check_tensor(where, source)
    assert isinstance(source, Tensor)
    group = current()
    places = tensor_list if isinstance(tensor_list, list) else None
    if places is not None:
        if len(places) != group.size:
            raise ValueError(
                f"{where}: tensor_list must have a tensor for each of {group.size} ranks, got {len(places)}"
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
        note(group, f"all_gather({dtype_name(source.dtype)} {source.shape})")
        gathered = mx.distributed.all_gather(in_order(source._array)[None], group=group.mlx)
        started(gathered)
        rows = [gathered[i] for i in range(group.size)]
    if places is None:
        return [tape.wrap(row) for row in rows]
    for one, row in zip(places, rows, strict=True):
        _put(one, row, where)
    return places


def broadcast(tensor: Tensor, src: int = 0) -> Tensor:
    """``tensor``, changed in place to that of rank ``src``, bit by bit.

    Raises:
        TypeError: it is no tensor.
        ValueError: there is no rank ``src``.
        RuntimeError: the tensor is part of a graph.
    """
    where = "broadcast"
    _check_tensor(where, tensor)
    group = current()
    _check_rank(where, src, group)
    if group.size > 1:
        note(group, f"broadcast(from {src}, {dtype_name(tensor.dtype)} {tensor.shape})")
        _put(tensor, _sent(group, tensor._array, src), where)
    return tensor


def broadcast_parameters(*owners: Any, src: int = 0) -> None:
    """Give everything that ``owners`` hold the values of rank ``src``.

    Owners are modules (parameters and buffers), objects with ``state_tensors()`` (optimizers, EMA, metrics), tensors,
    dictionaries and iterables of tensors. Call it after building or loading and before the first step.

    Raises:
        TypeError: an owner holds no tensors.
        ValueError: there is no rank ``src``, or the ranks' tensors differ in number, shape or dtype.
    """
    where = "broadcast_parameters"
    group = current()
    _check_rank(where, src, group)
    tensors = list({id(one): one for owner in owners for one in _tensors_of(where, owner)}.values())
    if group.size == 1:
        return
    note(group, f"broadcast_parameters(from {src})")
    assert group.mlx is not None
    described = ", ".join(f"{dtype_name(one.dtype)} {one.shape}" for one in tensors)
    found = gather(group.mlx, [len(tensors), zlib.crc32(described.encode())])
    for rank, one in enumerate(found):
        if one != found[src]:
            raise ValueError(
                f"{where}: rank {rank} holds {one[0]} tensors and rank {src} {found[src][0]}, or of other shapes and "
                "dtypes; all ranks must build the same model"
            )
    for positions in buckets([one._array for one in tensors], BUCKET_BYTES):
        sent = through(lambda vector: _sent(group, vector, src), [tensors[i]._array for i in positions])
        for i, array in zip(positions, sent, strict=True):
            tensors[i]._rebind(array)
    mx.eval([one._array for one in tensors])


def reduce_metrics(*metrics: Any) -> None:
    """Add up the states of ``metrics`` over all ranks, in place: ``compute()`` then speaks of all samples.

    A metric is an object with ``state_tensors()`` whose states are sums. Call it once before ``compute()`` and
    ``reset()`` the metric afterwards: a second call would count the other ranks again.

    Raises:
        TypeError: a metric has no ``state_tensors()``.
    """
    where = "reduce_metrics"
    group = current()
    tensors = [one for metric in metrics for one in _states_of(where, metric)]
    if group.size == 1 or not tensors:
        return
    note(group, f"reduce_metrics({', '.join(f'{dtype_name(one.dtype)} {one.shape}' for one in tensors)})"[:1000])
    for positions in buckets([one._array for one in tensors], BUCKET_BYTES):
        sums = through(lambda vector: reduced(group, vector, "sum"), [tensors[i]._array for i in positions])
        for i, array in zip(positions, sums, strict=True):
            tensors[i]._rebind(array)


def barrier() -> None:
    """Wait until every rank has come here."""
    group = current()
    if group.size > 1:
        note(group, "barrier()")
        mx.eval(mx.distributed.all_sum(mx.array(1), group=group.mlx))


# The parts ------------------------------------------------------------------------------------------------------------


def note(group: ProcessGroup, what: str) -> None:
    """Tell the watch of a call, now or at every call of the function that is being traced."""
    if group.watch is not None:
        _deferred.on_call(functools.partial(group.watch.called, what))


def in_order(array: mx.array) -> mx.array:
    """``array``, not to be computed before the collective that was traced last."""
    memo = _deferred.memo()
    before = None if memo is None else memo.get("collective")
    return array if before is None else mx.depends([array], [before])[0]


def started(array: mx.array) -> mx.array:
    """``array``, the result of a collective, on its way; in a trace the next collective will come after it."""
    memo = _deferred.memo()
    if memo is not None:
        memo["collective"] = array
    _deferred.start([array])
    return array


def reduced(group: ProcessGroup, array: mx.array, op: str) -> mx.array:
    """The sum, mean, max or min of all ranks' arrays, on its way."""
    sent = in_order(array)
    if array.dtype == mx.bool_:  # MPI has no sums of booleans; that of zeros and ones is their maximum
        sent, op = sent.astype(mx.uint8), "max" if op == "sum" else op
    if op == "mean":
        sent = sent / group.size
    collective = {"max": mx.distributed.all_max, "min": mx.distributed.all_min}.get(op, mx.distributed.all_sum)
    result = started(collective(sent, group=group.mlx))
    return result if result.dtype == array.dtype else result.astype(array.dtype)


def _sent(group: ProcessGroup, array: mx.array, src: int) -> mx.array:
    """Rank ``src``'s array. A sum of its bits, as integers, with zeros: a sum of numbers would lose the sign of -0."""
    words = array.reshape(-1).astype(mx.uint8) if array.dtype == mx.bool_ else array.reshape(-1)
    words = words.view(_UNSIGNED[array.itemsize])
    words = in_order(words if group.rank == src else mx.zeros_like(words))
    result = started(mx.distributed.all_sum(words, group=group.mlx))
    result = result.astype(mx.bool_) if array.dtype == mx.bool_ else result.view(array.dtype)
    return result.reshape(array.shape)


def _put(tensor: Tensor, array: mx.array, where: str) -> None:
    with _grad_mode.set_recording(False):
        tensor._become(tape.wrap(array), where)


def _check_tensor(where: str, tensor: Any) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{where}: tensor must be a Tensor, got {type(tensor).__name__}; lucid.tensor(...) makes one")
    if tensor._node is not None:
        raise RuntimeError(f"{where}: no gradient passes between ranks; take tensor.detach()")


def _check_rank(where: str, src: Any, group: ProcessGroup) -> None:
    if not 0 <= _checks.integer(where, "src", src) < group.size:
        raise ValueError(f"{where}: src must be a rank from 0 to {group.size - 1}, got {src}")


def _states_of(where: str, metric: Any) -> list[Tensor]:
    if not callable(getattr(metric, "state_tensors", None)):
        raise TypeError(f"{where}: a metric must have state_tensors(), got {type(metric).__name__}")
    return list(metric.state_tensors())


def _tensors_of(where: str, owner: Any) -> Iterator[Tensor]:
    if isinstance(owner, Tensor):
        yield owner
    elif callable(getattr(owner, "state_tensors", None)):
        yield from owner.state_tensors()
    elif callable(getattr(owner, "parameters", None)) and callable(getattr(owner, "buffers", None)):
        yield from owner.parameters()
        yield from owner.buffers()
    elif isinstance(owner, Mapping):
        for value in owner.values():
            yield from _tensors_of(where, value)
    elif isinstance(owner, Iterable) and not isinstance(owner, str):
        for value in owner:
            yield from _tensors_of(where, value)
    else:
        raise TypeError(f"{where}: wanted modules, optimizers or tensors, got {type(owner).__name__}")

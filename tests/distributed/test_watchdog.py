"""The watchdog between threads of one process, and real processes of which one dies."""

import contextlib
import socket
import threading
import time

import pytest

from lucid.distributed import watchdog
from lucid.distributed.ring_sockets import Peer, RingSockets
from lucid.distributed.watchdog import Watchdog
from tests.distributed.launching import needs_mpi, run_mpi, run_ring


class Ended(BaseException):
    """Raised instead of exiting."""


class Watched(Watchdog):
    """A watchdog that stores why it would exit, and only closes its connections."""

    def __init__(self, rank, links):
        super().__init__(rank, links)
        self.reason = None

    def _start_thread(self):
        self._thread.start()

    def _end(self, text, heard_on=None):
        self._fail(text, heard_on)
        self.reason = text
        for link in self._neighbors:
            link.shutdown(socket.SHUT_RDWR)
        raise Ended

    def _listen(self):
        with contextlib.suppress(Ended):
            super()._listen()


@pytest.fixture
def ring():
    """Creates the watchdogs of a ring of ``size`` ranks in one process."""
    made = []

    def make(size):
        pairs = [socket.socketpair() for _ in range(size)]  # of rank r and r + 1
        peers = [Peer(rank, 100 + rank, "here") for rank in range(size)]
        watchdogs = [Watched(rank, RingSockets(pairs[rank][0], pairs[rank - 1][1], peers)) for rank in range(size)]
        made.extend(watchdogs)
        for one in watchdogs:
            one._start_thread()
        return watchdogs

    yield make
    for one in made:
        for link in one._neighbors:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        one._thread.join(20)
        for link in one._neighbors:
            link.close()


def reasons(watchdogs):
    for one in watchdogs:
        one._thread.join(20)
    return [one.reason for one in watchdogs]


@pytest.mark.parametrize("size", [2, 3, 5])
def test_ranks_with_the_same_calls_leave_normally(ring, size):
    watchdogs = ring(size)
    for number in range(20):
        for one in watchdogs:
            one.record_call(f"all_reduce {number}")
    for one in watchdogs:
        with one._lock:
            one._record_left(one._me.rank, one._calls, None)
    assert reasons(watchdogs) == [None] * size
    assert all(one._all_left.is_set() for one in watchdogs)


@pytest.mark.parametrize("size", [2, 4])
def test_different_calls_end_all_ranks(ring, size):
    watchdogs = ring(size)
    told = []
    for rank, one in enumerate(watchdogs):
        try:
            one.record_call("barrier()")
            one.record_call("broadcast()" if rank == 1 else "barrier()")
        except RuntimeError as error:  # whose traceback ends this rank
            told.append(str(error))
            one._failed = True
            one._fail(str(error))
    found = told + [one for watch, one in zip(watchdogs, reasons(watchdogs), strict=True) if not watch._failed]
    assert len(found) == size
    assert all("collective call 2 is " in one and "broadcast()" in one for one in found)
    assert all("rank 1 (pid 101 on here)" in one for one in found)


def test_a_mismatched_call_raises_at_the_caller(ring):
    first, second = ring(2)
    first.record_call("barrier()")
    deadline = time.monotonic() + 20
    while not second._theirs and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(RuntimeError, match=r"^all_reduce\(\): collective call 1 is barrier\(\) on rank 0 \(pid 100"):
        second.record_call("all_reduce()")


@pytest.mark.parametrize("early", [0, 1])
def test_a_rank_that_stops_early_is_named(ring, early):
    watchdogs = ring(3)
    for one in watchdogs:
        one.record_call("barrier()")
    with watchdogs[early]._lock:
        watchdogs[early]._record_left(early, watchdogs[early]._calls, None)
    late = watchdogs[2]
    with contextlib.suppress(RuntimeError, Ended):
        late.record_call("barrier()")
        reasons([late])
    wanted = f"rank {early} (pid {100 + early} on here) finished after 1 collective calls but rank 2"
    assert wanted in (late.reason or late._shortfall())


def test_a_rank_that_is_gone_is_named_by_all_others(ring):
    watchdogs = ring(4)
    watchdogs[2]._fail = lambda *_: None  # a dead process sends nothing
    for link in watchdogs[2]._neighbors:
        link.shutdown(socket.SHUT_RDWR)  # as the system does for a process that was killed
    found = reasons(watchdogs)
    assert [found[rank] for rank in (0, 1, 3)] == ["rank 2 (pid 102 on here) is gone"] * 3


def test_a_backend_error_does_not_hide_the_lost_rank(ring):
    watchdogs = ring(3)
    watchdogs[1]._former_hook = lambda *_: None
    error = RuntimeError("[ring] connection to a peer was lost")
    main = threading.Thread(target=watchdogs[1]._on_exception, args=(RuntimeError, error, None))
    main.start()  # MLX may notice before the watchdog does
    watchdogs[2]._fail = lambda *_: None
    for link in watchdogs[2]._neighbors:
        link.shutdown(socket.SHUT_RDWR)
    assert reasons(watchdogs)[:2] == ["rank 2 (pid 102 on here) is gone"] * 2
    main.join(20)


def test_a_rank_that_continues_alone_times_out(ring, monkeypatch):
    monkeypatch.setattr(watchdog, "LEAVE_TIMEOUT_S", 0.1)
    first, second = ring(2)
    with first._lock:
        first._leaving = True
        first._record_left(0, 0, None)
    assert "rank 0 (pid 100 on here) finished 0.1 s ago but rank 1" in reasons([second])[0]


BODY = """
import os, signal, sys, time
import lucid
from lucid import distributed as dist

dist.init_process_group(timeout_s=100)
weight = lucid.zeros(1000, requires_grad=True)
optimizer = lucid.optim.SGD([weight], lr=0.1)
print("ready", flush=True)
dist.barrier()  # the rank that dies does so after the others have printed
for step in range(100000):
    optimizer.zero_grad()
    weight.sum().backward()
    dist.average_gradients([weight])
    optimizer.step()  # never waits: with MLX's ring alone this would hang
    if step == 5 and dist.get_rank() == dist.get_world_size() - 1:
        HOW
"""


def dying(folder, how):
    path = folder / "dying.py"
    path.write_text(BODY.replace("HOW", how))
    return path


def test_a_killed_rank_ends_the_others_with_a_message(tmp_path):
    results = run_ring(3, tmp_path, dying(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)"))
    assert [code for code, _, _ in results] == [1, 1, -9], results
    for rank, (_, output, errors) in enumerate(results[:2]):
        assert output == "ready\n"
        assert "lucid.distributed: rank 2 (pid " in errors and f" is gone; rank {rank} of 3 exits.\n" in errors


def test_a_failed_rank_ends_the_other_with_its_reason(tmp_path):
    results = run_ring(2, tmp_path, dying(tmp_path, r'raise OSError("no space left\non disk")'))
    assert [code for code, _, _ in results] == [1, 1], results
    assert " failed: OSError: no space left on disk; rank 0 of 2 exits.\n" in results[0][2]
    assert "OSError: no space left\non disk" in results[1][2]


@needs_mpi
def test_a_failed_rank_under_mpirun_ends_the_other(tmp_path):
    # Without a watchdog, MPI's cleanup waits for the other rank, which waits for a message.
    [(code, _, errors)] = run_mpi(2, tmp_path, dying(tmp_path, 'raise OSError("no space left")'))
    assert code == 1, errors
    assert "OSError: no space left" in errors


def test_a_rank_that_leaves_early_is_named_by_the_others(tmp_path):
    results = run_ring(2, tmp_path, dying(tmp_path, "sys.exit(0)"))
    assert [code for code, _, _ in results] == [1, 1], results
    assert "finished after 7 collective calls but rank 0" in results[0][2]
    assert "all ranks must take the same number of steps" in results[0][2]

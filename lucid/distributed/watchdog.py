"""A watchdog over the neighboring ranks, so that no rank waits forever for one that is gone.

MLX's backends differ in what happens when a process dies: evaluation in the ring may raise an error or hang, and MPI
hangs. Every rank therefore keeps connections to the next and from the previous rank (``ring_sockets``) and a thread
that listens to both. Messages are lines of JSON:

- ``call``, to the next rank only: the collective that this rank has called. Both ranks compare their calls, since
  different calls would wait for each other forever or mix up their data.
- ``bye``, in both directions around the ring: a rank has finished, and after how many calls. It stays until all others
  have finished too.
- ``fail``, in both directions around the ring: why a rank has failed.
- End of the connection: the process was killed, or its machine is gone.

A process that receives a failure prints it and exits with code 1 at once, since its main thread is probably stuck
inside MLX, where no exception can reach it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import selectors
import socket
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from types import TracebackType
from typing import Any

import mlx.core as mx

from lucid.distributed.ring_sockets import RingSockets, connect_ring

LEAVE_TIMEOUT_S = 600.0  # how long a rank may continue after another has finished
_POLL_INTERVAL_S = 0.2
_FLUSH_TIMEOUT_S = 1.0
_CLOSE_TIMEOUT_S = 5.0
_JOIN_TIMEOUT_S = 5.0
_BACKEND_ERROR = re.compile(r"\[(ring|mpi|jaccl|nccl)\]")  # prefix of MLX's communication errors


class Watchdog:
    """The listening thread, and the messages that the main thread sends."""

    def __init__(self, rank: int, links: RingSockets) -> None:
        self._me = links.peers[rank]
        self._peers = links.peers
        size = len(links.peers)
        self._neighbors = {links.next: links.peers[(rank + 1) % size], links.previous: links.peers[(rank - 1) % size]}
        self._next = links.next
        self._lock = threading.RLock()  # guards the fields below and keeps lines on the sockets intact
        self._calls = 0
        self._own: deque[str] = deque()  # own calls that the previous rank has not made yet
        self._theirs: deque[str] = deque()  # calls of the previous rank that this rank has not made yet
        self._left: dict[int, int] = {}  # number of calls of each rank that has finished
        self._leaving = False
        self._failed = False
        self._all_left = threading.Event()
        self._deadline: float | None = None
        self._thread = threading.Thread(target=self._listen, name="lucid-distributed-watchdog", daemon=True)

    @classmethod
    def start(cls, group: mx.distributed.Group, addresses: tuple[str, ...]) -> Watchdog | None:
        """A running watchdog; None, with a warning, if a neighbor cannot be reached."""
        links = connect_ring(group, addresses)
        if links is None:
            warnings.warn(
                "init_process_group: a rank cannot connect to the next one outside MLX, so if a rank dies the "
                "others may hang; allow connections between the machines on any port, or pass watch=False",
                RuntimeWarning,
                stacklevel=3,
            )
            return None
        watchdog = cls(group.rank(), links)
        watchdog._start_thread()
        return watchdog

    def _start_thread(self) -> None:
        self._thread.start()
        self._former_hook = sys.excepthook
        sys.excepthook = self._on_exception
        atexit.register(self._at_exit)

    # Called by the main thread --------------------------------------------------------------------------------------

    def record_call(self, what: str) -> None:
        """Record that this rank calls the collective ``what``.

        Raises:
            RuntimeError: another rank made a different call, or finished after fewer calls.
        """
        with self._lock:
            self._calls += 1
            self._own.append(what)
            self._send(self._next, {"kind": "call", "what": what})
            fault = self._call_mismatch() or self._shortfall()
        if fault:
            raise RuntimeError(f"{what}: {fault}")

    def leave(self) -> None:
        """Wait until all ranks have finished, then close the connections."""
        for device in {mx.cpu, mx.default_device().type}:  # others may be waiting for pending work
            mx.synchronize(mx.default_stream(device))
        with self._lock:
            self._leaving = True
            self._record_left(self._me.rank, self._calls, None)
        self._thread.join()
        atexit.unregister(self._at_exit)
        if sys.excepthook == self._on_exception:
            sys.excepthook = self._former_hook

    def _on_exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self._former_hook(kind, error, trace)
        if _BACKEND_ERROR.match(str(error)):  # probably a rank is gone: the thread exits and names it
            self._thread.join(_JOIN_TIMEOUT_S)
        self._failed = True
        reason = " ".join("".join(traceback.format_exception_only(kind, error)).split())[:500]
        self._fail(f"{self._me} failed: {reason}")

    def _at_exit(self) -> None:
        if self._failed:
            _flush()
            self._thread.join(_FLUSH_TIMEOUT_S)  # it ends the process once the others are gone
            os._exit(1)  # MPI's cleanup would wait for the others
        self.leave()

    # Listening thread -----------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        unread = dict.fromkeys(self._neighbors, b"")
        with selectors.DefaultSelector() as selector:
            for link in self._neighbors:
                selector.register(link, selectors.EVENT_READ, link)
            while not self._all_left.is_set():
                for key, _ in selector.select(timeout=_POLL_INTERVAL_S):
                    link = key.data
                    *lines, unread[link] = (unread[link] + self._received(link)).split(b"\n")
                    for line in lines:
                        self._on_message(link, json.loads(line))
                self._check_deadline()
        # Read to the end before closing: closing a socket with unread data resets the connection, and the other side
        # would lose the last message.
        for link in self._neighbors:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_WR)
        for link in self._neighbors:
            link.settimeout(_CLOSE_TIMEOUT_S)
            with contextlib.suppress(OSError):
                while link.recv(65536):
                    pass
            link.close()

    def _received(self, link: socket.socket) -> bytes:
        data = b""
        with contextlib.suppress(OSError):
            data = link.recv(65536)
        if data:
            return data
        with self._lock:  # not between sending "bye" and setting _all_left
            all_left = self._all_left.is_set()
        if not all_left:  # a rank only closes this connection after it has passed on every "bye"
            self._end(f"{self._neighbors[link]} is gone", heard_on=link)
        return data

    def _on_message(self, link: socket.socket, message: dict[str, Any]) -> None:
        if message["kind"] == "fail":
            self._end(message["text"], heard_on=link)
        with self._lock:
            if message["kind"] == "call":
                self._theirs.append(message["what"])
            elif message["rank"] not in self._left:
                self._record_left(message["rank"], message["calls"], link)
            fault = self._call_mismatch() or self._shortfall()
        if fault:
            self._end(fault)

    # Shared by both threads; requires the lock ----------------------------------------------------------------------

    def _call_mismatch(self) -> str | None:
        """The first difference between the calls of the previous rank and this one."""
        while self._own and self._theirs:
            own, theirs = self._own.popleft(), self._theirs.popleft()
            if own != theirs:
                number, before = self._calls - len(self._own), self._peers[self._me.rank - 1]
                return (
                    f"collective call {number} is {theirs} on {before} and {own} on {self._me}; all ranks must make "
                    "the same calls in the same order"
                )
        return None

    def _shortfall(self) -> str | None:
        """The rank that finished after fewer calls than this one has made."""
        for rank, calls in self._left.items():
            if calls < self._calls:
                return (
                    f"{self._peers[rank]} finished after {calls} collective calls but {self._me} has made "
                    f"{self._calls}; all ranks must take the same number of steps"
                )
        return None

    def _record_left(self, rank: int, calls: int, heard_on: socket.socket | None) -> None:
        self._left[rank] = calls
        self._send_around({"kind": "bye", "rank": rank, "calls": calls}, heard_on)
        if len(self._left) == len(self._peers):
            self._all_left.set()
        elif self._deadline is None:
            self._deadline = time.monotonic() + LEAVE_TIMEOUT_S

    def _check_deadline(self) -> None:
        if self._deadline is not None and not self._leaving and time.monotonic() > self._deadline:
            ready = self._peers[next(iter(self._left))]
            self._end(
                f"{ready} finished {LEAVE_TIMEOUT_S:g} s ago but {self._me} has not; if it is not stuck, call "
                "destroy_process_group() before long work on a single rank"
            )

    # Sending --------------------------------------------------------------------------------------------------------

    def _send(self, link: socket.socket, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the listening thread handles lost neighbors
            link.sendall(json.dumps(message).encode() + b"\n")

    def _send_around(self, message: dict[str, Any], heard_on: socket.socket | None = None) -> None:
        for link in self._neighbors:
            if link is not heard_on:
                self._send(link, message)

    def _fail(self, text: str, heard_on: socket.socket | None = None) -> None:
        held = self._lock.acquire(timeout=_FLUSH_TIMEOUT_S)  # proceed without it if necessary: this process is exiting
        self._send_around({"kind": "fail", "text": text}, heard_on)
        if held:
            self._lock.release()

    def _end(self, text: str, heard_on: socket.socket | None = None) -> None:
        if not self._failed:  # otherwise it is already exiting with a traceback
            self._fail(text, heard_on)
            _flush()
            os.write(2, f"lucid.distributed: {text}; rank {self._me.rank} of {len(self._peers)} exits.\n".encode())
        os._exit(1)


def _flush() -> None:
    """Flush standard output and error, without waiting for a main thread that holds the stream."""

    def flush() -> None:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        with contextlib.suppress(Exception):
            sys.stderr.flush()

    thread = threading.Thread(target=flush, daemon=True)
    thread.start()
    thread.join(_FLUSH_TIMEOUT_S)

"""Sockets between neighboring ranks, separate from MLX's own: rank r to r + 1, and the last rank to rank 0.

Addresses are exchanged through MLX once, when the group starts. Across machines the neighbors are reached at the same
addresses as in the ring backend; on a single machine all traffic stays on the loopback interface.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
import uuid
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from lucid import _deferred

HANDSHAKE_TIMEOUT_S = 20.0
_TOKEN_TIMEOUT_S = 2.0
_RECORD_BYTES = 2048
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPALIVE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}


@dataclass(frozen=True)
class Peer:
    """Another rank, as shown in messages."""

    rank: int
    pid: int
    host: str

    def __str__(self) -> str:
        return f"rank {self.rank} (pid {self.pid} on {self.host})"


@dataclass(frozen=True)
class RingSockets:
    """The connections to the next and from the previous rank, and all ranks."""

    next: socket.socket
    previous: socket.socket
    peers: list[Peer]


def connect_ring(group: mx.distributed.Group, addresses: tuple[str, ...]) -> RingSockets | None:
    """Connect to both neighbors; returns None on all ranks if any rank could not reach the next one.

    ``addresses`` are this rank's own as given by the launcher; this machine's host name and addresses are tried too.
    """
    rank, size = group.rank(), group.size()
    machine = f"{socket.gethostname()}-{uuid.getnode():x}"
    alone = all(one == machine for one in gather_records(group, machine))
    token = secrets.token_hex(16)
    with socket.create_server(("127.0.0.1" if alone else "", 0)) as server:
        mine = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "machine": machine,
            "port": server.getsockname()[1],
            "addresses": [*addresses, *local_addresses()][:8],
            "token": token,
        }
        records = gather_records(group, mine)
        target = records[(rank + 1) % size]
        hosts = ["127.0.0.1"] if target["machine"] == machine else target["addresses"]
        deadline = time.monotonic() + HANDSHAKE_TIMEOUT_S
        following = _connect(hosts, target["port"], target["token"], deadline)
        previous = None if following is None else _accept(server, token, deadline)
    complete = all(gather_records(group, previous is not None))
    if following is None or previous is None or not complete:
        for one in (following, previous):
            if one is not None:
                one.close()
        return None
    for one in (following, previous):
        _keep_alive(one)
    return RingSockets(following, previous, [Peer(i, one["pid"], one["host"]) for i, one in enumerate(records)])


def gather_records(group: mx.distributed.Group, record: object) -> list:
    """The records of all ranks, in rank order. A record must fit in two kilobytes of JSON."""
    text = json.dumps(record).encode()
    padded = np.frombuffer(text.ljust(_RECORD_BYTES), dtype=np.uint8)
    rows = _deferred.to_numpy(mx.distributed.all_gather(mx.array(padded)[None], group=group))
    return [json.loads(row.tobytes()) for row in rows]


def local_addresses() -> list[str]:
    """Addresses at which other machines may reach this one, most likely first."""
    found = []
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; the system only selects the outgoing interface
        found.append(probe.getsockname()[0])
    name = socket.gethostname()
    with contextlib.suppress(OSError):
        found += socket.gethostbyname_ex(name)[2]
    found += [name, f"{name}.local"]
    return [one for one in dict.fromkeys(found) if not one.startswith("127.")]


def _connect(hosts: list[str], port: int, token: str, deadline: float) -> socket.socket | None:
    for host in hosts:
        with contextlib.suppress(OSError):
            link = socket.create_connection((host, port), timeout=max(0.1, min(3.0, deadline - time.monotonic())))
            link.sendall(token.encode())
            return link
    return None


def _accept(server: socket.socket, token: str, deadline: float) -> socket.socket | None:
    """Accept the connection that sends the token; all others are closed."""
    while (left := deadline - time.monotonic()) > 0:
        server.settimeout(left)
        try:
            link, _ = server.accept()
        except OSError:
            continue
        said = b""
        with contextlib.suppress(OSError):
            link.settimeout(min(left, _TOKEN_TIMEOUT_S))
            said = link.recv(len(token), socket.MSG_WAITALL)
        if secrets.compare_digest(said, token.encode()):
            return link
        link.close()
    return None


def _keep_alive(link: socket.socket) -> None:
    """Let the system detect a vanished machine within half a minute, even while Python is busy."""
    link.settimeout(None)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():  # TCP_KEEPIDLE on Linux is TCP_KEEPALIVE on macOS
        if hasattr(socket, name):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

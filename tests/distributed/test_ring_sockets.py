import socket
import threading
import time

from lucid.distributed import ring_sockets


def test_local_addresses_exclude_loopback():
    found = ring_sockets.local_addresses()
    assert socket.gethostname() in found
    assert not any(one.startswith("127.") for one in found)


def test_only_the_connection_with_the_token_is_accepted(monkeypatch):
    monkeypatch.setattr(ring_sockets, "_TOKEN_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, deadline = server.getsockname()[1], time.monotonic() + 20
        strangers = [ring_sockets._connect(["127.0.0.1"], port, token, deadline) for token in ("wrong", "", "")]
        strangers[1].close()  # the last one never sends anything
        friend = ring_sockets._connect(["127.0.0.1"], port, "right", deadline)
        link = ring_sockets._accept(server, "right", deadline)
        friend.sendall(b"hello")
        assert link.recv(5) == b"hello"
        for one in (*strangers, friend, link):
            one.close()


def test_waiting_for_a_connection_times_out():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ring_sockets._accept(server, "right", time.monotonic() + 0.05) is None
        port = server.getsockname()[1]
    assert ring_sockets._connect(["127.0.0.1"], port, "right", time.monotonic() + 1) is None


def test_a_neighbor_is_reached_at_its_second_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = []
        thread = threading.Thread(
            target=lambda: found.append(ring_sockets._accept(server, "right", time.monotonic() + 20))
        )
        thread.start()
        link = ring_sockets._connect(
            ["no-such-host.invalid", "127.0.0.1"], server.getsockname()[1], "right", time.monotonic() + 20
        )
        thread.join()
        assert link is not None and found[0] is not None
        ring_sockets._keep_alive(link)
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) and link.gettimeout() is None
        link.close()
        found[0].close()

"""A web server on this machine whose answers a test can spoil, and tar archives with anything in them."""

import io
import re
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Server:
    """Serves ``content`` under every path.

    Attributes:
        requests: the Range header of every request so far, None for those without.
        ranges: "yes", "no" (always sends all), or "other" (sends a different range than requested).
        statuses: codes of the next answers, which then carry no content; taken from the front.
        cuts: after how many bytes the next answers break off; taken from the front.
        length: what Content-Length says of a whole answer, when that is not the truth; "none" for no such header.
        pause_s: between pieces of 1000 bytes.
        redirects: answer the next request with a redirect to another path, or to this URL.
        logins: the Authorization header of every request.
    """

    def __init__(self, tls=None):
        self.content = bytes(range(256)) * 40 + b"end"
        self.requests = []
        self.ranges = "yes"
        self.statuses = []
        self.cuts = []
        self.length = None
        self.pause_s = 0
        self.redirects = False
        self.logins = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._http.server_port}"

    def answer(self, request):
        self.requests.append(request.headers["Range"])
        self.logins.append(request.headers["Authorization"])
        if self.redirects:
            target = f"{self.url}/elsewhere" if self.redirects is True else self.redirects
            self.redirects = False
            request.send_response(302)
            request.send_header("Location", target)
            request.end_headers()
            return
        if self.statuses:
            request.send_response(self.statuses.pop(0))
            request.end_headers()
            return
        total, start = len(self.content), 0
        if request.headers["Range"] and self.ranges != "no":
            start = int(re.fullmatch(r"bytes=(\d+)-", request.headers["Range"])[1])
            if start >= total:
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{total}")
                request.end_headers()
                return
            if self.ranges == "other":
                start = 0
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            request.send_header("Content-Length", str(total - start))
        else:
            request.send_response(200)
            if self.length != "none":
                request.send_header("Content-Length", str(total if self.length is None else self.length))
        request.end_headers()
        body = self.content[start:]
        body = body[: self.cuts.pop(0)] if self.cuts else body
        for begin in range(0, len(body), 1000):
            try:
                request.wfile.write(body[begin : begin + 1000])
            except ConnectionError:  # the other side was stopped by Ctrl-C
                return
            time.sleep(self.pause_s)

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def tls_server(tls):
    server = Server(tls)
    yield server
    server.close()


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr("lucid.data.download.FIRST_WAIT_S", 0.0)
    monkeypatch.setattr("lucid.data.download.CHUNK_BYTES", 1000)


@pytest.fixture
def write_archive():
    """write(path, members): a tar.gz of (name, bytes) pairs and ready ``tarfile.TarInfo``s."""

    def write(path, members):
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    archive.addfile(member)
                else:
                    name, content = member
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
        return path

    return write

"""A local server with the part of the hub's protocol that downloads need, and faults that tests can inject."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves files of repositories: HEAD returns metadata, GET redirects to storage, storage sends bytes.

    Attributes:
        files: Content by (repository, file).
        requests: (method, path, Range header) of every request.
        cuts: Numbers of bytes after which the next responses of the storage break off.
        sent: Bytes that the storage sends instead of the content.
        ranges: Whether the storage supports range requests.
        errors: X-Error-Code by repository, with status 404 (401 for a gated one).
        status: Status of every response, instead of the right one.
        etag: ETag instead of the checksum.
        commit: Commit instead of ``COMMIT``.
        location: Where GET redirects to, instead of the storage.
        tokens: Authorization headers received by the hub and by the storage.
    """

    def __init__(self, tls=None):
        self.files = {}
        self.requests = []
        self.cuts = []
        self.sent = None
        self.ranges = True
        self.errors = {}
        self.status = None
        self.etag = None
        self.commit = COMMIT
        self.location = None
        self.tokens = {"hub": set(), "storage": set()}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                hub._answer(self)

            def do_GET(self):
                hub._answer(self)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._http.server_port}"
        self.storage = f"{scheme}://localhost:{self._http.server_port}/storage"  # another host: gets no token

    def sha256(self, repository, file="model.safetensors"):
        return hashlib.sha256(self.files[repository, file]).hexdigest()

    def downloads(self):
        """The Range headers of the requests to the storage."""
        return [span for method, path, span in self.requests if method == "GET" and path.startswith("/storage/")]

    def _answer(self, request):
        path = unquote(request.path.partition("?")[0])
        self.requests.append((request.command, path, request.headers["Range"]))
        if self.status is not None:
            self._reply(request, self.status)
        elif path.startswith("/storage/"):
            self._send_bytes(request, path.split("/")[2])
        elif "/resolve/" in path:
            self._resolve(request, path)
        else:  # huggingface_hub may check for updates
            self._reply(request, 404)

    def _resolve(self, request, path):
        self.tokens["hub"].add(request.headers["Authorization"])
        found = re.fullmatch(r"/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)", path)
        repository, file = found["repository"], found["file"]
        if repository not in {name for name, _ in self.files}:
            code = self.errors.get(repository, "RepoNotFound")
            self._reply(request, 401 if code == "GatedRepo" else 404, {"X-Error-Code": code})
        elif found["revision"] not in ("main", "v1", COMMIT):
            self._reply(request, 404, {"X-Error-Code": "RevisionNotFound"})
        elif (repository, file) not in self.files:
            self._reply(request, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            sha256 = self.sha256(repository, file)
            headers = {
                "X-Repo-Commit": self.commit, "X-Linked-Size": str(len(self.files[repository, file])),
                "X-Linked-Etag": f'"{self.etag or sha256}"', "ETag": '"of-the-pointer"',
                "Location": self.location or f"{self.storage}/{sha256}",
            }  # fmt: skip
            self._reply(request, 302, headers)

    def _send_bytes(self, request, sha256):
        self.tokens["storage"].add(request.headers["Authorization"])
        content = {hashlib.sha256(one).hexdigest(): one for one in self.files.values()}[sha256]
        content = self.sent if self.sent is not None else content
        start, status, headers = 0, 200, {}
        if request.headers["Range"] and self.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", request.headers["Range"])[1])
            status, headers = 206, {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        body = content[start:]
        cut = self.cuts.pop(0) if self.cuts else None
        self._reply(request, status, headers, body, cut)

    def _reply(self, request, status, headers=None, body=b"", cut=None):
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body if cut is None else body[:cut])
        request.close_connection = request.close_connection or cut is not None

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

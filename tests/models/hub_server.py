"""A local server with the part of the hub's protocol that downloads and uploads need. Tests can inject faults."""

import base64
import hashlib
import json
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
        in_git: Suffixes of files that are not in the storage but in git, whose ETag is git's checksum.
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
        self.in_git = ()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                hub._answer(self)

            def do_GET(self):
                hub._answer(self)

            def do_POST(self):
                hub._answer(self)

            def do_PUT(self):
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
        elif found["revision"] not in ("main", "v1", self.commit):
            self._reply(request, 404, {"X-Error-Code": "RevisionNotFound"})
        elif (repository, file) not in self.files:
            self._reply(request, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            sha256, content = self.sha256(repository, file), self.files[repository, file]
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            etag = self.etag or (git if file.endswith(self.in_git) else sha256)
            headers = {
                "X-Repo-Commit": self.commit, "X-Linked-Size": str(len(content)),
                "X-Linked-Etag": f'"{etag}"', "ETag": '"of-the-pointer"',
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
        if request.command != "HEAD":
            request.wfile.write(body if cut is None else body[:cut])
        request.close_connection = request.close_connection or cut is not None

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class UploadHub(Hub):
    """A hub that also takes commits: small files in the request, weights in the storage.

    Attributes:
        branches: The branches of every repository.
        owners: Those who may write with the token "hf_good"; others are not the token's.
        refuses: What the check of model cards reports, or None.
        created: (repository, private) of every repository that was created.
        commits: The operations of every commit, and its summary, branch and pull request.
    """

    def __init__(self):
        super().__init__()
        self.branches = {"main", "v1"}
        self.owners = {"me"}
        self.refuses = None
        self.created = []
        self.commits = []
        self.in_git = (".json", ".md")
        self._uploaded = {}

    def _answer(self, request):
        path = unquote(request.path.partition("?")[0])
        if self.status is not None or not (path.startswith(("/api/", "/put/")) or path.endswith("/objects/batch")):
            return super()._answer(request)
        body = request.rfile.read(int(request.headers["Content-Length"] or 0))
        self.requests.append((request.command, path, request.headers["Range"]))
        if request.command == "PUT":
            self._uploaded[path.rpartition("/")[2]] = body
            return self._reply(request, 200)
        if request.headers["Authorization"] != "Bearer hf_good":
            return self._reply(request, 401, {"X-Error-Message": "Invalid credentials"})
        if path == "/api/repos/create":
            return self._create(request, json.loads(body))
        if path == "/api/validate-yaml":
            errors = [{"message": self.refuses}] if self.refuses else []
            return self._json(request, 400 if errors else 200, {"errors": errors, "warnings": []})
        if path.endswith("/objects/batch"):
            return self._batch(request, json.loads(body))
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(tree|preupload|commit)/([^/]+)", path)
        if found is None:
            return self._reply(request, 404, {"X-Error-Code": "RepoNotFound"})
        repository, what, revision = found.groups()
        if revision not in self.branches:
            return self._reply(request, 404, {"X-Error-Code": "RevisionNotFound"})
        return getattr(self, f"_{what}")(request, repository, revision, body)

    def _json(self, request, status, content):
        self._reply(request, status, {"Content-Type": "application/json"}, json.dumps(content).encode())

    def _create(self, request, wanted):
        name = f"{wanted['organization']}/{wanted['name']}"
        if wanted["organization"] not in self.owners:
            return self._reply(request, 403, {"X-Error-Message": f"You don't have the rights for {name}"})
        if any(repository == name for repository, _ in self.files):
            return self._json(
                request, 409, {"error": "You already created this model repo", "url": f"{self.url}/{name}"}
            )
        self.created.append((name, wanted.get("visibility", wanted.get("private"))))
        self.files[name, ".gitattributes"] = b"*.safetensors filter=lfs\n"
        return self._json(request, 200, {"url": f"{self.url}/{name}"})

    def _tree(self, request, repository, revision, body):
        files = [(file, content) for (name, file), content in self.files.items() if name == repository]
        self._json(
            request, 200, [{"type": "file", "path": file, "size": len(one), "oid": "0" * 40} for file, one in files]
        )

    def _preupload(self, request, repository, revision, body):
        paths = [one["path"] for one in json.loads(body)["files"]]
        modes = {path: "lfs" if path.endswith(".safetensors") else "regular" for path in paths}
        files = [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes.items()]
        self._json(request, 200, {"files": files})

    def _batch(self, request, wanted):
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.url}/put/{one['oid']}"}}} for one in wanted["objects"]
        ]
        self._json(request, 200, {"transfer": "basic", "objects": objects})

    def _commit(self, request, repository, revision, body):
        header, *operations = [json.loads(line) for line in body.splitlines()]
        pull_request = "create_pr=1" in request.path
        self.commits.append((operations, header["value"]["summary"], revision, pull_request))
        for one in () if pull_request else operations:
            place = repository, one["value"]["path"]
            if one["key"] == "file":
                self.files[place] = base64.b64decode(one["value"]["content"])
            elif one["key"] == "lfsFile":
                self.files[place] = self._uploaded[one["value"]["oid"]]
            else:
                del self.files[place]
        self.commit = hashlib.sha1(body).hexdigest()
        url = f"{self.url}/{repository}"
        answer = {"commitUrl": f"{url}/commit/{self.commit}", "commitOid": self.commit}
        self._json(request, 200, {**answer, "pullRequestUrl": f"{url}/discussions/1"})

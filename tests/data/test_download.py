"""Downloads from a local server: resuming, checksums, retries, errors, and several processes."""

import base64
import contextlib
import hashlib
import itertools
import os
import resource
import signal
import socket
import subprocess
import sys
import traceback
from types import SimpleNamespace

import pytest

from lucid.data import ArchiveError
from lucid.data import download as module
from lucid.data.download import fetch_file, md5_of

pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "on the way" / "set.tar.gz"


@pytest.fixture
def md5(server):
    return hashlib.md5(server.content, usedforsecurity=False).hexdigest()


def files_beside(path):
    return sorted(file.name for file in path.parent.iterdir())


def leave_part(path, content):
    path.parent.mkdir(parents=True)
    path.with_name("set.tar.gz.part").write_bytes(content)


@pytest.fixture
def closed_port():
    with socket.socket() as holder:  # bound, so that no other process opens it
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def test_md5_of_a_large_file(tmp_path):
    content = b"0123456789" * 210_000
    (tmp_path / "file").write_bytes(content)
    assert md5_of(tmp_path / "file") == hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_sha256_may_be_a_prefix(server, path):
    sha256 = hashlib.sha256(server.content).hexdigest()
    for given in (sha256, sha256[:8]):
        fetch_file(f"{server.url}/set.tar.gz", path, sha256=given)
        assert path.read_bytes() == server.content
        path.unlink()
    with pytest.raises(ArchiveError, match=f"with sha256 {sha256}, expected sha256 00000000; nothing was kept"):
        fetch_file(f"{server.url}/set.tar.gz", path, sha256="0" * 8)
    assert files_beside(path) == []


@pytest.mark.parametrize("length", [None, "none"])
def test_a_complete_download_shows_progress(server, path, md5, capsys, length):
    server.length = length
    fetch_file(f"{server.url}/a/set.tar.gz", path, md5)
    assert path.read_bytes() == server.content and files_beside(path) == ["set.tar.gz"]
    assert server.requests == [None]
    assert "set.tar.gz" in capsys.readouterr().err


def test_progress_needs_no_tqdm(server, path, md5, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    server.content = bytes(3 << 20)
    monkeypatch.setattr(module, "CHUNK_BYTES", 1 << 18)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 0.0))  # otherwise a line every few seconds
    fetch_file(f"{server.url}/set.tar.gz", path, None)
    assert path.read_bytes() == server.content
    assert capsys.readouterr().err == "set.tar.gz: 3 of 3 MiB\n"


def test_a_redirect_is_followed(server, path, md5):
    server.redirects = True
    fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert path.read_bytes() == server.content and len(server.requests) == 2


def test_an_existing_file_is_not_downloaded_again(server, path, md5):
    path.parent.mkdir(parents=True)
    path.write_bytes(server.content)
    fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert server.requests == [] and files_beside(path) == ["set.tar.gz"]


@pytest.mark.parametrize("before", [None, b"an older file"])
def test_a_wrong_checksum_leaves_only_what_was_there(server, path, before):
    path.parent.mkdir(parents=True)
    if before:
        path.write_bytes(before)
    with pytest.raises(
        ArchiveError, match=r"received 10243 bytes with md5 \w{32}, expected md5 0{32}; nothing was kept"
    ):
        fetch_file(f"{server.url}/set.tar.gz", path, "0" * 32)
    assert files_beside(path) == (["set.tar.gz"] if before else [])
    assert not before or path.read_bytes() == before


def test_interrupted_downloads_resume(server, path, md5):
    server.cuts = [1500, 2000, 0]
    fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert path.read_bytes() == server.content and files_beside(path) == ["set.tar.gz"]
    assert server.requests == [None, "bytes=1500-", "bytes=3500-", "bytes=3500-"]


def test_without_range_requests_an_interrupted_download_restarts(server, path, md5):
    server.ranges = "no"
    server.cuts = [4000, 4000, 9000]
    fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert path.read_bytes() == server.content and server.requests[1] == "bytes=4000-" and len(server.requests) == 4


def test_another_call_resumes_a_partial_file(server, path, md5):
    leave_part(path, server.content[:10_000])
    fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert path.read_bytes() == server.content and server.requests == ["bytes=10000-"]


def test_a_complete_partial_file_is_kept(server, path, md5):
    leave_part(path, server.content)
    fetch_file(f"{server.url}/set.tar.gz", path, md5)  # the server answers 416
    assert path.read_bytes() == server.content and server.requests == ["bytes=10243-"]


@pytest.mark.parametrize("size", [10, 10_243, 20_000])
def test_a_partial_file_with_other_content_is_discarded(server, path, md5, size):
    leave_part(path, b"x" * size)
    fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert path.read_bytes() == server.content and files_beside(path) == ["set.tar.gz"]
    assert server.requests == [f"bytes={size}-", None]


def test_a_different_range_than_requested_is_not_appended(server, path, md5):
    leave_part(path, server.content[:5000])
    server.ranges = "other"
    with pytest.raises(ArchiveError, match="a different range than bytes 5000-; 5000 bytes are kept"):
        fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert path.with_name("set.tar.gz.part").read_bytes() == server.content[:5000] and not path.exists()


def test_a_content_length_too_large_raises(server, path):
    server.length, server.ranges = 20_000, "no"
    with pytest.raises(ArchiveError, match="broke after 10243 of 20000 bytes"):
        fetch_file(f"{server.url}/set.tar.gz", path, None)
    assert not path.exists() and 1 < len(server.requests) < 10


def test_a_content_length_too_small_fails_the_checksum(server, path, md5):
    server.length = 9000
    with pytest.raises(ArchiveError, match=f"received 9000 bytes with md5 .* expected md5 {md5}"):
        fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert files_beside(path) == []


def test_temporary_errors_are_retried(server, path, md5):
    server.statuses = [503, 429, 500]
    fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert path.read_bytes() == server.content and len(server.requests) == 4


def test_retries_end_and_keep_the_partial_file(server, path, md5):
    server.cuts = [2000] + [0] * 10
    with pytest.raises(ArchiveError, match=r"broke after 2000 of 10243 bytes; 2000 bytes are kept in .*gz.part"):
        fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert files_beside(path) == ["set.tar.gz.part"] and len(server.requests) == module.TRIES_WITHOUT_PROGRESS
    server.cuts = []
    fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert path.read_bytes() == server.content and server.requests[-1] == "bytes=2000-"


def test_a_full_disk_fails_at_once_and_keeps_the_partial_file(server, path, md5):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(ArchiveError, match=r"cannot download .*File too large; 5000 bytes are kept in .*gz.part"):
            fetch_file(f"{server.url}/set.tar.gz", path, md5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(server.requests) == 1
    fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert path.read_bytes() == server.content and server.requests == [None, "bytes=5000-"]


@pytest.mark.parametrize("status", [403, 404])
def test_permanent_errors_fail_at_once(server, path, md5, status):
    server.statuses = [status] * 5
    with pytest.raises(ArchiveError, match=rf"cannot download {server.url}/set.tar.gz: (Not Found|Forbidden)$"):
        fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert len(server.requests) == 1 and files_beside(path) == []


@pytest.mark.parametrize("missing", ["server", "name"])
def test_without_a_network_the_first_attempt_fails(path, closed_port, monkeypatch, missing):
    def no_names(*args, **kwargs):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    if missing == "name":
        monkeypatch.setattr(socket, "getaddrinfo", no_names)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: pytest.fail("waited for a network"))
    url = f"http://127.0.0.1:{closed_port}/set.tar.gz"
    reason = "Connection refused" if missing == "server" else "Temporary failure in name resolution"
    with pytest.raises(ArchiveError, match=f"cannot download {url}: .*{reason}"):
        fetch_file(url, path, None)
    assert files_beside(path) == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "set.tar.gz"])
def test_other_protocols_raise(path, url):
    with pytest.raises(ValueError, match=f"url must start with http:// or https://, got '{url}'"):
        fetch_file(url, path, None)
    assert not path.parent.exists()


# Hostile servers and folders ------------------------------------------------------------------------------------------


def test_a_redirect_from_https_to_http_is_refused(server, tls_server, path):
    tls_server.redirects = f"{server.url}/set.tar.gz?token=secret"
    with pytest.raises(ArchiveError, match=rf"the server redirects from https to {server.url}/set.tar.gz$"):
        fetch_file(f"{tls_server.url}/set.tar.gz", path, None)
    assert server.requests == [] and files_beside(path) == [] and len(tls_server.requests) == 1


def test_https_and_a_redirect_to_https_work(tls_server, server, path, md5):
    tls_server.redirects = True
    fetch_file(f"{tls_server.url}/set.tar.gz", path, md5)
    assert path.read_bytes() == server.content
    server.redirects = f"{tls_server.url}/set.tar.gz"
    path.unlink()
    fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert path.read_bytes() == server.content


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "file:///etc/hostname"])
def test_a_redirect_to_another_protocol_is_refused(server, path, target):
    server.redirects = target
    with pytest.raises(ArchiveError, match="cannot download"):
        fetch_file(f"{server.url}/set.tar.gz", path, None)
    assert files_beside(path) == []


def respond(total, *chunks):
    @contextlib.contextmanager
    def request(start):
        yield module.Response(0, total, iter(chunks))

    return request


def test_more_than_announced_is_refused(path):
    endless = itertools.repeat(bytes(1000))
    with pytest.raises(ArchiveError, match="the server sends more than the announced 2500 bytes$"):
        module.fetch("mine", path, respond(2500, *itertools.islice(endless, 10)))
    with pytest.raises(ArchiveError, match="the server announces 2500 bytes instead of 2000$"):
        module.fetch("mine", path, respond(2500, bytes(2500)), size=2000)
    assert files_beside(path) == []


def test_a_server_that_announces_nothing_does_not_fill_the_disk(server, path, monkeypatch):
    monkeypatch.setattr(module, "UNANNOUNCED_BYTES", 5000)
    server.length = "none"
    with pytest.raises(ArchiveError, match="the server sends more than 5000 bytes$"):
        fetch_file(f"{server.url}/set.tar.gz", path, None)
    assert files_beside(path) == [] and len(server.requests) == 1


@pytest.mark.parametrize("kind", ["symlink", "dangling", "hard link", "pipe", "device"])
def test_nothing_is_written_through_a_partial_file_that_is_not_ours(server, path, md5, kind):
    path.parent.mkdir(parents=True)
    part, other = path.with_name("set.tar.gz.part"), path.with_name("other")
    if kind == "pipe":
        os.mkfifo(part)
    elif kind == "device":
        part.symlink_to("/dev/zero")
    else:
        if kind != "dangling":
            other.write_bytes(b"precious")
        part.hardlink_to(other) if kind == "hard link" else part.symlink_to(other)
    before = files_beside(path)
    with pytest.raises(ArchiveError, match=r"set.tar.gz.part is (a link|not a regular file|another user).*; delete it"):
        fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert files_beside(path) == before and server.requests == []
    assert kind not in ("symlink", "hard link") or other.read_bytes() == b"precious"


def test_a_partial_file_of_another_user_is_refused(server, path, md5, monkeypatch):
    leave_part(path, server.content[:100])
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ArchiveError, match="is another user's, or"):
        fetch_file(f"{server.url}/set.tar.gz", path, md5)


def test_an_endless_file_in_place_of_the_download_is_replaced(server, path, md5):
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/zero")
    fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert not path.is_symlink() and path.read_bytes() == server.content


def test_a_url_may_have_a_password_which_the_first_server_gets(server, path, md5):
    url = server.url.replace("://", "://me%40home:pass%2Fword@")
    server.redirects = server.url.replace("127.0.0.1", "localhost") + "/elsewhere"
    fetch_file(f"{url}/set.tar.gz", path, md5)
    assert path.read_bytes() == server.content
    assert server.logins == ["Basic " + base64.b64encode(b"me@home:pass/word").decode(), None]


@pytest.mark.parametrize("fault", ["status", "port", "checksum", "cut", "protocol"])
def test_no_message_shows_passwords_and_tokens(server, path, fault, capsys):
    url = server.url.replace("://", "://me:geheim@") + "/set.tar.gz?token=geheim#geheim"
    server.statuses = [403] if fault == "status" else []
    server.cuts = [0] * 9 if fault == "cut" else []
    url = url.replace(":geheim@127.0.0.1", ":geheim@127.0.0.1:x") if fault == "port" else url
    url = url.replace("http", "ftp") if fault == "protocol" else url
    try:
        fetch_file(url, path, "0" * 32)
    except (ArchiveError, ValueError):
        text = traceback.format_exc() + capsys.readouterr().err
    text = "\n".join(line for line in text.splitlines() if not line.startswith("  "))  # without lines of code
    assert "127.0.0.1" in text and "/set.tar.gz" in text and "geheim" not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host:8/a/b?token=1#x", "https://host:8/a/b"),
        (
            "error 403 for url 'https://me@host/a?X-Sig=1' (http://b/?c)",
            "error 403 for url 'https://host/a' (http://b/",
        ),
        ("ftp://u:p@@host", "ftp://host"),
        ("https://host/models/a@v1/file", "https://host/models/a@v1/file"),
        ("no url: a@b?c", "no url: a@b?c"),
    ],
)
def test_secrets_are_cut_from_urls(text, shown):
    assert module.without_secrets(text) == shown


# Other ways to request bytes ------------------------------------------------------------------------------------------


def test_fetch_retries_any_request_until_the_file_is_complete(path):
    """Errors of any type count as broken connections."""
    content, starts = bytes(range(200)), []

    @contextlib.contextmanager
    def request(start):
        def chunks():
            yield content[start : start + 30]
            yield content[start + 30 : start + 60]
            if start < 120:
                raise LookupError("cut\nand more")

        starts.append(start)
        yield module.Response(start, None, chunks())

    module.fetch("mine", path, request, sha256=hashlib.sha256(content).hexdigest(), size=200, part_suffix=".half")
    assert path.read_bytes() == content and starts == [0, 60, 120, 180] and files_beside(path) == ["set.tar.gz"]


def test_a_partial_file_longer_than_the_file_is_discarded_before_the_request(path):
    starts = []

    @contextlib.contextmanager
    def request(start):
        starts.append(start)
        yield module.Response(start, 3, iter([b"abc"]))

    leave_part(path, b"longer")
    module.fetch("mine", path, request, size=3)
    assert path.read_bytes() == b"abc" and starts == [0]


def test_the_message_has_the_first_line_of_an_unknown_error(path):
    def request(start):
        raise LookupError("no such\nmirror")

    with pytest.raises(ArchiveError, match="^cannot download mine: no such$"):
        module.fetch("mine", path, request)
    assert files_beside(path) == []


# Runs in a new process for a real Ctrl-C and a real file lock. It prints a line for every chunk.
FETCH = """
import contextlib, sys
from pathlib import Path
from lucid.data import download

@contextlib.contextmanager
def tell(name, have, total):
    yield lambda count: print(count, flush=True)

download.CHUNK_BYTES = 1000
download._progress = tell
download.fetch_file(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
"""


def start_fetch(url, path, md5):
    arguments = [sys.executable, "-W", "error", "-c", FETCH, url, str(path), md5]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_keeps_the_partial_file(server, path):
    server.content = server.content * 30
    md5 = hashlib.md5(server.content, usedforsecurity=False).hexdigest()
    server.pause_s = 0.05
    with start_fetch(f"{server.url}/set.tar.gz", path, md5) as process:
        assert process.stdout.readline() and process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate(timeout=300)[1]
    assert files_beside(path) == ["set.tar.gz.part"]
    kept = path.with_name("set.tar.gz.part").read_bytes()
    assert 2000 <= len(kept) < len(server.content) and server.content.startswith(kept)
    server.pause_s = 0
    fetch_file(f"{server.url}/set.tar.gz", path, md5)
    assert path.read_bytes() == server.content and server.requests == [None, f"bytes={len(kept)}-"]


def test_processes_share_one_download(server, path, md5):
    server.pause_s = 0.05
    processes = [start_fetch(f"{server.url}/set.tar.gz", path, md5) for _ in range(3)]
    pieces = []
    for process in processes:
        with process:
            out, err = process.communicate(timeout=300)
        assert (process.returncode, err) == (0, "")
        pieces.append(len(out.splitlines()))
    assert sorted(pieces) == [0, 0, 11]
    assert path.read_bytes() == server.content and files_beside(path) == ["set.tar.gz"]
    assert server.requests == [None]

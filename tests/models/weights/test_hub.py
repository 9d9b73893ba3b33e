"""Downloads from a local hub: resuming, checksums, caches, offline use, and errors."""

import hashlib
import os
import re
import subprocess
import sys
import threading
import traceback
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from lucid.models.weights.hub import DownloadError, NonCommercialLicenseWarning, download
from lucid.models.weights.tags import find_tag
from tests.models.hub_server import COMMIT, Hub

TAG = find_tag("timm/convnext_tiny.fb_in1k")
CONTENT = bytes(range(256)) * 4000 + b"end"  # larger than a socket buffer


@pytest.fixture
def cache(hub, tmp_path):
    hub.files[TAG.location, "model.safetensors"] = CONTENT
    return tmp_path / "hub"


def blobs(cache):
    return sorted(path.name for path in cache.rglob("blobs/*"))


def test_files_go_into_the_cache_of_huggingface_hub(hub, cache, capfd):
    path = download(TAG)
    assert path.read_bytes() == CONTENT
    assert path == cache / "models--timm--convnext_tiny.fb_in1k" / "snapshots" / COMMIT / "model.safetensors"
    assert blobs(cache) == [hub.sha256(TAG.location)]
    assert hub.downloads() == [None]
    assert re.search(r"convnext_tiny/model.safetensors: 100%.* 0.98M/0.98M", capfd.readouterr().err)  # progress


def test_cached_files_need_no_network(hub, cache):
    first = download(TAG)
    asked = len(hub.requests)
    hub.status = 500
    assert download(TAG) == first and len(hub.requests) == asked


def test_files_downloaded_by_huggingface_hub_are_found(hub, cache):
    import huggingface_hub

    theirs = huggingface_hub.hf_hub_download(TAG.location, "model.safetensors")
    asked = len(hub.requests)
    assert download(TAG) == Path(theirs) and len(hub.requests) == asked
    assert huggingface_hub.hf_hub_download(TAG.location, "model.safetensors") == str(download(TAG))


@pytest.mark.parametrize("ranges", [True, False])
def test_interrupted_downloads_resume(hub, cache, ranges):
    hub.cuts = [300_000, 200_000]
    hub.ranges = ranges
    assert download(TAG).read_bytes() == CONTENT
    assert hub.downloads()[:2] == [None, "bytes=300000-"]
    assert len(hub.downloads()) == 3 and (hub.downloads()[2] == "bytes=500000-") == ranges


def test_another_call_resumes_a_failed_download(hub, cache):
    hub.cuts = [300_000] + [0] * 30
    with pytest.raises(DownloadError, match=r"cannot download .*safetensors: .*; 300000 bytes are kept in .*complete"):
        download(TAG)
    assert blobs(cache) == [f"{hub.sha256(TAG.location)}.lucid.incomplete"]
    before, hub.cuts = len(hub.downloads()), []
    assert download(TAG).read_bytes() == CONTENT
    assert hub.downloads()[before:] == ["bytes=300000-"] and blobs(cache) == [hub.sha256(TAG.location)]


@pytest.mark.parametrize("size", [1000, len(CONTENT), len(CONTENT) + 10])
def test_a_partial_file_with_other_content_is_discarded(hub, cache, size):
    folder = cache / "models--timm--convnext_tiny.fb_in1k" / "blobs"
    folder.mkdir(parents=True)
    (folder / f"{hub.sha256(TAG.location)}.lucid.incomplete").write_bytes(b"x" * size)
    assert download(TAG).read_bytes() == CONTENT
    assert blobs(cache) == [hub.sha256(TAG.location)]


def test_a_wrong_checksum_raises_and_leaves_nothing(hub, cache):
    hub.sent = CONTENT[:-1] + b"x"
    wrong = hashlib.sha256(hub.sent).hexdigest()
    with pytest.raises(
        DownloadError, match=f"received {len(CONTENT)} bytes with sha256 {wrong}, expected .*nothing was kept"
    ):
        download(TAG)
    assert blobs(cache) == [] and not list(cache.rglob("model.safetensors"))
    hub.sent = None
    assert download(TAG).read_bytes() == CONTENT


def test_without_a_network_the_first_attempt_fails(hub, cache, monkeypatch):
    hub.close()
    monkeypatch.setattr(hub, "close", lambda: None)
    with pytest.raises(DownloadError, match=rf"cannot reach {hub.url} \(.*refused\), and the cache {cache} does not"):
        download(TAG)


@pytest.mark.parametrize("how", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "constant"])
def test_offline_without_the_file_raises_without_a_request(hub, cache, monkeypatch, how):
    if how == "constant":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    else:
        monkeypatch.setenv(how, "1")
    with pytest.raises(DownloadError, match=f"fb_in1k is not in the cache {cache}, and HF_HUB_OFFLINE forbids"):
        download(TAG)
    assert hub.requests == []


def test_offline_with_the_file(hub, cache, monkeypatch):
    path = download(TAG)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert download(TAG) == path


def test_a_repository_without_safetensors(hub, cache):
    tag = find_tag("facebook/convnext-tiny-224")
    hub.files[tag.location, "pytorch_model.bin"] = b"pickled, and read without unpickling"
    assert download(tag).name == "pytorch_model.bin"
    asked = len(hub.requests)
    assert download(tag).read_bytes() == b"pickled, and read without unpickling" and len(hub.requests) == asked


@pytest.mark.parametrize("etag", ["0123456789", "../../../../evil", "/tmp/evil", "A" * 64, "f" * 40])
def test_an_etag_that_is_no_checksum_is_refused(hub, cache, tmp_path, etag):
    """huggingface_hub takes it for the name of a file in its cache."""
    hub.etag = etag
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DownloadError, match=f"cannot be trusted: X-Linked-ETag must be .*, got '{etag}'"):
        download(TAG)
    assert hub.downloads() == [] and sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("commit", ["../../../evil", "main", COMMIT.upper()])
def test_a_commit_that_is_no_checksum_is_refused(hub, cache, tmp_path, commit):
    """It becomes the name of a folder."""
    hub.commit = commit
    with pytest.raises(DownloadError, match=f"cannot be trusted: X-Repo-Commit must be .*, got '{commit}'"):
        download(TAG)
    assert hub.downloads() == [] and not cache.exists()


@pytest.mark.parametrize(
    "revision", ["..", "../../../evil", "a/../../b", "/etc", "a//b", ".git", "a/.b", "", "a b", "a\n"]
)
def test_a_revision_that_leads_out_of_the_cache_is_refused(hub, cache, revision):
    with pytest.raises(ValueError, match=f"{re.escape(repr(revision))} is not a branch, tag or commit"):
        download(replace(TAG, revision=revision))
    assert hub.requests == [] and not cache.exists()


def test_a_branch_may_have_a_path(hub, cache):
    with pytest.raises(DownloadError, match="has no revision 'refs/pr/1'"):
        download(replace(TAG, revision="refs/pr/1"))


def test_a_file_larger_than_announced_is_refused(hub, cache):
    hub.sent = CONTENT + b"more"
    with pytest.raises(
        DownloadError, match=f"the server announces {len(CONTENT) + 4} bytes instead of {len(CONTENT)}$"
    ):
        download(TAG)
    assert blobs(cache) == [] and len(hub.downloads()) == 1


def test_the_server_is_asked_once_for_what_names_the_files(hub, cache):
    """A second answer could differ from the one that was checked."""
    download(TAG)
    assert [method for method, path, _ in hub.requests if "/resolve/" in path] == ["HEAD", "GET"]


def test_a_damaged_file_in_the_cache_says_how_to_delete_it(hub, cache):
    path = download(TAG)
    blob = path.resolve()
    blob.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(DownloadError, match=rf"{path} is damaged: it has sha256 .*, expected .*: rm {blob}$"):
        download(TAG)
    blob.unlink()
    assert download(TAG).read_bytes() == CONTENT and len(hub.downloads()) == 2


def test_a_cached_file_is_read_once_to_check_it(hub, cache, monkeypatch):
    download(TAG)
    download(TAG)
    monkeypatch.setattr("lucid.models.weights.hub.sha256_of", lambda path: pytest.fail("read again"))
    download(TAG)


@pytest.fixture
def tls_hub(hub, tls, monkeypatch):
    import huggingface_hub

    server = Hub(tls)
    server.files[TAG.location, "model.safetensors"] = CONTENT
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    huggingface_hub.close_session()  # the next one trusts the certificate
    yield server
    huggingface_hub.close_session()
    server.close()


def test_https_works(tls_hub, tmp_path):
    assert download(TAG).read_bytes() == CONTENT


@pytest.mark.parametrize("when", ["HEAD", "GET"])
def test_a_redirect_from_https_to_http_is_refused(hub, tls_hub, cache, when):
    target = f"{hub.storage}/{hub.sha256(TAG.location)}?Signature=secret"
    if when == "HEAD":
        tls_hub.location = target
    else:  # only where the file itself is requested
        tls_hub._send_bytes = lambda request, sha256: tls_hub._reply(request, 302, {"Location": target})
    with pytest.raises(DownloadError, match=rf"redirects from https to {hub.storage}/\w{{64}}") as caught:
        download(TAG)
    assert "secret" not in str(caught.value) and not list(cache.rglob("*.safetensors")) and blobs(cache) == []


@pytest.mark.parametrize("fault", ["status", "missing", "gated", "unreachable", "checksum", "cut"])
def test_no_message_shows_the_password_of_the_endpoint(hub, cache, monkeypatch, fault, capfd):
    url = hub.url.replace("://", "://me:geheim@")
    url = url.rpartition(":")[0] + ":9" if fault == "unreachable" else url
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    hub.location = f"{hub.storage}/{hub.sha256(TAG.location)}?token=geheim"
    hub.status = 503 if fault == "status" else None
    hub.sent = CONTENT[::-1] if fault == "checksum" else None
    hub.cuts = [0] * 30 if fault == "cut" else []
    if fault in ("missing", "gated"):
        hub.files.clear()
        hub.errors[TAG.location] = "GatedRepo" if fault == "gated" else "RepoNotFound"
    try:
        download(TAG)
    except DownloadError:
        text = traceback.format_exc() + capfd.readouterr().err
    text = "\n".join(line for line in text.splitlines() if not line.startswith("  "))  # without lines of code
    assert "127.0.0.1" in text and "geheim" not in text


def test_a_response_from_something_else(hub, cache, monkeypatch):
    """Such as the login page of a wireless network."""
    monkeypatch.setattr(hub, "status", 200)
    with pytest.raises(DownloadError, match="timm/convnext_tiny.fb_in1k: .*X-Repo-Commit"):
        download(TAG)


def test_a_full_disk_fails_at_once(hub, cache, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lucid.data.download._Download._receive_once", full)
    with pytest.raises(DownloadError, match="cannot download .*: .*No space left on device"):
        download(TAG)
    assert hub.downloads() == [] and blobs(cache) == []


def test_a_read_only_cache(hub, cache, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with pytest.raises(DownloadError, match="cannot write to the cache: .*Not a directory"):
        download(TAG)


def test_a_revision_pins_a_repository(hub, cache):
    pinned = find_tag(f"hf-hub:{TAG.location}@v1")
    assert pinned.revision == "v1" and download(pinned).read_bytes() == CONTENT
    assert all("/resolve/v1/" in path or path.startswith("/storage/") for _, path, _ in hub.requests)
    with pytest.raises(DownloadError, match="timm/convnext_tiny.fb_in1k has no revision 'v2'"):
        download(find_tag(f"{TAG.name}@v2"))
    with pytest.raises(ValueError, match="is not in a hub repository, so it has no revisions, got 'v1'"):
        find_tag("convnext_tiny.tv_in1k@v1")


def test_refusals_of_the_hub_have_clear_messages(hub, cache):
    missing = find_tag("timm/convnext_base.fb_in1k")
    with pytest.raises(
        DownloadError, match=f"{hub.url} has no repository {missing.location}; if it is private, log in"
    ):
        download(missing)
    hub.errors[missing.location] = "GatedRepo"
    with pytest.raises(
        DownloadError, match=f"is gated; accept its conditions at {hub.url}/{missing.location} and log in"
    ):
        download(missing)
    hub.files[missing.location, "README.md"] = b""
    with pytest.raises(DownloadError, match="has none of model.safetensors, pytorch_model.bin"):
        download(missing)
    hub.status = 503
    with pytest.raises(DownloadError, match=f"{hub.url} answers with status 503"):
        download(missing)


def test_tokens_are_sent_to_the_hub_only(hub, cache, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    download(TAG)
    assert hub.tokens == {"hub": {"Bearer hf_secret"}, "storage": {None}}


def test_non_commercial_licenses_warn_before_the_download(hub, cache):
    tag = find_tag("timm/convnextv2_tiny.fcmae_ft_in1k")
    hub.files[tag.location, "model.safetensors"] = CONTENT
    with warnings.catch_warnings():
        warnings.simplefilter("error", NonCommercialLicenseWarning)
        with pytest.raises(
            NonCommercialLicenseWarning, match=r"licensed under cc-by-nc-4.0, for non-commercial use only"
        ):
            download(tag)
    assert hub.downloads() == [] and blobs(cache) == []
    with pytest.warns(NonCommercialLicenseWarning):
        download(tag)
    download(tag)  # cached: no second warning


def test_without_huggingface_hub_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r'pip install "lucid-mlx\[hub\]"'):
        download(TAG)


def torchvisions(hub, digits):
    hub.files["files", "any"] = CONTENT
    location = f"{hub.url}/storage/{hub.sha256('files', 'any')}/convnext_tiny-{digits}.pth"
    return replace(find_tag("convnext_tiny.tv_in1k"), location=location)


def test_torchvision_files_go_into_the_cache_of_torch_hub(hub, tmp_path, monkeypatch):
    tag = torchvisions(hub, hashlib.sha256(CONTENT).hexdigest()[:8])
    path = download(tag)
    assert path == tmp_path / "cache" / "torch" / "hub" / "checkpoints" / tag.location.rpartition("/")[2]
    assert path.read_bytes() == CONTENT and len(hub.requests) == 1
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert download(tag) == path and len(hub.requests) == 1
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(DownloadError, match=f"{tmp_path}/torch/hub/.*pth does not exist, and HF_HUB_OFFLINE forbids"):
        download(tag)


def test_torchvision_files_are_checked_against_their_names(hub, tmp_path):
    with pytest.raises(DownloadError, match="torchvision/convnext_tiny.tv_in1k: .*expected sha256 00000000; nothing"):
        download(torchvisions(hub, "00000000"))
    assert not list((tmp_path / "cache").rglob("*.pth*"))


def test_a_damaged_file_of_torch_hub_says_how_to_delete_it(hub, tmp_path):
    tag = torchvisions(hub, hashlib.sha256(CONTENT).hexdigest()[:8])
    path = download(tag)
    path.write_bytes(CONTENT[:1000])
    with pytest.raises(DownloadError, match=rf"{path} is damaged: it has sha256 .*; delete it, .*: rm {path}$"):
        download(tag)
    path.unlink()
    assert download(tag).read_bytes() == CONTENT


def test_a_file_without_a_checksum_is_compared_with_its_first_download(hub):
    hub.files["files", "any"] = CONTENT
    location = f"{hub.url}/storage/{hub.sha256('files', 'any')}/convnext_tiny_1k.pth"
    tag = replace(find_tag("convnext_tiny.tv_in1k"), location=location)
    path = download(tag)
    assert download(tag) == path and len(hub.requests) == 1
    path.write_bytes(CONTENT[:1000])
    with pytest.raises(DownloadError, match=rf"{path} is damaged: .*expected {hub.sha256('files', 'any')}; delete it"):
        download(tag)
    path.unlink()
    assert download(tag).read_bytes() == CONTENT
    path.with_name("convnext_tiny_1k.pth.sha256").unlink()  # a download of torch.hub
    assert download(tag).read_bytes() == CONTENT


# Runs in a new process, because environment variables are read at import.
FETCH = """
from lucid.models.weights.hub import download
from lucid.models.weights.tags import find_tag
print(download(find_tag("timm/convnext_tiny.fb_in1k")))
"""


def test_environment_variables_of_huggingface_hub(hub, cache, tmp_path):
    settings = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.url}
    command = [sys.executable, "-c", FETCH]

    def run(**more):
        environment = {**os.environ, **settings, **more}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    path = Path(run().stdout.strip())
    assert path.read_bytes() == CONTENT and path.is_relative_to(tmp_path / "home" / "hub")
    assert run(HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9").stdout.strip() == str(path)


def test_threads_share_one_download(hub, cache):
    found = []
    threads = [threading.Thread(target=lambda: found.append(download(TAG))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and len(set(found)) == 1 and hub.downloads() == [None]

"""Downloads from a local hub: resuming, checksums, caches, offline use, and errors."""

import hashlib
import os
import re
import subprocess
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from lucid.models.weights.hub import DownloadError, NonCommercialLicenseWarning, download
from lucid.models.weights.tags import find_tag
from tests.models.hub_server import COMMIT

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


def test_a_file_without_a_checksum(hub, cache):
    hub.etag = "0123456789"
    assert download(TAG).read_bytes() == CONTENT
    assert blobs(cache) == ["0123456789"]


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

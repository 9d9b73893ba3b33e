"""A local hub, and huggingface_hub configured to use it with a cache in the test's folder."""

import pytest

from tests.models.hub_server import Hub, UploadHub


@pytest.fixture
def hub(monkeypatch, tmp_path):
    yield from serving(Hub, monkeypatch, tmp_path)


@pytest.fixture
def upload_hub(monkeypatch, tmp_path):
    """A hub that takes uploads, with a token that may write to ``me/``."""
    for server in serving(UploadHub, monkeypatch, tmp_path):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # uploads in chunks, by a binary
        monkeypatch.setenv("HF_TOKEN", "hf_good")
        yield server


def serving(kind, monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs huggingface_hub to download weights")
    server = kind()
    # huggingface_hub reads environment variables at import, so its constants are patched instead.
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("lucid.data.download.FIRST_WAIT_S", 0.0)
    yield server
    server.close()

"""Repositories of others on a local hub: revisions, caches, offline use, and answers that cannot be trusted."""

import json

import numpy as np
import pytest

from lucid import models
from lucid.models.weights.hub import download_repository
from tests.models.hub_server import COMMIT
from tests.models.weights.folder_models import built, logits, saved

NAME = "huggingface, small"


@pytest.fixture
def pets(hub, tmp_path):
    """A hub with the model ``me/pets`` in shards; its cache is in ``tmp_path / "hub"``."""
    hub.in_git = (".json", ".md")
    publish(hub, tmp_path / "pets", max_shard_size="8KB")
    return hub


def publish(hub, folder, name=NAME, **options):
    saved(name, folder, **options)
    for path in folder.iterdir():
        hub.files["me/pets", path.name] = path.read_bytes()


def test_a_repository_opens(pets, tmp_path):
    for prefix in ("hf-hub:", "hf_hub:"):
        model = models.from_checkpoint(f"{prefix}me/pets")
        assert np.array_equal(logits(model, NAME), logits(built(NAME), NAME))
        assert model.class_names == list(built(NAME).class_names) and model.checkpoint_name == "me/pets"
        assert model.preprocessing.image_size == 64
    folder = tmp_path / "hub/models--me--pets/snapshots" / COMMIT
    names = {path.name for path in folder.iterdir()}
    assert names == {file for _, file in pets.files} - {"README.md"}
    assert (tmp_path / "hub/models--me--pets/refs/main").read_text() == COMMIT
    other = models.create_model("hf-hub:me/pets@v1", pretrained=True)
    assert np.array_equal(logits(other.eval(), NAME), logits(model, NAME))
    loaded = models.ConvNeXt(3, (1, 2, 1, 1), (8, 10, 12, 16))
    assert models.load_checkpoint(loaded, "hf-hub:me/pets").dialect == "huggingface"


def test_huggingface_hub_finds_the_files(pets):
    import huggingface_hub

    folder = download_repository("me/pets")
    before = len(pets.downloads())
    for file in ("config.json", "model.safetensors.index.json"):
        assert huggingface_hub.hf_hub_download("me/pets", file) == str(folder / file)
    assert len(pets.downloads()) == before


def test_files_that_are_there_are_not_downloaded_again(pets):
    folder = download_repository("me/pets")
    before = len(pets.downloads())
    assert download_repository("me/pets") == folder and len(pets.downloads()) == before


def test_a_new_commit_is_downloaded(pets, tmp_path):
    download_repository("me/pets")
    pets.files = {}
    publish(pets, tmp_path / "new", "timm, small")
    pets.commit = "f" * 40
    found = models.from_checkpoint("hf-hub:me/pets")
    assert np.array_equal(logits(found, "timm, small"), logits(built("timm, small"), "timm, small"))


def test_without_weights_only_the_description_is_downloaded(pets):
    model = models.create_model("hf-hub:me/pets", pretrained=False)
    assert model.class_names == list(built(NAME).class_names)
    assert not any("safetensors" in path for method, path, _ in pets.requests if method == "GET" and "resolve" in path)


@pytest.mark.parametrize("how", ["closed", "offline", "out of order"])
def test_without_a_network_the_cache_counts(pets, monkeypatch, how):
    folder = download_repository("me/pets")
    if how == "closed":
        pets.close()
        monkeypatch.setattr(pets, "close", lambda: None)
    elif how == "offline":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    else:
        pets.status = 503
    assert download_repository("me/pets") == folder
    assert download_repository("me/pets", COMMIT) == folder
    reason = {"closed": "cannot reach", "offline": "HF_HUB_OFFLINE forbids", "out of order": "answers with status 503"}
    with pytest.raises(models.DownloadError, match=f"hf-hub:me/others: ?.*{reason[how]}|others is not in the cache"):
        models.from_checkpoint("hf-hub:me/others")


def test_a_repository_with_nothing_but_weights(hub, tmp_path):
    models.save_checkpoint(built("timm, small"), tmp_path / "m.safetensors")
    hub.files["me/plain", "model.safetensors"] = (tmp_path / "m.safetensors").read_bytes()
    model = models.from_checkpoint("hf-hub:me/plain")
    assert model.class_names == list(built("timm, small").class_names)
    with pytest.raises(ValueError, match="has no config.json of a ConvNeXt of timm or transformers"):
        models.create_model("hf-hub:me/plain")


def test_repositories_that_cannot_be_had_raise(hub):
    hub.errors["me/gated"] = "GatedRepo"
    hub.files["me/empty", "notes.txt"] = b""
    for name, message in [
        ("me/none", "hf-hub:me/none: .* has no repository me/none; if it is private, log in with: hf auth login"),
        ("me/gated", "hf-hub:me/gated: the repository is gated; accept its conditions at"),
        ("me/empty@v9", "hf-hub:me/empty@v9: me/empty has no revision 'v9'"),
        ("me/empty", "hf-hub:me/empty: me/empty at .* has none of config.json, "),
    ]:
        with pytest.raises(models.DownloadError, match=message):
            models.from_checkpoint(f"hf-hub:{name}")
    for name in ("pets", "a/b/c", "../..", "me/..", "me/pets@../../x", "me/pets@a b", "", "me/pets\n"):
        with pytest.raises(ValueError, match=r"is not the name of a repository|is not a branch, tag or commit"):
            models.create_model(f"hf-hub:{name}")


def test_a_published_checkpoint_is_one_of_the_table(hub):
    """Its license and preprocessing are known."""
    with pytest.raises(models.DownloadError, match="timm/convnext_tiny.fb_in1k: .* has no repository"):
        models.from_checkpoint("hf-hub:timm/convnext_tiny.fb_in1k")
    model = models.create_model("hf-hub:timm/convnext_tiny.fb_in1k")
    assert model.pretrained_tag == "timm/convnext_tiny.fb_in1k" and "load_report" not in model.__dict__


def test_damaged_files_are_not_kept(pets, tmp_path):
    pets.sent = b"{}"
    with pytest.raises(models.DownloadError, match="received 2 bytes of .* with git's checksum .*; nothing was kept"):
        download_repository("me/pets")
    assert not list((tmp_path / "hub").rglob("config.json"))
    pets.sent = None
    download_repository("me/pets")
    shard = next(path for path in (tmp_path / "hub").rglob("*-of-*.safetensors") if path.name.startswith("model-00002"))
    shard.resolve().write_bytes(b"damaged")
    with pytest.raises(models.DownloadError, match="model-00002.* is damaged: it has sha256"):
        download_repository("me/pets")


@pytest.mark.parametrize("etag", ["../../evil", "A" * 40, "f" * 41])
def test_an_etag_that_is_no_checksum_is_refused(pets, tmp_path, etag):
    pets.etag = etag
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(models.DownloadError, match="cannot be trusted: X-Linked-ETag must be a checksum of 40 or 64"):
        download_repository("me/pets")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_index_cannot_name_other_files(pets, tmp_path):
    index = json.dumps({"weight_map": {"x": "../../../evil.safetensors"}}).encode()
    pets.files["me/pets", "model.safetensors.index.json"] = index
    with pytest.raises(ValueError, match="lists '../../../evil.safetensors', which is not the name of a weights file"):
        download_repository("me/pets")
    pets.commit = "e" * 40
    pets.files["me/pets", "model.safetensors.index.json"] = b'{"weight_map": {"x": "model-9.safetensors"}}'
    with pytest.raises(models.DownloadError, match=r"hf-hub:me/pets: me/pets has none of model-9.safetensors"):
        models.from_checkpoint("hf-hub:me/pets")

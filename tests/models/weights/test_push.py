"""Uploads to a local hub: one commit with all files, what stays, and errors."""

import sys

import numpy as np
import pytest

from lucid import models
from tests.models.weights.folder_models import built, logits

NAME = "timm, small"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # within huggingface_hub


def files(hub, repository="me/pets"):
    return {file for name, file in hub.files if name == repository}


def test_an_uploaded_model_opens_from_the_hub(upload_hub):
    model = built(NAME)
    url = models.push_to_hub(model, "me/pets", license="mit", private=True)
    assert url == f"{upload_hub.url}/me/pets/commit/{upload_hub.commit}"
    assert upload_hub.created in ([("me/pets", "private")], [("me/pets", True)])  # of old versions
    assert files(upload_hub) == {".gitattributes", "README.md", "config.json", "model.safetensors"}
    card = upload_hub.files["me/pets", "README.md"].decode()
    assert "hf-hub:me/pets" in card and "# pets\n" in card and "license: mit" in card
    found = models.from_checkpoint("hf-hub:me/pets")
    assert np.array_equal(logits(found, NAME), logits(model, NAME))
    assert found.class_names == model.class_names and found.preprocessing == model.preprocessing
    assert found.checkpoint_name == "me/pets"


def test_one_commit_replaces_the_earlier_model(upload_hub):
    model = built("huggingface, small")
    models.push_to_hub(model, "me/pets", dialect="huggingface", max_shard_size="8KB")
    assert "model.safetensors.index.json" in files(upload_hub)
    upload_hub.files["me/pets", "notes.txt"] = b"mine"
    assert np.array_equal(
        logits(models.from_checkpoint("hf-hub:me/pets"), "huggingface, small"), logits(model, "huggingface, small")
    )
    models.push_to_hub(built(NAME), "me/pets", commit_message="Smaller")
    assert files(upload_hub) == {".gitattributes", "README.md", "config.json", "model.safetensors", "notes.txt"}
    assert len(upload_hub.created) == 1 and len(upload_hub.commits) == 2
    operations, summary, branch, _ = upload_hub.commits[-1]
    assert (summary, branch) == ("Smaller", "main")
    assert {one["key"] for one in operations} == {"file", "lfsFile", "deletedFile"}
    assert np.array_equal(logits(models.from_checkpoint("hf-hub:me/pets"), NAME), logits(built(NAME), NAME))


def test_an_edited_model_card_stays(upload_hub):
    models.push_to_hub(built(NAME), "me/pets")
    models.push_to_hub(built(NAME), "me/pets", license="mit")
    assert b"license: mit" in upload_hub.files["me/pets", "README.md"]
    upload_hub.files["me/pets", "README.md"] = b"# Mine\n"
    upload_hub.commit = "f" * 40
    models.push_to_hub(built(NAME), "me/pets")
    assert upload_hub.files["me/pets", "README.md"] == b"# Mine\n"


def test_branches_and_pull_requests(upload_hub):
    models.push_to_hub(built(NAME), "me/pets", revision="v1")
    assert upload_hub.commits[-1][2] == "v1"
    before = dict(upload_hub.files)
    url = models.push_to_hub(built(NAME), "me/pets", create_pr=True)
    assert url == f"{upload_hub.url}/me/pets/discussions/1" and upload_hub.commits[-1][3]
    assert upload_hub.files == before


def fails(message, repository="me/pets", error=models.UploadError, **options):
    with pytest.raises(error, match=message) as raised:
        models.push_to_hub(built(NAME), repository, **options)
    assert "\n" not in str(raised.value) and "hf_good" not in str(raised.value)


def test_without_a_token(upload_hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    fails("push_to_hub: me/pets: uploading needs a token of the hub; log in with: hf auth login, or pass token=")
    assert upload_hub.requests == []


def test_a_wrong_token(upload_hub):
    message = f"{upload_hub.url} does not accept the token .*Invalid credentials.*; log in with: hf auth login"
    fails(message, token="hf_bad")


def test_no_right_to_write(upload_hub):
    message = "the token has no right to write there .*You don't have the rights.*; use a token with write access"
    fails(message, repository="others/pets")
    assert upload_hub.commits == []


def test_no_such_branch(upload_hub):
    fails("me/pets: the repository has no branch 'v9'", revision="v9")
    assert upload_hub.commits == []


def test_a_model_card_that_the_hub_refuses(upload_hub):
    upload_hub.refuses = '"license" must be one of [apache-2.0, mit, ...]'
    fails('push_to_hub: me/pets: Invalid metadata in README.md. - "license" must be one of', license="beer")
    assert upload_hub.commits == [] and files(upload_hub) == {".gitattributes"}


def test_without_a_network(upload_hub, monkeypatch):
    upload_hub.close()
    monkeypatch.setattr(upload_hub, "close", lambda: None)
    fails(f"push_to_hub: me/pets: cannot upload to {upload_hub.url}: .*refused")


def test_a_hub_that_is_out_of_order(upload_hub):
    upload_hub.status = 418
    fails(f"{upload_hub.url} answers with status 418")


def test_offline(upload_hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fails("push_to_hub: me/pets: HF_HUB_OFFLINE forbids uploading")
    assert upload_hub.requests == []


def test_wrong_arguments_send_nothing(upload_hub):
    for name in ("pets", "me/pets/cats", "../pets", "me/..", "", "me/p ets", 3):
        fails("is not the name of a repository; expected user/name", repository=name, error=ValueError)
    fails("push_to_hub: class_names must have one name", error=ValueError, class_names=["cat"])
    fails("push_to_hub: dialect must be 'timm' or 'huggingface', got 'keras'", error=ValueError, dialect="keras")
    with pytest.raises(ValueError, match="push_to_hub: timm has no ConvNeXtIsotropic"):
        models.push_to_hub(models.ConvNeXtIsotropic(2, 1, 8), "me/pets")
    assert upload_hub.requests == []


def test_without_huggingface_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    fails(r"push_to_hub: uploading needs huggingface_hub; pip install \"lucid-mlx\[hub\]\"", error=ImportError)

"""Upload a model to the Hugging Face Hub, with huggingface_hub."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from lucid import nn
from lucid.data.download import reason_of, without_secrets
from lucid.models.preprocessing import ImageTransform
from lucid.models.weights.hub import import_hub, is_offline, is_repository
from lucid.models.weights.model_card import is_untouched
from lucid.models.weights.save_folder import OWN_FILES, README, write_folder

_TOKEN = "log in with: hf auth login, or pass token="


class UploadError(RuntimeError):
    """A model cannot be uploaded. The message gives the reason and the fix.

    Example:
        >>> try:
        ...     models.push_to_hub(models.convnext_atto(2), "me/pets")  # doctest: +SKIP
        ... except models.UploadError as error:
        ...     print(error)
        ...
    """


def push_to_hub(
    model: nn.Module,
    repo_id: str,
    *,
    dialect: str = "timm",
    private: bool | None = None,
    token: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    commit_message: str = "Upload a model with Lucid",
    class_names: Sequence[str] | None = None,
    preprocessing: ImageTransform | None = None,
    name: str | None = None,
    license: str | None = None,
    metrics: Mapping[str, float] | None = None,
    recipe: Mapping[str, Any] | None = None,
    tags: Sequence[str] = (),
    max_shard_size: int | str | None = None,
) -> str:
    """Upload a model to the Hugging Face Hub, as the folder that ``save_pretrained`` writes.

    ``models.from_checkpoint("hf-hub:user/name")`` opens it, and so does the library of ``dialect``. The repository is
    created if it does not exist. All files arrive in one commit, which also removes files of an earlier model, so the
    repository never has half of it. A model card that somebody has edited stays as it is.

    Needs huggingface_hub (``pip install "lucid-mlx[hub]"``) and a token with the right to write.

    Args:
        model: The model, see ``save_pretrained``.
        repo_id: The repository, such as "user/name".
        dialect: "timm" or "huggingface", see ``save_pretrained``.
        private: Whether a new repository is private. None leaves it to the settings of the account.
        token: A token of the hub. Defaults to ``HF_TOKEN`` or the one that ``hf auth login`` stored.
        revision: The branch, which must exist; None for the main branch.
        create_pr: Open a pull request instead of committing to the branch.
        commit_message: The first line of the commit's message.
        class_names: As for ``save_pretrained``, and so are the arguments after it.
        preprocessing: How images become the model's input.
        name: The title of the model card. Defaults to the name of the repository.
        license: The license of the weights.
        metrics: Accuracies for the model card by name.
        recipe: Settings of the training for the model card.
        tags: More tags for the model card.
        max_shard_size: Split larger weights into files of at most this size.

    Returns:
        The URL of the commit, or of the pull request.

    Raises:
        UploadError: There is no token, no network, or no right to write; the repository has no such branch.
        ValueError: ``repo_id`` is not the name of a repository, or the library cannot build such a model.
        TypeError: ``model`` is not a ConvNeXt.
        ImportError: huggingface_hub is not installed.
    """
    where = f"push_to_hub: {repo_id}"
    if not isinstance(repo_id, str) or not is_repository(repo_id):
        raise ValueError(f"push_to_hub: {repo_id!r} is not the name of a repository; expected user/name")
    hub = import_hub("push_to_hub: uploading needs")
    if is_offline() or hub.constants.HF_HUB_OFFLINE:
        raise UploadError(f"{where}: HF_HUB_OFFLINE forbids uploading")
    if not token and not hub.get_token():
        raise UploadError(f"{where}: uploading needs a token of the hub; {_TOKEN}")
    with tempfile.TemporaryDirectory(prefix="lucid-") as temporary:
        folder = Path(temporary)
        write_folder(
            "push_to_hub", model, folder, dialect, class_names=class_names, preprocessing=preprocessing,
            title=name or repo_id.partition("/")[2], place=repo_id, is_repository=True, license=license,
            metrics=metrics, recipe=recipe, tags=tags, max_shard_size=max_shard_size,
        )  # fmt: skip
        api = hub.HfApi(endpoint=hub.constants.ENDPOINT, token=token, library_name="lucid")
        with _explained(where, hub, revision):
            api.create_repo(repo_id, private=private, exist_ok=True)
            present = api.list_repo_files(repo_id, revision=revision)
            if README in present and not _is_own_readme(api, repo_id, revision):
                (folder / README).unlink()
            new = {path.name: path for path in sorted(folder.iterdir())}
            stale = [one for one in present if one not in new and any(fnmatchcase(one, own) for own in OWN_FILES)]
            commit = api.create_commit(
                repo_id,
                [
                    *(hub.CommitOperationDelete(path_in_repo=one) for one in stale),
                    *(hub.CommitOperationAdd(path_in_repo=one, path_or_fileobj=str(path)) for one, path in new.items()),
                ],
                commit_message=commit_message,
                revision=revision,
                create_pr=create_pr,
            )
    return str((create_pr and commit.pr_url) or commit.commit_url)


def _is_own_readme(api: Any, repo_id: str, revision: str | None) -> bool:
    """Whether the model card in the repository is as Lucid wrote it."""
    with tempfile.TemporaryDirectory(prefix="lucid-") as folder:
        path = api.hf_hub_download(repo_id, README, revision=revision, cache_dir=folder)
        return is_untouched(Path(path).read_text(encoding="utf-8", errors="replace"))


@contextmanager
def _explained(where: str, hub: Any, revision: str | None) -> Iterator[None]:
    """Turn what huggingface_hub raises into an ``UploadError`` with the reason and the fix."""
    from huggingface_hub import errors

    endpoint = without_secrets(hub.constants.ENDPOINT)
    try:
        yield
    except errors.RevisionNotFoundError:
        raise UploadError(f"{where}: the repository has no branch {revision!r}") from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        message = getattr(error, "server_message", None)
        said = f" ({without_secrets(message)})" if message else ""
        if status == 401:
            raise UploadError(f"{where}: {endpoint} does not accept the token{said}; {_TOKEN}") from None
        if status in (403, 404):
            fix = "use a token with write access, and check the name of the account or organization"
            raise UploadError(f"{where}: the token has no right to write there{said}; {fix}") from None
        raise UploadError(f"{where}: {endpoint} answers with status {status}{said}") from None
    except ValueError as error:  # of the model card, which the hub checks
        raise UploadError(f"{where}: {' '.join(str(error).split())}") from None
    except Exception as error:  # the HTTP library differs between versions of huggingface_hub
        reason = reason_of(error.__cause__ if isinstance(error.__cause__, Exception) else error)
        raise UploadError(f"{where}: cannot upload to {endpoint}: {reason}") from None
